"""`/anthropic/v1/models`: the chat models that can be called, in Anthropic's shapes (API reference, "Models")."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Request, route
from litestar.params import FromPath
from msgspec import Meta

from scaigrid.api.catalog import find, visible
from scaigrid.api.handling import READ, exchange_in
from scaigrid.api.query import read_query
from scaigrid.api.requirement import Requirement
from scaigrid.config.snapshot import Model
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Modality

Slug = Annotated[str, Meta(min_length=1, max_length=1024)]


class AnthropicModelsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of the list: at most one of `after_id` and `before_id` counts, `after_id` first."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 20
    """The most items of one page."""
    after_id: Slug | None = None
    """`last_id` of the page before."""
    before_id: Slug | None = None
    """`first_id` of the page behind."""
    beta: str | None = None
    """Ignored: Anthropic's SDKs send it."""


class AnthropicModel(AnswerShape, tag="model", kw_only=True):
    """A model that can be called."""

    id: str
    """What requests name as `model`."""
    display_name: str
    created_at: str = "1970-01-01T00:00:00Z"
    """Always the same: models are declared, and nobody says when."""
    max_input_tokens: int | None
    """The context window in tokens; null where nobody has said."""
    max_tokens: int | None
    """The most tokens of one answer; null where nobody has said."""
    lifecycle: Annotated[Literal["active", "deprecated"], OPEN]


class AnthropicModelList(AnswerShape, kw_only=True):
    """One page, by slug."""

    data: tuple[AnthropicModel, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


class AnthropicModelsController(Controller):
    """Needs the permission models:list."""

    path = "/anthropic/v1/models"
    guards = (Requirement("models:list"),)

    @route(http_method=READ)
    async def listing(self, request: Request[Any, Any, Any]) -> AnthropicModelList:
        wanted = read_query(request, AnthropicModelsQuery)
        models = [model for model in visible(exchange_in(request)) if _callable(model)]
        page, more = _page(models, wanted)
        return AnthropicModelList(
            data=tuple([_item(model) for model in page]),
            has_more=more,
            first_id=page[0].slug if page else None,
            last_id=page[-1].slug if page else None,
        )

    @route("/{slug:path}", http_method=READ)
    async def one(self, request: Request[Any, Any, Any], slug: FromPath[str]) -> AnthropicModel:
        model = find(exchange_in(request), slug.removeprefix("/"))
        if not _callable(model):
            raise GatewayError(Code.MODEL_NOT_FOUND)
        return _item(model)


def _page(models: Sequence[Model], wanted: AnthropicModelsQuery) -> tuple[Sequence[Model], bool]:
    """The models of one page, and whether more follow in the direction that was asked for."""
    if wanted.after_id is None and wanted.before_id is not None:
        ahead = [model for model in models if model.slug < wanted.before_id]
        return ahead[-wanted.limit :], len(ahead) > wanted.limit
    behind = [model for model in models if wanted.after_id is None or model.slug > wanted.after_id]
    return behind[: wanted.limit], len(behind) > wanted.limit


def _callable(model: Model) -> bool:
    """Whether messages are answered: the shape has no field to say that they are not."""
    return model.status != "disabled" and model.price is not None and model.modality is Modality.CHAT


def _item(model: Model) -> AnthropicModel:
    return AnthropicModel(
        id=model.slug,
        display_name=model.display_name,
        max_input_tokens=model.context_window,
        max_tokens=model.max_output_tokens,
        lifecycle="deprecated" if model.status == "deprecated" else "active",
    )
