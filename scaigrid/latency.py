"""How soon the answers of a backend begin: what it took of late, and what is slow for it.

What it took of late is a peak EWMA, as Finagle balances by (`PeakEwma.scala` of twitter/finagle; the weights of
unevenly spaced measurements are Eckner's, "Algorithms for unevenly spaced time series", 2017). A measurement above the
average replaces it at once; one below it moves it by 1 - exp(-t / FADES), t being the seconds since the last one. And
it fades: read t seconds after the last measurement it has shrunk by exp(-t / FADES), so that a backend that was slow,
and is not asked for that reason, is asked again some day.
"""

from collections import deque
from math import ceil, exp
from typing import Final

FADES: Final = 30.0
"""Seconds in which an average that nobody renews shrinks to a third. First tokens take a second or so: a backend that
was twice as slow as another one is tried again after 20 s."""
KEPT: Final = 100
"""Measurements that tell what is slow."""
ENOUGH: Final = 20
"""With fewer of them there is no telling."""
_SLOW: Final = 0.95


class Latency:
    """Of one backend. Times are monotonic seconds."""

    __slots__ = ("_at", "_average", "_last", "_slow")

    def __init__(self) -> None:
        self._average = -1.0
        self._at = 0.0
        self._last: deque[float] = deque(maxlen=KEPT)
        self._slow: float | None = None
        """Worked out when somebody asks, and then until the next measurement."""

    def measured(self, seconds: float, now: float) -> None:
        """An answer has begun after so many seconds."""
        if seconds > self._average:
            self._average = seconds
        else:
            weight = exp((self._at - now) / FADES)
            self._average = self._average * weight + seconds * (1 - weight)
        self._at = now
        self._last.append(seconds)
        self._slow = None

    @property
    def average(self) -> float | None:
        """Seconds, as they were with the last measurement; None ahead of the first."""
        return self._average if self._last else None

    def faded(self, now: float) -> float | None:
        """The same, as far as it still counts."""
        return self._average * exp((self._at - now) / FADES) if self._last else None

    @property
    def slow(self) -> float | None:
        """The 95th percentile of the last 100 measurements, by nearest rank; None with fewer than 20."""
        if self._slow is None and len(self._last) >= ENOUGH:
            self._slow = sorted(self._last)[ceil(_SLOW * len(self._last)) - 1]
        return self._slow
