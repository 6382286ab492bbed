"""The port of limits and budgets: one atomic step over all levels, all or nothing.

A limit and a budget are the same question, "is there room for this much?", asked of two kinds of bucket:

- a *window* (requests or tokens in any rolling `period` seconds): what was taken comes back by itself, with time;
- a *fund* (money, tokens or requests of a budget's period, concurrent calls): what was taken stays taken until it is
  settled to what was really used, or released.

`acquire` takes from all buckets of a call or from none; the lease that it answers is settled once or released once,
and expires, released, where its holder never came back.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Literal, NamedTuple, Protocol

import msgspec

from scaigrid.errors import Level

Kind = Literal["requests", "tokens", "cost", "concurrency"]
OnStoreFailure = Literal["deny", "allow", "allow_bounded"]
"""What becomes of a call while the store of counters is away: it is refused, or goes on uncounted by this bucket, or
goes on within the share of this bucket that every worker keeps for such times."""

LEASE_SECONDS = 900.0
"""After so long a lease expires where nobody says how long the call may take."""


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """One limit or budget of one subject. Compiled once into the snapshot; the store knows it by `key` alone."""

    key: str
    """Unique in the deployment, stable over restarts: `limit:requests:60:user_...`."""
    level: Level
    kind: Kind
    limit: int
    """Requests, tokens, nano-units or calls. 0 refuses everything."""
    period: float = 60.0
    """Windows only: the length of the rolling window in seconds."""
    fund: bool = False
    until: float = inf
    """Funds only: when the period ends, in seconds since the epoch; a store may forget the fund some time after."""
    name: str = ""
    """Budgets only: the name that the operator gave it, for messages and metrics."""
    on_store_failure: OnStoreFailure = "deny"

    def __post_init__(self) -> None:
        """Raises ValueError for a bucket that no store could keep."""
        if not self.fund and (self.kind == "concurrency" or not 0 < self.period < inf):
            raise ValueError(f"{self.key}: concurrency is a fund, and a window has a period")


class Take(msgspec.Struct, frozen=True):
    """So much of one bucket, for one call."""

    bucket: Bucket
    amount: int


class Standing(msgspec.Struct, frozen=True):
    """A bucket after the step: `remaining` units, `reset` seconds until it is whole again (windows only)."""

    bucket: Bucket
    remaining: int
    reset: float


class Spending(NamedTuple):
    """What was spent of a fund ahead of a settling, and after it.

    Whoever sees a threshold lie between the two is the only one who does.
    """

    before: int
    after: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """All taken (`lease` set), or nothing taken (`refused` set, with the seconds after which a repeat may fit)."""

    lease: str | None = None
    refused: Bucket | None = None
    retry_after: float = 0.0
    standings: Sequence[Standing] = ()
    """Windows of the call, in the order of the takes, for the rate-limit headers."""


class Limiter(Protocol):
    """A store of buckets, shared by everyone who must not overshoot together.

    Raises GatewayError(STORE_UNAVAILABLE) where it cannot be reached in time; but not for a lease that ends, which it
    hears of as soon as it can.
    """

    def on_spent(self, heard: Callable[[Mapping[str, Spending]], None]) -> None:
        """Has `heard` called after each settling, soon, with what became of the funds it was about, by bucket key."""
        ...

    async def acquire(self, takes: Sequence[Take], lease_seconds: float = LEASE_SECONDS) -> Decision:
        """Takes every amount, or none and says which bucket had no room (the first in the order given).

        The lease expires after `lease_seconds`: longer than the call may take.
        """
        ...

    async def settle(self, lease: str, used: Mapping[str, int]) -> None:
        """The call is over: `used` by bucket key replaces what was taken; a bucket not named keeps what was taken.

        An unknown or expired lease adds `used` to the funds all the same: it was really spent.
        """
        ...

    async def settle_again(self, lease: str, used: Mapping[str, int]) -> None:
        """Settles what a holder that is gone may not have settled any more; what it has is settled as it was.

        Unlike a settling it adds nothing where the counters have begun anew since the lease was given: they have been
        rebuilt from the ledger, which knows by then what was used.
        """
        ...

    async def release(self, lease: str) -> None:
        """The call never happened: everything that was taken comes back. Unknown leases are ignored."""
        ...

    async def preset(self, spent: Mapping[str, int], *, complete: bool = True) -> None:
        """Sets what is spent of each fund that is not held yet, as the ledger has it: ahead of the first acquire.

        Not `complete`: there are more funds, which have been preset before. A store that has lost them refuses. One of
        these funds that is held all the same is of a budget that was there before, and of whose absence the ledger
        alone knows: it is raised to that.
        """
        ...

    async def lost(self) -> None:
        """Returns once a preset is due again, because the store has lost what it held or could not be reached.

        The ledger is asked after that, and has by then what ended before: it is not added a second time.
        """
        ...

    async def spent(self, buckets: Sequence[Bucket]) -> Mapping[str, tuple[int, int]]:
        """By bucket key: (spent or in the window now, reserved by open leases)."""
        ...

    def bar(self, reason: str) -> None:
        """Lets no call in from now on, since others count beside this store; an empty `reason` ends that."""
        ...

    async def check(self) -> str:
        """`ok`, or a sentence that says what is wrong, for readiness."""
        ...

    async def aclose(self) -> None:
        """The worker is stopping: lets go of what this one holds."""
        ...
