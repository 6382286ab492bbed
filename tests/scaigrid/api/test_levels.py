"""Who sees and sets what: by role and by what a key carries, for a party of each level here and next door."""

from typing import get_args

import msgspec
import pytest

from scaigrid.api.levels import PARTIES, Level, sees, sets
from scaigrid.api.view import View
from scaigrid.control.declared import resources_of
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.exchange import Exchange
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane, key_digest, model

PLANE = ControlPlane(platform(models={"m": model(), "tenant/a/m": model()}))
STATE = State.of(resources_of(PLANE.config))
HERE = frozenset({"partner/one", "tenant/a", "user/user_a", "key/user_a", "user/admin_a", "model/tenant/a/m"})
"""What is on the tenant `a` or below, and the partner above."""
THERE = frozenset({"partner/two", "tenant/c", "user/user_c", "key/user_c", "model/m"})
SISTER = frozenset({"tenant/b", "user/user_b", "key/user_b"})
"""Of another tenant of the same partner."""


def party(name: str) -> Resource:
    level, _, rest = name.partition("/")
    (found,) = (one for one in STATE.all(PARTIES[level]).values() if one.name == rest)  # type: ignore[index]  # a level
    return found


def view(who: str, scopes: frozenset[str] | None = None, tenant: str | None = None) -> View:
    snapshot = PLANE.services.current.snapshot
    principal = msgspec.structs.replace(snapshot.keys[key_digest(who)], scopes=scopes)
    exchange = Exchange(
        request_id="r",
        method="GET",
        path="/",
        dialect=PLANE.services.dialect_of("/v1"),
        snapshot=snapshot,
        principal=principal,
        started=0.0,
        started_at=0.0,
    )
    return View(
        exchange=exchange,
        state=STATE,
        services=PLANE.services,
        control=PLANE.control,
        adapters={},
        tenant_id=None if tenant is None else party(f"tenant/{tenant}").id,
    )


def seen(of: View) -> set[str]:
    return {name for name in HERE | THERE | SISTER if sees(of, party(name))}


def settable(of: View) -> set[str]:
    return {level for level in get_args(Level) if sets(of, level)}


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("super", HERE | THERE | SISTER),
        ("partner_one", HERE | SISTER),
        ("partner_one_viewer", HERE | SISTER),
        ("admin_a", HERE - {"partner/one"}),
        ("user_a", {"user/user_a", "key/user_a"}),
        ("viewer_a", set[str]()),
        ("admin_c", {"tenant/c", "user/user_c", "key/user_c"}),
    ],
)
def test_each_role_sees_as_far_as_it_views_or_manages(who: str, expected: set[str]) -> None:
    assert seen(view(who)) == expected


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("super", {"partner", "tenant", "user", "group", "key", "model"}),
        ("partner_one", {"tenant", "user", "group", "key"}),
        ("admin_a", {"user", "group", "key"}),
        ("partner_one_viewer", set[str]()),
        ("user_a", set[str]()),
        ("viewer_a", set[str]()),
    ],
)
def test_each_role_sets_what_is_below_its_own_level(who: str, expected: set[str]) -> None:
    assert settable(view(who)) == expected


def test_who_sees_a_partner_and_manages_one_of_its_tenants_sets_what_is_in_that_tenant_alone() -> None:
    of, also = view("admin_a"), view("partner_one_viewer").principal
    own = of.principal
    of.exchange.principal = msgspec.structs.replace(
        own, roles=(*own.roles, *also.roles), permissions=own.permissions | also.permissions
    )
    assert seen(of) == HERE | SISTER
    assert sets(of, "user", party("user/user_a"))
    assert not sets(of, "user", party("user/user_b"))
    assert not sets(of, "key", party("key/user_b"))


@pytest.mark.parametrize(
    ("who", "scope", "expected"),
    [
        ("admin_a", "accounting:view_own", {"user/admin_a"}),
        ("admin_a", "accounting:view_tenant", HERE - {"partner/one"}),
        ("partner_one", "accounting:view_own", set[str]()),
        ("partner_one", "accounting:view_tenant", HERE - {"partner/one"}),
        ("partner_one", "accounting:view_partner", HERE | SISTER),
        ("partner_one", "accounting:manage_budgets", HERE | SISTER),
        ("super", "accounting:view_all", HERE | THERE | SISTER),
        ("super", "accounting:view_partner", HERE | SISTER),
    ],
)
def test_a_key_sees_no_farther_than_what_it_carries(who: str, scope: str, expected: set[str]) -> None:
    of = view(who, frozenset({scope}))
    assert seen(of) == expected
    assert bool(settable(of)) is (scope == "accounting:manage_budgets")


def test_who_acts_on_a_tenant_sees_what_is_on_it_and_below() -> None:
    assert seen(view("super", tenant="b")) == SISTER
    assert seen(view("partner_one", tenant="a")) == HERE - {"partner/one"}
    assert seen(view("user_a", tenant="a")) == {"user/user_a", "key/user_a"}
    assert seen(view("partner_one", frozenset({"accounting:view_tenant"}), tenant="b")) == SISTER
