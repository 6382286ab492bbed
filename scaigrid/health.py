"""What the answers of backends say about them: passive health, and a circuit breaker for each.

No call is ever made to find out: that would cost money. Failures in a row open a backend's breaker, a provider's
Retry-After opens it for that long; after that one call probes, and its outcome decides.
"""

import msgspec

from scaigrid.config.snapshot import Backend
from scaigrid.errors import Code, GatewayError
from scaigrid.telemetry import Telemetry

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 10.0
LONGEST_OPEN_SECONDS = 300.0

_FAULTS = frozenset({Code.BACKEND_ERROR, Code.BACKEND_TIMEOUT, Code.BACKEND_RATE_LIMITED, Code.UPSTREAM_SHAPE_MISMATCH})


class _State(msgspec.Struct):
    failures: int = 0
    opened: bool = False
    """Until a call serves again; from `open_until` on it is half-open."""
    open_until: float = 0.0
    probing: bool = False
    inflight: int = 0


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

    def status(self, backend_id: str, now: float) -> str:
        """Healthy | degraded | unavailable."""
        state = self._states.get(backend_id)
        if state is None or not (state.failures or state.opened):
            return "healthy"
        return "unavailable" if state.opened else "degraded"

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
