"""The one atomic step by which a call is let in, and the one by which what it took is settled or given back.

`rate_limit` and `budget` both put what they want on the exchange; whichever of them stands further in takes it all at
once. So a call refused by a budget has cost nothing at any limit, and the other way round.

A budget that throttles refuses at first like any other. Then all is asked for once more, with that fund opened and one
of its few calls a minute beside it: again one step, that takes everything or nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from scaigrid.asgi import ASGIApp
from scaigrid.config.snapshot import Fund, Model, opened
from scaigrid.errors import NO_RETRY, Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.limiter import LEASE_SECONDS, Bucket, Decision, Kind, Standing, Take
from scaigrid.middleware import Services

_LONGEST_RETRY = 60
"""Seconds. OpenAI's and Anthropic's SDKs wait as told up to a minute, and ignore a longer Retry-After altogether."""
_AFTERWARDS = 120.0
"""Seconds beyond a model's total deadline for which a call's lease is held: it ends sooner, whoever is slow."""


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
    decision = await _decided(exchange, exchange.model, services)
    if decision.standings:
        _tell(exchange, decision.standings)
    _let_in(exchange, decision, services)


async def admit_again(exchange: Exchange, stand_in: Model, services: Services) -> None:
    """As `admit`, of a call that is concluded for its own model: what is on the exchange is for `stand_in`.

    The headers of the answer keep to the limits of the model that was asked for.
    """
    _let_in(exchange, await _decided(exchange, stand_in, services), services)
    exchange.asked = len(exchange.attempts)
    exchange.settled = None


async def conclude(exchange: Exchange, services: Services) -> None:
    """Settles what the call took to what it used; gives all of it back where no provider was ever asked.

    A request that is no inference call was answered by whatever stands further in, and counts as one request.
    """
    lease = exchange.lease
    if lease is None:
        return
    exchange.lease = None
    if exchange.call is not None and len(exchange.attempts) == exchange.asked:
        await services.limiter.release(lease)
        exchange.settled = services.clock.monotonic()
        return
    used = used_of(exchange)
    taken = services.telemetry.taken
    for take in exchange.takes:
        bucket = take.bucket
        count = ("budget" if of_budget(bucket) else "limit", bucket.level, bucket.kind)
        taken[count] = taken.get(count, 0) + used.get(bucket.key, take.amount)
    await services.limiter.settle(lease, used)
    exchange.settled = services.clock.monotonic()


def used_of(exchange: Exchange) -> dict[str, int]:
    """What a call that was billed has used, by bucket key: what its lease is settled to."""
    # A limit on requests keeps what was taken, and of calls at the same time nothing stays.
    buckets = [take.bucket for take in exchange.takes]
    return {
        bucket.key: USED[bucket.kind](exchange) for bucket in buckets if of_budget(bucket) or bucket.kind == "tokens"
    }


USED: Mapping[Kind, Callable[[Exchange], int]] = {
    "cost": lambda exchange: exchange.cost,
    "tokens": lambda exchange: exchange.usage.total if exchange.usage is not None else 0,
    "requests": lambda exchange: int(exchange.served or exchange.call is None),
}
"""What a call that was billed has used of each kind."""


def of_budget(bucket: Bucket) -> bool:
    """Whether it is the fund of a budget: what was used counts there, and not what was taken."""
    return bucket.fund and bucket.kind != "concurrency"


async def _decided(exchange: Exchange, model: Model | None, services: Services) -> Decision:
    # Whichever model answers, it has the time of the one that was asked for.
    lease_seconds = LEASE_SECONDS if exchange.model is None else exchange.model.route.total + _AFTERWARDS
    decision = await services.limiter.acquire(exchange.takes, lease_seconds)
    if decision.refused is not None and decision.refused.fund:
        funds = exchange.principal.funds if model is None else (*exchange.principal.funds, *model.funds)
        decision = await _throttled(exchange, decision, funds, lease_seconds, services)
    return decision


def _let_in(exchange: Exchange, decision: Decision, services: Services) -> None:
    if decision.refused is not None:
        raise _refusal(exchange, decision.refused, decision, services)
    exchange.lease = decision.lease
    services.telemetry.admitted.inc()


async def _throttled(
    exchange: Exchange, decision: Decision, funds: Sequence[Fund], lease_seconds: float, services: Services
) -> Decision:
    """Asks again for as long as what refuses is the fund of a budget that throttles."""
    throttling = {fund.series: fund for fund in funds if fund.action == "throttle"}
    takes = exchange.takes
    while decision.refused is not None:
        key = decision.refused.key
        # The key of a fund says its period last. Each is opened once.
        fund = throttling.pop(key.rpartition(":")[0], None)
        if fund is None:
            break
        takes = [Take(opened(take.bucket), take.amount) if take.bucket.key == key else take for take in takes]
        window = fund.window
        if all(take.bucket.key != window.key for take in takes):
            takes.append(Take(window, 1))
        decision = await services.limiter.acquire(takes, lease_seconds)
    return decision


def _tell(exchange: Exchange, standings: Sequence[Standing]) -> None:
    """Puts the tightest limit on requests and the tightest one on tokens into the headers of the answer."""
    tightest: dict[Kind, Standing] = {}
    for standing in standings:
        kind = standing.bucket.kind
        other = tightest.get(kind)
        if other is None or standing.remaining < other.remaining:
            tightest[kind] = standing
    for kind, standing in tightest.items():
        exchange.response_headers.extend(
            exchange.dialect.limit_headers(standing.bucket.limit, standing.remaining, standing.reset, kind)
        )


def _refusal(exchange: Exchange, bucket: Bucket, decision: Decision, services: Services) -> GatewayError:
    # What has a name belongs to a budget; the window of one that throttles, too.
    services.telemetry.decisions.labels("budget" if bucket.name else "limit", bucket.level).inc()
    if of_budget(bucket):
        return GatewayError(
            Code.BUDGET_EXCEEDED,
            f"The {bucket.kind} budget {bucket.name!r} of the {bucket.level} has no room for this request; "
            f"{_next_period(bucket)}.",
            level=bucket.level,
        )
    wanted = sum(take.amount for take in exchange.takes if take.bucket.key == bucket.key)
    # What is larger than the whole limit never fits, so that no wait can be told.
    fits = wanted <= bucket.limit
    if bucket.kind == "tokens" and not fits:
        message = (
            f"The {bucket.level}'s limit is {bucket.limit} tokens in {bucket.period:g} s, and this request may use "
            f"{wanted}: lower max_tokens, or send less."
        )
    elif bucket.name:
        message = (
            f"The budget {bucket.name!r} of the {bucket.level} is used up; until its next period it lets "
            f"{bucket.limit} requests a minute pass."
        )
    elif bucket.fund:
        message = f"The {bucket.level}'s limit of {bucket.limit} requests at the same time is reached."
    else:
        message = f"The {bucket.level}'s limit of {bucket.limit} {bucket.kind} in {bucket.period:g} s is reached."
    return GatewayError(
        Code.RATE_LIMITED,
        message,
        retry_after=max(1, min(_LONGEST_RETRY, math.ceil(decision.retry_after))) if fits else None,
        level=bucket.level,
        headers=() if fits else (NO_RETRY,),
    )


def _next_period(bucket: Bucket) -> str:
    if bucket.until == math.inf:
        return "it never starts anew"
    return f"its next period begins at {datetime.fromtimestamp(bucket.until, UTC):%Y-%m-%dT%H:%M:%SZ}"
