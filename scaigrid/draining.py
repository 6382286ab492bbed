"""Answers that are read on although their client has left: bounded in time, in bytes and in number.

The provider bills an answer to its end, or nearly, whoever still listens. Its own usage, in the last frames, is the
only true word on that; until it is known the call keeps what was reserved for it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from scaigrid.config.schema import Forwarder
from scaigrid.errors import Code, GatewayError
from scaigrid.patience import Patience, Why
from scaigrid.telemetry import Telemetry

_CLOSING_SECONDS: Final = 5.0
"""More than a call needs to write its row and to settle once it has been cut off."""


class Drain:
    """One answer that is read on by the call's own task, which goes on because nobody cancels it."""

    __slots__ = ("_close", "_left", "_patience", "task")

    def __init__(self, patience: Patience, most: int, close: Callable[["Drain"], None]) -> None:
        self._patience = patience
        self._left = most
        self._close = close
        self.task = patience.task

    def take(self, size: int) -> None:
        """So many bytes were read. Raises CLIENT_CLOSED where that is enough."""
        self._left -= size
        if self._left < 0:
            raise GatewayError(Code.CLIENT_CLOSED)

    def cut(self) -> None:
        """The time is up, now."""
        self._patience.trip(Why.CLIENT_CLOSED)

    def end(self) -> None:
        """Makes room for another one."""
        self._close(self)


class Drains:
    """All of a worker."""

    def __init__(self, config: Forwarder, telemetry: Telemetry) -> None:
        self._config = config
        self._open: set[Drain] = set()
        self._closed = False
        telemetry.on_scrape(
            "scaigrid_draining_calls",
            "Answers that are read on after their client has left.",
            (),
            lambda: [((), len(self._open))],
        )

    def begin(self, patience: Patience) -> Drain | None:
        """None where there is no room for another one. The waits of `patience` are cut down to the bound."""
        if self._closed or len(self._open) >= self._config.drain_at_once:
            return None
        patience.hasten(self._config.drain_seconds)
        drain = Drain(patience, self._config.drain_bytes, self._open.discard)
        self._open.add(drain)
        return drain

    async def aclose(self) -> None:
        """The worker is stopping: cuts off what is open, and waits until each has its row and its lease is settled."""
        self._closed = True
        tasks = [drain.task for drain in self._open]
        for drain in tuple(self._open):
            drain.cut()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSING_SECONDS)
