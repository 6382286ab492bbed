"""How a test opens each store of limits and budgets: empty, and with time in the test's own hands."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from scaigrid.clock import SystemClock
from scaigrid.config.schema import Store
from scaigrid.limiter import LEASE_SECONDS, Limiter
from scaigrid.secrets import Secret
from scaigrid.stores import LIMITERS
from scaigrid.stores.standby import Standby
from scaigrid.stores.valkey import ValkeyLimiter
from scaigrid.stores.words import TICKS
from tests.harness.clock import StillClock
from tests.harness.valkey import Valkey, shared

_NUMBERS: Final = count(1)


@dataclass(frozen=True)
class Opened:
    limiter: Limiter
    clock: StillClock
    """The time of the store, which nothing but the test moves."""


Opener = Callable[[], AbstractAsyncContextManager[Opened]]


def unheard(_: object) -> None:
    """Nobody wants to know."""


@asynccontextmanager
async def memory() -> AsyncGenerator[Opened]:
    clock = StillClock()
    yield Opened(LIMITERS["memory"](Store(type="memory"), clock, unheard), clock)


def prefix() -> str:
    """Nobody else's: so a store is empty, whatever else its server holds."""
    return f"test-{next(_NUMBERS)}"


@asynccontextmanager
async def over(
    server: Valkey, name: str, clock: StillClock, *, lease_seconds: float = LEASE_SECONDS
) -> AsyncGenerator[ValkeyLimiter]:
    """A limiter over a server, whose time is the test's; it waits for answers for as long as a test may take."""
    config = Store(type="valkey", url=Secret(server.local_url), prefix=name, timeout_seconds=10.0)
    limiter = ValkeyLimiter(
        config, SystemClock(), lease_seconds=lease_seconds, ticks=lambda: int(clock.monotonic() * TICKS)
    )
    try:
        await limiter.preset({})
        yield limiter
    finally:
        await limiter.aclose()


@asynccontextmanager
async def valkey() -> AsyncGenerator[Opened]:
    clock = StillClock()
    async with over(shared(), prefix(), clock) as limiter:
        yield Opened(Standby(limiter, clock, 0.1, unheard), clock)


OPENERS: Mapping[str, Opener] = {"memory": memory, "valkey": valkey}
"""By the name under which the store is registered; the suite asks for every registered one."""
