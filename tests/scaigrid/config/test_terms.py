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
        ("amount: 0.000000001", True),
        ("amount: 0.0000000001", False),
        ("amount: 0.123456789012", False),
        ("price: 0", True),
        ("price: 999999.999999999", True),
        ("price: 1000000", False),
        ("price: 1E+300", False),
        ("price: -1", False),
        ("price: -0.000000001", False),
        ("price: 0.000000001", True),
        ("price: 0.0000000001", False),
        ("price: 1E-10", False),
        ("price: 1.000000000000000000000000000000000000001", False),
        ("price: 1.500000000000", True),
        ("price: .nan", False),
        ("price: .inf", False),
        ("price: NaN", False),
        ("price: 1,5", False),
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
    tier = typing.get_type_hints(terms.PriceTier, include_extras=True)
    tiers, above = hints.pop("tiers"), tier.pop("above")
    assert set(hints.values()) == {terms.Price, terms.Price | None}
    assert set(tier.values()) == {terms.Price | None}
    assert tier.keys() == hints.keys()
    assert [fits([{"above": 1}] * many, tiers) for many in (16, 17)] == [True, False]
    assert [fits(tokens, above) for tokens in (1, 2**40, 0, -1, 2**40 + 1)] == [True, True, False, False, False]


class Priced(Strict):
    prices: terms.Prices


@pytest.mark.parametrize(
    ("tiers", "faults"),
    [
        ("[{above: 1, input: 2}, {above: 2}]", []),
        (
            "[{above: 5}, {above: 5}, {above: 6}, {above: 4}]",
            [
                ("prices.tiers[1].above", "must be more than that of the tier before"),
                ("prices.tiers[3].above", "must be more than that of the tier before"),
            ],
        ),
        ("[{input: 1}]", [("prices.tiers[0].above", "missing required key")]),
        ("[{above: 0}]", [("prices.tiers[0].above", "must be at least 1, got 0")]),
        ("[{above: 1, input: -1}]", [("prices.tiers[0].input", "must be at least 0, got -1")]),
        (
            "[{above: 1, second: 0.0000000001}]",
            [("prices.tiers[0].second", "must have at most 9 decimal places, got 0.0000000001")],
        ),
    ],
)
def test_tiers_rise_and_are_bounded_like_the_prices_around_them(
    tmp_path: Path, tiers: str, faults: list[tuple[str, str]]
) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(f"prices:\n  input: 1\n  tiers: {tiers}\n")
    if not faults:
        assert len(load(file, Priced, env={}).prices.tiers) == 2
        return
    with pytest.raises(ConfigErrors) as caught:
        load(file, Priced, env={})
    assert [(error.key, error.reason) for error in caught.value.errors] == faults
    assert {(error.file, error.line) for error in caught.value.errors} == {(str(file), 3)}


def test_a_tier_has_no_tiers_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("prices: {tiers: [{above: 1, tiers: []}]}\n")
    with pytest.raises(ConfigErrors) as caught:
        load(file, Priced, env={})
    assert [error.key for error in caught.value.errors] == ["prices.tiers[0].tiers"]


def test_what_the_database_has_is_held_to_the_same_order() -> None:
    with pytest.raises(msgspec.ValidationError, match="must be more than that of the tier before"):
        msgspec.json.decode(b'{"tiers":[{"above":2},{"above":2}]}', type=terms.Cost)


def test_no_limit_and_the_default_limit_are_two_things() -> None:
    limits = [msgspec.convert(given, terms.Limits) for given in ({}, {"requests_per_minute": None})]
    assert [one.requests_per_minute for one in limits] == [msgspec.UNSET, None]
    assert [msgspec.to_builtins(one) for one in limits] == [{}, {"requests_per_minute": None}]
    bounds = {0: True, 2**53: True, -1: False, 2**53 + 1: False}
    assert {given: fits({"requests_per_minute": given}, terms.Limits) for given in bounds} == bounds


def test_only_requests_a_minute_have_a_default_so_that_null_says_nothing_of_the_others() -> None:
    others = set(terms.Limits.__struct_fields__) - {"requests_per_minute", "on_store_failure"}
    assert msgspec.convert(dict.fromkeys(others), terms.Limits) == terms.Limits()
    assert msgspec.to_builtins(terms.Limits(tokens_per_day=0)) == {"tokens_per_day": 0}
    assert all(fits({name: 0}, terms.Limits) and not fits({name: -1}, terms.Limits) for name in others)
    assert [fits({"on_store_failure": word}, terms.Limits) for word in ("deny", "allow_bounded", "never")] == [
        True,
        True,
        False,
    ]


def test_limits_on_tokens_alone_need_bounds() -> None:
    assert {
        name: msgspec.convert({name: 5}, terms.Limits).needs_bounds
        for name in terms.Limits.__struct_fields__
        if name != "on_store_failure"
    } == {
        "requests_per_minute": False,
        "requests_per_day": False,
        "tokens_per_minute": True,
        "tokens_per_day": True,
        "concurrent_requests": False,
    }


def test_the_roles_that_can_be_named_are_the_published_ones() -> None:
    assert set(typing.get_args(terms.RoleName)) == set(roles.ROLES)


def test_the_demo_key_has_the_form_of_a_key() -> None:
    assert terms.KEY_PATTERN.match(terms.DEMO_KEY)
    assert not terms.KEY_PATTERN.match(terms.DEMO_KEY[:35])
    assert not terms.KEY_PATTERN.match(terms.DEMO_KEY + "\n")
