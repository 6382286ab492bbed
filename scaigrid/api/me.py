"""`/v1/me`: who the caller is and what its key may do."""

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Request, route

from scaigrid.api.envelope import enveloped
from scaigrid.api.handling import READ, exchange_in
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.requirement import ANYONE
from scaigrid.config.snapshot import Party, Principal
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.roles import Reach
from scaigrid.timestamps import iso


class MeUser(AnswerShape, kw_only=True):
    id: str
    name: str
    email: str | None
    display_name: str


class MeParty(AnswerShape):
    """A partner or a tenant."""

    id: str
    name: str
    display_name: str


class MeKey(AnswerShape, kw_only=True):
    """The key that the request came with."""

    id: str
    name: str
    expires_at: str | None
    """ISO 8601, UTC; null for never."""
    addresses: Sequence[str] | None
    """The only addresses and networks that it may be used from; null for any."""


class Me(AnswerShape, kw_only=True):
    """The caller."""

    user: MeUser
    tenant: MeParty
    partner: MeParty
    key: MeKey | None
    """Null for who came with a token."""
    roles: Sequence[str]
    permissions: Sequence[str]
    """What the roles allow together."""
    models: Sequence[str] | None
    """The only models that the key may use; null for all."""
    scopes: Sequence[str] | None
    """The only ones of the permissions that the key carries; null for all."""
    reach: Annotated[Reach, OPEN]
    """How far the roles go: `tenant`, `partner` for all of the partner's tenants, `platform` for everything."""
    tenant_header: str | None
    """The header by which one of several tenants is chosen to act on, by slug or id; null where there is but one."""


@route("/v1/me", http_method=READ, guards=[ANYONE])
async def me(request: Request[Any, Any, Any]) -> Envelope[Me]:
    read_query(request, NoQuery)
    exchange = exchange_in(request)
    return enveloped(exchange, _me(exchange.principal))


def _me(principal: Principal) -> Me:
    return Me(
        user=MeUser(
            id=principal.user.id,
            name=principal.user.name,
            email=principal.email,
            display_name=principal.user.display_name,
        ),
        tenant=_party(principal.tenant),
        partner=_party(principal.partner),
        key=_key(principal),
        roles=principal.roles,
        permissions=sorted(principal.permissions),
        models=None if principal.models is None else sorted(principal.models),
        scopes=None if principal.scopes is None else sorted(principal.scopes),
        reach=principal.reach,
        tenant_header=None if principal.reach == "tenant" else "X-ScaiGrid-Tenant",
    )


def _party(party: Party) -> MeParty:
    return MeParty(id=party.id, name=party.name, display_name=party.display_name)


def _key(principal: Principal) -> MeKey | None:
    if principal.key is None:
        return None
    expires, networks = principal.expires_at, principal.addresses
    return MeKey(
        id=principal.key.id,
        name=principal.key.name,
        expires_at=None if expires is None else iso(expires),
        addresses=None if networks is None else [str(network) for network in networks],
    )
