"""What a worker still does when it is told to stop: who is under way, and how each of them is ended in the end.

A worker stops in three steps. It is `leaving`: it says that it is not ready, and serves whoever comes all the same, for
a load balancer learns that with its next probe. It is `closing`: calls that are under way go on, others are refused.
It is cut: what still goes on ends now, each call with an error that its client understands.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from scaigrid.errors import Code, GatewayError
from scaigrid.notice import Notice
from scaigrid.patience import Interrupted, Patience, Why

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

ANSWER_SECONDS: Final = 2.0
"""How long a call may take to say that it was cut; one whose client does not read would take for ever."""
LINGER_SECONDS: Final = 1.0
"""How long, after that, the server may take for its connections."""
CLOSE_SECONDS: Final = 20.0
"""From the cut until a worker that is still there is killed: enough for the journal's rows to reach the database."""
_LOOKS: Final = 0.02


class Live:
    """The calls of one worker that are under way, and what they wait for."""

    __slots__ = ("_cut", "_patiences", "_tasks", "closing", "leaving")

    def __init__(self) -> None:
        self.leaving = False
        """The worker is about to stop: whoever keeps a connection should make the next one elsewhere."""
        self.closing = False
        """No new calls."""
        self._cut = False
        self._patiences: set[Patience] = set()
        self._tasks: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        """Calls under way."""
        return len(self._tasks)

    @property
    def over(self) -> bool:
        """What is under way ends now: nothing more is to be begun for it."""
        return self._cut

    # -- calls -------------------------------------------------------------------------------------------------------

    def begin(self) -> asyncio.Task[object]:
        """The running task is a call from now on. Raises OVERLOADED where it comes too late."""
        if self.closing:
            raise stopping()
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("calls are tasks")
        self._tasks.add(task)
        return task

    def end(self, task: asyncio.Task[object]) -> None:
        """It is over."""
        self._tasks.discard(task)

    def forgiven(self, task: asyncio.Task[object]) -> bool:
        """Takes our own cancellation back, which the call has just caught: True where it was the only one."""
        return self._cut and task in self._tasks and task.uncancel() == 0

    # -- what they wait for ------------------------------------------------------------------------------------------

    def enter(self, patience: Patience) -> None:
        """The waits of a call that has more to do when they are ended than to answer: it hears `Why.STOPPING`.

        Raises Interrupted where it comes too late to wait for anything.
        """
        if self._cut:
            raise Interrupted(Why.STOPPING)
        self._patiences.add(patience)

    def leave(self, patience: Patience) -> None:
        """They are over; harmless for those that never entered."""
        self._patiences.discard(patience)

    def cut(self) -> None:
        """Ends what is under way, and at once what begins from now on."""
        self.leaving = self.closing = self._cut = True
        told = {patience.task for patience in self._patiences}
        for patience in tuple(self._patiences):
            patience.trip(Why.STOPPING)
        for task in self._tasks - told:
            task.cancel()


class Stopping:
    """The steps in which one worker stops, from the first word of it to its end."""

    def __init__(self, live: Live, seconds: float, close: Callable[[], Awaitable[object]]) -> None:
        """Calls may go on for `seconds` once the server was told to stop; `close` writes and closes what is open."""
        self._live = live
        self._seconds = seconds
        self._close = close
        self._ending: asyncio.Task[None] | None = None

    def listen(self, notice: Notice) -> None:
        """From now on. For the main thread of a process, once its server has set its own handlers: both are called.

        The interpreter tells a loop of a signal by its number alone (signal.set_wakeup_fd), whoever else handles it.
        """
        loop = asyncio.get_running_loop()

        def leave() -> None:
            loop.remove_reader(notice.leaving)
            self._leave()

        def hurry() -> None:
            loop.remove_reader(notice.hurry)
            self.cut()

        def closing(*_: object) -> None:
            # A supervisor may tell every process of ours, the last time when the loop has ended.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self.finish_calls)

        loop.add_reader(notice.leaving, leave)
        loop.add_reader(notice.hurry, hurry)
        signal.signal(signal.SIGTERM, closing)
        # A person's Ctrl-C reaches every process of a terminal: the one that keeps the workers says what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _leave(self) -> None:
        if not self._live.leaving:
            self._live.leaving = True
            _log.info("worker_leaving", pid=os.getpid(), calls=len(self._live))

    def finish_calls(self) -> None:
        """No new ones; those that are under way have their time, and are cut then."""
        if self._live.closing:
            return
        self._leave()
        self._live.closing = True
        asyncio.get_running_loop().call_later(self._seconds, self.cut)

    def cut(self) -> None:
        """Ends what is under way, then the process."""
        if self._ending is None:
            if len(self._live):
                _log.warning("calls_cut", pid=os.getpid(), calls=len(self._live))
            self._live.cut()
            self._ending = asyncio.get_running_loop().create_task(self._end())

    async def _end(self) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + ANSWER_SECONDS
        while len(self._live) and loop.time() < ends:  # noqa: ASYNC110 - a call pays nothing for being waited for
            await asyncio.sleep(_LOOKS)
        # By then the server has ended and with it the process, unless there is a connection that it waits for: half a
        # request, or an answer that nobody reads.
        await asyncio.sleep(LINGER_SECONDS)
        try:
            await self._close()
        except Exception:  # noqa: BLE001 - what could not be written is in the journal, and the process is to end
            _log.exception("worker_not_closed", pid=os.getpid())
        finally:
            os._exit(0)


def stopping() -> GatewayError:
    """What a call hears that comes too late, or takes too long."""
    return GatewayError(Code.OVERLOADED, "The gateway is stopping.", retry_after=1)
