"""The limiter of one worker: counters in its own memory, exact to the unit, and gone with the process.

No step awaits anything, so each is one turn of the event loop: nobody sees a call half taken.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from scaigrid.clock import Clock
from scaigrid.limiter import LEASE_SECONDS, Bucket, Decision, Standing, Take

_TICKS = 1_000_000
"""In a second. Time is counted in whole ticks, so that no sum of floats decides who gets in."""

_SLICES = 60
_RING = _SLICES + 1

_LATE = 24 * 3600 * _TICKS
"""How long an expired lease is remembered, for a holder that settles it after all."""
_GRACE = 3600 * _TICKS
"""How long the wall clock must have said that a fund's period is over, before the fund is forgotten."""
_LOOK = _TICKS
"""How often a part of the counters is looked at, for those that can be forgotten."""
_PART = 60
_LEAST = 64
"""A look takes a sixtieth of the counters, but no fewer than these: their turn comes within minutes, however many."""

_Held = tuple[tuple[Take, ...], int]
"""What a lease took, and when."""


class _Window:
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
        self.width = int(period * _TICKS) // _SLICES + 2
        self.head = now // self.width
        self.born = now
        self.counts = [0] * _RING
        self.counts[self.head % _RING] = self.total

    def change(self, period: float, now: int) -> None:
        """The same bucket with another period: what is in the window counts as taken now."""
        self.advance(now // self.width)
        self._start(period, now)

    def advance(self, head: int) -> None:
        """Makes `head` the slice that is now; what has left the window no longer counts."""
        if head - self.head > _SLICES:
            self.counts = [0] * _RING
            self.total = 0
        else:
            for entered in range(self.head + 1, head + 1):
                place = entered % _RING
                self.total -= self.counts[place]
                self.counts[place] = 0
        self.head = head

    def correct(self, at: int, more: int) -> None:
        """`more` units than were taken at `at` (fewer where negative), unless that has left the window."""
        taken = at // self.width
        if at >= self.born and taken >= self.head - _SLICES:
            self.counts[taken % _RING] += more
            self.total += more

    def standing(self, bucket: Bucket, now: int) -> Standing:
        remaining = max(bucket.limit - self.total, 0)
        newest = self.head
        # Nearly always the newest slice is the present one.
        while not self.counts[newest % _RING]:
            newest -= 1
            if newest < self.head - _SLICES:
                return Standing(bucket, remaining, 0.0)
        return Standing(bucket, remaining, self._gone(newest, now))

    def wait(self, amount: int, limit: int, now: int) -> float:
        """Seconds until `amount` fits if nobody else takes; the period where it never will."""
        excess = self.total + amount - limit
        for oldest in range(self.head - _SLICES, self.head + 1):
            excess -= self.counts[oldest % _RING]
            if excess <= 0:
                return self._gone(oldest, now)
        return self.period

    def _gone(self, taken: int, now: int) -> float:
        # One tick more, because the caller's clock is rounded down to ticks when it comes back.
        return ((taken + _RING) * self.width - now + 1) / _TICKS

    def forgettable(self, now: int, wall: float) -> bool:
        """Nothing in it can count any more, nor be corrected. `wall` makes no difference to a window."""
        return now // self.width - self.head > _SLICES


class _Fund:
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


class MemoryLimiter:
    """Windows and funds of one process.

    A take of 0 fits wherever the limit is not 0: a free call goes on when the money is gone. Takes of the same bucket
    in one call add up. A bucket whose limit or period has changed is judged by its new one at once, and what was taken
    stays taken. A lease that expires gives back what it reserved of the funds; what it took of the windows comes back
    with time alone, since the call may well have happened. Settled late, it counts as if settled in time.

    A monotonic clock that goes back is taken to stand still.
    """

    def __init__(self, clock: Clock, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._clock = clock
        self._patience = int(lease_seconds * _TICKS)
        self._windows: dict[str, _Window] = {}
        self._funds: dict[str, _Fund] = {}
        # The keys of both, in the order in which they are looked at.
        self._window_round: deque[str] = deque()
        self._fund_round: deque[str] = deque()
        # Oldest first, both; an expired lease moves from the one to the other.
        self._open: dict[str, _Held] = {}
        self._late: dict[str, _Held] = {}
        # No other store, and no earlier life of this one, gave out a lease that begins like this.
        self._prefix = secrets.token_hex(8) + "-"
        self._number = 0
        self._now = int(clock.monotonic() * _TICKS)
        self._skew = 0
        self._due = self._look_at = self._now

    @property
    def counters(self) -> int:
        """How many windows and funds are kept."""
        return len(self._windows) + len(self._funds)

    @property
    def leases(self) -> int:
        """How many leases are kept: open ones, and expired ones that may still be settled."""
        return len(self._open) + len(self._late)

    async def acquire(self, takes: Sequence[Take]) -> Decision:
        """Takes every amount, or none. Raises ValueError, with nothing taken, for a negative amount."""
        now = self._tick()
        touched: list[tuple[Bucket, _Window]] = []
        for place, take in enumerate(takes):
            bucket = take.bucket
            amount = take.amount
            if bucket.fund:
                fund = self._funds.get(bucket.key) or self._fund(bucket.key, bucket)
                fund.bucket = bucket
                after = fund.spent + fund.reserved + amount
                if (after > bucket.limit) if amount > 0 else (amount < 0 or bucket.limit <= 0):
                    return self._refuse(takes, place, now)
                fund.reserved += amount
            else:
                window = self._window(bucket, now)
                after = window.total + amount
                if (after > bucket.limit) if amount > 0 else (amount < 0 or bucket.limit <= 0):
                    return self._refuse(takes, place, now)
                window.total = after
                window.counts[window.head % _RING] += amount
                touched.append((bucket, window))
        self._number += 1
        lease = f"{self._prefix}{self._number}"
        self._open[lease] = (tuple(takes), now)
        return Decision(lease=lease, standings=[window.standing(bucket, now) for bucket, window in touched])

    async def settle(self, lease: str, used: Mapping[str, int]) -> None:
        """Replaces what was taken by `used`, where a negative number counts as 0. Only the first settling counts.

        A lease that this store never gave out adds `used` to the funds that the store knows. One that expired more than
        a day ago is taken for settled.
        """
        held = self._open.pop(lease, None)
        reserved = held is not None
        held = held or self._late.pop(lease, None)
        if held is None:
            if not lease.startswith(self._prefix):
                for key, amount in used.items():
                    if key in self._funds:
                        self._funds[key].spend(amount)
            return
        takes, at = held
        # Each number replaces all takes of its bucket, so the first of them uses it up.
        rest = dict(used)
        for take in takes:
            bucket = take.bucket
            key = bucket.key
            amount = take.amount
            if bucket.fund:
                fund = self._funds.get(key) or self._fund(key, bucket)
                if reserved:
                    fund.reserved -= amount
                fund.spend(rest.pop(key, 0) if key in used else amount)
            elif key in used and key in self._windows:
                self._windows[key].correct(at, max(rest.pop(key, 0), 0) - amount)

    async def release(self, lease: str) -> None:
        """Gives everything back. Only the first release counts, and none after a settling."""
        held = self._open.pop(lease, None)
        reserved = held is not None
        held = held or self._late.pop(lease, None)
        if held is not None:
            takes, at = held
            self._give_back(takes, at, funds=reserved, windows=True)

    async def preset(self, spent: Mapping[str, int], *, complete: bool = True) -> None:
        """Sets what is spent of each fund of which nothing is kept."""
        for key, amount in spent.items():
            if key not in self._funds:
                self._fund(key, None).spent = amount

    async def lost(self) -> None:
        """Never returns: what a process forgets, it forgets with its life."""
        await asyncio.Event().wait()

    async def spent(self, buckets: Sequence[Bucket]) -> Mapping[str, tuple[int, int]]:
        """By key, (spent, reserved) of a fund and (in the window now, 0) of a window."""
        now = self._tick()
        found = {bucket.key: (0, 0) for bucket in buckets}
        for bucket in buckets:
            key = bucket.key
            if bucket.fund and key in self._funds:
                fund = self._funds[key]
                found[key] = (fund.spent, fund.reserved)
            elif not bucket.fund and key in self._windows:
                window = self._windows[key]
                window.advance(now // window.width)
                found[key] = (window.total, 0)
        return found

    async def check(self) -> str:
        """Always `ok`."""
        return "ok"

    async def aclose(self) -> None:
        """Nothing is held that would have to be let go."""

    def _refuse(self, takes: Sequence[Take], place: int, now: int) -> Decision:
        """Gives back what came before `place`, and says what was missing there."""
        self._give_back(takes[:place], now, funds=True, windows=True)
        bucket = takes[place].bucket
        if takes[place].amount < 0:
            raise ValueError(f"{bucket.key}: nothing less than 0 can be taken")
        wait = 0.0
        if not bucket.fund:
            amount = sum(take.amount for take in takes[: place + 1] if take.bucket.key == bucket.key)
            wait = self._windows[bucket.key].wait(amount, bucket.limit, now)
        windows = [take.bucket for take in takes if not take.bucket.fund]
        standings = [self._window(window, now).standing(window, now) for window in windows]
        return Decision(refused=bucket, retry_after=wait, standings=standings)

    def _give_back(self, takes: Iterable[Take], at: int, *, funds: bool, windows: bool) -> None:
        for take in takes:
            key = take.bucket.key
            if take.bucket.fund:
                if funds:
                    self._fund(key, take.bucket).reserved -= take.amount
            elif windows and key in self._windows:
                self._windows[key].correct(at, -take.amount)

    def _window(self, bucket: Bucket, now: int) -> _Window:
        """The window of `bucket`, moved on to `now`."""
        window = self._windows.get(bucket.key)
        if window is None:
            window = self._windows[bucket.key] = _Window(bucket.period, now)
            self._window_round.append(bucket.key)
        elif window.period != bucket.period:
            window.change(bucket.period, now)
        head = now // window.width
        if head != window.head:
            window.advance(head)
        return window

    def _fund(self, key: str, bucket: Bucket | None) -> _Fund:
        fund = self._funds.get(key)
        if fund is None:
            fund = self._funds[key] = _Fund(bucket)
            self._fund_round.append(key)
        return fund

    def _tick(self) -> int:
        """The time in ticks, which only goes forward, once everything that is due at it is done."""
        now = int(self._clock.monotonic() * _TICKS) + self._skew
        if now < self._now:
            self._skew += self._now - now
            now = self._now
        self._now = now
        if now >= self._due:
            self._sweep(now)
        return now

    def _sweep(self, now: int) -> None:
        for lease in _taken_by(self._open, now - self._patience):
            held = self._late[lease] = self._open.pop(lease)
            self._give_back(held[0], held[1], funds=True, windows=False)
        for lease in _taken_by(self._late, now - self._patience - _LATE):
            del self._late[lease]
        if now >= self._look_at:
            wall = self._clock.now()
            _look(self._windows, self._window_round, now, wall)
            _look(self._funds, self._fund_round, now, wall)
            self._look_at = now + _LOOK
        # What is acquired from here on expires no sooner than `patience` from now.
        _, oldest = next(iter(self._open.values()), ((), now))
        self._due = min(self._look_at, oldest + self._patience)


def _taken_by(leases: Mapping[str, _Held], moment: int) -> list[str]:
    """The leases that were taken at `moment` or before; `leases` has the oldest first."""
    found: list[str] = []
    for lease, (_, at) in leases.items():
        if at > moment:
            break
        found.append(lease)
    return found


def _look(counters: dict[str, _Window] | dict[str, _Fund], in_turn: deque[str], now: int, wall: float) -> None:
    """Looks at the next few counters and drops those that can be forgotten."""
    for _ in range(min(max(len(in_turn) // _PART, _LEAST), len(in_turn))):
        key = in_turn.popleft()
        if counters[key].forgettable(now, wall):
            del counters[key]
        else:
            in_turn.append(key)
