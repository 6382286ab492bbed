"""How a test opens each store of limits and budgets: empty, and with time in the test's own hands."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from scaigrid.config.schema import Store
from scaigrid.limiter import Limiter
from scaigrid.stores import LIMITERS
from tests.harness.clock import StillClock

LEASE_SECONDS = 900.0
"""After so long a lease expires, in every store."""


@dataclass(frozen=True)
class Opened:
    limiter: Limiter
    clock: StillClock
    """The time of the store, which nothing but the test moves."""


Opener = Callable[[], AbstractAsyncContextManager[Opened]]


@asynccontextmanager
async def memory() -> AsyncGenerator[Opened]:
    clock = StillClock()
    yield Opened(LIMITERS["memory"](Store(type="memory"), clock), clock)


OPENERS: Mapping[str, Opener] = {"memory": memory}
"""By the name under which the store is registered; the suite asks for every registered one."""
