"""The limiter of one worker: counters in its own memory, exact to the unit, and gone with the process.

No step awaits anything, so each is one turn of the event loop: nobody sees a call half taken.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import takewhile

from scaigrid.clock import Clock
from scaigrid.errors import Code, GatewayError
from scaigrid.limiter import LEASE_SECONDS, Bucket, Decision, Spending, Take
from scaigrid.stores.counters import RING, TICKS, Fund, Window

_LATE = 24 * 3600 * TICKS
"""How long an expired lease is remembered, for a holder that settles it after all."""
_LOOK = TICKS
"""How often a part of the counters is looked at, for those that can be forgotten."""
_PART = 60
_FEW = 64
"""So many leases that are over are not worth being tidied away."""
_LEAST = 64
"""A look takes a sixtieth of the counters, but no fewer than these: their turn comes within minutes, however many."""

_Held = tuple[tuple[Take, ...], int, int]
"""What a lease took, when, and when it expires."""


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
        self._patience = int(lease_seconds * TICKS)
        self._windows: dict[str, Window] = {}
        self._funds: dict[str, Fund] = {}
        # The keys of both, in the order in which they are looked at.
        self._window_round: deque[str] = deque()
        self._fund_round: deque[str] = deque()
        # An expired lease moves from the one to the other, which has those first that expired first.
        self._open: dict[str, _Held] = {}
        self._late: dict[str, _Held] = {}
        # When each open lease expires, the soonest first; and some that are over, but never more than are open.
        self._expiries: list[tuple[int, str]] = []
        self._barred = ""
        self._listeners: tuple[Callable[[Mapping[str, Spending]], None], ...] = ()
        # No other store, and no earlier life of this one, gave out a lease that begins like this.
        self._prefix = secrets.token_hex(8) + "-"
        self._number = 0
        self._now = int(clock.monotonic() * TICKS)
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

    @property
    def expiries(self) -> int:
        """How many moments are noted at which a lease expires, of leases that are over too."""
        return len(self._expiries)

    def on_spent(self, heard: Callable[[Mapping[str, Spending]], None]) -> None:
        """Has `heard` called within each settling that spends something, besides those that are called already."""
        self._listeners = (*self._listeners, heard)

    async def acquire(self, takes: Sequence[Take], lease_seconds: float | None = None) -> Decision:
        """Takes every amount, or none. Raises ValueError, with nothing taken, for a negative amount.

        Left out, `lease_seconds` is the store's own.
        """
        if self._barred:
            raise GatewayError(Code.STORE_UNAVAILABLE, retry_after=1)
        now = self._tick()
        touched: list[tuple[Bucket, Window]] = []
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
                window.counts[window.head % RING] += amount
                touched.append((bucket, window))
        self._number += 1
        lease = f"{self._prefix}{self._number}"
        expires = now + (self._patience if lease_seconds is None else int(lease_seconds * TICKS))
        self._open[lease] = (tuple(takes), now, expires)
        heappush(self._expiries, (expires, lease))
        self._due = min(self._due, expires)
        return Decision(lease=lease, standings=[window.standing(bucket, now) for bucket, window in touched])

    async def settle(self, lease: str, used: Mapping[str, int]) -> None:
        """Replaces what was taken by `used`, where a negative number counts as 0. Only the first settling counts.

        A lease that this store never gave out adds `used` to the funds that the store knows. One that expired more than
        a day ago is taken for settled.
        """
        held = self._open.pop(lease, None)
        changed: dict[str, Spending] = {}
        if held is not None:
            self._tidy()
            self._close(held, used, changed, reserved=True)
        elif (held := self._late.pop(lease, None)) is not None:
            self._close(held, used, changed, reserved=False)
        elif not lease.startswith(self._prefix):
            for key, amount in used.items():
                if key in self._funds:
                    _spend(self._funds[key], key, amount, changed)
        if changed:
            for heard in self._listeners:
                heard(changed)

    async def settle_again(self, lease: str, used: Mapping[str, int]) -> None:
        """Nothing: what was given out by a process that is gone is gone with its counters."""

    async def release(self, lease: str) -> None:
        """Gives everything back. Only the first release counts, and none after a settling."""
        held = self._open.pop(lease, None)
        reserved = held is not None
        if reserved:
            self._tidy()
        held = held or self._late.pop(lease, None)
        if held is not None:
            self._give_back(held[0], held[1], funds=reserved, windows=True)

    async def preset(self, spent: Mapping[str, int], *, complete: bool = True) -> None:
        """Sets what is spent of each fund of which nothing is kept. Not `complete`, raises the others."""
        for key, amount in spent.items():
            if key not in self._funds:
                self._fund(key, None).spent = amount
            elif not complete:
                self._funds[key].spent = max(self._funds[key].spent, amount)

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

    def bar(self, reason: str) -> None:
        """Lets no call in for this reason; '' ends that."""
        self._barred = reason

    async def check(self) -> str:
        """`ok`, or why no call is let in."""
        return self._barred or "ok"

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

    def _close(self, held: _Held, used: Mapping[str, int], changed: dict[str, Spending], *, reserved: bool) -> None:
        """What a lease took becomes what it used; notes what that changed."""
        takes, at, _ = held
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
                _spend(fund, key, rest.pop(key, 0) if key in used else amount, changed)
            elif key in used and key in self._windows:
                self._windows[key].correct(at, max(rest.pop(key, 0), 0) - amount)

    def _tidy(self) -> None:
        """Forgets when leases would have expired that are over, once they are more than those that are open."""
        if len(self._expiries) > 2 * len(self._open) + _FEW:
            self._expiries = [each for each in self._expiries if each[1] in self._open]
            heapify(self._expiries)

    def _give_back(self, takes: Iterable[Take], at: int, *, funds: bool, windows: bool) -> None:
        for take in takes:
            key = take.bucket.key
            if take.bucket.fund:
                if funds:
                    self._fund(key, take.bucket).reserved -= take.amount
            elif windows and key in self._windows:
                self._windows[key].correct(at, -take.amount)

    def _window(self, bucket: Bucket, now: int) -> Window:
        """The window of `bucket`, moved on to `now`."""
        window = self._windows.get(bucket.key)
        if window is None:
            window = self._windows[bucket.key] = Window(bucket.period, now)
            self._window_round.append(bucket.key)
        elif window.period != bucket.period:
            window.change(bucket.period, now)
        head = now // window.width
        if head != window.head:
            window.advance(head)
        return window

    def _fund(self, key: str, bucket: Bucket | None) -> Fund:
        fund = self._funds.get(key)
        if fund is None:
            fund = self._funds[key] = Fund(bucket)
            self._fund_round.append(key)
        return fund

    def _tick(self) -> int:
        """The time in ticks, which only goes forward, once everything that is due at it is done."""
        now = int(self._clock.monotonic() * TICKS) + self._skew
        if now < self._now:
            self._skew += self._now - now
            now = self._now
        self._now = now
        if now >= self._due:
            self._sweep(now)
        return now

    def _sweep(self, now: int) -> None:
        expiries = self._expiries
        while expiries and expiries[0][0] <= now:
            _, lease = heappop(expiries)
            held = self._open.pop(lease, None)
            if held is not None:
                self._late[lease] = held
                self._give_back(held[0], held[1], funds=True, windows=False)
        for lease in list(takewhile(lambda lease: self._late[lease][2] <= now - _LATE, self._late)):
            del self._late[lease]
        if now >= self._look_at:
            wall = self._clock.now()
            _look(self._windows, self._window_round, now, wall)
            _look(self._funds, self._fund_round, now, wall)
            self._look_at = now + _LOOK
        self._due = min(self._look_at, expiries[0][0]) if expiries else self._look_at


def _spend(fund: Fund, key: str, amount: int, changed: dict[str, Spending]) -> None:
    before = fund.spent
    fund.spend(amount)
    if fund.spent != before:
        changed[key] = Spending(changed[key].before if key in changed else before, fund.spent)


def _look(counters: dict[str, Window] | dict[str, Fund], in_turn: deque[str], now: int, wall: float) -> None:
    """Looks at the next few counters and drops those that can be forgotten."""
    for _ in range(min(max(len(in_turn) // _PART, _LEAST), len(in_turn))):
        key = in_turn.popleft()
        if counters[key].forgettable(now, wall):
            del counters[key]
        else:
            in_turn.append(key)
