"""What the answers of backends say about them: passive health, a circuit breaker for each, and how soon they answer.

No call is ever made to find out: that would cost money. Failures open a backend's breaker, in a row or by their part of
the calls of late, and a provider's Retry-After opens it for that long; after that one call probes, and its outcome
decides. Calls that were under way when a breaker turned, streams for example, say nothing of what it does since.
"""

from collections import deque
from collections.abc import Collection
from typing import Final, Literal

import msgspec
import structlog

from scaigrid.config import routing
from scaigrid.config.snapshot import Backend
from scaigrid.errors import Code, GatewayError
from scaigrid.latency import FADES, Latency
from scaigrid.telemetry import Telemetry

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

FAILURES_TO_OPEN: Final = routing.Breaker().failures
OPEN_SECONDS: Final = routing.Breaker().open_seconds
LONGEST_OPEN_SECONDS: Final = routing.Breaker().longest_open_seconds

_FAULTS: Final = frozenset(
    {Code.BACKEND_ERROR, Code.BACKEND_TIMEOUT, Code.BACKEND_RATE_LIMITED, Code.UPSTREAM_SHAPE_MISMATCH}
)
_SLICES: Final = 10
"""A window is counted by tenths, so that it takes ten numbers instead of one for each call."""


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
    first_token: float | None = None
    """Seconds that its streams took of late to begin; None where none has begun."""
    answer: float | None = None
    """The same of its plain answers, which begin when they are whole."""


class _Window:
    """How many calls there were of late, and how many of them failed."""

    __slots__ = ("_slices",)

    def __init__(self) -> None:
        self._slices: deque[list[int]] = deque()
        """The number of the slice since the clock's zero, calls, failures."""

    def count(self, failed: bool, now: float, seconds: float) -> None:
        number = int(now * _SLICES / seconds)
        slices = self._slices
        if not slices or slices[-1][0] != number:
            slices.append([number, 0, 0])
            self._forget(number)
        last = slices[-1]
        last[1] += 1
        last[2] += failed

    def totals(self) -> tuple[int, int]:
        """Calls and failures."""
        return sum(one[1] for one in self._slices), sum(one[2] for one in self._slices)

    def clear(self) -> None:
        self._slices.clear()

    def _forget(self, number: int) -> None:
        # Numbers that are ahead of ours were counted with slices of another length, before a reload.
        while self._slices and not number - _SLICES < self._slices[0][0] <= number:
            self._slices.popleft()


class _State(msgspec.Struct):
    failures: int = 0
    opened: bool = False
    """Until a call serves again; from `open_until` on it is half-open."""
    open_until: float = 0.0
    turned: float = 0.0
    """When it opened or closed last."""
    probing_until: float = 0.0
    """So long other calls keep away for the sake of the one that probes. A probe of which nothing is heard by then, a
    long answer for example, is joined by a second one."""
    inflight: int = 0
    last_error: Code | None = None
    last_error_at: float | None = None
    window: _Window | None = None
    """Where the backend has an `error_ratio`."""
    streamed: Latency = msgspec.field(default_factory=Latency)
    plain: Latency = msgspec.field(default_factory=Latency)


class Health:
    """The health of every backend of one worker. Times are monotonic seconds."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._states: dict[str, _State] = {}
        telemetry.on_inflight(lambda: {backend: state.inflight for backend, state in self._states.items()})

    # -- what is known -----------------------------------------------------------------------------------------------

    def reason_to_skip(self, backend: Backend, now: float) -> str | None:
        """Why `backend` should not be tried now; None where it may be, also as the one probe of an open breaker."""
        state = self._states.get(backend.id)
        if state is None or not state.opened:
            return None
        if now < state.open_until:
            return f"breaker open for {state.open_until - now:.1f} s"
        return "breaker half-open, probe under way" if now < state.probing_until else None

    def rests(self, backend_id: str, now: float) -> float:
        """Seconds until the next call may probe it; 0 where one may be sent now, or will when a probe has served."""
        state = self._states.get(backend_id)
        return max(state.open_until - now, 0.0) if state is not None and state.opened else 0.0

    def status(self, backend_id: str, now: float) -> HealthStatus:
        """`degraded` from the first failure on, `unavailable` until a probe serves."""
        state = self._states.get(backend_id)
        if state is None or not (state.failures or state.opened):
            return "healthy"
        return "unavailable" if state.opened else "degraded"

    def inflight(self, backend_id: str) -> int:
        """Calls under way; those that wait for a turn are not among them."""
        state = self._states.get(backend_id)
        return 0 if state is None else state.inflight

    def first_token(self, backend_id: str, now: float, *, stream: bool = True) -> float:
        """Seconds until an answer begins, as far as what is known still counts: for choosing between backends.

        0 for one of which nothing is known, so that it is asked. But while that call is under way, and for as long as
        it is remembered that one has failed, infinity: else every caller would go there until it is known.
        """
        state = self._states.get(backend_id)
        if state is None:
            return 0.0
        known = (state.streamed if stream else state.plain).faded(now)
        if known is not None:
            return known
        failed_at = state.last_error_at if state.failures else None
        failed = failed_at is not None and now - failed_at < FADES
        return float("inf") if state.inflight or failed else 0.0

    def slow_after(self, backend_id: str, *, stream: bool = True) -> float | None:
        """Seconds within which 95 of its last 100 answers began; None with fewer than 20 that did."""
        state = self._states.get(backend_id)
        return None if state is None else (state.streamed if stream else state.plain).slow

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
            first_token=state.streamed.average,
            answer=state.plain.average,
        )

    # -- what happens ------------------------------------------------------------------------------------------------

    def began(self, backend: Backend, now: float) -> None:
        state = self._states.get(backend.id)
        if state is None:
            state = self._states[backend.id] = _State()
            self._tell(backend, state)
        state.inflight += 1
        if state.opened and now >= state.open_until and now >= state.probing_until:
            state.probing_until = now + backend.breaker.open_seconds
            self._telemetry.breaker.labels(backend.id).set(2)
            _log.info("breaker_half_open", backend=backend.name, reason="one call probes")

    def ended(
        self,
        backend: Backend,
        error: GatewayError | None,
        now: float,
        first_byte: float | None = None,
        *,
        stream: bool = True,
        started: float | None = None,
        fair: bool = True,
    ) -> None:
        """A call is over: `error` None where it served. What was the caller's fault says nothing about the backend.

        `first_byte` is in seconds from the start of the attempt to the first token; None where there was none. Streams
        and plain answers, which begin when they are whole, are measured apart. `started` is when the call was made:
        of one from before the breaker turned, nothing but a Retry-After counts. Left out, it counts. Not `fair` is a
        failure of which the backend is innocent, as it had hardly any time (see `scaigrid.failing`): it does not count.
        """
        state = self._states.get(backend.id)
        if state is None:
            # It left the configuration meanwhile, and nobody asks about it any more.
            return
        state.inflight -= 1
        self._telemetry.attempted(backend.id, "ok" if error is None else error.code)
        if first_byte is not None:
            (state.streamed if stream else state.plain).measured(first_byte, now)
        if started is not None and started < state.turned and not (error is not None and error.retry_after):
            return
        if error is None:
            self._served(backend, state, now)
        elif fair and error.code in _FAULTS:
            self._failed(backend, state, error, now)
        else:
            state.probing_until = 0.0

    def keep(self, ids: Collection[str]) -> None:
        """Forgets the backends that are no longer among these, but for those with calls under way."""
        gone = [id_ for id_, state in self._states.items() if id_ not in ids and not state.inflight]
        for id_ in gone:
            del self._states[id_]
            # What is not there is not ill.
            self._telemetry.breaker.labels(id_).set(0)
            self._telemetry.backend_health.labels(id_).set(1)

    def _served(self, backend: Backend, state: _State, now: float) -> None:
        settings = backend.breaker
        if settings.error_ratio is not None:
            self._count(state, settings, now, failed=False)
        if state.opened or state.failures:
            was_open, state.opened = state.opened, False
            state.failures, state.probing_until, state.open_until = 0, 0.0, 0.0
            if was_open:
                state.turned = now
                if state.window is not None:
                    # What failed before it was mended must not open it again.
                    state.window.clear()
                _log.info("breaker_closed", backend=backend.name, reason="a call was served")
            self._tell(backend, state)

    def _failed(self, backend: Backend, state: _State, error: GatewayError, now: float) -> None:
        settings = backend.breaker
        state.failures += 1
        state.last_error, state.last_error_at = error.code, now
        if settings.error_ratio is not None:
            self._count(state, settings, now, failed=True)
        if error.retry_after:
            rest = min(error.retry_after, settings.longest_open_seconds)
            self._open(backend, state, now, rest, f"{error.code} with a Retry-After of {error.retry_after} s")
        elif state.opened:
            self._open(backend, state, now, settings.open_seconds, f"{error.code} while it was half-open")
        elif state.failures >= settings.failures:
            reason = f"{state.failures} failures in a row, the last one {error.code}"
            self._open(backend, state, now, settings.open_seconds, reason)
        elif settings.error_ratio is not None and state.window is not None:
            calls, failures = state.window.totals()
            if calls >= settings.min_calls and failures >= settings.error_ratio * calls:
                reason = f"{failures} of the last {calls} calls failed, the last one with {error.code}"
                self._open(backend, state, now, settings.open_seconds, reason)
        self._tell(backend, state)

    @staticmethod
    def _count(state: _State, settings: routing.Breaker, now: float, *, failed: bool) -> None:
        if state.window is None:
            state.window = _Window()
        state.window.count(failed, now, settings.window_seconds)

    @staticmethod
    def _open(backend: Backend, state: _State, now: float, rest: float, reason: str) -> None:
        if not state.opened or now >= state.open_until:
            # Once for each time that it opens, however many calls were under way and fail too.
            _log.warning("breaker_open", backend=backend.name, reason=reason, seconds=rest)
            state.turned = now
        state.opened, state.probing_until = True, 0.0
        state.open_until = max(state.open_until, now + rest)

    def _tell(self, backend: Backend, state: _State) -> None:
        self._telemetry.breaker.labels(backend.id).set(1 if state.opened else 0)
        self._telemetry.backend_health.labels(backend.id).set(0 if state.opened else 0.5 if state.failures else 1)
