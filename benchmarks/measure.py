"""What one hop costs: CPU time of who does it, while load goes through it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Final

import msgspec

from benchmarks.cpu import busy_seconds, tree_seconds
from benchmarks.rig import Hop, Rig

_NOISE: Final = 0.1


class Cost(msgspec.Struct, kw_only=True):
    """What one hop used and caused, over one slice of load or the sum of several."""

    cpu_seconds: float = 0.0
    """User and system time of the hop's processes."""
    others_seconds: float = 0.0
    """CPU time that anybody else had of its core."""
    core_seconds: float = 0.0
    """How long that was watched."""
    upstream: int = 0
    """Calls that the provider answered meanwhile."""
    upstream_refused: int = 0

    @property
    def others_share(self) -> float:
        """How much of the core somebody else had, from 0 to 1: the noise of the measurement."""
        return self.others_seconds / self.core_seconds if self.core_seconds else 0.0

    def microseconds_each(self, count: int) -> float:
        """CPU microseconds for each of so many calls or events."""
        return self.cpu_seconds * 1e6 / count if count else 0.0

    def add(self, other: "Cost") -> None:
        self.cpu_seconds += other.cpu_seconds
        self.others_seconds += other.others_seconds
        self.core_seconds += other.core_seconds
        self.upstream += other.upstream
        self.upstream_refused += other.upstream_refused


@contextmanager
def costing(rig: Rig, hop: Hop) -> Generator[Cost]:
    """Load goes inside; the cost is known afterwards.

    The gateway's work is done when everything is in the database, so its CPU time is read then, ledger included.
    """
    cost = Cost()
    counts = rig.provider.counts()
    begun, busy, used = monotonic(), busy_seconds(hop.core), tree_seconds(hop.child.pid)
    yield cost
    if hop.child is rig.gateway.child:
        rig.gateway.become_quiet()
    cost.cpu_seconds = tree_seconds(hop.child.pid) - used
    cost.others_seconds = max(0.0, busy_seconds(hop.core) - busy - cost.cpu_seconds)
    cost.core_seconds = monotonic() - begun
    after = rig.provider.settled_counts()
    cost.upstream = after.answered - counts.answered
    cost.upstream_refused = after.refused - counts.refused


def noise(shares: Mapping[str, float | None]) -> list[str]:
    """A sentence for each hop in whose measurement somebody else had more than a tenth of the core."""
    return [
        f"others had {share:.0%} of the core while {name} was measured: not numbers to keep, run again when it is quiet"
        for name, share in shares.items()
        if share is not None and share > _NOISE
    ]


def slices(seconds: int, rounds: int) -> list[int]:
    """`seconds` cut into whole seconds for each round, the longer ones first; never more rounds than seconds."""
    rounds = min(rounds, seconds)
    return [seconds // rounds + (place < seconds % rounds) for place in range(rounds)]
