"""What one entry can judge by itself: how its fields go together, and the form of each."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from scaigrid.config import entities, routing, terms
from scaigrid.config.key_budget import KeyBudget
from scaigrid.secrets import Secret

DIGEST = "0" * 64
NAIVE = datetime(2027, 1, 31)  # noqa: DTZ001 - what is refused
ZONED = datetime(2027, 1, 31, tzinfo=UTC)
ROUTE = routing.Route(targets=(routing.RouteTarget(backend="b"),))


def test_a_key_is_given_in_exactly_one_way() -> None:
    with pytest.raises(ValueError, match="exactly one of `key` and `sha256`"):
        entities.Key(user="a")
    with pytest.raises(ValueError, match="exactly one of `key` and `sha256`"):
        entities.Key(user="a", key=Secret(terms.DEMO_KEY), sha256=DIGEST)


@pytest.mark.parametrize("key", ["", "sgk_short", "sk-" + "x" * 40, "sgk_" + "x" * 31, "sgk_" + "x" * 31 + " "])
def test_a_key_has_the_published_form(key: str) -> None:
    with pytest.raises(ValueError, match="at least 32") as caught:
        entities.Key(user="a", key=Secret(key))
    assert key == "" or key not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"expires_at": NAIVE}, "`expires_at` needs an offset"),
        ({"previous_sha256": DIGEST, "previous_until": NAIVE}, "`previous_until` needs an offset"),
        ({"previous_sha256": DIGEST}, "go together"),
        ({"previous_until": ZONED}, "go together"),
        ({"addresses": ("10.0.0.1", "10.0.0.1/8")}, "`addresses`: 10.0.0.1/8 has host bits set"),
        ({"addresses": ("localhost",)}, "`addresses`: 'localhost' does not appear to be"),
    ],
)
def test_what_a_key_says_of_itself_goes_together(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        entities.Key(user="a", sha256=DIGEST, **fields)


def test_a_key_with_all_that_it_can_say_is_taken() -> None:
    addresses = ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32")
    key = entities.Key(
        user="a", sha256=DIGEST, expires_at=ZONED, previous_sha256=DIGEST, previous_until=ZONED, addresses=addresses
    )
    assert key.addresses == addresses


def _budget(**fields: Any) -> None:
    entities.Budget(scope="user", of="a", period="daily", **fields)


@pytest.mark.parametrize("made", [_budget, KeyBudget])
def test_a_budget_limits_something_in_a_time_zone_that_exists(made: Any) -> None:
    with pytest.raises(ValueError, match="at least one of `cost_limit`, `token_limit` and `request_limit`"):
        made()
    for zone in ("Mars/Olympus", "", "../UTC", "/etc/localtime"):
        with pytest.raises(ValueError, match=f"no time zone '{zone}'"):
            made(timezone=zone, cost_limit=Decimal(1))
    for amount in ("cost_limit", "token_limit", "request_limit"):
        made(**{amount: 0}, timezone="Europe/Amsterdam")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "declare `prices`, or say `unpriced"),
        ({"unpriced": "free", "prices": terms.Prices()}, "`prices` and `unpriced` exclude each other"),
    ],
)
def test_a_model_has_prices_or_says_why_not(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        entities.Model(route=ROUTE, **fields)


@pytest.mark.parametrize(
    ("kind", "fields", "first", "second"),
    [
        (entities.RoleMapping, {"group": "g"}, {"role": "tenant_user"}, {"custom_role": "r"}),
        (entities.ModelAccess, {"subject": "user", "of": "a"}, {"model": "m"}, {"model_group": "g"}),
    ],
)
def test_a_grant_is_of_exactly_one_thing(
    kind: Any, fields: dict[str, Any], first: dict[str, str], second: dict[str, str]
) -> None:
    for one in (first, second):
        assert kind(**fields, **one)
    for wrong in ({}, {**first, **second}):
        with pytest.raises(ValueError, match=f"exactly one of `{next(iter(first))}` and `{next(iter(second))}`"):
            kind(**fields, **wrong)


@pytest.mark.parametrize("fields", [{"of": "a"}, {"scope": "tenant"}, {"scope": "partner"}])
def test_a_model_group_names_its_owner_where_it_has_one(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`of` names the partner or tenant"):
        entities.ModelGroup(**fields)
    assert entities.ModelGroup().of is None
    assert entities.ModelGroup(scope="tenant", of="a").of == "a"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (
            entities.Permission,
            ["models:use", "chat:rooms:read", "a:b:c:d"],
            ["models", "a:", "A:b", "a:b:c:d:e", "a:b\n"],
        ),
        (entities.ModulePermission, ["chat:rooms:read", "a:b:c:d"], ["models:use", "a:b:c:d:e", "a::b:c", "a:b:c\n"]),
        (entities.Label, ["x", "x" * 128], ["", "x" * 129]),
    ],
)
def test_permissions_of_the_core_and_of_modules_have_their_own_forms(
    kind: Any, good: list[str], bad: list[str]
) -> None:
    assert [msgspec.convert(text, kind) for text in good] == good
    for text in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(text, kind)


@pytest.mark.parametrize(
    ("kind", "given", "where"),
    [
        (entities.Partner, {"id": "partner_1"}, "id"),
        (entities.Partner, {"id": f"partner_{'0' * 32}\n"}, "id"),
        (entities.Key, {"user": "a", "sha256": f"{DIGEST}\n"}, "sha256"),
        (entities.Provider, {"type": "custom", "base_url": "https://x\n"}, "base_url"),
        (entities.Provider, {"type": "custom", "base_url": "ftp://x"}, "base_url"),
        (entities.Provider, {"type": "custom", "base_url": "https://user@x"}, "base_url"),
        (entities.Provider, {"type": "custom", "base_url": "https://x?key=1"}, "base_url"),
        (routing.Route, {"targets": []}, "targets"),
        (routing.Route, {"targets": [{"backend": "b", "weight": -1}]}, "weight"),
        (routing.Route, {"targets": [{"backend": "b"}], "max_attempts": 0}, "max_attempts"),
        (entities.User, {"roles": ["king"]}, "roles"),
    ],
)
def test_a_field_out_of_its_form_is_refused_by_name(kind: Any, given: dict[str, Any], where: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=rf"\$.*{where}"):
        msgspec.convert(given, kind)
