"""How many calls one worker has at each backend at the same time, and who waits for a turn.

A backend that says how much it bears (`concurrency`) gets no more than that; `queue` calls beyond it wait, first come
first served, for `queue_seconds` at the most; all others are turned away at once, since work that waits without an end
only makes a bad minute longer.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Iterable
from functools import partial

import msgspec

from scaigrid.config.snapshot import Backend
from scaigrid.errors import Code, GatewayError
from scaigrid.telemetry import Telemetry

_Turn = asyncio.Future[bool]
"""True once there is room, and that room is taken; False where the time for waiting is over."""


class _Gate(msgspec.Struct):
    room: int
    """How many may be inside: what the caller who came last knows of the backend, so a reload takes effect."""
    inside: int = 0
    waiting: deque[_Turn] = msgspec.field(default_factory=deque[_Turn])

    def admit(self) -> None:
        """Gives what room there is to those who wait longest. It is theirs from here on, awake or not."""
        while self.waiting and self.inside < self.room:
            turn = self.waiting.popleft()
            if not turn.done():
                self.inside += 1
                turn.set_result(True)


class Gates:
    """The gates of every backend of one worker. Nobody needs them where `Backend.concurrency` is None."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._gates: dict[str, _Gate] = {}
        telemetry.on_scrape(
            "scaigrid_backend_waiting_calls",
            "Calls that wait until a backend has room for them.",
            ("backend_id",),
            lambda: [((backend,), len(gate.waiting)) for backend, gate in self._gates.items()],
        )

    async def enter(self, backend: Backend, seconds: float | None = None) -> float:
        """Waits until the backend has room, and takes it; answers how many seconds that took.

        It waits `queue_seconds`, or `seconds` where that is less. Raises OVERLOADED where that was not enough, and at
        once where so many wait already that the queue is full. Whoever is cancelled leaves the queue, and gives back
        room that was given to him meanwhile.
        """
        cap = backend.concurrency
        if cap is None:
            return 0.0
        gate = self._gates.get(backend.id)
        if gate is None:
            gate = self._gates[backend.id] = _Gate(cap)
        elif gate.room != cap:
            gate.room = cap
            gate.admit()
        if gate.inside < cap and not gate.waiting:
            gate.inside += 1
            return 0.0
        patience = backend.queue_seconds if seconds is None else min(backend.queue_seconds, seconds)
        if len(gate.waiting) >= backend.queue or patience <= 0:
            raise self._turned_away(backend, "full")
        return await self._wait(gate, backend, patience)

    def leave(self, backend: Backend) -> None:
        """Gives back what `enter` took: once for each time that it answered."""
        if backend.concurrency is None:
            return
        gate = self._gates[backend.id]
        gate.inside -= 1
        gate.admit()

    def waiting(self, backend_id: str) -> int:
        """How many calls wait for a turn."""
        gate = self._gates.get(backend_id)
        return 0 if gate is None else len(gate.waiting)

    def keep(self, backends: Iterable[Backend]) -> None:
        """Lets in those who wait for room that these backends have by now.

        Forgets the ones that are no longer among them, but for those with calls under way or waiting.
        """
        caps = {backend.id: backend.concurrency for backend in backends}
        for id_, gate in tuple(self._gates.items()):
            if id_ in caps:
                cap = caps[id_]
                gate.room = sys.maxsize if cap is None else cap
                gate.admit()
            elif not (gate.inside or gate.waiting):
                del self._gates[id_]

    async def _wait(self, gate: _Gate, backend: Backend, patience: float) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        turn: _Turn = loop.create_future()
        gate.waiting.append(turn)
        timer = loop.call_later(patience, partial(_late, turn))
        try:
            admitted = await turn
        except asyncio.CancelledError:
            # The turn may have come in the very moment in which we were told to stop.
            if turn.done() and not turn.cancelled() and turn.result():
                gate.inside -= 1
                gate.admit()
            raise
        finally:
            timer.cancel()
            if turn in gate.waiting:
                gate.waiting.remove(turn)
        if admitted:
            return loop.time() - began
        raise self._turned_away(backend, "late")

    def _turned_away(self, backend: Backend, why: str) -> GatewayError:
        self._telemetry.turned_away.labels(backend.id, why).inc()
        return GatewayError(
            Code.OVERLOADED,
            "The model's backends have as many calls as they bear. Try again in a moment.",
            retry_after=1,
        )


def _late(turn: _Turn) -> None:
    if not turn.done():
        turn.set_result(False)
