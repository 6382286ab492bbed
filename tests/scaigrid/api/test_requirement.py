"""What a route asks: one of some permissions, from a role that reaches far enough, carried by the key."""

from typing import Any

import msgspec
import pytest

from scaigrid.api.requirement import ANYONE, Requirement
from scaigrid.config.snapshot import Party, Principal
from scaigrid.control.standing import Standing
from scaigrid.errors import Code, GatewayError
from scaigrid.roles import ROLES, permissions, reach, spread

HERE = Party("x", "x", "x")
MANAGE = Requirement("users:manage")
PARTNERS = Requirement("users:manage", reach="partner")
KEYS = Requirement("api_keys:manage", "users:manage")


def _caller(*roles: str, more: frozenset[str] = frozenset(), **fields: Any) -> Principal:
    held = permissions(roles) | more
    return Principal(partner=HERE, tenant=HERE, user=HERE, roles=roles, permissions=held, reach=reach(roles), **fields)


def _refusal(requirement: Requirement, caller: Principal) -> Code | None:
    try:
        requirement.check(caller)
    except GatewayError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("requirement", "roles", "expected"),
    [
        (ANYONE, (), None),
        (MANAGE, ("tenant_admin",), None),
        (MANAGE, ("tenant_user",), Code.AUTHZ_PERMISSION_DENIED),
        (MANAGE, ("partner_viewer",), Code.AUTHZ_PERMISSION_DENIED),
        (PARTNERS, ("tenant_admin",), Code.AUTHZ_PERMISSION_DENIED),
        (PARTNERS, ("partner_admin",), None),
        (PARTNERS, ("super_admin",), None),
        (PARTNERS, ("partner_viewer", "tenant_admin"), Code.AUTHZ_PERMISSION_DENIED),
        (KEYS, ("tenant_user",), None),
        (KEYS, ("partner_admin",), None),
        (KEYS, ("tenant_viewer",), Code.AUTHZ_PERMISSION_DENIED),
        (Requirement(reach="platform"), ("tenant_admin",), Code.AUTHZ_PERMISSION_DENIED),
        (Requirement(reach="platform"), ("super_admin",), None),
    ],
)
def test_who_meets_it(requirement: Requirement, roles: tuple[str, ...], expected: Code | None) -> None:
    assert _refusal(requirement, _caller(*roles)) is expected


def test_a_permission_that_a_tenant_gives_reaches_no_farther_than_the_tenant() -> None:
    caller = _caller("partner_viewer", more=frozenset({"users:manage"}))
    assert _refusal(MANAGE, caller) is None
    assert _refusal(PARTNERS, caller) is Code.AUTHZ_PERMISSION_DENIED
    assert MANAGE.reached(caller) == "tenant"


def test_the_key_has_to_carry_the_very_permission_that_the_roles_give() -> None:
    admin = _caller("partner_admin", scopes=frozenset({"api_keys:manage"}))
    assert _refusal(KEYS, admin) is Code.AUTH_INSUFFICIENT_SCOPE, "held is one of them, carried the other"
    assert _refusal(KEYS, msgspec.structs.replace(admin, scopes=frozenset({"users:manage"}))) is None
    assert _refusal(ANYONE, msgspec.structs.replace(admin, scopes=frozenset())) is None


@pytest.mark.parametrize(
    ("requirement", "roles", "scopes", "expected"),
    [
        (MANAGE, ("tenant_admin",), None, "tenant"),
        (MANAGE, ("partner_viewer", "tenant_admin"), None, "tenant"),
        (MANAGE, ("partner_admin", "tenant_admin"), None, "partner"),
        (MANAGE, ("super_admin",), None, "platform"),
        (KEYS, ("partner_admin", "tenant_user"), None, "partner"),
        (KEYS, ("partner_admin", "tenant_user"), frozenset({"api_keys:manage"}), "tenant"),
        (ANYONE, ("partner_viewer",), None, "partner"),
    ],
)
def test_it_reaches_as_far_as_the_role_that_gives_what_is_asked(
    requirement: Requirement, roles: tuple[str, ...], scopes: frozenset[str] | None, expected: str
) -> None:
    assert requirement.reached(_caller(*roles, scopes=scopes)) == expected


def test_what_a_role_meets_by_itself_is_what_the_table_of_endpoints_says() -> None:
    assert [role for role in ROLES if PARTNERS.allows(role)] == ["partner_admin", "super_admin"]
    assert [role for role in ROLES if KEYS.allows(role)] == [
        "tenant_user",
        "tenant_admin",
        "partner_admin",
        "super_admin",
    ]


def test_whether_somebody_may_is_asked_of_roles_and_key() -> None:
    caller = _caller("tenant_user", scopes=frozenset({"models:use", "users:manage"}))
    assert (caller.may("models:use"), caller.may("models:list"), caller.may("users:manage")) == (True, False, False)


def test_the_powers_of_a_standing_reach_as_far_as_a_requirement_says() -> None:
    """Both are told by the same table, or a caller could give what it could not do."""
    for role, allowed in ROLES.items():
        standing = Standing(roles=(role,), custom_role_ids=(), powers=spread((role,)))
        for permission in allowed:
            assert standing.powers[permission] == Requirement(permission).reached(_caller(role))
