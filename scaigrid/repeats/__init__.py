"""Where calls under way are known: one line for each store, by the `store.type` that chooses it."""

from collections.abc import Callable, Mapping

from scaigrid.clock import Clock
from scaigrid.config.schema import Store
from scaigrid.repeats.memory import MemoryRuns
from scaigrid.repeats.port import Runs


def _valkey(config: Store, clock: Clock) -> Runs:
    # Its parser is spared to whoever does not use it.
    from scaigrid.repeats.valkey import ValkeyRuns

    return ValkeyRuns(config, clock)


RUNS: Mapping[str, Callable[[Store, Clock], Runs]] = {
    "memory": lambda _, clock: MemoryRuns(clock),
    "valkey": _valkey,
}
