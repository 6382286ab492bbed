"""The way to a store that may be away: one connection, made anew by itself, and never waited for by a call.

It is the circuit breaker too. Only a call that is under way when the store stops to answer waits for its deadline; from
then on there is no connection, and without one every call is refused at once. Whether the store is back is found out
in the background, by connecting to it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from structlog.typing import FilteringBoundLogger

from scaigrid.clock import Clock
from scaigrid.stores.address import Place
from scaigrid.stores.ways import way_to
from scaigrid.stores.wire import Away, Refused, Wire

_RETRY_FIRST: Final = 0.05
_RETRY_MOST: Final = 1.0
_STEADY: Final = 5.0
"""A connection that lasted so many seconds was a good one: the next attempt to connect follows at once."""

_log: FilteringBoundLogger = structlog.get_logger(__name__)


class Link:
    """`wire` is the present connection, None while there is none; `reason` is then why.

    `greet` is awaited on each new connection before anybody else has it; what it raises (Away, Refused) ends it.
    `tag` is the hash tag of all keys that are used, by which a cluster finds their node.
    """

    def __init__(
        self,
        address: Place,
        timeout: float,
        clock: Clock,
        *,
        greet: Callable[[Wire], Awaitable[None]],
        tag: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.wire: Wire | None = None
        self.reason = "not connected yet"
        self._address = address
        self._clock = clock
        self._greet = greet
        self._sleep = sleep
        self._way = way_to(address, timeout, tag)
        self._here = asyncio.Event()
        self._tried = asyncio.Event()
        self._away_since: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to connect, in the running loop, and goes on until `aclose`. A second start does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name="store-link")

    async def tried(self) -> None:
        """Returns once the first attempt to connect has come to its end, good or bad."""
        self.start()
        await self._tried.wait()

    async def connected(self) -> None:
        """Returns once there is a connection."""
        self.start()
        await self._here.wait()

    async def aclose(self) -> None:
        """Ends the connection, for good."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.wire is not None:
            self.wire.close("the gateway is stopping")
            self.wire = None

    async def _keep(self) -> None:
        pause = _RETRY_FIRST
        while True:
            began = self._clock.monotonic()
            try:
                wire = await self._connect()
            except (Away, Refused) as error:
                self._is_away(str(error))
            except Exception as error:  # noqa: BLE001 - whatever answers there, or does not: it is asked again
                self._is_away(f"{type(error).__name__} while it was connected to")
            else:
                self._is_here(wire)
                await asyncio.wait((wire.ended,))
                self.wire = None
                self._here.clear()
                self._is_away(wire.ended.result())
            if self._clock.monotonic() - began >= _STEADY:
                pause = _RETRY_FIRST
            await self._sleep(pause)
            pause = min(2 * pause, _RETRY_MOST)

    async def _connect(self) -> Wire:
        wire = await self._way.connect()
        try:
            await self._greet(wire)
        except BaseException:
            wire.close("it was not to be used")
            raise
        return wire

    def _is_here(self, wire: Wire) -> None:
        self.wire = wire
        self._here.set()
        self._tried.set()
        if self._away_since is not None:
            away = self._clock.monotonic() - self._away_since
            self._away_since = None
            _log.info("store_found", store=str(self._address), server=wire.server, seconds=round(away, 3))

    def _is_away(self, reason: str) -> None:
        self.reason = reason
        self._tried.set()
        if self._away_since is None:
            self._away_since = self._clock.monotonic()
            _log.warning("store_lost", store=str(self._address), reason=reason)
