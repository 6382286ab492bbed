"""Keeps budgets: reserves the worst case of a call before it is sent, settles it to the real cost after."""

from scaigrid.admission import admit, conclude
from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.config.snapshot import Fund
from scaigrid.config.strict import Strict
from scaigrid.exchange import Exchange
from scaigrid.limiter import Take
from scaigrid.middleware import Services, begin
from scaigrid.reservation import output_bound, reserve
from scaigrid.types import FREE

_LATE = 1800.0
"""Seconds after which a request that comes in slowly is counted as if it had begun later: stores forget a period's fund
an hour after its end."""


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
        exchange, send = begin(scope, send, self._services)
        if self._enabled:
            _reserve(exchange, self._services.clock.now())
        await admit(exchange, self._services)
        try:
            await self.app(scope, receive, send)
        finally:
            await conclude(exchange, self._services)


def _reserve(exchange: Exchange, now: float) -> None:
    call, model = exchange.call, exchange.model
    # The ledger has the call in the period in which the request began: so do the counters.
    now = max(exchange.started_at, now - _LATE)
    funds: tuple[Fund, ...] = exchange.principal.funds
    # Who may not use the model is told so further in, in the words of one that there is not.
    if call is None or model is None or not exchange.principal.may_use(model.slug):
        exchange.takes.extend(Take(fund.at(now), 1) for fund in funds if fund.kind == "requests")
        return
    if model.funds:
        funds = (*funds, *model.funds)
    reserved = exchange.reserved
    if any(fund.bounds for fund in funds):
        reserved = reserve(exchange, call, model)
    elif reserved is None:
        exchange.output_bound = output_bound(call, model, bounded=False)
    if call.operation in FREE:
        return
    # Of a budget that lets every call pass, nothing need be reserved: what is used counts in the end.
    tokens, cost = reserved or (0, 0)
    amounts = {"requests": 1, "tokens": tokens, "cost": cost}
    exchange.takes.extend(Take(fund.at(now), amounts[fund.kind]) for fund in funds)
