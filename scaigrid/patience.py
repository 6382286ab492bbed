"""How long a call waits, and for whom: one timer that cancels the running task and remembers why.

`asyncio.timeout` makes a new scope for every wait; a stream waits once for each chunk. Here a wait is two attribute
writes: the timer that runs is left alone, and looks when it fires whether its time has really come.
"""

import asyncio
from enum import Enum
from types import TracebackType
from typing import Self


class Why(Enum):
    """What ended the wait."""

    FIRST_BYTE = "no first byte in time"
    IDLE = "the stream stalled"
    TOTAL = "the call took too long"
    READER = "the client stopped reading"
    CLIENT_CLOSED = "the client closed the connection"
    STOPPING = "the gateway is stopping"
    OVERTAKEN = "another copy of the call was faster"


class Interrupted(Exception):
    """The task was cancelled by us, for this reason."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


class Patience:
    """A context around one task's waits; leaving it by our own cancellation raises Interrupted instead.

    Times are on the loop's clock. `total_ends` bounds every wait.
    """

    __slots__ = ("_call", "_ends", "_loop", "_task", "_timer", "_total_ends", "_tripped", "_why")

    def __init__(self, total_ends: float, call: "asyncio.Task[object] | None" = None) -> None:
        """`call`: whose waits these are, where the task that waits is another one."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("patience is for tasks")
        self._task: asyncio.Task[object] = task
        self._call = call or task
        self._total_ends = total_ends
        self._ends = total_ends
        self._why = Why.TOTAL
        self._timer: asyncio.TimerHandle | None = None
        self._tripped: Why | None = None

    @property
    def task(self) -> asyncio.Task[object]:
        """Whose waits these are: the task that ends when the call is over."""
        return self._call

    def wait(self, seconds: float, why: Why) -> None:
        """From now on, the task is given `seconds`."""
        ends = self._loop.time() + seconds
        if ends < self._total_ends:
            self._ends, self._why = ends, why
        else:
            self._ends, self._why = self._total_ends, Why.TOTAL
        timer = self._timer
        if timer is None or timer.when() > self._ends:
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(self._ends, self._look)

    def hasten(self, seconds: float) -> None:
        """From now on, all waits together are given no more than `seconds`."""
        self._total_ends = min(self._total_ends, self._loop.time() + seconds)
        if self._ends > self._total_ends:
            self._ends, self._why = self._total_ends, Why.TOTAL
            if self._timer is not None:
                self._timer.cancel()
                self._timer = self._loop.call_at(self._ends, self._look)

    @property
    def tripped(self) -> Why | None:
        """Why the task was cancelled by us, if it was."""
        return self._tripped

    def forgiven(self) -> bool:
        """Takes our own cancellation back, which the task has just caught: True where it was the only one."""
        if self._tripped is None or self._task.uncancel():
            return False
        self._tripped = None
        return True

    def trip(self, why: Why) -> None:
        """Ends the wait now."""
        if self._tripped is None:
            self._tripped = why
            self._task.cancel()

    def _look(self) -> None:
        if self._loop.time() >= self._ends:
            self._timer = None
            self.trip(self._why)
        else:
            self._timer = self._loop.call_at(self._ends, self._look)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Somebody else may have cancelled the task as well (the server stopping); that one must not be swallowed.
        ours = self._tripped is not None and self._task.uncancel() == 0
        if ours and self._tripped is not None and isinstance(error, asyncio.CancelledError):
            raise Interrupted(self._tripped) from error
