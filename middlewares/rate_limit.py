"""Holds partner, tenant, user, key and model each to their own limits; the tightest one wins."""

from scaigrid.admission import admit, admits_further_in, conclude
from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.config.strict import Strict
from scaigrid.middleware import Services, begin
from scaigrid.taking import take_limits


class RateLimitConfig(Strict):
    """Whether limits are kept; their sizes stand with those whom they limit."""

    enabled: bool = True
    """Keep the limits of partners, tenants, users, keys and models."""


class RateLimit:
    """Puts its takes on the exchange. Takes them itself only where no link further in will (see `admission`)."""

    def __init__(self, app: ASGIApp, config: RateLimitConfig, services: Services) -> None:
        self.app = app
        self._services = services
        self._enabled = config.enabled
        self._takes_itself = not admits_further_in(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services, "rate_limit")
        if self._enabled:
            take_limits(exchange)
        if not self._takes_itself:
            await self.app(scope, receive, send)
            return
        await admit(exchange, self._services)
        try:
            await self.app(scope, receive, send)
        finally:
            await conclude(exchange, self._services)
