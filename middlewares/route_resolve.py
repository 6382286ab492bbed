"""Frontend model -> ordered backends, with the reason for each that is left out."""

import random

from scaigrid.asgi import ASGIApp, Receive, Scope, Send, header
from scaigrid.config.strict import Strict
from scaigrid.facts import SESSION, facts_of, sticky_of
from scaigrid.middleware import Services, begin
from scaigrid.permitted import check_permission, keeper, permitted
from scaigrid.router import NobodyLeft, order


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
        exchange, send = begin(scope, send, self._services, "route_resolve")
        if exchange.call is not None:
            check_permission(exchange)
            call = exchange.call
            model = permitted(exchange, call)
            kept_by = keeper(exchange, call, model)
            if kept_by is not None:
                # Healthy or not: nobody else has it.
                exchange.candidates = (kept_by,)
            else:
                route = model.route
                session = header(scope, SESSION) if route.strategy == "sticky" else None
                try:
                    exchange.candidates, exchange.skipped = order(
                        route,
                        self._services.health,
                        self._services.clock.monotonic(),
                        self._random,
                        facts=facts_of(call, model),
                        sticky=sticky_of(route, exchange.principal, session),
                        stream=call.stream,
                    )
                except NobodyLeft as error:
                    # For whoever asks afterwards why.
                    exchange.skipped = error.left_out
                    raise
        await self.app(scope, receive, send)
