"""The clock port: everything that needs the time is handed one, so that a test can own it."""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch, UTC. May be stepped by the operator; never use it for durations."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back: for durations, windows and deadlines."""
        ...


class SystemClock:
    __slots__ = ()

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
