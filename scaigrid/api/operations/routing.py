"""What can be asked of providers and backends besides."""

from scaigrid.api import examples
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.explanation import (
    ExplainedLimit,
    ExplainedRoute,
    ExplainedStandIn,
    ExplainedTarget,
    RoutingExplanation,
)
from scaigrid.api.operation import Operation
from scaigrid.api.request_timeline import RequestReservation
from scaigrid.api.resources.backend_health import BackendHealth
from scaigrid.api.resources.discover import DiscoveredModel
from scaigrid.api.resources.examples import id_of
from scaigrid.api.routing_explain import ASKING, PATH, RoutingQuestion
from scaigrid.config.routing import FAILURES, Fallbacks
from scaigrid.config.terms import Deadlines
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

_FOUND = DiscoveredModel(
    model="gpt-4o",
    display_name=None,
    owned_by="system",
    context_window=None,
    max_output_tokens=None,
    already_used_by=(id_of("be"),),
)
_HEALTH = BackendHealth(
    id=id_of("be"),
    status="degraded",
    breaker="closed",
    opens_again_at=None,
    inflight_requests=3,
    waiting_requests=0,
    failures_in_a_row=1,
    last_error="BACKEND_TIMEOUT",
    last_error_at="2026-11-02T09:30:00.000Z",
    first_token_ms=412.5,
    answer_ms=None,
)
_EXPLAINED = RoutingExplanation(
    model=examples.MODEL.slug,
    tenant_id=examples.ME.tenant.id,
    user_id=examples.ME.user.id,
    key_id=examples.ME.key.id if examples.ME.key else None,
    dialect="native",
    path="/v1/inference/chat",
    operation="chat",
    stream=False,
    allowed=True,
    refusal=None,
    refusals=(),
    route=ExplainedRoute(
        strategy="weighted",
        sticky_by=None,
        targets=[
            ExplainedTarget(
                backend_id=examples.USAGE.backend_id,
                backend="gpt-4o-eu",
                tier=0,
                rank=1,
                reason=None,
                health="healthy",
                weight=1,
                share=1.0,
            ),
            ExplainedTarget(
                backend_id=id_of("be"),
                backend="gpt-4o-us",
                tier=1,
                rank=None,
                reason="breaker open for 7.2 s",
                health="unavailable",
                weight=1,
                share=None,
            ),
        ],
        max_attempts=3,
        attempts_per_backend=1,
        failover_on=FAILURES,
        when_unhealthy="try",
        deadlines=Deadlines(),
        hedge=None,
        fallbacks=Fallbacks(context_too_long="openai/gpt-4.1"),
    ),
    kept_by=None,
    limits=[
        ExplainedLimit(
            type="budget",
            level="user",
            kind="cost",
            name="monthly",
            period_seconds=None,
            action="block",
            asked="0.04352",
            limit="25",
            used="11.2",
            left="13.8",
            refuses=False,
        )
    ],
    output_bound=4096,
    reserved=RequestReservation(tokens=5120, cost="0.04352"),
    prices=examples.MODEL_PRICES,
    stand_ins=[
        ExplainedStandIn(
            because="context_too_long",
            model="openai/gpt-4.1",
            allowed=True,
            refusals=(),
            reserved=RequestReservation(tokens=5120, cost="0.034816"),
        )
    ],
)

ROWS = (
    Operation(
        method="post",
        path=PATH,
        name="explainRouting",
        summary="What would become of a call",
        description="Without making it: nothing is sent, and nothing is taken. Which backends would be tried, in which "
        "order, and why each other was left out; which limits and budgets would be asked for how much, and what is "
        "left of them; what it would be refused with; which models stand in for this one, and whether the call could "
        "be put to them. Health is as the worker that answers has seen it. Whoever may "
        "call models asks for itself. What others are held to is told to those who may look it up.",
        permission=" or ".join(ASKING.permissions),
        level="tenant",
        body=RoutingQuestion,
        body_example=RoutingQuestion(model=examples.MODEL.slug),
        answer=Envelope[RoutingExplanation],
        example=examples.enveloped(_EXPLAINED),
        codes=(Code.MODEL_NOT_FOUND, Code.NOT_FOUND, Code.STORE_UNAVAILABLE),
    ),
    Operation(
        method="post",
        path="/v1/providers/{id}/discover",
        name="discoverModels",
        summary="Which models a provider has",
        description="The provider is asked then and there, and nothing is kept. The list has no pages.",
        permission="routing:manage",
        level="platform",
        parameters={"id": "The id of the provider."},
        answer=ListEnvelope[DiscoveredModel],
        example=examples.listed(_FOUND),
        codes=(
            Code.PROVIDER_NOT_FOUND,
            Code.NOT_FOUND,
            Code.VALIDATION_ERROR,
            Code.PROVIDER_DISCOVERY_ERROR,
            Code.STORE_UNAVAILABLE,
        ),
    ),
    Operation(
        path="/v1/backends/{id}/health",
        name="getBackendHealth",
        summary="The health of a backend",
        description="As the worker that answers has seen it.",
        permission="routing:view or routing:manage or admin:access",
        level="tenant",
        tenant_header=True,
        parameters={"id": "The id of the backend."},
        answer=Envelope[BackendHealth],
        example=examples.enveloped(_HEALTH),
        codes=(Code.BACKEND_NOT_FOUND, Code.NOT_FOUND, Code.VALIDATION_ERROR, Code.STORE_UNAVAILABLE),
    ),
)
