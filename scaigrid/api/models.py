"""`/v1/models`: the frontend models that a key may use."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, cast

import msgspec
from litestar import Controller, Request, route
from litestar.params import FromPath
from msgspec import Meta

from scaigrid.api.catalog import HealthStatus, condition, find, visible
from scaigrid.api.envelope import ListEnvelope, enveloped, listed
from scaigrid.api.handling import READ, Provided, exchange_in, requires
from scaigrid.api.query import NoQuery, read_query
from scaigrid.config.snapshot import Model
from scaigrid.cursor import Cursor
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.dialects.shapes import AnswerShape
from scaigrid.middleware import Services
from scaigrid.pricing import PriceList, to_decimal
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


class ModelPrices(AnswerShape):
    """Decimal strings in the deployment's currency: tokens by the million, and each answered request."""

    input: str
    """Input tokens that were not cached."""
    output: str
    """Output tokens, reasoning included."""
    cached_input: str
    """Input tokens read from the provider's cache."""
    cache_write: str
    """Input tokens written to the provider's cache (kept 5 minutes)."""
    cache_write_1h: str
    """Input tokens written to the provider's cache for an hour."""
    request: str


class ModelItem(AnswerShape):
    """A frontend model."""

    id: str
    slug: str
    """What requests name as `model`."""
    display_name: str
    description: str | None
    modality: Modality
    context_window: int | None
    """Tokens of input and output together; null where nobody has said."""
    max_output_tokens: int | None
    status: ModelStatus
    """A disabled model answers MODEL_UNAVAILABLE."""
    health_status: HealthStatus
    """As the worker that answers has seen the backends: `degraded` where one of them has failed, `unavailable` where no
    call would be sent."""
    active_backend_count: int
    """Backends that are not unavailable."""
    total_backend_count: int
    prices: ModelPrices | None
    """Null where the model has no price yet; calls are then refused."""
    metadata: Mapping[str, str]


class ModelsController(Controller):
    """Needs the permission models:list."""

    path = "/v1/models"
    guards = (requires("models:list"),)

    @route(http_method=READ)
    async def listing(self, request: Request[Any, Any, Any], services: Provided[Services]) -> ListEnvelope[ModelItem]:
        exchange = exchange_in(request)
        wanted = read_query(request, ModelsQuery)
        page, more = _page(visible(exchange), wanted, _CURSOR.read(wanted.cursor))
        return listed(
            exchange, [_item(model, services) for model in page], _CURSOR.write(page[-1].slug) if more else None
        )

    @route("/{slug:path}", http_method=READ)
    async def one(
        self, request: Request[Any, Any, Any], slug: FromPath[str], services: Provided[Services]
    ) -> Envelope[ModelItem]:
        exchange = exchange_in(request)
        read_query(request, NoQuery)
        return enveloped(exchange, _item(find(exchange, slug.removeprefix("/")), services))


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
        prices=None if model.price is None else _prices(model.price),
        metadata=model.metadata,
    )


def _prices(price: PriceList) -> ModelPrices:
    return ModelPrices(
        input=to_decimal(price.input),
        output=to_decimal(price.output),
        cached_input=to_decimal(price.cache_read),
        cache_write=to_decimal(price.cache_write),
        cache_write_1h=to_decimal(price.cache_write_1h),
        request=to_decimal(price.request),
    )
