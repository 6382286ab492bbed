"""`POST /v1/routing/explain`: what would become of a call, without making it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

import msgspec
from litestar import post
from msgspec import Meta

from scaigrid.api import examples
from scaigrid.api.body import read_body
from scaigrid.api.crud import Asked
from scaigrid.api.envelope import enveloped
from scaigrid.api.explanation import RoutingExplanation, explanation, viewer_of
from scaigrid.api.handling import Provided, exchange_in
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.recording import Trying
from scaigrid.api.requirement import Requirement
from scaigrid.api.sight import sight
from scaigrid.api.view import View, missing
from scaigrid.config.schema import Config
from scaigrid.config.snapshot import Model, Principal, Snapshot
from scaigrid.control import documents as docs
from scaigrid.control.follower import Control
from scaigrid.dialect import Dialect
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.dialects.shapes import ModelName, RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.middleware import Services
from scaigrid.pretended import Asking, pretended
from scaigrid.types import Modality, Operation

PATH = "/v1/routing/explain"
OF_OTHERS = Requirement("routing:view", "routing:manage", "admin:access")
"""Who asks for the keys of others."""
ASKING = Requirement("models:use", *OF_OTHERS.permissions)

_OPERATIONS: Mapping[Modality, Operation] = {
    Modality.CHAT: "chat",
    Modality.EMBEDDING: "embed",
    Modality.RERANK: "rerank",
}
_BOUNDS = ("max_tokens", "max_output_tokens")
_LEAST_NEEDED = "anthropic"
"""The dialect in which a bound on the output is not left out."""


class RoutingQuestion(RequestShape):
    """A call, as it could be made."""

    model: ModelName
    """The slug of the model."""
    key_id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """The API key that would be used. Left out: as you ask now. Keys of other users take the permission `routing:view`,
    `routing:manage` or `admin:access`."""
    dialect: Literal["native", "openai", "anthropic"] = "native"
    """In which the call would be made."""
    path: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """Where it would be sent, `/oai/v1/responses`: it has its dialect in it. Left out: where models of this kind are
    called in the dialect."""
    request: dict[str, Any] | None = None
    """The body as it would be sent; its `model` may be left out. Without one, the smallest there is."""
    session: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """What the header `X-ScaiGrid-Session` would say."""


class Explaining(msgspec.Struct, frozen=True, eq=False):
    """What an explanation needs to know of the configuration."""

    config: Config

    def enabled(self, link: str) -> bool:
        """Whether that link of the chain is on."""
        return bool(getattr(self.config.links().get(link), "enabled", True))


@post(PATH, guards=[Trying("routing", "explain"), ASKING], status_code=200)
async def explain_routing(
    request: Asked,
    *,
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
    explaining: Provided[Explaining],
) -> Envelope[RoutingExplanation]:
    read_query(request, NoQuery)
    exchange = exchange_in(request)
    question = read_body(request, await request.body(), RoutingQuestion)
    view = View(
        exchange=exchange,
        # Of another key everything has to be known that there is now. Who asks for himself is judged as a call is.
        state=control.state if question.key_id is None else await control.refresh(),
        services=services,
        control=control,
        adapters=adapters,
        tenant_id=None,
        reach=OF_OTHERS.reached(exchange.principal),
    )
    snapshot = services.current.snapshot
    model = _model(view, snapshot, question.model)
    whose = exchange.principal if question.key_id is None else _holder(view, snapshot, question.key_id)
    path = _path(question, model, services)
    found = await pretended(
        services,
        Asking(
            principal=whose,
            path=path,
            body=_body(question, model, services.dialect_of(path), path),
            model=model,
            session=question.session,
            limits=explaining.enabled("rate_limit"),
            budgets=explaining.enabled("budget"),
        ),
    )
    viewer = viewer_of(exchange.principal, explaining.config, asks_for=whose)
    return enveloped(exchange, explanation(found, model, whose, path, viewer))


def _model(view: View, snapshot: Snapshot, slug: str) -> Model:
    """Raises MODEL_NOT_FOUND for one that the caller may not see, in the words of one that there is not."""
    model, principal = snapshot.models.get(slug), view.principal
    if model is None:
        raise missing("model", "model")
    if slug in principal.hidden and principal.reach != "platform":
        managed = view.state.named("model", slug)
        if managed is None or not sight(view).manages(managed):
            raise missing("model", "model")
    return model


def _holder(view: View, snapshot: Snapshot, key_id: str) -> Principal | None:
    """Who calls with a key; None for a key that opens nothing any more. Raises NOT_FOUND for one out of sight."""
    found = view.state.get("api_key", key_id)
    if found is None:
        raise missing("api_key", "key_id")
    if cast("docs.ApiKey", found.document).user_id != view.principal.user.id:
        OF_OTHERS.check(view.principal)
        if not view.reaches(found):
            raise missing("api_key", "key_id")
    return next((one for one in snapshot.keys.values() if one.key is not None and one.key.id == key_id), None)


def _path(question: RoutingQuestion, model: Model, services: Services) -> str:
    if question.path is not None:
        if question.path not in services.dialect_of(question.path).operations:
            raise _fault("path", "is no path at which models are called")
        return question.path
    dialect = next(one for one in services.dialects if one.name == question.dialect)
    wanted = _OPERATIONS.get(model.modality)
    for path, operation in dialect.operations.items():
        if operation == wanted:
            return path
    raise _fault("dialect", f"has no call of models of modality {model.modality.value}")


def _body(question: RoutingQuestion, model: Model, dialect: Dialect, path: str) -> bytes:
    if question.request is None:
        least = dict(examples.asked(path, dialect.operations[path]))
        if dialect.name != _LEAST_NEEDED:
            for name in _BOUNDS:
                least.pop(name, None)
        return msgspec.json.encode({**least, "model": model.slug})
    named = question.request.get("model", model.slug)
    if named != model.slug:
        raise _fault("request.model", "is another model than `model`")
    return msgspec.json.encode({"model": model.slug, **question.request})


def _fault(field: str, message: str) -> GatewayError:
    return GatewayError(Code.VALIDATION_ERROR, details=(Detail(field, message),))
