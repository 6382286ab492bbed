"""Keeps budgets: reserves the worst case of a call before it is sent, settles it to the real cost after."""

from scaigrid.admission import admit, conclude
from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.config.strict import Strict
from scaigrid.middleware import Services, begin
from scaigrid.taking import take_budgets


class BudgetConfig(Strict):
    """Whether budgets are kept; the budgets themselves stand in the section `budgets`."""

    enabled: bool = True
    """Keep the declared budgets."""


class Budget:
    """The innermost of the two links that take: what both want is taken here, in one step (see `admission`)."""

    admits = True

    def __init__(self, app: ASGIApp, config: BudgetConfig, services: Services) -> None:
        self.app = app
        self._services = services
        self._enabled = config.enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services, "budget")
        if self._enabled:
            take_budgets(exchange, self._services.clock.now())
        await admit(exchange, self._services)
        try:
            await self.app(scope, receive, send)
        finally:
            await conclude(exchange, self._services)
