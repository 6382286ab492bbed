"""`/v1/rate-limits`: how many requests a minute each partner, tenant, user and key is let make.

The limits lie in the documents of those parties. Here they stand side by side, with what holds where nobody has said
anything, and can be set by those who do not manage the parties themselves.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple, cast

import msgspec
from litestar import Response, delete, put, route
from litestar.params import FromPath
from msgspec import UNSET, Meta

from scaigrid.api.body import etag, matches, read_body
from scaigrid.api.collection import PageQuery
from scaigrid.api.crud import Asked
from scaigrid.api.envelope import ListEnvelope, enveloped, listed
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.levels import MANAGING, PARTIES, VIEWING, sees, sets
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.recording import Trying, changing, concerns, noted
from scaigrid.api.view import View, missing, view_of
from scaigrid.config.entities import Origin
from scaigrid.config.terms import Limits
from scaigrid.control import documents as docs
from scaigrid.control.follower import Control
from scaigrid.control.principals import REQUESTS_PER_MINUTE
from scaigrid.control.resource import Resource
from scaigrid.cursor import Cursor
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.dialects.shapes import AnswerShape, RequestShape
from scaigrid.errors import Code, GatewayError
from scaigrid.middleware import Services

Scope = Literal["partner", "tenant", "user", "key"]
Source = Literal["default", "own"]

PATH = "/v1/rate-limits"
_ONE = PATH + "/{scope_:str}/{scope_id:str}"

_SCOPES: tuple[Scope, ...] = ("partner", "tenant", "user", "key")
_BY_NAME: Mapping[str, Scope] = {scope: scope for scope in _SCOPES}
_Limited = docs.Partner | docs.Tenant | docs.User | docs.ApiKey


class RateLimitGiven(RequestShape):
    """A request limit, as it is sent."""

    requests_per_minute: Annotated[int, Meta(ge=0, le=2**53)] | None
    """Requests in any rolling minute. Null: no limit. 0: every request is refused."""


class RateLimitItem(AnswerShape, kw_only=True):
    """What one party is held to. A call is held to the limits of its key, user, tenant and partner alike."""

    scope: Scope
    scope_id: str
    name: str
    """The party's."""
    requests_per_minute: int | None
    """Requests in any rolling minute. Null: no limit. 0: every request is refused."""
    source: Source
    """`own`: somebody has set it. `default`: what holds for every party of this scope of which nobody has."""
    origin: Origin
    """`config`: the configuration file declares the party, and its limit is read-only here."""


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
    return _told(view, *_seen(view, scope_, scope_id))


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
        kept = change.put(_limited(before, Limits(requests_per_minute=given.requests_per_minute)))
        noted(view.exchange, "rate_limit", "update", kept.id, before=_item(level, before), after=_item(level, kept))
    return _told(view, level, kept)


@delete(
    PATH + "/{scope_:str}/{scope_id:str}",
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
        kept = change.put(_limited(before, Limits()))
        noted(view.exchange, "rate_limit", "delete", kept.id, before=_item(level, before), after=_item(level, kept))
    return Response(None, status_code=204)


def _places(view: View, wanted: RateLimitsQuery) -> Iterator[_Place]:
    for rank, scope in enumerate(_SCOPES):
        if wanted.scope not in (None, scope):
            continue
        parties = view.state.all(PARTIES[scope])
        for id_ in sorted(parties):
            party = parties[id_]
            if wanted.source in (None, _source(party)) and sees(view, party):
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
    if not sets(view, level):
        raise GatewayError(
            Code.AUTHZ_PERMISSION_DENIED, f"Your roles do not go far enough to set the limit of a {level}."
        )
    if party.origin == "config":
        raise GatewayError(Code.MANAGED_BY_CONFIG)
    if not matches(request, party):
        raise GatewayError(Code.PRECONDITION_FAILED)
    return level, party


def _limited(party: Resource, limits: Limits) -> Resource:
    document = msgspec.structs.replace(cast(_Limited, party.document), limits=limits)
    return msgspec.structs.replace(party, document=document)


def _source(party: Resource) -> Source:
    return "default" if cast(_Limited, party.document).limits.requests_per_minute is UNSET else "own"


def _item(scope: Scope, party: Resource) -> RateLimitItem:
    limit = cast(_Limited, party.document).limits.requests_per_minute
    return RateLimitItem(
        scope=scope,
        scope_id=party.id,
        name=party.name,
        requests_per_minute=REQUESTS_PER_MINUTE[scope] if limit is UNSET else limit,
        source=_source(party),
        origin=party.origin,
    )


def _told(view: View, scope: Scope, party: Resource) -> Response[Envelope[RateLimitItem]]:
    return Response(enveloped(view.exchange, _item(scope, party)), headers={"etag": etag(party)})


HANDLERS = (listing, one, replace, remove)
