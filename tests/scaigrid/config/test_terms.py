"""The shared words: what a name, an amount, a limit or a deadline may be."""

import typing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scaigrid import roles
from scaigrid.config import terms
from scaigrid.config.load import ConfigErrors, load
from scaigrid.config.strict import Strict


class Money(Strict):
    amount: terms.Amount = Decimal(0)
    price: terms.Price = Decimal(0)


def fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", ["a", "0", "a.b_c-d", "a" * 64])
def test_a_name_is_lower_case_between_letters_or_digits(name: str) -> None:
    assert fits(name, terms.Name)


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", ".a", "a b", "a/b", "ä", "a\n", "a" * 65])
def test_what_is_no_name(name: str) -> None:
    assert not fits(name, terms.Name)


@pytest.mark.parametrize("slug", ["a", "openai/GPT-4.1", "tenant/a/x", "a:b@c", "a" * 128])
def test_a_slug_has_parts_and_capitals(slug: str) -> None:
    assert fits(slug, terms.Slug)


@pytest.mark.parametrize("slug", ["", "/a", "a/", "a//b", "a b", "a?b", "a%2Fb", "ä", "a\n", "a" * 129])
def test_what_is_no_slug(slug: str) -> None:
    assert not fits(slug, terms.Slug)


@pytest.mark.parametrize(("seconds", "good"), [(0.001, True), (86_400, True), (0, False), (-1, False), (86_401, False)])
def test_a_deadline_is_more_than_nothing_and_a_day_at_the_most(seconds: float, good: bool) -> None:
    assert fits(seconds, terms.Seconds) is good
    assert all(fits({name: seconds}, terms.Deadlines) is good for name in terms.Deadlines.__struct_fields__)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("amount: 0", True),
        ("amount: 1000000000000", True),
        ("amount: 1000000000000.01", False),
        ("amount: -0.000000001", False),
        ("price: 0", True),
        ("price: 999999.999999999", True),
        ("price: 1000000", False),
        ("price: -1", False),
    ],
)
def test_money_is_bounded_where_the_file_is_read(tmp_path: Path, text: str, good: bool) -> None:
    file = tmp_path / "money.yaml"
    file.write_text(text)
    if good:
        assert isinstance(load(file, Money, env={}), Money)
        return
    with pytest.raises(ConfigErrors) as caught:
        load(file, Money, env={})
    assert [error.key for error in caught.value.errors] == [text.partition(":")[0]]


def test_every_price_of_what_is_charged_is_bounded_alike() -> None:
    hints = typing.get_type_hints(terms.Prices, include_extras=True)
    assert set(hints.values()) == {terms.Price, terms.Price | None}


def test_no_limit_and_the_default_limit_are_two_things() -> None:
    limits = [msgspec.convert(given, terms.Limits) for given in ({}, {"requests_per_minute": None})]
    assert [one.requests_per_minute for one in limits] == [msgspec.UNSET, None]
    assert [msgspec.to_builtins(one) for one in limits] == [{}, {"requests_per_minute": None}]
    bounds = {0: True, 2**53: True, -1: False, 2**53 + 1: False}
    assert {given: fits({"requests_per_minute": given}, terms.Limits) for given in bounds} == bounds


def test_the_roles_that_can_be_named_are_the_published_ones() -> None:
    assert set(typing.get_args(terms.RoleName)) == set(roles.ROLES)


def test_the_demo_key_has_the_form_of_a_key() -> None:
    assert terms.KEY_PATTERN.match(terms.DEMO_KEY)
    assert not terms.KEY_PATTERN.match(terms.DEMO_KEY[:35])
    assert not terms.KEY_PATTERN.match(terms.DEMO_KEY + "\n")
