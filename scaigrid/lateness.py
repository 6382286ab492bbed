"""One timer for many waits of one length: of a wait that ends in time nothing is left but an entry and its end."""

import asyncio


class Lateness:
    """Ends the waits that take longer than `seconds`, each of them the wait of the task that began it.

    A timer for each would cost a request several times as much.
    """

    __slots__ = ("_ends", "_late", "_timer", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends: dict[asyncio.Task[object], float] = {}
        """Whoever came first has to be gone first."""
        self._late: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Task[object]:
        """The running task has so many seconds from now on; then it is cancelled."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("lateness is for tasks")
        loop = asyncio.get_running_loop()
        ends = self._ends[task] = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_at(ends, self._look)
        return task

    def end(self, task: asyncio.Task[object]) -> None:
        """It came in time, or not."""
        self._ends.pop(task, None)
        self._late.discard(task)

    def forgiven(self, task: asyncio.Task[object]) -> bool:
        """Takes our own cancellation back, which the task has just caught: True where it was the only one."""
        return task in self._late and task.uncancel() == 0

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        for task, ends in tuple(self._ends.items()):
            if ends > now:
                self._timer = loop.call_at(ends, self._look)
                return
            del self._ends[task]
            self._late.add(task)
            task.cancel()
