"""Where the counters of limits and budgets are kept: one line for each store, by the `store.type` that chooses it."""

from collections.abc import Callable, Mapping

from scaigrid.clock import Clock
from scaigrid.config.schema import Store
from scaigrid.limiter import Limiter
from scaigrid.stores.memory import MemoryLimiter


def _valkey(config: Store, clock: Clock) -> Limiter:
    # Its parser is spared to whoever does not use it.
    from scaigrid.stores.valkey import ValkeyLimiter

    return ValkeyLimiter(config, clock)


LIMITERS: Mapping[str, Callable[[Store, Clock], Limiter]] = {
    "memory": lambda _, clock: MemoryLimiter(clock),
    "valkey": _valkey,
}
