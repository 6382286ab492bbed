"""What a call asks of limits and budgets, worked out from the snapshot; `admission` takes it in one step."""

from scaigrid.config.snapshot import Fund, Model
from scaigrid.exchange import Exchange
from scaigrid.limiter import Take
from scaigrid.reservation import output_bound, reserve
from scaigrid.types import FREE

_LATE = 1800.0
"""Seconds after which a request that comes in slowly is counted as if it had begun later: stores forget a period's fund
an hour after its end."""


def take_limits(exchange: Exchange, stand_in: Model | None = None) -> None:
    """Puts what the limits are asked for on the exchange.

    A `stand_in` is the model that is asked instead of the call's own. Once a provider has been asked, the request has
    been counted wherever it counts anyway, and is not counted there again.
    """
    principal, call, model = exchange.principal, exchange.call, stand_in or exchange.model
    exchange.limited = True
    again = stand_in is not None and exchange.attempts
    exchange.takes.extend([take for take in principal.windows if take.bucket.fund] if again else principal.windows)
    if call is None or model is None or not principal.may_use(model.slug):
        return
    exchange.takes.extend(model.windows)
    token_windows = (*principal.token_windows, *model.token_windows)
    if token_windows and call.operation not in FREE:
        tokens = reserve(exchange, call, model).tokens
        exchange.takes.extend([Take(bucket, tokens) for bucket in token_windows])


def take_budgets(exchange: Exchange, now: float, stand_in: Model | None = None) -> None:
    """Puts what the budgets are asked for on the exchange; `now` in seconds since the epoch.

    Sets the output bound that the provider is sent. Raises UNSUPPORTED_BY_MODEL where nothing bounds the call. A
    `stand_in` is the model that is asked instead of the call's own.
    """
    call, model = exchange.call, stand_in or exchange.model
    exchange.budgeted = True
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
