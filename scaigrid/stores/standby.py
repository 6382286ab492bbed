"""What becomes of calls while the store that workers share is away: each bucket's own word (`on_store_failure`).

A call with a bucket that denies is refused. Where none does, those that say `allow` are left out, and of those that
say `allow_bounded` this worker gives out its own share:

- of a window, the share of its limit (`store.local_share`), rounded down, in any period;
- of a fund, the same share of what was left of it when this worker heard of it last, for as long as the store is away;
- of calls at the same time, the share of the limit.

What such a call used of its funds is the store's to know like everything else: it hears of it when it is back, under
the name of a lease that it never gave out and counts once; or finds it in the ledger, where it is rebuilt from that.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Final, Literal, Protocol

import structlog
from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from scaigrid.clock import Clock
from scaigrid.errors import Code, GatewayError
from scaigrid.limiter import Bucket, Decision, Limiter, Spending, Take
from scaigrid.stores.memory import MemoryLimiter

Fallback = Literal["deny", "allow", "allow_bounded", "exhausted"]
"""What became of a call: refused because a bucket denies; let through with nothing counted, or within shares; refused
because a share is used up or a limit is 0."""
FALLBACKS: Final[tuple[Fallback, ...]] = ("deny", "allow", "allow_bounded", "exhausted")

_REMEMBERED: Final = 100_000
"""Funds of which it is known what was spent of them last. Those that nobody spends of are forgotten first."""

_log: FilteringBoundLogger = structlog.get_logger(__name__)


class Shared(Limiter, Protocol):
    """A store that may be away."""

    async def spend(self, lease: str, spent: Sequence[Take]) -> None:
        """Adds to funds what was spent of them while it could not be asked; under one name, once.

        It hears of that as of a lease that ends; what it finds in the ledger by then is not added a second time.
        """
        ...


class Standby:
    """The `shared` store where it answers, and what the buckets declare where it does not.

    `share` is the part of a limit that this worker may give out by itself. `fell_back` is told of every call that the
    store did not answer.
    """

    def __init__(self, shared: Shared, clock: Clock, share: float, fell_back: Callable[[Fallback], None]) -> None:
        self._shared = shared
        self._near = MemoryLimiter(clock)
        self._clock = clock
        # As it was written: a tenth, and not the double next to it.
        self._share = Fraction(repr(share))
        self._fell_back = fell_back
        # Nobody else, and no earlier life of this one, names a lease like this; no life of the store's counters does.
        self._mark = f"standby-{secrets.token_hex(8)}-"
        self._given: dict[str, tuple[Take, ...]] = {}
        """By lease of our own, what it is about."""
        self._seen: OrderedDict[str, int] = OrderedDict()
        """By key of a fund, what was spent of it when this worker heard of it last."""
        self._untold: dict[str, int] = {}
        """By key of a fund, what was spent of it by ourselves since the store is away."""
        self._since: float | None = None
        self._barred = ""
        self._calls: dict[Fallback, int] = dict.fromkeys(FALLBACKS, 0)
        shared.on_spent(self._hear)

    # -- the port ----------------------------------------------------------------------------------------------------

    def on_spent(self, heard: Callable[[Mapping[str, Spending]], None]) -> None:
        """Has `heard` called with what the store counts; of what was spent while it was away, when it hears of it."""
        self._shared.on_spent(heard)

    async def acquire(self, takes: Sequence[Take], lease_seconds: float | None = None) -> Decision:
        """Takes every amount, or none; of the store, or of what each bucket allows without it."""
        try:
            decision = await self._shared.acquire(takes, *(() if lease_seconds is None else (lease_seconds,)))
        except GatewayError as error:
            if error.code is not Code.STORE_UNAVAILABLE or self._barred:
                raise
            return await self._alone(takes, lease_seconds, error)
        if self._since is not None:
            self._is_back(self._since)
        return decision

    async def settle(self, lease: str, used: Mapping[str, int]) -> None:
        """The call is over. Of one that was let through without the store, the store hears what its funds lost."""
        if not lease.startswith(self._mark):
            await self._shared.settle(lease, used)
            return
        takes = self._given.pop(lease, None)
        if takes is None:
            return
        spent: dict[str, Take] = {}
        for take in takes:
            bucket, key = take.bucket, take.bucket.key
            if bucket.fund and bucket.kind != "concurrency":
                before = spent[key].amount if key in spent else 0
                spent[key] = Take(bucket, max(used[key], 0) if key in used else before + take.amount)
        # Nothing of a fund stays here: what was spent is counted as untold until the store is back.
        freed = {take.bucket.key: 0 for take in takes if take.bucket.fund}
        await self._near.settle(lease.removeprefix(self._mark), {**used, **freed})
        if self._since is not None:
            for key, take in spent.items():
                self._untold[key] = self._untold.get(key, 0) + take.amount
        told = [take for take in spent.values() if take.amount]
        if told:
            await self._shared.spend(lease, told)

    async def settle_again(self, lease: str, used: Mapping[str, int]) -> None:
        """Told to the store. A lease that a worker gave out by itself is none of the store's."""
        await self._shared.settle_again(lease, used)

    async def release(self, lease: str) -> None:
        """The call never happened. The store need not know of one that was let through without it."""
        if not lease.startswith(self._mark):
            await self._shared.release(lease)
        elif self._given.pop(lease, None) is not None:
            await self._near.release(lease.removeprefix(self._mark))

    async def preset(self, spent: Mapping[str, int], *, complete: bool = True) -> None:
        """Told to the store. Noted here too, so that a share is known though the store may never have been there."""
        for key, amount in spent.items():
            self._note(key, max(amount, self._seen.get(key, 0)))
        await self._shared.preset(spent, complete=complete)

    async def lost(self) -> None:
        """Returns once the store has to be preset."""
        await self._shared.lost()

    async def spent(self, buckets: Sequence[Bucket]) -> Mapping[str, tuple[int, int]]:
        """What the store says."""
        return await self._shared.spent(buckets)

    def bar(self, reason: str) -> None:
        """Lets no call in for this reason, whatever the buckets say; '' ends that."""
        self._barred = reason
        self._shared.bar(reason)

    async def check(self) -> str:
        """What the store says; but `ok` once calls have been let through without it, so that more of them come here."""
        found = await self._shared.check()
        return "ok" if self._stands_in and not self._barred else found

    async def aclose(self) -> None:
        """Lets the store hear of what has ended."""
        await self._shared.aclose()

    # -- without the store -------------------------------------------------------------------------------------------

    async def _alone(self, takes: Sequence[Take], lease_seconds: float | None, error: GatewayError) -> Decision:
        if self._since is None:
            self._since = self._clock.monotonic()
        bounded: list[Take] = []
        for take in takes:
            bucket = take.bucket
            if bucket.on_store_failure == "deny":
                self._count("deny")
                raise error
            if bucket.limit <= 0:
                # It refuses everything, whoever counts.
                self._count("exhausted")
                return Decision(refused=bucket, retry_after=0.0 if bucket.fund else bucket.period)
            if bucket.on_store_failure == "allow_bounded" and take.amount > 0:
                bounded.append(Take(self._part(bucket), take.amount))
        decision = await self._near.acquire(bounded, lease_seconds)
        if decision.lease is None:
            self._count("exhausted")
            refused = decision.refused
            if refused is not None and refused.fund and refused.kind != "concurrency":
                # Its budget is not used up: another worker, or the store, may well have room for it.
                raise error
            return decision
        if not self._stands_in:
            _log.warning("calls_let_through_without_the_store", local_share=float(self._share))
        self._count("allow_bounded" if bounded else "allow")
        lease = self._mark + decision.lease
        self._given[lease] = tuple(takes)
        return replace(decision, lease=lease)

    @property
    def _stands_in(self) -> bool:
        """It has let calls through since the store is away."""
        return self._calls["allow"] + self._calls["allow_bounded"] > 0

    def _part(self, bucket: Bucket) -> Bucket:
        """The bucket with this worker's part of its limit."""
        left = bucket.limit
        if bucket.fund and bucket.kind != "concurrency":
            left = max(left - self._seen.get(bucket.key, 0), 0)
        part = left * self._share.numerator // self._share.denominator
        return replace(bucket, limit=max(part - self._untold.get(bucket.key, 0), 0))

    def _count(self, action: Fallback) -> None:
        self._calls[action] += 1
        self._fell_back(action)

    def _is_back(self, since: float) -> None:
        """It has answered a call; whatever was settled before that, it heard of before."""
        if self._stands_in:
            _log.info("calls_counted_again", seconds=round(self._clock.monotonic() - since, 3), **self._calls)
        self._since = None
        self._calls = dict.fromkeys(FALLBACKS, 0)
        self._untold.clear()

    # -- what is known of funds --------------------------------------------------------------------------------------

    def _hear(self, spending: Mapping[str, Spending]) -> None:
        for key, each in spending.items():
            self._note(key, each.after)

    def _note(self, key: str, spent: int) -> None:
        self._seen[key] = spent
        self._seen.move_to_end(key)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
