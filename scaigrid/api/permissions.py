"""The table of endpoints and roles: who may do what, and how far, made from what each route declares."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from litestar import Router
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from scaigrid import roles
from scaigrid.api import declared
from scaigrid.api.operation import Operation
from scaigrid.api.operations import AREAS
from scaigrid.api.requirement import Keyless, Requirement
from scaigrid.dialects import DIALECTS
from scaigrid.roles import REACH, Reach

Asked = Requirement | Keyless
Address = tuple[str, str]
"""Method and path, as the rows of `operations` have them: `("GET", "/v1/tenants/{id}")`."""

CALLING = Requirement("models:use")
"""What the inference surfaces ask. They are no routes of Litestar's: the link `route_resolve` holds callers to it."""

_PLAIN = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PARAMETER = re.compile(r"{(\w+?)_?:\w+}")
_OWN = frozenset({"accounting:view_own", "api_keys:manage", "models:list", "models:use", "modules:use"})
"""Permissions that go no farther than the caller, whatever its roles: its usage, its keys, the models it may use."""
_NAMED: Mapping[str, Reach] = {"accounting:view_tenant": "tenant", "accounting:view_partner": "partner"}
"""Permissions that say themselves how far they go."""
_FAR: Mapping[Reach, str] = {"tenant": "tenant", "partner": "partner", "platform": "all"}

_HEAD = """\
# Permissions

Written from the code (`scaigrid manual --permissions`): what each endpoint asks, and what that means for the published
roles. Permissions of a custom role, of a user or of a group's mapping add to those of the roles; the scopes of a key
leave some of them out.

| cell | meaning |
|---|---|
| `own` | allowed, for the caller's own user, keys and usage, and for the models that it may use |
| `tenant` | allowed, within the caller's tenant |
| `partner` | allowed, within the caller's partner and all of its tenants |
| `all` | allowed, everywhere |
| `yes` | allowed, and it is nobody's in particular |
| 401 | refused: AUTH_TOKEN_MISSING without a key, AUTH_TOKEN_INVALID with a revoked one |
| 403 | refused: AUTHZ_PERMISSION_DENIED, or AUTH_INSUFFICIENT_SCOPE where only the key lacks the permission |

What lies beyond a cell is 404, as if it did not exist, and is in no list. What a caller sees and may not change is 403:
what a level above has set on it, users with rights beyond its own, what everybody shares. What the configuration file
declares is 409 (MANAGED_BY_CONFIG) for all.
"""


def asked() -> Mapping[Address, Asked]:
    """What each endpoint asks. Raises LookupError for a route that does not say."""
    handlers = declared()
    found: dict[Address, Asked] = {("POST", path): CALLING for dialect in DIALECTS for path in dialect.operations}
    for path, methods in (resource for dialect in DIALECTS for resource in dialect.resources.items()):
        found |= {(method, path): CALLING for method in methods}
    for route in Router("/", route_handlers=[*handlers.governed, *handlers.open]).routes:
        if not isinstance(route, HTTPRoute):
            continue
        path = _PARAMETER.sub(r"{\1}", route.path)
        for handler in route.route_handlers:
            for method in sorted(method for method in handler.http_methods if method in _PLAIN):
                found[method, path] = _asked_by(handler, f"{method} {path}")
    return found


def cell(asks: Asked, role: str | None) -> str:
    """What somebody of a published role, or (None) somebody without a key, is let do."""
    if isinstance(asks, Keyless):
        return "yes"
    if role is None:
        return "401"
    if not asks.allows(role):
        return "403"
    if not asks.permissions:
        return "own"
    held = [permission for permission in asks.permissions if permission in roles.ROLES[role]]
    far: list[Reach] = [reach for permission in held if (reach := _reach(permission, role)) is not None]
    widest = roles.widest(far)
    return "own" if widest is None else _FAR[widest]


def written() -> str:
    """The table, in Markdown."""
    return "\n".join(_lines())


def _asked_by(handler: HTTPRouteHandler, address: str) -> Asked:
    layers = cast("Sequence[Any]", handler.ownership_layers)
    guards: Iterable[object] = (guard for layer in reversed(layers) for guard in layer.guards or ())
    found = next((guard for guard in guards if isinstance(guard, Requirement | Keyless)), None)
    if found is None:
        raise LookupError(f"{address} does not say what it asks of its caller: a Requirement, ANYONE or KEYLESS")
    return found


def _reach(permission: str, role: str) -> Reach | None:
    """How far a permission goes that a role gives; None: no farther than the caller."""
    if REACH[role] == "platform":
        return "platform"
    if permission in _OWN:
        return None
    return _NAMED.get(permission, REACH[role])


def _lines() -> Iterator[str]:
    yield _HEAD
    asks = asked()
    for area in AREAS:
        yield f"## {area.name}"
        yield ""
        yield f"| endpoint | asks | no key | {' | '.join(roles.ROLES)} |"
        yield f"|---|---|{'---|' * (len(roles.ROLES) + 1)}"
        for operation in area.operations:
            yield _row(operation, asks[operation.method.upper(), operation.path])
        yield ""


def _row(operation: Operation, asks: Asked) -> str:
    cells: Sequence[str] = [cell(asks, role) for role in (None, *roles.ROLES)]
    return f"| `{operation.method.upper()} {operation.path}` | {_wanted(asks)} | {' | '.join(cells)} |"


def _wanted(asks: Asked) -> str:
    if isinstance(asks, Keyless):
        return "nothing"
    if not asks.permissions:
        return "a key"
    wanted = " or ".join(f"`{permission}`" for permission in asks.permissions)
    return wanted if asks.reach == "tenant" else f"{wanted}, {asks.reach}"
