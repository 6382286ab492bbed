"""`/v1/me`: who the caller is and what its key may do."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, route

from scaigrid.api.envelope import enveloped
from scaigrid.api.handling import READ, exchange_in
from scaigrid.api.query import NoQuery, read_query
from scaigrid.config.snapshot import Party, Principal
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.dialects.shapes import AnswerShape
from scaigrid.timestamps import iso


class MeUser(AnswerShape):
    id: str
    name: str
    email: str | None


class MeParty(AnswerShape):
    """A partner or a tenant."""

    id: str
    name: str
    display_name: str


class MeKey(AnswerShape):
    """The key that the request came with."""

    id: str
    name: str
    expires_at: str | None
    """ISO 8601, UTC; null for never."""


class Me(AnswerShape):
    """The caller."""

    user: MeUser
    tenant: MeParty
    partner: MeParty
    key: MeKey | None
    roles: Sequence[str]
    permissions: Sequence[str]
    """What the roles allow together."""
    models: Sequence[str] | None
    """The only models that the key may use; null for all."""


@route("/v1/me", http_method=READ)
async def me(request: Request[Any, Any, Any]) -> Envelope[Me]:
    read_query(request, NoQuery)
    exchange = exchange_in(request)
    return enveloped(exchange, _me(exchange.principal))


def _me(principal: Principal) -> Me:
    return Me(
        user=MeUser(id=principal.user.id, name=principal.user.name, email=principal.email),
        tenant=_party(principal.tenant),
        partner=_party(principal.partner),
        key=_key(principal),
        roles=principal.roles,
        permissions=sorted(principal.permissions),
        models=None if principal.models is None else sorted(principal.models),
    )


def _party(party: Party) -> MeParty:
    return MeParty(id=party.id, name=party.name, display_name=party.display_name)


def _key(principal: Principal) -> MeKey | None:
    if principal.key is None:
        return None
    expires = principal.expires_at
    return MeKey(id=principal.key.id, name=principal.key.name, expires_at=None if expires is None else iso(expires))
