"""The one atomic step by which a call is let in, and the one by which what it took is settled or given back.

`rate_limit` and `budget` both put what they want on the exchange; whichever of them stands further in takes it all at
once. So a call refused by a budget has cost nothing at any limit, and the other way round.
"""

import math

from scaigrid.asgi import ASGIApp
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.limiter import Bucket, Decision, Standing
from scaigrid.middleware import Services

_LONGEST_RETRY = 60
"""Seconds. OpenAI's and Anthropic's SDKs wait as told up to a minute, and ignore a longer Retry-After altogether."""


def admits_further_in(app: ASGIApp) -> bool:
    """Whether a link inside `app` will take what has been put on the exchange.

    Whatever stands between two links has to name what it wraps `app`, as links do: otherwise both would take.
    """
    inner: object = app
    while inner is not None:
        if getattr(inner, "admits", False):
            return True
        inner = getattr(inner, "app", None)
    return False


async def admit(exchange: Exchange, services: Services) -> None:
    """Takes everything on the exchange, or raises RATE_LIMITED or BUDGET_EXCEEDED with nothing taken."""
    decision = await services.limiter.acquire(exchange.takes)
    if decision.standings:
        tightest = min(decision.standings, key=_remaining)
        exchange.response_headers.extend(
            exchange.dialect.limit_headers(tightest.bucket.limit, tightest.remaining, tightest.reset)
        )
    if decision.refused is not None:
        raise _refusal(decision.refused, decision, services)
    exchange.lease = decision.lease
    services.telemetry.admitted.inc()


async def conclude(exchange: Exchange, services: Services) -> None:
    """Settles what the call took to what it used; gives all of it back where no provider was ever asked.

    A request that is no inference call was answered by whatever stands further in, and counts as one request.
    """
    lease = exchange.lease
    if lease is None:
        return
    exchange.lease = None
    if exchange.call is not None and not exchange.attempts:
        await services.limiter.release(lease)
        return
    used: dict[str, int] = {}
    taken = services.telemetry.taken
    for take in exchange.takes:
        bucket, amount = take.bucket, take.amount
        if bucket.fund or bucket.kind == "tokens":
            amount = used[bucket.key] = _used(exchange, bucket)
        count = ("budget" if bucket.fund else "limit", bucket.level, bucket.kind)
        taken[count] = taken.get(count, 0) + amount
    await services.limiter.settle(lease, used)


def _used(exchange: Exchange, bucket: Bucket) -> int:
    if bucket.kind == "cost":
        return exchange.cost
    if bucket.kind == "tokens":
        return exchange.usage.total if exchange.usage is not None else 0
    if bucket.kind == "requests":
        return int(exchange.served or exchange.call is None)
    return 0


def _remaining(standing: Standing) -> int:
    return standing.remaining


def _refusal(bucket: Bucket, decision: Decision, services: Services) -> GatewayError:
    services.telemetry.decisions.labels("budget" if bucket.fund else "limit", bucket.level).inc()
    if bucket.fund:
        return GatewayError(
            Code.BUDGET_EXCEEDED,
            f"The {bucket.kind} budget {bucket.name!r} of the {bucket.level} has no room for this request.",
            level=bucket.level,
        )
    return GatewayError(
        Code.RATE_LIMITED,
        f"The {bucket.level}'s limit of {bucket.limit} {bucket.kind} in {bucket.period:g} s is reached.",
        retry_after=max(1, min(_LONGEST_RETRY, math.ceil(decision.retry_after))),
        level=bucket.level,
    )
