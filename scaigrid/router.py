"""Which backends to try, in which order: tiers by priority, inside a tier by weight, drawn anew for each request."""

import random
from collections.abc import Mapping, Sequence

from scaigrid.config.snapshot import Backend, Candidate, Route
from scaigrid.health import Health

_NOTHING: Mapping[str, str] = {}


def order(route: Route, health: Health, now: float, draw: random.Random) -> tuple[Sequence[Backend], Mapping[str, str]]:
    """Backends in the order of trying, and those left out with the reason for each.

    Health only ever removes. Where it would remove everything, the backends are tried all the same: a call that may
    fail is better than a call that must.
    """
    ordered: list[Backend] = []
    skipped: dict[str, str] = {}
    for tier in route.tiers:
        for backend in _drawn(tier, draw):
            reason = health.reason_to_skip(backend, now)
            if reason is None:
                ordered.append(backend)
            else:
                skipped[backend.name] = reason
    if ordered or not skipped:
        return ordered, skipped or _NOTHING
    return [backend for tier in route.tiers for backend in _drawn(tier, draw)], _NOTHING


def _drawn(tier: Sequence[Candidate], draw: random.Random) -> Sequence[Backend]:
    """The tier in an order drawn without replacement: each next one with a chance in proportion to its weight."""
    if len(tier) == 1:
        return (tier[0].backend,)
    # Efraimidis and Spirakis: the largest of u^(1/w) first is a weighted draw without replacement. Weight 0 comes last.
    keyed = [(draw.random() ** (1 / one.weight) if one.weight else -draw.random(), one.backend) for one in tier]
    keyed.sort(key=_first, reverse=True)
    return [backend for _, backend in keyed]


def _first(keyed: tuple[float, Backend]) -> float:
    return keyed[0]
