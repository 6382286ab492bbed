"""What one hop costs: CPU time of who does it, next to the calls that it answered."""

from time import monotonic

import msgspec

from benchmarks.cpu import busy_seconds, tree_seconds
from benchmarks.histogram import Histogram
from benchmarks.load import wrk
from benchmarks.rig import Hop, Rig


class Measured(msgspec.Struct, kw_only=True):
    """The sum over all slices of one hop."""

    answered: int = 0
    seconds: float = 0.0
    """Of load; what is waited for afterwards is not in it."""
    cpu_seconds: float = 0.0
    latency: Histogram = msgspec.field(default_factory=Histogram)
    left_open: int = 0
    """Calls that may have been under way when the load left, over all slices."""
    upstream: int = 0
    """Calls that the provider answered meanwhile."""
    upstream_refused: int = 0
    faults: dict[str, int] = {}
    others_seconds: float = 0.0
    """CPU time that anybody else had of the hop's core."""
    core_seconds: float = 0.0

    @property
    def cpu_us(self) -> float:
        """CPU microseconds for each answered call, user and system."""
        return self.cpu_seconds * 1e6 / self.answered if self.answered else 0.0

    @property
    def rate(self) -> float:
        """Answered calls a second."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def others_share(self) -> float:
        """How much of the core somebody else had, from 0 to 1: the noise of the measurement."""
        return self.others_seconds / self.core_seconds if self.core_seconds else 0.0

    def add(self, other: "Measured") -> None:
        self.answered += other.answered
        self.seconds += other.seconds
        self.cpu_seconds += other.cpu_seconds
        self.latency.add(other.latency)
        self.left_open += other.left_open
        self.upstream += other.upstream
        self.upstream_refused += other.upstream_refused
        for name, count in other.faults.items():
            self.faults[name] = self.faults.get(name, 0) + count
        self.others_seconds += other.others_seconds
        self.core_seconds += other.core_seconds


def one_slice(rig: Rig, hop: Hop, *, connections: int, seconds: int) -> Measured:
    """Load by wrk on one hop while the others are idle.

    The gateway's work is done when everything is in the database, so its CPU time is read then, ledger included.
    """
    counts = rig.provider.counts()
    begun, busy, used = monotonic(), busy_seconds(hop.core), tree_seconds(hop.child.pid)
    summary = wrk.drive(hop.target, connections=connections, seconds=seconds, core=rig.cores.load, folder=rig.folder)
    if hop is rig.governed:
        rig.gateway.become_quiet()
    used = tree_seconds(hop.child.pid) - used
    busy = busy_seconds(hop.core) - busy
    seconds_of_core = monotonic() - begun
    answered = rig.provider.counts()
    return Measured(
        answered=summary.answered,
        seconds=summary.microseconds / 1e6,
        cpu_seconds=used,
        latency=summary.histogram(),
        left_open=connections,
        upstream=answered.answered - counts.answered,
        upstream_refused=answered.refused - counts.refused,
        faults=summary.faults,
        others_seconds=max(0.0, busy - used),
        core_seconds=seconds_of_core,
    )


def slices(seconds: int, rounds: int) -> list[int]:
    """`seconds` cut into whole seconds for each round, the longer ones first; never more rounds than seconds."""
    rounds = min(rounds, seconds)
    return [seconds // rounds + (place < seconds % rounds) for place in range(rounds)]
