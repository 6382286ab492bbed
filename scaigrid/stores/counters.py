"""What the memory store counts: a window, of which time gives back what was taken, and a fund, of which it does not."""

from scaigrid.limiter import Bucket, Standing

TICKS = 1_000_000
"""In a second. Time is counted in whole ticks, so that no sum of floats decides who gets in."""

_SLICES = 60
RING = _SLICES + 1

_GRACE = 3600 * TICKS
"""How long the wall clock must have said that a fund's period is over, before the fund is forgotten."""


class Window:
    """What was taken in the last `period`, in slices of a sixtieth of it.

    The bound: 60 slices are at least the period long, so what was taken less than a period before a moment in slice s
    was taken in one of the slices s - 60 to s. All 61 are counted whole whenever something is taken; hence no rolling
    period, wherever it starts, holds more than the limit. The price: a unit comes back up to one slice late.
    """

    __slots__ = ("born", "counts", "head", "period", "total", "width")

    def __init__(self, period: float, now: int) -> None:
        self.total = 0
        self._start(period, now)

    def _start(self, period: float, now: int) -> None:
        self.period = period
        # Two ticks wider than a sixtieth, because times and the period are rounded down to ticks.
        self.width = int(period * TICKS) // _SLICES + 2
        self.head = now // self.width
        self.born = now
        self.counts = [0] * RING
        self.counts[self.head % RING] = self.total

    def change(self, period: float, now: int) -> None:
        """The same bucket with another period: what is in the window counts as taken now."""
        self.advance(now // self.width)
        self._start(period, now)

    def advance(self, head: int) -> None:
        """Makes `head` the slice that is now; what has left the window no longer counts."""
        if head - self.head > _SLICES:
            self.counts = [0] * RING
            self.total = 0
        else:
            for entered in range(self.head + 1, head + 1):
                place = entered % RING
                self.total -= self.counts[place]
                self.counts[place] = 0
        self.head = head

    def correct(self, at: int, more: int) -> None:
        """`more` units than were taken at `at` (fewer where negative), unless that has left the window."""
        taken = at // self.width
        if at >= self.born and taken >= self.head - _SLICES:
            self.counts[taken % RING] += more
            self.total += more

    def standing(self, bucket: Bucket, now: int) -> Standing:
        remaining = max(bucket.limit - self.total, 0)
        newest = self.head
        # Nearly always the newest slice is the present one.
        while not self.counts[newest % RING]:
            newest -= 1
            if newest < self.head - _SLICES:
                return Standing(bucket, remaining, 0.0)
        return Standing(bucket, remaining, self._gone(newest, now))

    def wait(self, amount: int, limit: int, now: int) -> float:
        """Seconds until `amount` fits if nobody else takes; the period where it never will."""
        excess = self.total + amount - limit
        for oldest in range(self.head - _SLICES, self.head + 1):
            excess -= self.counts[oldest % RING]
            if excess <= 0:
                return self._gone(oldest, now)
        return self.period

    def _gone(self, taken: int, now: int) -> float:
        # One tick more, because the caller's clock is rounded down to ticks when it comes back.
        return ((taken + RING) * self.width - now + 1) / TICKS

    def forgettable(self, now: int, wall: float) -> bool:
        """Nothing in it can count any more, nor be corrected. `wall` makes no difference to a window."""
        return now // self.width - self.head > _SLICES


class Fund:
    """What is spent of a budget and what is reserved of it; of calls that run at the same time, how many there are."""

    __slots__ = ("bucket", "over", "reserved", "spent")

    def __init__(self, bucket: Bucket | None) -> None:
        self.bucket = bucket
        """As it was given last; None where a preset is all that is known."""
        self.spent = 0
        self.reserved = 0
        self.over: int | None = None
        """Since when the wall clock has been seen to be past the period."""

    def spend(self, amount: int) -> None:
        # Calls that run at the same time are all over when they are settled: nothing of them stays.
        if amount > 0 and (self.bucket is None or self.bucket.kind != "concurrency"):
            self.spent += amount

    def forgettable(self, now: int, wall: float) -> bool:
        """Nothing is in it, or its period is long over: one only just over may be a wall clock set wrong."""
        if self.reserved:
            return False
        if not self.spent:
            return True
        if self.bucket is None or wall < self.bucket.until:
            self.over = None
            return False
        if self.over is None:
            self.over = now
        return now - self.over >= _GRACE
