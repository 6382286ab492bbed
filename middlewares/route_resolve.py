"""Frontend model -> ordered backends, with the reason for each that is left out."""

import random

from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.call import Call
from scaigrid.config.snapshot import Model
from scaigrid.config.strict import Strict
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.middleware import Services, begin
from scaigrid.router import order
from scaigrid.types import Modality

_OPERATION = {Modality.CHAT: "chat", Modality.EMBEDDING: "embed"}


class RouteResolveConfig(Strict):
    """Nothing to tune: routes stand with their models."""


class RouteResolve:
    def __init__(self, app: ASGIApp, config: RouteResolveConfig, services: Services) -> None:
        self.app = app
        self._services = services
        self._random = random.Random()  # noqa: S311 - shares of load, no secrets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services)
        if exchange.call is not None:
            model = _permitted(exchange, exchange.call)
            exchange.candidates, exchange.skipped = order(
                model.route, self._services.health, self._services.clock.monotonic(), self._random
            )
        await self.app(scope, receive, send)


def _permitted(exchange: Exchange, call: Call) -> Model:
    principal, model = exchange.principal, exchange.model
    if exchange.authenticated:
        if "models:use" not in principal.permissions:
            raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, "Your roles do not include the permission models:use.")
        if principal.scopes is not None and "models:use" not in principal.scopes:
            raise GatewayError(Code.AUTH_INSUFFICIENT_SCOPE, "The API key's scopes do not include models:use.")
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
    if _OPERATION.get(model.modality) != call.operation:
        raise GatewayError(
            Code.UNSUPPORTED_BY_MODEL,
            f"The model's modality is {model.modality.value}.",
            details=(Detail("model", f"is of modality {model.modality.value}, which this endpoint does not serve"),),
        )
    return model
