"""`GET /v1/backends/{id}/health`: what the worker that answers has seen of a backend."""

from typing import Annotated, Any

from litestar import route
from litestar.params import FromPath

from scaigrid.api.crud import Asked, seen
from scaigrid.api.envelope import enveloped
from scaigrid.api.handling import READ, Provided
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.resources.backends import READING, Backends
from scaigrid.api.view import view_of
from scaigrid.control.follower import Control
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.errors import Code
from scaigrid.health import Breaker, HealthStatus
from scaigrid.middleware import Services
from scaigrid.timestamps import iso

BACKENDS = Backends()


class BackendHealth(AnswerShape, kw_only=True):
    """A backend as one worker has seen it; each worker learns by its own calls."""

    id: str
    status: Annotated[HealthStatus, OPEN]
    """`degraded` from the first failed call on, `unavailable` while no call is sent; both until one serves again."""
    breaker: Annotated[Breaker, OPEN]
    """`open`: no call is sent. `half_open`: the next call shows whether it serves again."""
    opens_again_at: str | None
    """When an open breaker lets a call through; ISO 8601, UTC."""
    inflight_requests: int
    waiting_requests: int
    """Calls that wait until the backend has room for them (`queue`)."""
    failures_in_a_row: int
    last_error: Annotated[str, OPEN] | None
    """The code of the last call that failed."""
    last_error_at: str | None
    """ISO 8601, UTC."""
    first_token_ms: float | None
    """How long the first token of its streams took of late, by which `least_latency` chooses: a peak counts at once,
    and smaller numbers bring it down with time. null: nothing was streamed yet."""
    answer_ms: float | None
    """The same of its plain answers, up to their end."""


@route(f"{Backends.path}/{{id_:str}}/health", http_method=READ, guards=[READING])
async def backend_health(
    request: Asked,
    id_: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Envelope[BackendHealth]:
    read_query(request, NoQuery)
    view = view_of(request, await control.refresh(), services, control, adapters)
    backend = seen(BACKENDS, view, id_)
    clock = services.clock
    now = clock.monotonic()
    found = services.health.report(backend.id, now)

    def told(moment: float | None) -> str | None:
        return None if moment is None else iso(clock.now() + moment - now)

    return enveloped(
        view.exchange,
        BackendHealth(
            id=backend.id,
            status=found.status,
            breaker=found.breaker,
            opens_again_at=told(found.open_until),
            inflight_requests=found.inflight,
            waiting_requests=services.gates.waiting(backend.id),
            failures_in_a_row=found.failures,
            last_error=_code(found.last_error),
            last_error_at=told(found.last_error_at),
            first_token_ms=_milliseconds(found.first_token),
            answer_ms=_milliseconds(found.answer),
        ),
    )


def _code(code: Code | None) -> str | None:
    return None if code is None else code.value


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
