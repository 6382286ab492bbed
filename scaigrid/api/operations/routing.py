"""What can be asked of providers and backends besides."""

from scaigrid.api import examples
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.operation import Operation
from scaigrid.api.resources.backend_health import BackendHealth
from scaigrid.api.resources.discover import DiscoveredModel
from scaigrid.api.resources.examples import id_of
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
    failures_in_a_row=1,
    last_error="BACKEND_TIMEOUT",
    last_error_at="2026-11-02T09:30:00.000Z",
)

ROWS = (
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
