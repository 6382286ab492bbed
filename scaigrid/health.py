"""What the answers of backends say about them: passive health, and a circuit breaker for each.

No call is ever made to find out: that would cost money. Failures in a row open a backend's breaker, a provider's
Retry-After opens it for that long; after that one call probes, and its outcome decides.
"""

from typing import Literal

import msgspec

from scaigrid.config.snapshot import Backend
from scaigrid.errors import Code, GatewayError
from scaigrid.telemetry import Telemetry

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 10.0
LONGEST_OPEN_SECONDS = 300.0

_FAULTS = frozenset({Code.BACKEND_ERROR, Code.BACKEND_TIMEOUT, Code.BACKEND_RATE_LIMITED, Code.UPSTREAM_SHAPE_MISMATCH})


HealthStatus = Literal["healthy", "degraded", "unavailable"]
Breaker = Literal["closed", "open", "half_open"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker knows of a backend. Times are monotonic seconds."""

    status: HealthStatus = "healthy"
    breaker: Breaker = "closed"
    inflight: int = 0
    failures: int = 0
    """In a row."""
    open_until: float | None = None
    """Until when no call is sent; None where calls are sent."""
    last_error: Code | None = None
    last_error_at: float | None = None


class _State(msgspec.Struct):
    failures: int = 0
    opened: bool = False
    """Until a call serves again; from `open_until` on it is half-open."""
    open_until: float = 0.0
    probing: bool = False
    inflight: int = 0
    last_error: Code | None = None
    last_error_at: float | None = None


class Health:
    """The health of every backend of one worker. Times are monotonic seconds."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._states: dict[str, _State] = {}
        telemetry.on_inflight(lambda: {backend: state.inflight for backend, state in self._states.items()})

    def reason_to_skip(self, backend: Backend, now: float) -> str | None:
        """Why `backend` should not be tried now; None where it may be, also as the one probe of an open breaker."""
        state = self._states.get(backend.id)
        if state is None or not state.opened:
            return None
        if now < state.open_until:
            return f"breaker open for {state.open_until - now:.1f} s"
        return "breaker half-open, probe under way" if state.probing else None

    def status(self, backend_id: str, now: float) -> HealthStatus:
        """`degraded` from the first failure on, `unavailable` until a probe serves."""
        state = self._states.get(backend_id)
        if state is None or not (state.failures or state.opened):
            return "healthy"
        return "unavailable" if state.opened else "degraded"

    def report(self, backend_id: str, now: float) -> Report:
        """Everything that is known; of a backend that was never called, that nothing is wrong."""
        state = self._states.get(backend_id)
        if state is None:
            return Report()
        waits = state.opened and now < state.open_until
        return Report(
            status=self.status(backend_id, now),
            breaker="open" if waits else "half_open" if state.opened else "closed",
            inflight=state.inflight,
            failures=state.failures,
            open_until=state.open_until if waits else None,
            last_error=state.last_error,
            last_error_at=state.last_error_at,
        )

    def began(self, backend: Backend, now: float) -> None:
        state = self._states.get(backend.id)
        if state is None:
            state = self._states[backend.id] = _State()
            self._tell(backend, state)
        state.inflight += 1
        if state.opened and now >= state.open_until and not state.probing:
            state.probing = True
            self._telemetry.breaker.labels(backend.id).set(2)

    def ended(self, backend: Backend, error: GatewayError | None, now: float) -> None:
        """A call is over: `error` None where it served. What was the caller's fault says nothing about the backend."""
        state = self._states[backend.id]
        state.inflight -= 1
        self._telemetry.attempted(backend.id, "ok" if error is None else error.code)
        if error is None:
            if state.failures or state.opened:
                state.failures, state.opened, state.probing, state.open_until = 0, False, False, 0.0
                self._tell(backend, state)
        elif error.code in _FAULTS:
            state.failures += 1
            state.last_error, state.last_error_at = error.code, now
            if error.retry_after:
                self._open(state, now + min(error.retry_after, LONGEST_OPEN_SECONDS))
            elif state.opened or state.failures >= FAILURES_TO_OPEN:
                self._open(state, now + OPEN_SECONDS)
            self._tell(backend, state)
        else:
            state.probing = False

    @staticmethod
    def _open(state: _State, until: float) -> None:
        state.opened, state.probing, state.open_until = True, False, max(state.open_until, until)

    def _tell(self, backend: Backend, state: _State) -> None:
        self._telemetry.breaker.labels(backend.id).set(1 if state.opened else 0)
        self._telemetry.backend_health.labels(backend.id).set(0 if state.opened else 0.5 if state.failures else 1)
