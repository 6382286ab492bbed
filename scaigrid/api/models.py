"""`/v1/models`: the frontend models that a key may use, and for administrators those that they manage."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, cast

import msgspec
from litestar import Controller, Request, Response, route
from litestar.params import FromPath
from msgspec import UNSET, Meta, UnsetType

from scaigrid.api.body import etag
from scaigrid.api.catalog import condition, find, visible
from scaigrid.api.envelope import ListEnvelope, enveloped, listed
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.prices import ModelPrices, model_prices
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.requirement import Requirement
from scaigrid.api.sight import MANAGING, Sight
from scaigrid.api.view import view_of
from scaigrid.config.entities import Origin
from scaigrid.config.snapshot import Model
from scaigrid.config.terms import Limits, OnDisconnect, OnUnsupported
from scaigrid.control import documents as docs
from scaigrid.control.follower import Control
from scaigrid.control.resource import Resource
from scaigrid.cursor import Cursor
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.exchange import Exchange
from scaigrid.health import HealthStatus
from scaigrid.middleware import Services
from scaigrid.timestamps import iso
from scaigrid.types import Modality

ModelStatus = Literal["active", "deprecated", "disabled"]

_CURSOR = Cursor(str)


class ModelsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which models to list."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    """The most items of one page."""
    cursor: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    """`next_cursor` of the page before."""
    modality: Modality | None = None
    status: ModelStatus | None = None


class ModelItem(AnswerShape):
    """A frontend model."""

    id: str
    slug: str
    """What requests name as `model`."""
    display_name: str
    description: str | None
    modality: Annotated[Modality, OPEN]
    context_window: int | None
    """Tokens of input and output together; null where nobody has said."""
    max_output_tokens: int | None
    status: ModelStatus
    """A disabled model answers MODEL_UNAVAILABLE."""
    health_status: Annotated[HealthStatus, OPEN]
    """As the worker that answers has seen the backends: `degraded` where one of them has failed, `unavailable` where no
    call would be sent."""
    active_backend_count: int
    """Backends that are not unavailable."""
    total_backend_count: int
    prices: ModelPrices | None
    """Null where the model has no price yet; calls are then refused."""
    metadata: Mapping[str, str]
    origin: Origin | UnsetType = UNSET
    """This and all that follows is for those who may change the model. `config`: declared in the configuration file,
    and read-only here. `api`: made here."""
    created_at: str | UnsetType = UNSET
    """ISO 8601, UTC."""
    updated_at: str | UnsetType = UNSET
    """ISO 8601, UTC."""
    access: Literal["all", "granted"] | UnsetType = UNSET
    unpriced: Literal["refuse", "free"] | UnsetType | None = UNSET
    """What stands in for prices; null where there are some."""
    default_params: Mapping[str, Any] | UnsetType = UNSET
    system_prompt: str | UnsetType | None = UNSET
    on_unsupported: OnUnsupported | UnsetType = UNSET
    on_disconnect: OnDisconnect | UnsetType = UNSET
    max_image_tokens: int | UnsetType | None = UNSET
    """The most tokens that one image counts as; null where nobody has said."""
    limits: Limits | UnsetType = UNSET
    """Over all calls of the model, whoever makes them."""


class ModelsController(Controller):
    """Administrators are answered from what the database has now, everybody else from what calls go by."""

    path = "/v1/models"
    guards = (Requirement("models:list"),)

    @route(http_method=READ)
    async def listing(
        self,
        request: Request[Any, Any, Any],
        services: Provided[Services],
        control: Provided[Control],
        adapters: Provided[Any],
    ) -> ListEnvelope[ModelItem]:
        exchange = exchange_in(request)
        wanted = read_query(request, ModelsQuery)
        after = _CURSOR.read(wanted.cursor)
        managed: Mapping[str, Resource] = {}
        models = visible(exchange)
        if _manages_some(exchange):
            view = view_of(request, await control.refresh(), services, control, adapters)
            sight, current = Sight(view), services.current.snapshot.models
            seen = {found.name: found for found in view.state.all("model").values() if sight.sees(found)}
            managed = {slug: found for slug, found in seen.items() if sight.manages(found)}
            models = [current[slug] for slug in sorted(seen)]
        page, more = _page(models, wanted, after)
        items = [item(model, services, managed.get(model.slug)) for model in page]
        return listed(exchange, items, _CURSOR.write(page[-1].slug) if more else None)

    @route("/{slug:path}", http_method=READ)
    async def one(
        self,
        request: Request[Any, Any, Any],
        slug: FromPath[str],
        services: Provided[Services],
        control: Provided[Control],
        adapters: Provided[Any],
    ) -> Response[Envelope[ModelItem]]:
        exchange = exchange_in(request)
        read_query(request, NoQuery)
        named = slug.removeprefix("/")
        if not _manages_some(exchange):
            return Response(enveloped(exchange, item(find(exchange, named), services)))
        view = view_of(request, await control.refresh(), services, control, adapters)
        sight = Sight(view)
        found = sight.model(named, None)
        model = services.current.snapshot.models[found.name]
        if not sight.manages(found):
            return Response(enveloped(exchange, item(model, services)))
        return Response(enveloped(exchange, item(model, services, found)), headers={"etag": etag(found)})


def item(model: Model, services: Services, managed: Resource | None = None) -> ModelItem:
    """A model as it is answered; with `managed`, its resource, to somebody who may change it."""
    told = _item(model, services)
    if managed is None:
        return told
    document = cast("docs.Model", managed.document)
    return msgspec.structs.replace(
        told,
        origin=managed.origin,
        created_at=iso(managed.created_at),
        updated_at=iso(managed.updated_at),
        access=document.access,
        unpriced=document.unpriced,
        default_params=document.default_params,
        system_prompt=document.system_prompt,
        on_unsupported=document.on_unsupported,
        on_disconnect=document.on_disconnect,
        max_image_tokens=document.max_image_tokens,
        limits=document.limits,
    )


def _manages_some(exchange: Exchange) -> bool:
    return any(exchange.principal.may(permission) for permission in MANAGING.permissions)


def _page(models: Iterable[Model], wanted: ModelsQuery, after: str | None) -> tuple[list[Model], bool]:
    """The models of one page, by slug, and whether more follow."""
    fitting = [
        model
        for model in models
        if (after is None or model.slug > after)
        and wanted.modality in (None, model.modality)
        and wanted.status in (None, model.status)
    ]
    return fitting[: wanted.limit], len(fitting) > wanted.limit


def _item(model: Model, services: Services) -> ModelItem:
    now = condition(model, services.health, services.clock.monotonic())
    return ModelItem(
        id=model.id,
        slug=model.slug,
        display_name=model.display_name,
        description=model.description,
        modality=model.modality,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        status=cast("ModelStatus", model.status),
        health_status=now.status,
        active_backend_count=now.active,
        total_backend_count=now.total,
        prices=None if model.price is None else model_prices(model.price),
        metadata=model.metadata,
    )
