"""What one control-plane request works on: the state, the caller, and how much of the one the other may see."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from litestar import Request

from scaigrid.adapter import Adapter
from scaigrid.api.handling import exchange_in
from scaigrid.api.requirement import required
from scaigrid.asgi import Scope, header
from scaigrid.config.snapshot import Principal
from scaigrid.control.follower import Control
from scaigrid.control.kinds import KINDS
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.middleware import Services
from scaigrid.roles import Reach

TENANT_HEADER = b"x-scaigrid-tenant"


class View(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One request's. Inside a change, `state` is the one under the lock."""

    exchange: Exchange
    state: State
    services: Services
    control: Control
    adapters: Mapping[str, Adapter]
    """By type: what providers can be."""
    tenant_id: str | None
    """The tenant that the caller acts on: what `X-ScaiGrid-Tenant` names. None: none is named."""
    reach: Reach | None = None
    """How far goes what the route asks for. None: as far as the caller's roles."""
    new_id: str = ""
    """The id that what is being made will have."""
    also: tuple[Resource, ...] = ()
    """What was changed along with the resource (`Collection.along`)."""
    facts: Mapping[str, Any] = {}
    """What a collection has found out about the resources of this answer, by id (`Collection.informed`)."""

    @property
    def principal(self) -> Principal:
        return self.exchange.principal

    def may(self, permission: str) -> bool:
        return self.principal.may(permission)

    @property
    def acting_tenant(self) -> str:
        """The id of the tenant that something new belongs to: the caller's where none is named."""
        return self.tenant_id or self.principal.tenant.id

    def reaches(self, resource: Resource) -> bool:
        """Whether a resource lies within what the caller's roles reach, and within the tenant that it acts on."""
        tenant = self.state.tenant_of(resource)
        if self.tenant_id is not None:
            # Who acts on a tenant sees what its administrator would see.
            return tenant == self.tenant_id
        match self.reach or self.principal.reach:
            case "platform":
                return True
            case "partner":
                return self.state.partner_of(resource) == self.principal.partner.id
            case _:
                return tenant == self.principal.tenant.id

    def known(self, kind: str, id_: str, field: str) -> Resource:
        """What a request refers to. Raises the kind's 404, naming `field`, for what is not there or out of reach."""
        found = self.state.get(kind, id_)
        if found is None or not self.reaches(found):
            raise missing(kind, field)
        return found


def missing(kind: str, field: str | None = None) -> GatewayError:
    """There is nothing of that id: the same words whether it does not exist or may not be seen."""
    row = KINDS[kind]
    details = () if field is None else (Detail(field, f"there is no such {row.title}"),)
    return GatewayError(row.missing, f"There is no such {row.title}.", details=details)


def view_of(
    request: Request[Any, Any, Any],
    state: State,
    services: Services,
    control: Control,
    adapters: Mapping[str, Adapter],
) -> View:
    """Raises NOT_FOUND for a tenant that the caller cannot act on."""
    exchange = exchange_in(request)
    named = header(cast(Scope, request.scope), TENANT_HEADER)
    reach = required(request).reached(exchange.principal)
    tenant_id = None
    if named is not None:
        tenant_id = _named_tenant(named.decode("latin-1"), state, exchange.principal, reach)
    return View(
        exchange=exchange,
        state=state,
        services=services,
        control=control,
        adapters=adapters,
        tenant_id=tenant_id,
        reach=reach,
    )


def _named_tenant(named: str, state: State, principal: Principal, reach: Reach) -> str:
    """By id or by slug."""
    found = state.get("tenant", named) or state.named("tenant", named)
    if found is not None:
        within = {
            "platform": True,
            "partner": state.partner_of(found) == principal.partner.id,
            "tenant": found.id == principal.tenant.id,
        }
        if within[reach]:
            return found.id
    raise GatewayError(
        Code.NOT_FOUND, "There is no such tenant.", details=(Detail("X-ScaiGrid-Tenant", "there is no such tenant"),)
    )
