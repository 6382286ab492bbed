"""The frontend models as one caller sees them: which, and in what state their backends are."""

from typing import Literal

import msgspec

from scaigrid.config.snapshot import Model
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.health import Health

HealthStatus = Literal["healthy", "degraded", "unavailable"]


class Condition(msgspec.Struct, frozen=True):
    """The health of a model: `healthy` where all of its backends are, `unavailable` where none can be called."""

    status: HealthStatus
    active: int
    """Backends that are not unavailable."""
    total: int


def visible(exchange: Exchange) -> list[Model]:
    """The models that the caller may use, by slug."""
    allowed = exchange.principal.models
    models = exchange.snapshot.models
    return [models[slug] for slug in sorted(models) if allowed is None or slug in allowed]


def find(exchange: Exchange, slug: str) -> Model:
    """One of them. Raises MODEL_NOT_FOUND, and says the same of one that the caller may not see."""
    allowed = exchange.principal.models
    model = exchange.snapshot.models.get(slug)
    if model is None or (allowed is not None and slug not in allowed):
        raise GatewayError(Code.MODEL_NOT_FOUND)
    return model


def condition(model: Model, health: Health, now: float) -> Condition:
    """How the model's backends are; `now` in monotonic seconds."""
    backends = {candidate.backend.id for tier in model.route.tiers for candidate in tier}
    states = [health.status(backend, now) for backend in backends]
    active = sum(state != "unavailable" for state in states)
    if active == 0:
        return Condition("unavailable", active, len(backends))
    healthy = all(state == "healthy" for state in states)
    return Condition("healthy" if healthy else "degraded", active, len(backends))
