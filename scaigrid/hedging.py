"""A second copy of a call that is slow to answer: whichever has content first is heard, the other one is cut off.

The copies run at the same time, and there is one of everything else: one client, who is watched once; one answer, of
whoever claims it; one bill. What the other copy costs is the operator's, so only a share of a route's calls may have
one, however slow its backends are.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Self

import structlog

from scaigrid.asgi import Receive
from scaigrid.client_watch import ClientWatch
from scaigrid.config.snapshot import Current
from scaigrid.errors import Code, GatewayError
from scaigrid.sending import Sending
from scaigrid.telemetry import Telemetry

_REMEMBERED: Final = 1000
"""Calls of a route after which what was counted counts half: the share is one of what happens of late."""

_FEW: Final = 64
"""Routes whose shares are kept, whether or not they are still there."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class HedgeShare:
    """How many of a route's calls had a second copy, as one worker sees it."""

    __slots__ = ("_calls", "_hedged", "_telemetry")

    def __init__(self, telemetry: Telemetry) -> None:
        self._calls = 0.0
        self._hedged = 0.0
        self._telemetry = telemetry

    def called(self) -> None:
        """A call begins, of which nobody knows yet whether it will be slow."""
        self._calls += 1
        if self._calls >= _REMEMBERED:
            self._calls /= 2
            self._hedged /= 2

    def takes(self, share: float) -> bool:
        """Whether one more may have a second copy where `share` of the calls may; counts it if so."""
        if self._hedged + 1 > share * self._calls:
            self._telemetry.hedged.labels("refused").inc()
            return False
        self._hedged += 1
        return True


class HedgeShares:
    """Those of every route of one worker. Models that are no more are forgotten when many new ones have come."""

    def __init__(self, telemetry: Telemetry, current: Current) -> None:
        self._telemetry = telemetry
        self._current = current
        self._shares: dict[str, HedgeShare] = {}
        self._most = _FEW

    def of(self, model_id: str) -> HedgeShare:
        """The share of a model's route."""
        share = self._shares.get(model_id)
        if share is None:
            if len(self._shares) >= self._most:
                self._forget()
            share = self._shares[model_id] = HedgeShare(self._telemetry)
        return share

    def __len__(self) -> int:
        return len(self._shares)

    def _forget(self) -> None:
        there = {model.id for model in self._current.snapshot.models.values()}
        self._shares = {id_: share for id_, share in self._shares.items() if id_ in there}
        # Twice as many as there are: so what is looked through here is paid for by as many models that are new.
        self._most = max(_FEW, 2 * len(self._shares))


async def hedged(
    first: Sending, second: Callable[[], Sending | None], after: float, receive: Receive, ends: float
) -> GatewayError | None:
    """Runs `first`, and beside it what `second` answers once `after` seconds have brought no content.

    `second` is asked at most once, and may answer None: there is no other backend, or no other copy is allowed. While
    one copy may still answer, the failure of the other is no news. None where an answer was sent, else why none was, as
    the copy says that failed last; by then everything of both is on record.
    """
    race = _Race(first, second, after, ends)
    with ClientWatch(receive, race) as race.watch:
        try:
            return await race.outcome(await first.run(receive, ends))
        finally:
            await race.over()


class _Race:
    """The two copies of one call."""

    def __init__(self, first: Sending, second: Callable[[], Sending | None], after: float, ends: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("calls are tasks")
        self.call: asyncio.Task[object] = task
        self.watch: ClientWatch | None = None
        self._first = first
        self._second: Sending | None = None
        self._make = second
        self._after = after
        self._ends = ends
        self._heard: Sending | None = None
        """The one that has the client."""
        self._running: list[Sending] = []
        self._lasting = False
        self._closed = False
        """Nobody waits for an answer any more."""
        self._since = 0.0
        """Up to when, on the services' clock, it was asked how long providers were waited for."""
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[GatewayError | None] | None = None
        first.race = self

    # -- what a copy tells ---------------------------------------------------------------------------------------------

    def runs(self, copy: Sending) -> "_Lane":
        return _Lane(self, copy)

    def enter(self, copy: Sending) -> None:
        """It waits for something from now on."""
        self._running.append(copy)
        if self._lasting:
            copy.lasts()

    def leave(self, copy: Sending) -> None:
        """It has nothing to wait for any more."""
        self._running.remove(copy)

    def began(self, copy: Sending) -> None:
        if copy is self._first and copy.attempt is not None:
            self._since = copy.attempt.started
            self._timer = asyncio.get_running_loop().call_later(self._after, self._hedge)

    def claims(self, copy: Sending) -> bool:
        if self._heard is None:
            self._heard = copy
            self._stop_timer()
            for other in self._running:
                if other is not copy:
                    other.overtake()
        return self._heard is copy

    def waited(self, now: float) -> float:
        since, self._since = self._since, now
        return now - since

    # -- what the client's watch tells ---------------------------------------------------------------------------------

    def lasts(self) -> None:
        self._lasting = True
        for copy in self._running:
            copy.lasts()

    def left(self) -> None:
        """One copy is billed, and may be read on: the one that is heard, else the one that began first."""
        self._stop_timer()
        if self._running:
            copy = self._heard or self._running[0]
            self.claims(copy)
            copy.left()
        else:
            self._closed = True

    # -- its course ----------------------------------------------------------------------------------------------------

    async def outcome(self, told: GatewayError | None) -> GatewayError | None:
        """What came of the call, once the first copy has said what came of it."""
        self._stop_timer()
        task, second, attempt = self._task, self._second, self._first.attempt
        if task is None or second is None:
            return told
        if self._heard is not second:
            over = told is None or self._heard is self._first
            if over or task.done() or attempt is None or attempt.failure is None:
                # There is an answer, or part of one; or the other copy has failed; or no backend could do better.
                return told
        await asyncio.wait((task,))
        # Whoever was not asked has nothing to say.
        return told if second.attempt is None else task.result()

    async def over(self) -> None:
        """Nobody waits any more: cuts the second copy off where it still runs, and counts it."""
        self._closed = True
        self._stop_timer()
        task, second = self._task, self._second
        if task is not None and second is not None:
            if not task.done():
                if self._heard is second:
                    # Somebody cancels the call in the middle of its answer.
                    task.cancel()
                else:
                    second.overtake()
                await asyncio.wait((task,))
            if second.attempt is not None:
                outcome = "won" if self._heard is second else "lost"
                second.services.telemetry.hedged.labels(outcome).inc()
        self._let_go()

    def _let_go(self) -> None:
        """The copies know of the race, and it of them and of its watch: rings that only the collector would find."""
        self.watch = None
        for copy in (self._first, self._second):
            if copy is not None:
                copy.race = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hedge(self) -> None:
        self._timer = None
        second = self._second = self._make()
        if second is not None:
            second.race = self
            self._task = asyncio.get_running_loop().create_task(self._run(second))

    async def _run(self, second: Sending) -> GatewayError | None:
        if self._closed or self._heard is not None:
            return GatewayError(Code.CLIENT_CLOSED)
        try:
            return await second.run(_unread, self._ends)
        except Exception:  # noqa: BLE001 - the first copy may still answer, and is not to fail by a fault of this one
            _log.exception("second_copy_failed", backend=second.backend.name)
            return GatewayError(Code.INTERNAL_ERROR)


async def _unread() -> dict[str, object]:
    """The client is watched by the race alone: of two who read, each would miss what the other one gets."""
    raise RuntimeError("a copy does not read")


class _Lane:
    """One copy, as long as it waits for anything."""

    __slots__ = ("_copy", "_race")

    def __init__(self, race: _Race, copy: Sending) -> None:
        self._race = race
        self._copy = copy

    def __enter__(self) -> Self:
        self._race.enter(self._copy)
        return self

    def __exit__(self, *_: object) -> None:
        self._race.leave(self._copy)

    def stop(self) -> None:
        """The answer has come to its end: who leaves now has it."""
        if self._race.watch is not None:
            self._race.watch.stop()
