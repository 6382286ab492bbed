"""`/v1/rate-limits/model`: how many requests and tokens each model answers, whoever asks.

Everybody sees what holds back the models that they may use; only the platform's administrators set it.
"""

from itertools import islice
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, delete, put, route
from litestar.params import FromPath

from scaigrid.api.body import check_writable, etag, read_body
from scaigrid.api.collection import PageQuery
from scaigrid.api.crud import Asked
from scaigrid.api.envelope import ListEnvelope, enveloped, listed
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.levels import VIEWING
from scaigrid.api.limits import RateLimitGiven, RateLimits, Source, held_to, limited, source_of, used_of
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.rate_limits import PATH as PARTIES_PATH
from scaigrid.api.recording import Trying, changing, concerns, noted
from scaigrid.api.requirement import Requirement
from scaigrid.api.sight import sight
from scaigrid.api.view import View, view_of
from scaigrid.config.terms import Limits
from scaigrid.control.follower import Control
from scaigrid.control.resource import Resource
from scaigrid.cursor import Cursor
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.dialects.shapes import OPEN
from scaigrid.middleware import Services

PATH = PARTIES_PATH + "/model"
SETTING = Requirement("accounting:manage_budgets", reach="platform")
_ONE = PATH + "/{slug:path}"


class ModelRateLimitItem(RateLimits, kw_only=True):
    """What one model is held to, over all of its calls. They are held to the limits of who makes them besides."""

    scope: Annotated[Literal["model"], OPEN]
    scope_id: str
    """Its slug."""


class ModelRateLimitsQuery(PageQuery, frozen=True, kw_only=True):
    """Which limits to list."""

    source: Source | None = None


_CURSOR = Cursor(str)


@route(PATH, http_method=READ, guards=[VIEWING])
async def listing(
    request: Asked, services: Provided[Services], control: Provided[Control], adapters: Provided[Any]
) -> ListEnvelope[ModelRateLimitItem]:
    wanted = read_query(request, ModelRateLimitsQuery)
    after = _CURSOR.read(wanted.cursor)
    view = view_of(request, await control.refresh(), services, control, adapters)
    models = {model.name: model for model in view.state.all("model").values()}
    following = (
        models[slug]
        for slug in sorted(models)
        if (after is None or slug > after)
        and wanted.source in (None, source_of(models[slug]))
        and sight(view).sees(models[slug])
    )
    # One more than is shown says whether there are more
    page = list(islice(following, wanted.limit + 1))
    more = len(page) > wanted.limit
    items = [_item(model) for model in page[: wanted.limit]]
    return listed(view.exchange, items, _CURSOR.write(page[wanted.limit - 1].name) if more else None)


@route(_ONE, http_method=READ, guards=[VIEWING])
async def one(
    request: Asked,
    slug: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[Envelope[ModelRateLimitItem]]:
    read_query(request, NoQuery)
    view = view_of(request, await control.refresh(), services, control, adapters)
    return await _told(view, _seen(view, slug))


@put(_ONE, guards=[Trying("rate_limit", "update", "slug"), SETTING])
async def replace(
    request: Asked,
    slug: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[Envelope[ModelRateLimitItem]]:
    read_query(request, NoQuery)
    given = read_body(request, await request.body(), RateLimitGiven)
    async with changing(exchange_in(request), control) as change:
        view = view_of(request, change.state, services, control, adapters)
        before = _writable(request, view, slug)
        kept = change.put(limited(before, given.limits(), change.state))
        noted(view.exchange, "rate_limit", "update", kept.id, before=_item(before), after=_item(kept))
    return await _told(view, kept)


@delete(_ONE, guards=[Trying("rate_limit", "delete", "slug"), SETTING], status_code=204)
async def remove(
    request: Asked,
    slug: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[None]:
    read_query(request, NoQuery)
    async with changing(exchange_in(request), control, 204) as change:
        view = view_of(request, change.state, services, control, adapters)
        before = _writable(request, view, slug)
        kept = change.put(limited(before, Limits(), change.state))
        noted(view.exchange, "rate_limit", "delete", kept.id, before=_item(before), after=_item(kept))
    return Response(None, status_code=204)


def _seen(view: View, slug: str) -> Resource:
    """Raises MODEL_NOT_FOUND."""
    model = sight(view).model(slug.removeprefix("/"), None)
    concerns(view.exchange, view.state, model)
    return model


def _writable(request: Asked, view: View, slug: str) -> Resource:
    """Raises 404, MANAGED_BY_CONFIG, or PRECONDITION_FAILED by `If-Match`."""
    model = _seen(view, slug)
    check_writable(request, model)
    return model


def _item(model: Resource) -> ModelRateLimitItem:
    return ModelRateLimitItem(scope="model", scope_id=model.name, **msgspec.structs.asdict(held_to("model", model)))


async def _told(view: View, model: Resource) -> Response[Envelope[ModelRateLimitItem]]:
    item = msgspec.structs.replace(_item(model), used=await used_of(view, "model", model))
    return Response(enveloped(view.exchange, item), headers={"etag": etag(model)})


HANDLERS = (listing, one, replace, remove)
