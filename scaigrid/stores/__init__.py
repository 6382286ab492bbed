"""Where the counters of limits and budgets are kept: one line for each store, by the `store.type` that chooses it."""

from collections.abc import Callable, Mapping

from scaigrid.clock import Clock
from scaigrid.config.schema import Store
from scaigrid.limiter import Limiter
from scaigrid.stores.memory import MemoryLimiter
from scaigrid.stores.standby import Fallback, Standby

FellBack = Callable[[Fallback], None]


def _valkey(config: Store, clock: Clock, fell_back: FellBack) -> Limiter:
    # Its parser is spared to whoever does not use it.
    from scaigrid.stores.valkey import ValkeyLimiter

    return Standby(ValkeyLimiter(config, clock), clock, config.local_share, fell_back)


LIMITERS: Mapping[str, Callable[[Store, Clock, FellBack], Limiter]] = {
    "memory": lambda _, clock, _fell_back: MemoryLimiter(clock),
    "valkey": _valkey,
}
"""Made of the configuration, the clock, and who is told of every call that a store could not answer."""
