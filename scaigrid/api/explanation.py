"""What a caller is told of a call that was not made: the shapes of the answer, and how much of it is for whom."""

from collections.abc import Container, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from scaigrid.api.prices import ModelPrices, model_prices
from scaigrid.api.request_timeline import RequestReservation, is_told_names
from scaigrid.api.requirement import Requirement
from scaigrid.config.routing import (
    FALLBACK_REASONS,
    FailureClass,
    FallbackReason,
    Fallbacks,
    Hedge,
    StickyBy,
    Strategy,
)
from scaigrid.config.schema import Config
from scaigrid.config.snapshot import Model, Principal, Route
from scaigrid.config.terms import Deadlines, HardAction
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.errors import Detail, GatewayError, Level
from scaigrid.health import HealthStatus
from scaigrid.limiter import Kind
from scaigrid.pretended import Asked, Pretended, StandIn, room
from scaigrid.pricing import to_decimal
from scaigrid.router import Target

_ROUTES = ("routing:view", "routing:manage", "admin:access")
_TENANT = ("accounting:view_tenant", "accounting:view_partner", "accounting:view_all", "accounting:manage_budgets")
_SIGHT: dict[Level, tuple[str, ...]] = {
    "tenant": _TENANT,
    "group": _TENANT,
    "partner": ("accounting:view_partner", "accounting:view_all"),
    "model": ("accounting:view_all",),
}
"""Who is told how much of it is left; of its own user and key everybody is."""


class ExplainedRefusal(AnswerShape, kw_only=True):
    """What the call would be answered instead."""

    code: Annotated[str, OPEN]
    status: int
    message: str
    level: Annotated[Level, OPEN] | None
    """Whose limit or budget it is."""
    details: Sequence[Detail]


class ExplainedTarget(AnswerShape, kw_only=True):
    """One backend of the model's route."""

    backend_id: str
    backend: str | UnsetType = UNSET
    """Its name, where callers are told it."""
    tier: int
    """0 is tried first."""
    rank: int | None
    """1 is tried first; null where it is left out. Of a strategy that draws, it is that of one draw."""
    reason: str | None
    """Why it is left out."""
    health: Annotated[HealthStatus, OPEN]
    """As the worker that answers has seen it."""
    weight: int | UnsetType = UNSET
    """This and the share are for those who may see routes."""
    share: float | UnsetType | None = UNSET
    """The part of such calls that this one comes first for in its tier, where the strategy is `weighted`."""
    cost: ModelPrices | UnsetType = UNSET
    """What the provider charges; for the operator."""


class ExplainedRoute(AnswerShape, kw_only=True):
    """How the model's backends are tried."""

    strategy: Annotated[Strategy, OPEN]
    sticky_by: Annotated[StickyBy, OPEN] | None
    """With `sticky` alone."""
    targets: Sequence[ExplainedTarget]
    """In the order of trying; then those that are left out."""
    max_attempts: int
    attempts_per_backend: int
    failover_on: Sequence[Annotated[FailureClass, OPEN]]
    when_unhealthy: Annotated[Literal["try", "refuse"], OPEN]
    deadlines: Deadlines
    hedge: Hedge | None
    fallbacks: Fallbacks | None
    """As far as you may see the models that they name."""


class ExplainedStandIn(AnswerShape, kw_only=True):
    """Another model, for what this one cannot answer."""

    because: Annotated[FallbackReason, OPEN]
    """What the provider would have to say: that the request is too long for this model, or refused by its filter."""
    model: str
    allowed: bool
    """The call would be put to it."""
    refusals: Sequence[ExplainedRefusal]
    """Why it would not: every obstacle there is. The call is then answered what its own model said, and none of
    these."""
    reserved: RequestReservation | None
    """The most that the call can use of it, at its own price; null where it may not be put to it, or nothing bounds
    it."""


class ExplainedLimit(AnswerShape, kw_only=True):
    """One limit or budget that the call would be held to. Decimal strings, in its own units."""

    type: Annotated[Literal["limit", "budget"], OPEN]
    level: Annotated[Level, OPEN]
    kind: Annotated[Kind, OPEN]
    name: str | None
    """Of the budget."""
    period_seconds: float | None
    """Of the limit's window; null for budgets and for requests at the same time."""
    action: Annotated[HardAction, OPEN]
    """What becomes of a call that does not fit."""
    asked: str
    """What the call would take: the most that it can use."""
    limit: str | None
    """Null, as the two that follow, where you do not see what this party is held to."""
    used: str | None
    """Now, what calls under way have taken included; null too while the counters cannot be reached."""
    left: str | None
    refuses: bool


class RoutingExplanation(AnswerShape, kw_only=True):
    """What would become of a call. Nothing was sent, and nothing was taken."""

    model: str
    tenant_id: str | None
    """This and the next two say whose call it would be; null for a key that opens nothing."""
    user_id: str | None
    key_id: str | None
    dialect: str
    path: str
    operation: str
    stream: bool
    allowed: bool
    refusal: ExplainedRefusal | None
    """What it would be answered, where it is not allowed."""
    refusals: Sequence[ExplainedRefusal]
    """Every obstacle there is, in the order in which a call meets them: the first one is `refusal`."""
    route: ExplainedRoute | None
    """Null where the model has none yet, or nobody could read the request."""
    kept_by: str | None
    """The id of the backend that keeps what the request refers to: no other is asked."""
    limits: Sequence[ExplainedLimit]
    output_bound: int | None
    """The bound on output tokens, for each choice, that the provider would be sent; null: the caller's own, or none."""
    reserved: RequestReservation | None
    """The most that the call can use; null where nothing bounds it."""
    prices: ModelPrices | None
    """What the caller pays."""
    stand_ins: Sequence[ExplainedStandIn]
    """The models that `route.fallbacks` names, as far as you may see them. They may name others in turn: ask for
    these."""


class Viewer(msgspec.Struct, frozen=True):
    """How much one caller is told."""

    names: bool
    costs: bool
    routes: bool
    levels: frozenset[Level]
    hidden: Container[str]
    """Slugs of models that do not exist for it."""


def viewer_of(principal: Principal, config: Config, *, asks_for: Principal | None) -> Viewer:
    """`asks_for`: whose call it would be."""
    operator = principal.may("routing:manage") and Requirement("routing:manage").reached(principal) == "platform"
    own = asks_for is not None and asks_for.user.id == principal.user.id
    levels: set[Level] = {level for level, wanted in _SIGHT.items() if any(map(principal.may, wanted))}
    if own or "tenant" in levels:
        levels |= {"user", "key"}
    return Viewer(
        names=operator or is_told_names(principal, config),
        costs=operator or principal.may("accounting:view_all"),
        routes=any(map(principal.may, _ROUTES)),
        levels=frozenset(levels),
        hidden=principal.hidden,
    )


def explanation(
    found: Pretended, model: Model, whose: Principal | None, path: str, viewer: Viewer
) -> RoutingExplanation:
    """What is told; of the dialect and the operation, what the request says, as far as it could be read."""
    call = found.call
    refusals = [_refusal(error) for error in found.refusals]
    return RoutingExplanation(
        model=model.slug,
        tenant_id=None if whose is None else whose.tenant.id,
        user_id=None if whose is None else whose.user.id,
        key_id=None if whose is None or whose.key is None else whose.key.id,
        dialect="" if call is None else call.dialect,
        path=path,
        operation="" if call is None else call.operation,
        stream=call is not None and call.stream,
        allowed=not refusals,
        refusal=refusals[0] if refusals else None,
        refusals=refusals,
        route=None if found.route is None else _route(model.route, found.route.targets, viewer),
        kept_by=None if found.keeper is None else found.keeper.id,
        limits=[_limit(one, viewer) for one in found.asked],
        output_bound=found.output_bound,
        reserved=_reservation(found),
        prices=None if model.price is None else model_prices(model.price),
        stand_ins=[_stand_in(one) for one in found.instead if one.model not in viewer.hidden],
    )


def _stand_in(one: StandIn) -> ExplainedStandIn:
    refusals = [_refusal(error) for error in one.found.refusals]
    return ExplainedStandIn(
        because=one.because,
        model=one.model,
        allowed=not refusals,
        refusals=refusals,
        reserved=_reservation(one.found),
    )


def _reservation(found: Pretended) -> RequestReservation | None:
    most = found.reserved
    return None if most is None else RequestReservation(tokens=most.tokens, cost=to_decimal(most.cost))


def _refusal(error: GatewayError) -> ExplainedRefusal:
    return ExplainedRefusal(
        code=error.code.value,
        status=error.status,
        message=error.message,
        level=error.level,
        details=error.details,
    )


def _route(route: Route, targets: Sequence[Target], viewer: Viewer) -> ExplainedRoute:
    weights: dict[int, int] = {}
    for target in targets:
        if target.rank is not None:
            weights[target.tier] = weights.get(target.tier, 0) + target.weight
    return ExplainedRoute(
        strategy=route.strategy,
        sticky_by=route.sticky_by if route.strategy == "sticky" else None,
        targets=[
            ExplainedTarget(
                backend_id=target.backend.id,
                backend=target.backend.name if viewer.names else UNSET,
                tier=target.tier,
                rank=target.rank,
                reason=target.reason,
                health=target.health,
                weight=target.weight if viewer.routes else UNSET,
                share=_share(route, target, weights) if viewer.routes else UNSET,
                cost=model_prices(target.backend.cost) if viewer.costs else UNSET,
            )
            for target in targets
        ],
        max_attempts=route.max_attempts,
        attempts_per_backend=route.attempts_per_backend,
        failover_on=sorted(route.failover_on),
        when_unhealthy=route.when_unhealthy,
        deadlines=Deadlines(connect=route.connect, first_byte=route.first_byte, idle=route.idle, total=route.total),
        hedge=route.hedge,
        fallbacks=_seen(route.fallbacks, viewer),
    )


def _seen(fallbacks: Fallbacks | None, viewer: Viewer) -> Fallbacks | None:
    named = {name: slug for name in FALLBACK_REASONS if (slug := getattr(fallbacks, name, None)) is not None}
    seen = {name: slug for name, slug in named.items() if slug not in viewer.hidden}
    return Fallbacks(**seen) if seen else None


def _share(route: Route, target: Target, weights: dict[int, int]) -> float | None:
    if route.strategy != "weighted" or target.rank is None:
        return None
    total = weights[target.tier]
    return round(target.weight / total, 4) if total else None


def _limit(one: Asked, viewer: Viewer) -> ExplainedLimit:
    bucket = one.bucket
    # What a model is held to by limits, everybody who may use it can look up.
    seen = bucket.level in viewer.levels or (bucket.level == "model" and not bucket.name)

    def told(amount: int | None) -> str | None:
        if amount is None or not seen:
            return None
        return _written(amount, bucket.kind)

    return ExplainedLimit(
        type="budget" if bucket.name else "limit",
        level=bucket.level,
        kind=bucket.kind,
        name=bucket.name or None,
        period_seconds=None if bucket.fund else bucket.period,
        action=one.action,
        asked=_written(one.amount, bucket.kind),
        limit=told(one.limit),
        used=told(one.used),
        left=told(room(one)),
        refuses=one.refuses,
    )


def _written(amount: int, kind: Kind) -> str:
    return to_decimal(amount) if kind == "cost" else str(amount)
