"""The frontend models as one caller sees them: which, and in what state their backends are."""

import msgspec

from scaigrid.config.snapshot import Model, Principal
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.health import Health, HealthStatus


class Condition(msgspec.Struct, frozen=True):
    """The health of a model: `healthy` where all of its backends are, `unavailable` where none can be called."""

    status: HealthStatus
    active: int
    """Backends that are not unavailable."""
    total: int


def visible(exchange: Exchange) -> list[Model]:
    """The models that the caller may use, by slug."""
    principal, models = exchange.principal, exchange.snapshot.models
    return [models[slug] for slug in sorted(models) if _usable(principal, slug)]


def find(exchange: Exchange, named: str) -> Model:
    """One of them, by its id or its slug.

    Raises MODEL_NOT_FOUND, and says the same of one that the caller may not see.
    """
    models = exchange.snapshot.models
    model = None
    if named.startswith("model_"):
        model = next((one for one in models.values() if one.id == named), None)
    model = model or models.get(named)
    if model is None or not _usable(exchange.principal, model.slug):
        raise GatewayError(Code.MODEL_NOT_FOUND)
    return model


def _usable(principal: Principal, slug: str) -> bool:
    return slug not in principal.hidden and (principal.models is None or slug in principal.models)


def condition(model: Model, health: Health, now: float) -> Condition:
    """How the model's backends are; `now` in monotonic seconds."""
    backends = {candidate.backend.id for tier in model.route.tiers for candidate in tier}
    states = [health.status(backend, now) for backend in backends]
    active = sum(state != "unavailable" for state in states)
    if active == 0:
        return Condition("unavailable", active, len(backends))
    healthy = all(state == "healthy" for state in states)
    return Condition("healthy" if healthy else "degraded", active, len(backends))
