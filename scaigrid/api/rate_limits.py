"""`/v1/rate-limits`: how many requests and tokens each partner, tenant, user and key is let have.

The limits lie in the documents of those parties. Here they stand side by side, with what holds where nobody has said
anything, and can be set by those who do not manage the parties themselves. Models have theirs in
`scaigrid.api.model_rate_limits`.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Literal, NamedTuple

import msgspec
from litestar import Response, delete, put, route
from litestar.params import FromPath

from scaigrid.api.body import check_writable, etag, read_body
from scaigrid.api.collection import PageQuery
from scaigrid.api.crud import Asked
from scaigrid.api.envelope import ListEnvelope, enveloped, listed
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.levels import MANAGING, PARTIES, VIEWING, sees, sets
from scaigrid.api.limits import RateLimitGiven, RateLimits, Source, held_to, limited, source_of, used_of
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.recording import Trying, changing, concerns, noted
from scaigrid.api.view import View, missing, view_of
from scaigrid.config.terms import Limits
from scaigrid.control.follower import Control
from scaigrid.control.resource import Resource
from scaigrid.cursor import Cursor
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code, GatewayError
from scaigrid.middleware import Services

Scope = Literal["partner", "tenant", "user", "key"]

PATH = "/v1/rate-limits"
_ONE = PATH + "/{scope_:str}/{scope_id:str}"

_SCOPES: tuple[Scope, ...] = ("partner", "tenant", "user", "key")
_BY_NAME: Mapping[str, Scope] = {scope: scope for scope in _SCOPES}


class RateLimitItem(RateLimits, kw_only=True):
    """What one party is held to. A call is held to the limits of its key, user, tenant, partner and model alike."""

    scope: Scope
    scope_id: str


class RateLimitsQuery(PageQuery, frozen=True, kw_only=True):
    """Which limits to list."""

    scope: Scope | None = None
    source: Source | None = None


class _Place(NamedTuple):
    """Where in the list: partners come first, keys last."""

    rank: int
    id: str


_CURSOR = Cursor(_Place)


@route(PATH, http_method=READ, guards=[VIEWING])
async def listing(
    request: Asked, services: Provided[Services], control: Provided[Control], adapters: Provided[Any]
) -> ListEnvelope[RateLimitItem]:
    wanted = read_query(request, RateLimitsQuery)
    after = _CURSOR.read(wanted.cursor)
    view = view_of(request, await control.refresh(), services, control, adapters)
    following = (place for place in _places(view, wanted) if after is None or place > after)
    # One more than is shown says whether there are more
    page = list(islice(following, wanted.limit + 1))
    items = [_item(_SCOPES[place.rank], _party(view, place)) for place in page[: wanted.limit]]
    more = len(page) > wanted.limit
    return listed(view.exchange, items, _CURSOR.write(page[wanted.limit - 1]) if more else None)


@route(_ONE, http_method=READ, guards=[VIEWING])
async def one(
    request: Asked,
    *,
    scope_: FromPath[str],
    scope_id: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[Envelope[RateLimitItem]]:
    read_query(request, NoQuery)
    view = view_of(request, await control.refresh(), services, control, adapters)
    level, party = _seen(view, scope_, scope_id)
    return await _told(view, level, party)


@put(_ONE, guards=[Trying("rate_limit", "update", "scope_id"), MANAGING])
async def replace(
    request: Asked,
    *,
    scope_: FromPath[str],
    scope_id: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[Envelope[RateLimitItem]]:
    read_query(request, NoQuery)
    given = read_body(request, await request.body(), RateLimitGiven)
    async with changing(exchange_in(request), control) as change:
        view = view_of(request, change.state, services, control, adapters)
        level, before = _writable(request, view, scope_, scope_id)
        kept = change.put(limited(before, given.limits(), change.state))
        noted(view.exchange, "rate_limit", "update", kept.id, before=_item(level, before), after=_item(level, kept))
    return await _told(view, level, kept)


@delete(
    _ONE,
    guards=[Trying("rate_limit", "delete", "scope_id"), MANAGING],
    status_code=204,
)
async def remove(
    request: Asked,
    *,
    scope_: FromPath[str],
    scope_id: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[None]:
    read_query(request, NoQuery)
    async with changing(exchange_in(request), control, 204) as change:
        view = view_of(request, change.state, services, control, adapters)
        level, before = _writable(request, view, scope_, scope_id)
        kept = change.put(limited(before, Limits(), change.state))
        noted(view.exchange, "rate_limit", "delete", kept.id, before=_item(level, before), after=_item(level, kept))
    return Response(None, status_code=204)


def _places(view: View, wanted: RateLimitsQuery) -> Iterator[_Place]:
    for rank, scope in enumerate(_SCOPES):
        if wanted.scope not in (None, scope):
            continue
        parties = view.state.all(PARTIES[scope])
        for id_ in sorted(parties):
            party = parties[id_]
            if wanted.source in (None, source_of(party)) and sees(view, party):
                yield _Place(rank, id_)


def _party(view: View, place: _Place) -> Resource:
    return view.state.all(PARTIES[_SCOPES[place.rank]])[place.id]


def _seen(view: View, scope: str, scope_id: str) -> tuple[Scope, Resource]:
    """Raises NOT_FOUND for a party that is not there, or whose limits the caller does not see."""
    level = _BY_NAME.get(scope)
    if level is None:
        raise GatewayError(Code.NOT_FOUND, f"The scopes are {', '.join(_SCOPES)}.")
    kind = PARTIES[level]
    party = view.state.get(kind, scope_id)
    if party is None or not sees(view, party):
        raise missing(kind)
    concerns(view.exchange, view.state, party)
    return level, party


def _writable(request: Asked, view: View, scope: str, scope_id: str) -> tuple[Scope, Resource]:
    """Raises 404, 403, MANAGED_BY_CONFIG, or PRECONDITION_FAILED by `If-Match`."""
    level, party = _seen(view, scope, scope_id)
    if not sets(view, level, party):
        raise GatewayError(
            Code.AUTHZ_PERMISSION_DENIED, f"Your roles do not go far enough to set the limit of a {level}."
        )
    check_writable(request, party)
    return level, party


def _item(scope: Scope, party: Resource) -> RateLimitItem:
    return RateLimitItem(scope=scope, scope_id=party.id, **msgspec.structs.asdict(held_to(scope, party)))


async def _told(view: View, scope: Scope, party: Resource) -> Response[Envelope[RateLimitItem]]:
    item = msgspec.structs.replace(_item(scope, party), used=await used_of(view, scope, party))
    return Response(enveloped(view.exchange, item), headers={"etag": etag(party)})


HANDLERS = (listing, one, replace, remove)
