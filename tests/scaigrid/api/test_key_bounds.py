"""A key hands on what it may do itself, and nothing more; who has a token instead of a key has no such bounds."""

from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest

from scaigrid.api.key_bounds import KeyBounds
from scaigrid.config.key_budget import KeyBudget
from scaigrid.config.terms import Limits
from scaigrid.control import documents as docs
from scaigrid.control.declared import resources_of
from scaigrid.control.state import State
from scaigrid.errors import Code, GatewayError
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane, declared
from tests.scaigrid.api.people import user, view_of

END = datetime(2027, 2, 1, tzinfo=UTC)
LATER = datetime(2027, 2, 2, tzinfo=UTC)
USERS = platform().users
CAPPED = {
    "paid": declared("paid", "user_a", budget=KeyBudget(request_limit=1)),
    "slow": declared("slow", "user_a", limits=Limits(requests_per_minute=1)),
}
CONFIGURED = platform(keys={**{name: declared(name, name) for name in USERS}, **CAPPED})
PLANE = ControlPlane(CONFIGURED)
STATE = State.of(resources_of(CONFIGURED))
BOUND: dict[str, Any] = {
    "scopes": frozenset({"models:use"}),
    "models": frozenset({"a", "b"}),
    "addresses": (ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
    "expires_at": END.timestamp(),
}


def _key(**fields: Any) -> docs.ApiKey:
    return docs.ApiKey(name="k", user_id=user("user_a"), sha256="", **fields)


def _bounds(who: str = "user_a", whose: str = "user_a", **principal: Any) -> KeyBounds:
    return KeyBounds(view_of(PLANE, who, STATE, **principal), user(whose))


def _faults(judged: Any, *given: Any) -> list[str]:
    try:
        judged(*given)
    except GatewayError as error:
        return [detail.field for detail in error.details] if error.code is Code.AUTH_INSUFFICIENT_SCOPE else ["?"]
    return []


FITTING: dict[str, Any] = {
    "scopes": ("models:use",),
    "models": ("b",),
    "addresses": ("10.1.0.0/16", "fd00::1"),
    "expires_at": END,
}


def test_what_lies_within_may_be_made_opened_and_had() -> None:
    bounds = _bounds(**BOUND)
    key = _key(**FITTING)
    assert _faults(bounds.may_make, key) == []
    assert _faults(bounds.may_open, "apikey_other", key) == []
    assert _faults(bounds.may_become, _key(), key) == []


@pytest.mark.parametrize(
    ("field", "beyond"),
    [
        ("scopes", None),
        ("scopes", ("models:use", "models:list")),
        ("models", None),
        ("models", ("a", "c")),
        ("addresses", None),
        ("addresses", ("10.0.0.1", "11.0.0.1")),
        ("addresses", ("0.0.0.0/0",)),
        ("addresses", ("::1",)),
        ("expires_at", None),
        ("expires_at", LATER),
    ],
)
def test_what_goes_beyond_in_one_thing_does_not(field: str, beyond: Any) -> None:
    bounds = _bounds(**BOUND)
    key = _key(**{**FITTING, field: beyond})
    assert _faults(bounds.may_make, key) == [field]
    assert _faults(bounds.may_open, "apikey_other", key) == [field]
    assert _faults(bounds.may_become, _key(**FITTING), key) == [field]
    assert _faults(bounds.may_become, key, msgspec.structs.replace(key, name="x")) == [], "it was so before"


def test_a_key_without_bounds_has_none_to_give() -> None:
    bounds = _bounds()
    assert _faults(bounds.may_make, _key()) == []
    assert bounds.inherited(_key()) == _key()


def test_what_a_new_key_does_not_say_it_has_from_the_one_that_asks() -> None:
    bounds = _bounds(**BOUND)
    made = bounds.inherited(_key())
    assert (made.scopes, made.models) == (("models:use",), ("a", "b"))
    assert (made.addresses, made.expires_at) == (("10.0.0.0/8", "fd00::/8"), END)
    assert _faults(bounds.may_make, made) == []
    said = _key(**FITTING)
    assert bounds.inherited(said) == said


@pytest.mark.parametrize(("who", "cap"), [("paid", "budget"), ("slow", "limits")])
def test_a_key_with_a_cap_makes_none_and_opens_none_but_itself(who: str, cap: str) -> None:
    bounds = _bounds(who)
    (own,) = (id_ for id_, key in STATE.documents(docs.ApiKey) if key.name == who)
    assert _faults(bounds.may_make, _key()) == [cap]
    assert _faults(bounds.may_open, "apikey_other", _key()) == [cap]
    assert _faults(bounds.may_open, own, STATE.document(docs.ApiKey, own)) == []
    lifted = msgspec.structs.replace(STATE.document(docs.ApiKey, own), budget=None, limits=Limits())
    assert _faults(bounds.may_become, STATE.document(docs.ApiKey, own), lifted) == [cap]


def test_who_came_with_a_token_has_no_key_to_be_bound_by() -> None:
    bounds = _bounds(key=None)
    assert _faults(bounds.may_make, _key()) == []


def test_for_others_the_scopes_end_where_the_maker_s_own_rights_do() -> None:
    rights = frozenset({"users:manage", "models:list"})
    desk = _bounds(whose="viewer_a", roles=(), permissions=rights)
    assert _faults(desk.may_make, _key(scopes=None)) == ["scopes"]
    assert desk.inherited(_key()).scopes == ("models:list", "users:manage")
    assert _faults(_bounds("admin_a", "user_a").may_make, _key()) == []
