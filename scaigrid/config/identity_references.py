"""What the section `identity` refers to, and what only makes sense together in it."""

from collections.abc import Iterable, Mapping

from scaigrid.config.entities import Entry
from scaigrid.config.schema import Config
from scaigrid.roles import ROLES

Fault = tuple[tuple[str | int, ...], str]

_IMPLICIT = "default"
"""The tenant that stands in where none is declared, and that users belong to who name none."""


def check_identity(config: Config) -> Iterable[Fault]:
    """Every fault of the section with the path of the key that has it."""
    tenants = _names(config.tenants) or {_IMPLICIT}
    roles = ROLES.keys() | _names(config.roles)
    seen: dict[str, str] = {}
    for name, issuer in config.identity.issuers.items():
        path = ("identity", "issuers", name)
        other = seen.setdefault(issuer.issuer, name)
        if other != name:
            yield (*path, "issuer"), f"the same issuer as {other!r}: one entry may have several audiences"
        if issuer.tenant is not None and issuer.tenant not in tenants:
            yield (*path, "tenant"), _unknown("tenant", issuer.tenant, tenants)
        elif issuer.users == "any" and issuer.tenant is issuer.claims.tenant is None and _IMPLICIT not in tenants:
            yield (
                (*path, "users"),
                "users who are not declared need a tenant: give `tenant` or `claims.tenant`",
            )
        for value, role in issuer.roles.items():
            if role not in roles:
                yield (*path, "roles", value), _unknown("role", role, roles)
        for place, role in enumerate(issuer.default_roles):
            if role not in roles:
                yield (*path, "default_roles", place), _unknown("role", role, roles)


def _names(entries: Mapping[str, Entry]) -> set[str]:
    """By name, not by handle: a token that comes later may name what the API has made since, and that has no handle."""
    return {entry.name or handle for handle, entry in entries.items()}


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    return f"there is no {kind} {name!r} (there are: {', '.join(sorted(known)[:12])})"
