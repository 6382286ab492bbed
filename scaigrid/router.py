"""Which backends to try, in which order: tiers by priority; inside a tier by the route's strategy, anew each request.

What a request is and how a backend does only ever remove backends, each with a reason. In every strategy a target of
weight 0 comes after all others of its tier.

- `weighted`: drawn without replacement, each next one with a chance in proportion to its weight: the largest of
  u^(1/w) first (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006).
- `least_latency`: of two that are drawn so, the one whose answers begin sooner (Mitzenmacher, "The power of two choices
  in randomized load balancing", 2001), by the peak EWMA of `scaigrid.latency`.
- `least_busy`: by the calls that this worker has under way there; among equals, drawn.
- `cheapest`: by what a typical call costs at the backend's own prices; among equals, drawn. A typical call has 1,000
  tokens of input and as many of output. Where the route looks at requests anyway, the input is the request's own,
  guessed, and the output no more than its bound: most answers are shorter than they may be.
- `sticky`: the same order for the same value, by weighted rendezvous hashing: the smallest of -ln(h)/w first, h being a
  hash of the value and the backend (Thaler and Ravishankar, 1998; with weights: Schindelhauer and Schomaker, 2005). A
  backend that leaves moves its own callers alone, each to its next one, and gets them back when it returns.
"""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from math import ceil, log
from typing import Final

import msgspec

from scaigrid.config.routing import Strategy
from scaigrid.config.snapshot import Backend, Candidate, Route
from scaigrid.errors import NO_RETRY, Code, GatewayError
from scaigrid.facts import Facts
from scaigrid.health import Health, HealthStatus
from scaigrid.types import Usage

_NOTHING: Final[Mapping[str, str]] = {}
_TYPICAL: Final = 1_000
"""Tokens of input, and tokens of output, of the call by which backends are compared."""
_TYPICAL_USAGE: Final = Usage(input=_TYPICAL, output=_TYPICAL)
_LONGEST_RETRY: Final = 60

Tier = Sequence[Candidate]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One target of a route, and what would become of it."""

    backend: Backend
    tier: int
    """0 is tried first."""
    weight: int
    rank: int | None
    """1 is tried first; None where it is left out."""
    reason: str | None
    """Why it is left out."""
    health: HealthStatus


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What `order` would answer."""

    targets: Sequence[Target]
    """Every target of the route: those to be tried by rank, then the others as the route has them."""
    refusal: GatewayError | None = None
    """What `order` would raise: no target is left."""


class NobodyLeft(GatewayError):
    """No target may be asked (MODEL_UNAVAILABLE); `left_out` says why, by the name of each backend."""

    def __init__(
        self,
        message: str | None,
        left_out: Mapping[str, str],
        *,
        retry_after: int | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(Code.MODEL_UNAVAILABLE, message, retry_after=retry_after, headers=headers)
        self.left_out = left_out


def order(
    route: Route,
    health: Health,
    now: float,
    draw: random.Random,
    *,
    facts: Facts | None = None,
    sticky: str | None = None,
    stream: bool = True,
) -> tuple[Sequence[Backend], Mapping[str, str]]:
    """Backends in the order of trying, and those left out with the reason for each. `now` in monotonic seconds.

    Conditions of targets are the operator's word: where none is met, MODEL_UNAVAILABLE is raised. What a backend cannot
    is guessed: where that would leave none, they are tried all the same, for the provider has the last word. Health
    likewise, for a call that may fail is better than one that must, unless the route says `refuse`: then
    MODEL_UNAVAILABLE is raised, with the seconds until the first breaker lets a call through.

    `facts` are for routes that ask for them, `sticky` for those of that strategy (`scaigrid.facts` makes both);
    `stream` says which answers to compare where the strategy is `least_latency`.
    """
    tiers = route.tiers
    if facts is None and len(tiers) == 1 and len(tiers[0]) == 1:
        only = tiers[0][0].backend
        if health.reason_to_skip(only, now) is None:
            return (only,), _NOTHING
    standing, left_out, refusal = _standing(route, health, now, facts)
    if refusal is not None:
        raise refusal
    asking = _Asking(health, now, draw, facts, sticky, stream)
    rank = _RANKED[route.strategy]
    ordered: list[Backend] = []
    for tier in standing:
        if len(tier) > 1:
            ordered.extend([candidate.backend for candidate in rank(tier, asking)])
        else:
            ordered.extend([candidate.backend for candidate in tier])
    return ordered, left_out


def explained(
    route: Route,
    health: Health,
    now: float,
    draw: random.Random,
    *,
    facts: Facts | None = None,
    sticky: str | None = None,
    stream: bool = True,
) -> Explanation:
    """What `order` would do with every target of the route, in the words of people. Raises nothing.

    The arguments are those of `order`; the same state of `draw` gives the same answer. `facts` are
    `facts_of(call, model)`, `sticky` is `sticky_of(route, principal, session)`.
    """
    ordered: Sequence[Backend] = ()
    refusal: GatewayError | None = None
    try:
        ordered, reasons = order(route, health, now, draw, facts=facts, sticky=sticky, stream=stream)
    except GatewayError as error:
        refusal = error
        _, reasons, _ = _standing(route, health, now, facts)
    ranks = {backend.id: place for place, backend in enumerate(ordered, 1)}
    targets = [
        Target(
            backend=candidate.backend,
            tier=place,
            weight=candidate.weight,
            rank=ranks.get(candidate.backend.id),
            reason=reasons.get(candidate.backend.name),
            health=health.status(candidate.backend.id, now),
        )
        for place, tier in enumerate(route.tiers)
        for candidate in tier
    ]
    targets.sort(key=lambda target: (target.rank is None, target.rank))
    return Explanation(targets=targets, refusal=refusal)


# -- who is left out -------------------------------------------------------------------------------------------------


def _standing(
    route: Route, health: Health, now: float, facts: Facts | None
) -> tuple[Sequence[Tier], Mapping[str, str], GatewayError | None]:
    """The tiers as far as they may be tried, who is left out, and what to raise where that is everybody."""
    tiers: Sequence[Tier] = route.tiers
    left_out: dict[str, str] = {}
    if facts is not None:
        tiers = _without(tiers, left_out, lambda one: facts.mismatch(one.when, one.backend) if one.when else None)
        if not any(tiers):
            # The same request would hear the same.
            none = "No target of the model's route is for such a request."
            return tiers, left_out, NobodyLeft(none, left_out, headers=(NO_RETRY,))
        unable: dict[str, str] = {}
        able = _without(tiers, unable, lambda one: facts.unfit(one.backend))
        if any(able):
            tiers = able
            left_out |= unable
    ill: dict[str, str] = {}
    for tier in tiers:
        for candidate in tier:
            reason = health.reason_to_skip(candidate.backend, now)
            if reason is not None:
                ill[candidate.backend.name] = reason
    if ill:
        well = [[one for one in tier if one.backend.name not in ill] for tier in tiers]
        if any(well):
            return well, left_out | ill, None
        if route.when_unhealthy == "refuse":
            rest = min(health.rests(one.backend.id, now) for tier in tiers for one in tier)
            seconds = min(max(ceil(rest), 1), _LONGEST_RETRY)
            return well, left_out | ill, NobodyLeft(None, left_out | ill, retry_after=seconds)
    return tiers, left_out or _NOTHING, None


def _without(tiers: Sequence[Tier], left_out: dict[str, str], against: Callable[[Candidate], str | None]) -> list[Tier]:
    """The tiers without those that something is said `against`, which is put into `left_out`."""
    left: list[Tier] = []
    for tier in tiers:
        kept: list[Candidate] = []
        for candidate in tier:
            reason = against(candidate)
            if reason is None:
                kept.append(candidate)
            else:
                left_out[candidate.backend.name] = reason
        left.append(kept)
    return left


# -- who comes first -------------------------------------------------------------------------------------------------


class _Asking(msgspec.Struct):
    """What a strategy may look at."""

    health: Health
    now: float
    draw: random.Random
    facts: Facts | None
    sticky: str | None
    stream: bool


def _weighted(tier: Tier, asking: _Asking) -> Sequence[Candidate]:
    rolled = asking.draw.random
    keyed = [(rolled() ** (1 / one.weight) if one.weight else -rolled(), one) for one in tier]
    keyed.sort(key=_first, reverse=True)
    return [one for _, one in keyed]


def _least_latency(tier: Tier, asking: _Asking) -> Sequence[Candidate]:
    drawn = list(_weighted(tier, asking))
    one, other = drawn[0], drawn[1]
    health, now, stream = asking.health, asking.now, asking.stream
    # A weight of nothing is behind the others even where it is the faster one.
    sooner = health.first_token(other.backend.id, now, stream=stream)
    if (other.weight or not one.weight) and sooner < health.first_token(one.backend.id, now, stream=stream):
        drawn[0], drawn[1] = other, one
    return drawn


def _least_busy(tier: Tier, asking: _Asking) -> Sequence[Candidate]:
    inflight = asking.health.inflight
    return sorted(_weighted(tier, asking), key=lambda one: (not one.weight, inflight(one.backend.id)))


def _cheapest(tier: Tier, asking: _Asking) -> Sequence[Candidate]:
    usage = _TYPICAL_USAGE
    if (facts := asking.facts) is not None:
        output = min(facts.output or _TYPICAL, _TYPICAL) if facts.makes_text else 0
        usage = Usage(input=facts.guess, output=output)
    return sorted(_weighted(tier, asking), key=lambda one: (not one.weight, one.backend.cost.cost(usage)))


def _sticky(tier: Tier, asking: _Asking) -> Sequence[Candidate]:
    if asking.sticky is None:
        return _weighted(tier, asking)
    value = asking.sticky.encode()
    keyed = [(not one.weight, -log(_hashed(value, one.backend)) / (one.weight or 1), one) for one in tier]
    keyed.sort(key=_first_two)
    return [one for _, _, one in keyed]


def _hashed(value: bytes, backend: Backend) -> float:
    """A number above 0 and below 1, the same in every worker."""
    digest = hashlib.blake2b(value + b"\0" + backend.id.encode(), digest_size=6).digest()
    return (int.from_bytes(digest) + 0.5) / 2**48


_RANKED: Final[Mapping[Strategy, Callable[[Tier, _Asking], Sequence[Candidate]]]] = {
    "weighted": _weighted,
    "least_latency": _least_latency,
    "least_busy": _least_busy,
    "cheapest": _cheapest,
    "sticky": _sticky,
}


def _first(keyed: tuple[float, Candidate]) -> float:
    return keyed[0]


def _first_two(keyed: tuple[bool, float, Candidate]) -> tuple[bool, float]:
    return keyed[0], keyed[1]
