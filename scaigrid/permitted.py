"""Whether a call may be made: the caller's permission, the model's state, and who keeps what the call refers to."""

from collections.abc import Mapping

from scaigrid.call import Call
from scaigrid.config.snapshot import Backend, Model
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.types import Modality, Operation

_OPERATIONS: Mapping[Modality, frozenset[Operation]] = {
    Modality.CHAT: frozenset({"chat", "count_tokens", "resource"}),
    Modality.EMBEDDING: frozenset({"embed"}),
    Modality.RERANK: frozenset({"rerank"}),
}
_NONE: frozenset[Operation] = frozenset()


def keeper(exchange: Exchange, call: Call, model: Model) -> Backend | None:
    """The one backend that keeps what the call refers to; None where any will do.

    That is so, too, of a model whose backends keep nothing: they refuse the field by name, as any that they lack.
    """
    if call.held is None:
        return None
    backends = [candidate.backend for tier in model.route.tiers for candidate in tier]
    if exchange.held is not None:
        for backend in backends:
            if backend.id == exchange.held.backend:
                return backend
        reason = "is kept by a backend to which the model has no route"
    elif any(call.surface in backend.target.speaks for backend in backends):
        reason = "names nothing that is kept for your tenant"
    else:
        return None
    if call.held_field is None:
        raise GatewayError(Code.NOT_FOUND, "The backend that keeps this is no longer one of the model's.")
    raise GatewayError(Code.VALIDATION_ERROR, details=(Detail(call.held_field, reason),))


def check_permission(exchange: Exchange) -> None:
    """Raises AUTHZ_PERMISSION_DENIED for who may call no model, AUTH_INSUFFICIENT_SCOPE where only the key lacks it."""
    if not exchange.authenticated:
        return
    principal = exchange.principal
    if "models:use" not in principal.permissions:
        raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, "Your roles do not include the permission models:use.")
    if principal.scopes is not None and "models:use" not in principal.scopes:
        raise GatewayError(Code.AUTH_INSUFFICIENT_SCOPE, "The API key's scopes do not include models:use.")


def permitted(exchange: Exchange, call: Call) -> Model:
    """The model of a call that may be made. Raises what says why another may not."""
    principal, model = exchange.principal, exchange.model
    if call.operation == "resource" and exchange.held is None:
        raise GatewayError(
            Code.NOT_FOUND,
            "Nothing is kept for your tenant under this name. Answers are kept where the model's provider does so.",
        )
    # What is hidden is answered in the very words of what does not exist.
    if model is None or model.slug in principal.hidden:
        raise GatewayError(
            Code.MODEL_NOT_FOUND,
            "There is no model of that name. GET /v1/models lists those that you may use.",
            details=(Detail("model", "is not known"),),
        )
    if principal.models is not None and model.slug not in principal.models:
        raise GatewayError(Code.MODEL_ACCESS_DENIED)
    if model.status == "disabled":
        raise GatewayError(Code.MODEL_UNAVAILABLE, "The model is disabled.")
    if model.price is None:
        raise GatewayError(Code.MODEL_UNAVAILABLE, "The model has no price yet, and unpriced calls are refused.")
    if not model.route.tiers:
        raise GatewayError(Code.MODEL_UNAVAILABLE, "The model has no route to a backend yet.")
    if call.operation not in _OPERATIONS.get(model.modality, _NONE):
        raise GatewayError(
            Code.UNSUPPORTED_BY_MODEL,
            f"The model's modality is {model.modality.value}.",
            details=(Detail("model", f"is of modality {model.modality.value}, which this endpoint does not serve"),),
        )
    return model
