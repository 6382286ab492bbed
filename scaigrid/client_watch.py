"""Watches the client of a call that lasts: a server tells nobody that a client has left who does not ask."""

import asyncio
from typing import Final, Protocol, Self

from scaigrid.asgi import Receive
from scaigrid.errors import GatewayError

WATCH_AFTER: Final = 0.1
"""Seconds after which a call lasts. Most calls are over by then, and are spared a task."""


class Watched(Protocol):
    """A call, as far as its watch has to do with it."""

    def lasts(self) -> None:
        """It has gone on for so long that its client is watched from now on."""
        ...

    def left(self) -> None:
        """Its client has left."""
        ...


class Watching(Protocol):
    """Whoever looks whether the client is still there."""

    def stop(self) -> None:
        """Lets the client be; harmless when it is done twice."""
        ...


class ClientWatch:
    """Tells a call that its client leaves: only `receive` says so, a `send` after that succeeds in silence."""

    __slots__ = ("_call", "_handle", "_receive", "_task")

    def __init__(self, receive: Receive, call: Watched) -> None:
        self._receive = receive
        self._call = call
        self._handle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._handle = asyncio.get_running_loop().call_later(WATCH_AFTER, self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Lets the client be; harmless when it is done twice."""
        if self._handle is not None:
            self._handle.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._handle = None
        self._task = asyncio.get_running_loop().create_task(self._watch())
        self._call.lasts()

    async def _watch(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        except GatewayError:
            # He sends more of a body than is taken: nobody asks for that, and nobody listens to him any longer.
            return
        self._call.left()
