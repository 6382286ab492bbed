"""A call that is not made: walked through what a real one meets, in its order, without sending or taking anything.

The same functions judge it as judge a real one. But a real one ends at the first refusal, and this one goes on, so that
whoever asks hears of every obstacle at once.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from scaigrid.admission import of_budget
from scaigrid.call import Call
from scaigrid.config.routing import FALLBACK_REASONS, FallbackReason
from scaigrid.config.snapshot import Backend, Fund, Model, Principal
from scaigrid.config.terms import HardAction
from scaigrid.dropping import asked_of
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange, Reserved
from scaigrid.facts import facts_of, sticky_of
from scaigrid.fallbacks import stand_in
from scaigrid.limiter import Bucket, Take
from scaigrid.middleware import Services
from scaigrid.permitted import check_permission, keeper, permitted
from scaigrid.reservation import reserve
from scaigrid.router import Explanation, Target, explained
from scaigrid.taking import take_budgets, take_limits
from scaigrid.types import FREE

T = TypeVar("T")


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Which call it would be. `body` as the caller would send it to `path`."""

    principal: Principal | None
    """None: the key is revoked, or otherwise opens nothing."""
    path: str
    body: bytes
    model: Model
    session: str | None = None
    limits: bool = True
    """The link `rate_limit` is on; likewise `budgets`."""
    budgets: bool = True


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What one limit or budget would be asked for, and how it stands now."""

    bucket: Bucket
    amount: int
    limit: int
    action: HardAction
    """What becomes of a call that does not fit: a limit blocks."""
    used: int | None
    """Spent or in the window now, and reserved by calls under way; None while nobody can tell."""
    refuses: bool


class Pretended(msgspec.Struct, kw_only=True):
    """What would become of the call."""

    call: Call | None = None
    refusals: list[GatewayError] = []
    """In the order in which a call meets them: the first one is what it would be answered."""
    asked: Sequence[Asked] = ()
    output_bound: int | None = None
    """The bound on output tokens that the provider would be sent."""
    reserved: Reserved | None = None
    """The most that the call can use; None where nothing bounds it."""
    keeper: Backend | None = None
    """The one backend that keeps what the call refers to."""
    route: Explanation | None = None
    instead: "Sequence[StandIn]" = ()
    """The models that stand in for its own. Which others these may name in turn, is not followed."""


class StandIn(msgspec.Struct, frozen=True, kw_only=True):
    """The model that a call would be put to if its own could not answer it."""

    because: FallbackReason
    """What its own would say."""
    model: str
    """The slug, as the route names it."""
    found: Pretended
    """What would become of the call there. With a refusal it is not asked, and the caller told what its own said."""


async def pretended(services: Services, asking: Asking) -> Pretended:
    """Walks the call through. Raises nothing that a call would be refused with: that is in the answer."""
    found = Pretended()
    principal = asking.principal
    if principal is None:
        found.refusals.append(GatewayError(Code.AUTH_TOKEN_INVALID))
        return found
    clock, snapshot = services.clock, services.current.snapshot
    exchange = Exchange(
        request_id="",
        method="POST",
        path=asking.path,
        dialect=services.dialect_of(asking.path),
        snapshot=snapshot,
        principal=principal,
        started=clock.monotonic(),
        started_at=clock.now(),
        authenticated=True,
    )
    if principal.expires_at is not None and exchange.started_at >= principal.expires_at:
        found.refusals.append(GatewayError(Code.SESSION_EXPIRED))
    if principal.suspended:
        found.refusals.append(GatewayError(Code.TENANT_SUSPENDED))
    call = _met(found, lambda: exchange.dialect.decode(asking.path, asking.body))
    if call is None:
        # Nobody further in would see it.
        return found
    found.call = exchange.call = call
    exchange.model = asking.model
    _open(exchange, call, services)
    await _admitted(found, asking, exchange, services)
    _met(found, lambda: check_permission(exchange))
    _met(found, lambda: permitted(exchange, call))
    found.keeper = _met(found, lambda: keeper(exchange, call, asking.model))
    found.output_bound = exchange.output_bound
    found.reserved = _reserved(exchange, call, asking.model)
    if asking.model.route.tiers:
        found.route = _routed(asking, exchange, call, services)
        if (keeping := found.keeper) is not None:
            _met(found, lambda: asked_of(exchange, call, asking.model, keeping))
        elif found.route.refusal is not None:
            found.refusals.append(found.route.refusal)
        found.instead = await _stand_ins(asking, exchange, call, services)
    return found


async def _admitted(
    found: Pretended, asking: Asking, exchange: Exchange, services: Services, *, other: Model | None = None
) -> None:
    """`other` stands in for the call's own model."""
    if asking.limits:
        _met(found, lambda: take_limits(exchange, other))
    if asking.budgets:
        _met(found, lambda: take_budgets(exchange, exchange.started_at, other))
    try:
        found.asked = await _standing(exchange, services)
    except GatewayError as away:
        found.asked = [_unknown(take, exchange) for take in exchange.takes]
        if any(take.bucket.on_store_failure == "deny" for take in exchange.takes):
            found.refusals.append(away)
    found.refusals += [_refused(one) for one in found.asked if one.refuses][:1]


def _met(found: Pretended, step: Callable[[], T]) -> T | None:
    """What a step answers; None where it refuses, which is noted."""
    try:
        return step()
    except GatewayError as error:
        found.refusals.append(error)
        return None


def _open(exchange: Exchange, call: Call, services: Services) -> None:
    """Finds what the call refers to, if its caller may go there; as the link `intake` does."""
    held = services.names.opened(call.held) if call.held is not None else None
    principal = exchange.principal
    if held is not None and (held.tenant == principal.tenant.id or principal.reach == "platform"):
        exchange.held = held


def _reserved(exchange: Exchange, call: Call, model: Model) -> Reserved | None:
    try:
        return reserve(exchange, call, model)
    except GatewayError:
        return None


def _routed(asking: Asking, exchange: Exchange, call: Call, services: Services) -> Explanation:
    route = asking.model.route
    found = explained(
        route,
        services.health,
        services.clock.monotonic(),
        random.Random(),  # noqa: S311  # shares of load, no secrets
        facts=facts_of(call, asking.model),
        sticky=sticky_of(route, exchange.principal, None if asking.session is None else asking.session.encode()),
        stream=call.stream,
    )
    refusals: list[GatewayError] = []
    targets = list(_sayable(found.targets, lambda one: asked_of(exchange, call, asking.model, one), refusals))
    targets.sort(key=lambda one: (one.rank is None, one.rank))
    nobody = found.refusal is None and targets[0].rank is None
    return Explanation(targets=targets, refusal=refusals[0] if nobody else found.refusal)


def _sayable(
    targets: Sequence[Target], step: Callable[[Backend], object], refusals: list[GatewayError]
) -> Iterator[Target]:
    """The targets, those left out too that cannot say the call: the forwarder goes past them. Why, is noted."""
    rank = 0
    for target in targets:
        if target.rank is None:
            yield target
            continue
        try:
            step(target.backend)
        except GatewayError as error:
            refusals.append(error)
            why = "; ".join(f"{one.field} {one.message}" for one in error.details) or error.message
            yield msgspec.structs.replace(target, rank=None, reason=why)
        else:
            rank += 1
            yield msgspec.structs.replace(target, rank=rank)


# -- other models ----------------------------------------------------------------------------------------------------


async def _stand_ins(asking: Asking, exchange: Exchange, call: Call, services: Services) -> list[StandIn]:
    # By then a backend of its own model has been asked, so that the request itself is not counted again.
    asked = Attempt(backend=asking.model.route.tiers[0][0].backend, started=exchange.started)
    found: list[StandIn] = []
    for because in FALLBACK_REASONS:
        slug: str | None = getattr(asking.model.route.fallbacks, because, None)
        if slug is None:
            continue
        other = exchange.snapshot.models.get(slug)
        changed = msgspec.structs.replace(
            exchange, model=other, takes=[], attempts=[asked], reserved=None, output_bound=None
        )
        instead = await _put_to(asking, changed, call, services, because)
        found.append(StandIn(because=because, model=slug, found=instead))
    return found


async def _put_to(
    asking: Asking, exchange: Exchange, call: Call, services: Services, because: FallbackReason
) -> Pretended:
    """What would become of the call at the model on the exchange, which stands in for its own."""
    found = Pretended(call=call)
    other = _met(found, lambda: _standing_in(exchange, asking.model, call, because))
    if other is not None:
        instead = msgspec.structs.replace(asking, model=other)
        await _admitted(found, instead, exchange, services, other=other)
        found.output_bound, found.reserved = exchange.output_bound, _reserved(exchange, call, other)
        found.route = _routed(instead, exchange, call, services)
        if found.route.refusal is not None:
            found.refusals.append(found.route.refusal)
    return found


def _standing_in(exchange: Exchange, own: Model, call: Call, because: FallbackReason) -> Model:
    """Raises what says why the call may not be put to the model on the exchange."""
    if call.held is not None or call.operation in FREE:
        raise GatewayError(Code.UNSUPPORTED_BY_MODEL, "Calls of this kind are put to no other model.")
    other = permitted(exchange, call)
    if stand_in(exchange, call, own, Code[because.upper()], {own.slug}) is None:
        raise GatewayError(Code.UNSUPPORTED_BY_MODEL, f"The model's modality is {other.modality.value}.")
    return other


# -- limits and budgets ----------------------------------------------------------------------------------------------


async def _standing(exchange: Exchange, services: Services) -> list[Asked]:
    """Raises STORE_UNAVAILABLE where nobody can tell."""
    by_series = _by_series(exchange)
    throttling = {fund.id: fund.window for fund in by_series.values() if fund.action == "throttle"}
    takes = exchange.takes
    spent = await services.limiter.spent([*(take.bucket for take in takes), *throttling.values()])

    def one(take: Take) -> Asked:
        fund = _fund_of(take.bucket, by_series)
        window = None if fund is None else throttling.get(fund.id)
        opens = window is not None and sum(spent[window.key]) < window.limit
        return _asked(take, by_series, sum(spent[take.bucket.key]), opens=opens)

    return [one(take) for take in takes]


def _unknown(take: Take, exchange: Exchange) -> Asked:
    """While the counters are away: what has no room at all refuses all the same."""
    asked = _asked(take, _by_series(exchange), None, opens=False)
    return msgspec.structs.replace(asked, refuses=asked.action == "block" and take.bucket.limit <= 0)


def _by_series(exchange: Exchange) -> Mapping[str, Fund]:
    model = exchange.model
    funds = (*exchange.principal.funds, *(model.funds if model is not None else ()))
    return {fund.series: fund for fund in funds}


def _asked(take: Take, by_series: Mapping[str, Fund], used: int | None, *, opens: bool) -> Asked:
    """`opens`: one of the few calls a minute that pass where a budget throttles is left."""
    bucket = take.bucket
    fund = _fund_of(bucket, by_series)
    full = used is not None and used + take.amount > bucket.limit
    return Asked(
        bucket=bucket,
        amount=take.amount,
        limit=bucket.limit if fund is None else fund.limit,
        action="block" if fund is None else fund.action,
        used=used,
        refuses=full and not opens,
    )


def _fund_of(bucket: Bucket, by_series: Mapping[str, Fund]) -> Fund | None:
    return by_series.get(bucket.key.rpartition(":")[0]) if of_budget(bucket) else None


def _refused(one: Asked) -> GatewayError:
    bucket = one.bucket
    if of_budget(bucket) and one.action == "block":
        return GatewayError(
            Code.BUDGET_EXCEEDED,
            f"The {bucket.kind} budget {bucket.name!r} of the {bucket.level} has no room for this request.",
            level=bucket.level,
        )
    what = f"budget {bucket.name!r}" if of_budget(bucket) else f"limit on {bucket.kind}"
    return GatewayError(
        Code.RATE_LIMITED, f"The {what} of the {bucket.level} has no room for this request.", level=bucket.level
    )


def room(one: Asked) -> int | None:
    """What is left of a limit or budget; None while nobody can tell."""
    return None if one.used is None else max(one.limit - one.used, 0)
