"""The limiter of many workers: counters in a Valkey that they share, each call one step there (see `lua/steps.lua`).

Exact across all who share the server and the prefix. The server's clock counts the windows. What is known here of the
counters is nothing but the epoch, the name of their present life: where the server has lost them, or may have gone on
with old ones, there is none, and nothing is given out until the funds have been preset from the ledger.

To end a lease waits for nothing: the server hears of it behind everything that was called before. Where the server is
away it hears of it when it is back; said twice, it counts once.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, cast

import structlog
from structlog.typing import FilteringBoundLogger

from scaigrid.clock import Clock
from scaigrid.config.schema import Store
from scaigrid.errors import Code, GatewayError
from scaigrid.limiter import LEASE_SECONDS, Bucket, Decision, Spending, Standing, Take
from scaigrid.stores.address import read_address
from scaigrid.stores.functions import COUNTERS
from scaigrid.stores.link import Link
from scaigrid.stores.wire import Away, Part, Refused, Reply, Wire, observe
from scaigrid.stores.words import MOST_OF_FUND, TICKS, Words, digits, end_of, width

_AT_ONCE: Final = 500
"""Buckets of one call that is about many: so the server is never held up for long."""

_RUN: Final = re.compile(rb"^run_id:(\w+)", re.MULTILINE)
_MEMORY: Final = re.compile(rb"^(maxmemory|maxmemory_policy):(\S+)", re.MULTILINE)

_log: FilteringBoundLogger = structlog.get_logger(__name__)


class ValkeyLimiter:
    """Raises GatewayError(STORE_UNAVAILABLE) while the server is away or the funds have not been preset.

    `ticks` gives the time, in microseconds, instead of the server's clock: for tests, which own it. Nothing then
    depends on the server's clock, and nothing is ever forgotten.
    """

    def __init__(
        self,
        config: Store,
        clock: Clock,
        *,
        lease_seconds: float = LEASE_SECONDS,
        ticks: Callable[[], int] | None = None,
    ) -> None:
        """Raises ValueError for a URL that is none."""
        if config.url is None:
            raise ValueError("a Valkey has a URL")
        self._words = words = Words(config.prefix)
        self._state, self._open = words.key("state"), words.key("open")
        self._patience = int(lease_seconds * TICKS)
        self._ticks = ticks
        self._link = Link(
            read_address(config.url.reveal()),
            config.timeout_seconds,
            clock,
            greet=self._greet,
            tag=config.prefix,
        )
        self._timeout = config.timeout_seconds
        # Nobody else, and no earlier life of this one, names a lease like this behind its epoch.
        self._holder = secrets.token_hex(8)
        self._number = 0
        self._epoch = ""
        """Empty while nothing can be taken."""
        self._served = False
        """The funds have been preset by this one before: where there is no epoch, one has been lost."""
        self._refusal = ""
        self._to_preset = asyncio.Event()
        self._ending: dict[str, tuple[Part, ...]] = {}
        """By lease, what the server has not yet said that it heard; oldest first."""
        self._in_ledger: frozenset[str] | None = None
        """Those that ended before the present rebuilding began: the ledger has counted them by then. None before the
        first one: so have then all that an earlier life of this gateway left to be settled."""
        self._inherited: dict[str, Mapping[str, int]] = {}
        """By lease, what is to be settled again once it is known whose epoch it is."""
        self._ended = asyncio.Event()
        self._barred = ""
        self._listeners: tuple[Callable[[Mapping[str, Spending]], None], ...] = ()

    # -- the port ----------------------------------------------------------------------------------------------------

    def on_spent(self, heard: Callable[[Mapping[str, Spending]], None]) -> None:
        """Has `heard` called with what the server answers to each settling, besides those that are called already.

        Of a settling whose answer was lost on the way, nothing is heard: it counts once, and is answered once.
        """
        self._listeners = (*self._listeners, heard)

    async def acquire(self, takes: Sequence[Take], lease_seconds: float | None = None) -> Decision:
        """Takes every amount, or none. Raises ValueError, with nothing taken, for a negative amount.

        Left out, `lease_seconds` is the store's own.
        """
        keys: list[str] = []
        wants: list[str] = []
        known = self._words.known
        for bucket, amount in _pairs(takes):
            if amount < 0:
                raise ValueError(f"{bucket.key}: nothing less than 0 can be taken")
            found = known.get(bucket.key)
            if found is None or found.bucket is not bucket:
                found = self._words.learn(bucket)
            keys.append(found.key)
            wants.append(f"{found.head}{amount if amount <= found.most else found.most + 1}")
        wire = self._wire()
        self._number += 1
        lease = f"{self._epoch}-{self._holder}{self._number:x}"
        answer = wire.call(
            *self._function("acquire", self._state, self._open, self._words.key(f"lease:{lease}"), *keys),
            self._now(),
            self._epoch,
            self._patience if lease_seconds is None else int(lease_seconds * TICKS),
            *wants,
        )
        try:
            reply = cast("list[int | bytes]", await self._answered(answer))
        except BaseException:
            # It may have been taken all the same, and nobody holds it: the server hears of that behind it.
            self._end(lease, "release", {})
            raise
        place, ticks = int(reply[0]), int(reply[1])
        if place < 0:
            self._is_lost()
            raise _unavailable()
        windows = [take.bucket for take in takes if not take.bucket.fund]
        standings = [
            Standing(bucket, int(reply[2 * index]), int(reply[2 * index + 1]) / TICKS)
            for index, bucket in enumerate(windows, 1)
        ]
        if place == 0:
            return Decision(lease=lease, standings=standings)
        refused = takes[place - 1].bucket
        wait = 0.0 if refused.fund else refused.period if ticks < 0 else ticks / TICKS
        return Decision(refused=refused, retry_after=wait, standings=standings)

    async def settle(self, lease: str, used: Mapping[str, int]) -> None:
        """Replaces what was taken by `used`, where a negative number counts as 0. Only the first settling counts."""
        self._end(lease, "settle", {key: digits(amount) for key, amount in used.items()})

    async def settle_again(self, lease: str, used: Mapping[str, int]) -> None:
        """As `settle`, of a lease that was given out in the present epoch; which one that is may be heard later."""
        if not self._epoch:
            self._inherited[lease] = used
        elif lease.partition("-")[0] == self._epoch:
            await self.settle(lease, used)

    async def spend(self, lease: str, spent: Sequence[Take]) -> None:
        """As `settle`, of a lease that this store was not there to give out: its name is known to nobody else."""
        self._end(
            lease, "spend", {bucket.key: f"{digits(amount)} {end_of(bucket)}" for bucket, amount in _pairs(spent)}
        )

    async def release(self, lease: str) -> None:
        """Gives everything back. Only the first release counts, and none after a settling."""
        self._end(lease, "release", {})

    async def preset(self, spent: Mapping[str, int], *, complete: bool = True) -> None:
        """Sets what is spent of each fund that the server does not hold.

        Raises those that it holds where it lost some, and where they are not all.
        """
        await self._link.tried()
        wire = self._link.wire
        try:
            if wire is None:
                raise _unavailable()
            in_ledger = frozenset(self._ending) if self._in_ledger is None else self._in_ledger
            epoch, counted = await self._preset(wire, spent, complete=complete)
            if not epoch:
                raise _unavailable()
        except GatewayError:
            self._to_preset.set()
            raise
        if not self._epoch and counted:
            for lease in in_ledger & self._ending.keys():
                del self._ending[lease]
        self._epoch, self._served = epoch, True
        if complete:
            self._to_preset.clear()
        self._say_again(wire)
        inherited, self._inherited = self._inherited, {}
        for lease, used in inherited.items():
            await self.settle_again(lease, used)

    async def amend(self, changes: Mapping[str, int]) -> None:
        """Adds to what was spent of each fund that is held, or takes from it: the ledger has been corrected by so much.

        What is not held will be counted from the ledger, and so is everything where the server has lost its counters.
        """
        await self._link.tried()
        if self._link.wire is None:
            raise _unavailable()
        keys, amounts = map(self._words.bucket, changes), (f"{change:+d}" for change in changes.values())
        await self._answered(self._link.wire.call(*self._function("amend", self._state, *keys), *amounts))

    async def spent(self, buckets: Sequence[Bucket]) -> Mapping[str, tuple[int, int]]:
        """By key, (spent, reserved) of a fund and (in the window now, 0) of a window."""
        found: dict[str, tuple[int, int]] = {}
        for first in range(0, len(buckets), _AT_ONCE):
            part = buckets[first : first + _AT_ONCE]
            numbers = await self._spent(self._wire(), part)
            for index, bucket in enumerate(part):
                found[bucket.key] = (int(numbers[2 * index]), int(numbers[2 * index + 1]))
        return found

    async def lost(self) -> None:
        """Returns once the funds have to be preset, and can be: the server has lost them or was never told of them."""
        while not self._to_preset.is_set() or self._link.wire is None:
            await self._to_preset.wait()
            await self._link.connected()
        self._in_ledger = frozenset(self._ending)

    def bar(self, reason: str) -> None:
        """Lets no call in for this reason; '' ends that."""
        self._barred = reason

    async def check(self) -> str:
        """`ok`, once the server has just done what every call has it do."""
        if self._barred:
            return self._barred
        self._link.start()
        wire = self._link.wire
        if wire is None:
            return f"the store cannot be reached: {self._link.reason}"
        if not self._epoch or self._to_preset.is_set():
            return "the store has lost its counters; they are being rebuilt from the ledger"
        try:
            await self._spent(wire, ())
        except GatewayError as error:
            refused = isinstance(error.__cause__, Refused)
            return f"the store {'refuses calls' if refused else 'cannot be reached'}: {error.__cause__}"
        return "ok"

    async def aclose(self) -> None:
        """Waits, no longer than for one call, until the server has heard of every lease that has ended."""
        if self._link.wire is not None and self._epoch:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout):
                    while self._ending:
                        self._ended.clear()
                        await self._ended.wait()
        await self._link.aclose()

    # -- in the server's words ---------------------------------------------------------------------------------------

    def _function(self, function: str, *keys: str) -> tuple[Part, ...]:
        return ("FCALL", f"{COUNTERS.name}_{function}", len(keys), *keys)

    def _now(self) -> Part:
        return "" if self._ticks is None else self._ticks()

    # -- leases that end ---------------------------------------------------------------------------------------------

    def _end(self, lease: str, how: str, used: Mapping[str, str]) -> None:
        if lease in self._ending:
            return
        keys = (self._words.key(f"lease:{lease}"), *map(self._words.bucket, used))
        command = self._ending[lease] = (
            *self._function("settle", self._state, self._open, *keys),
            lease.partition("-")[0],
            how,
            *used.values(),
        )
        self._link.start()
        if self._link.wire is not None and self._epoch:
            observe(self._link.wire.call(*command), partial(self._heard, lease))

    def _heard(self, lease: str, reply: Reply, error: Exception | None) -> None:
        if isinstance(error, Away):
            return
        if error is not None:
            _log.error("lease_not_ended", lease=lease, reason=str(error))
        self._ending.pop(lease, None)
        self._ended.set()
        if reply and self._listeners:
            changed = cast("list[bytes]", reply)
            name = self._words.name
            spending = {
                name(changed[place]): Spending(int(changed[place + 1]), int(changed[place + 2]))
                for place in range(0, len(changed), 3)
            }
            for heard in self._listeners:
                heard(spending)

    def _say_again(self, wire: Wire) -> None:
        for lease, command in self._ending.items():
            observe(wire.call(*command), partial(self._heard, lease))

    # -- the server comes and goes -----------------------------------------------------------------------------------

    def _wire(self) -> Wire:
        self._link.start()
        wire = self._link.wire
        # Funds that could not be preset may have been spent already, though the counters go on.
        if wire is None or not self._epoch or self._to_preset.is_set() or self._barred:
            raise _unavailable()
        return wire

    async def _answered(self, answer: Awaitable[Reply]) -> Reply:
        """The answer. One line in the log when the server begins to refuse what it is asked, one when it stops."""
        try:
            reply = await answer
        except Away as error:
            raise _unavailable() from error
        except Refused as error:
            if str(error) != self._refusal:
                self._refusal = str(error)
                _log.error("store_refuses", reason=self._refusal)
            raise _unavailable() from error
        if self._refusal:
            self._refusal = ""
            _log.info("store_accepts")
        return reply

    async def _spent(self, wire: Wire, buckets: Sequence[Bucket]) -> list[bytes]:
        keys = (self._state, self._open, *(self._words.bucket(bucket.key) for bucket in buckets))
        shapes = ("-" if bucket.fund else width(bucket) for bucket in buckets)
        answer = wire.call(*self._function("spent", *keys), self._now(), *shapes)
        return cast("list[bytes]", await self._answered(answer))

    async def _preset(self, wire: Wire, spent: Mapping[str, int], *, complete: bool) -> tuple[str, bool]:
        """The epoch, empty where there is none and these funds alone begin none; and whether nothing less counts in it.

        Of funds that have been counted without interruption, the counters know better than the ledger.
        """
        begun, again = secrets.token_hex(8), self._served and not self._epoch
        how = "raise" if again or not complete else "keep"
        amounts = [(self._words.bucket(key), str(min(amount, MOST_OF_FUND))) for key, amount in spent.items()]
        parts = [amounts[first : first + _AT_ONCE] for first in range(0, len(amounts), _AT_ONCE)] or [[]]
        epoch = ""
        for number, part in enumerate(parts, 1):
            more = "done" if complete and number == len(parts) else "more"
            keys = (self._state, *(key for key, _ in part))
            answer = wire.call(*self._function("preset", *keys), begun, how, more, *(amount for _, amount in part))
            epoch = _text(await self._answered(answer))
        return epoch, again or epoch == begun

    async def _greet(self, wire: Wire) -> None:
        """Has the functions loaded, and finds out whether the counters are still those that we know."""
        run = await self._look_at(wire)
        await COUNTERS.load(wire)
        epoch = _text(await wire.call(*self._function("open", self._state), run))
        if epoch and epoch == self._epoch:
            self._say_again(wire)
        else:
            self._is_lost()

    def _is_lost(self) -> None:
        self._epoch = ""
        self._to_preset.set()

    async def _look_at(self, wire: Wire) -> str:
        """What names the running server; a warning where it may drop counters by itself."""
        try:
            told = cast("bytes", await wire.call("INFO", "server", "memory"))
        except Refused:
            return ""
        memory = dict(_MEMORY.findall(told))
        if memory.get(b"maxmemory", b"0") != b"0" and memory.get(b"maxmemory_policy") != b"noeviction":
            _log.warning("store_may_evict", maxmemory_policy=memory.get(b"maxmemory_policy", b"").decode())
        run = _RUN.search(told)
        return run[1].decode() if run else ""


def _pairs(takes: Sequence[Take]) -> Iterator[tuple[Bucket, int]]:
    return ((take.bucket, take.amount) for take in takes)


def _unavailable() -> GatewayError:
    return GatewayError(Code.STORE_UNAVAILABLE, "The store of limits and budgets is unavailable.", retry_after=1)


def _text(reply: Reply) -> str:
    return cast("bytes", reply).decode()
