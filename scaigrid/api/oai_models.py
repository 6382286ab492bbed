"""`/oai/v1/models`: the models that can be called, in OpenAI's shapes (API reference, "Models")."""

from typing import Any, Literal

from litestar import Controller, Request, route
from litestar.params import FromPath

from scaigrid.api.catalog import find, visible
from scaigrid.api.handling import READ, exchange_in
from scaigrid.api.requirement import Requirement
from scaigrid.config.snapshot import Model
from scaigrid.dialects.shapes import AnswerShape
from scaigrid.errors import Code, GatewayError

_OWNER = "scaigrid"


class OpenAIModel(AnswerShape, kw_only=True):
    """A model that can be called."""

    id: str
    """What requests name as `model`."""
    object: Literal["model"] = "model"
    created: int = 0
    """Always 0: models are declared, and nobody says when."""
    owned_by: str
    """What stands before the last `/` of the id."""
    context_window: int | None
    """Tokens of input and output together; null where nobody has said. Not OpenAI's."""
    max_output_tokens: int | None
    """Not OpenAI's either."""


class OpenAIModelList(AnswerShape, kw_only=True):
    """All of them: there are no pages."""

    object: Literal["list"] = "list"
    data: tuple[OpenAIModel, ...]


class OpenAIModelsController(Controller):
    """Needs the permission models:list. Parameters are ignored, as OpenAI does."""

    path = "/oai/v1/models"
    guards = (Requirement("models:list"),)

    @route(http_method=READ)
    async def listing(self, request: Request[Any, Any, Any]) -> OpenAIModelList:
        return OpenAIModelList(data=tuple(_item(model) for model in visible(exchange_in(request)) if _callable(model)))

    @route("/{slug:path}", http_method=READ)
    async def one(self, request: Request[Any, Any, Any], slug: FromPath[str]) -> OpenAIModel:
        model = find(exchange_in(request), slug.removeprefix("/"))
        if not _callable(model):
            raise GatewayError(Code.MODEL_NOT_FOUND)
        return _item(model)


def _callable(model: Model) -> bool:
    """Whether calls are answered. OpenAI's shape has no field to say that one is not, so it is left out."""
    return model.status != "disabled" and model.price is not None


def _item(model: Model) -> OpenAIModel:
    return OpenAIModel(
        id=model.slug,
        owned_by=model.slug.rpartition("/")[0] or _OWNER,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
    )
