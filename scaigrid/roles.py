"""The published roles and what each may do (contract, section 4)."""

from collections.abc import Iterable
from typing import Literal

Reach = Literal["platform", "partner", "tenant"]

_VIEWER = {"models:list", "accounting:view_own"}
_USER = _VIEWER | {"models:use", "api_keys:manage", "modules:use"}
_TENANT_ADMIN = _USER | {
    "routing:view",
    "accounting:view_tenant",
    "accounting:manage_budgets",
    "users:manage",
    "webhooks:manage",
    "modules:manage",
    "admin:access",
}
_PARTNER_VIEWER = _VIEWER | {"accounting:view_tenant", "accounting:view_partner"}
_PARTNER_ADMIN = _PARTNER_VIEWER | {"accounting:manage_budgets", "users:manage", "admin:access"}
_SUPER_ADMIN = _TENANT_ADMIN | _PARTNER_ADMIN | {"accounting:view_all", "models:manage", "routing:manage"}

ROLES: dict[str, frozenset[str]] = {
    "tenant_viewer": frozenset(_VIEWER),
    "tenant_user": frozenset(_USER),
    "tenant_admin": frozenset(_TENANT_ADMIN),
    "partner_viewer": frozenset(_PARTNER_VIEWER),
    "partner_admin": frozenset(_PARTNER_ADMIN),
    "super_admin": frozenset(_SUPER_ADMIN),
}


PERMISSIONS: frozenset[str] = frozenset(_SUPER_ADMIN)
"""Every permission of the core."""
GRANTABLE: frozenset[str] = frozenset(_TENANT_ADMIN)
"""What a custom role may give: nothing that a tenant's administrator lacks."""


def permissions(roles: Iterable[str]) -> frozenset[str]:
    """What all `roles` together allow. Raises KeyError for a role that is not published."""
    return frozenset[str]().union(*(ROLES[role] for role in roles))


REACH: dict[str, Reach] = {
    "tenant_viewer": "tenant",
    "tenant_user": "tenant",
    "tenant_admin": "tenant",
    "partner_viewer": "partner",
    "partner_admin": "partner",
    "super_admin": "platform",
}
"""How far each role reaches: its tenant, its partner's tenants, or everything."""


def reach(roles: Iterable[str]) -> Reach:
    """The farthest reach of `roles`."""
    found = {REACH[role] for role in roles}
    return "platform" if "platform" in found else "partner" if "partner" in found else "tenant"


WIDTH: dict[Reach, int] = {"tenant": 0, "partner": 1, "platform": 2}
"""Orders reaches: each lies within those of a greater width."""


def widest(reaches: Iterable[Reach]) -> Reach | None:
    """The farthest of some reaches; None where there is none."""
    return max(reaches, key=lambda reach: WIDTH[reach], default=None)


def spread(roles: Iterable[str]) -> dict[str, Reach]:
    """How far each permission of `roles` goes: as far as the widest of those roles that give it.

    Whoever views a partner's usage and administers one of its tenants manages the users of that tenant alone.
    """
    found: dict[str, Reach] = {}
    for role in sorted(roles, key=lambda role: WIDTH[REACH[role]]):
        found |= dict.fromkeys(ROLES[role], REACH[role])
    return found
