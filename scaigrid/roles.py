"""The published roles and what each may do (contract, section 4)."""

from collections.abc import Iterable

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


def permissions(roles: Iterable[str]) -> frozenset[str]:
    """What all `roles` together allow. Raises KeyError for a role that is not published."""
    return frozenset[str]().union(*(ROLES[role] for role in roles))
