"""Refuses what a worker has no room for: at once, before anything of it is read, so that the others are served well.

Also knows of every call that is under way, so that a worker that stops can end each of them with an answer.
"""

import asyncio
from typing import Final

from scaigrid.asgi import ASGIApp, Message, Receive, Scope, Send, header
from scaigrid.errors import Code, GatewayError
from scaigrid.middleware import Services, begin
from scaigrid.room import Room
from scaigrid.stopping import stopping

_DIGITS: Final = 5
"""Of the length of a body that is not worth counting: there can be no more of them than there are calls."""


class OverloadConfig(Room):
    """How much a worker takes on at once; more is refused at once, with OVERLOADED and `retry-after: 1`."""


class Overload:
    def __init__(self, app: ASGIApp, config: OverloadConfig, services: Services) -> None:
        self.app = app
        self._services = services
        self._live = services.live
        self._most = config.max_calls
        self._bytes = _Bytes(config.max_body_bytes_at_once, services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        _, send = begin(scope, send, self._services, "overload")
        live = self._live
        if live.closing:
            self._services.telemetry.shed.labels("stopping").inc()
            raise stopping()
        if len(live) >= self._most:
            self._services.telemetry.shed.labels("calls").inc()
            raise GatewayError(Code.OVERLOADED, retry_after=1)
        declared = header(scope, b"content-length")
        counted = None
        if declared is None or len(declared) > _DIGITS:
            receive = counted = _Counted(receive, self._bytes)
        task = live.begin()
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if not live.forgiven(task):
                raise
            raise stopping() from None
        finally:
            live.end(task)
            if counted is not None:
                self._bytes.held -= counted.size


class _Bytes:
    """What the bodies of a worker's calls come to."""

    __slots__ = ("_most", "_services", "held")

    def __init__(self, most: int, services: Services) -> None:
        self.held = 0
        self._most = most
        self._services = services

    def take(self, size: int, own: int) -> None:
        """So many more, of a call that has `own` with them. Raises OVERLOADED where others have the room."""
        self.held += size
        if self.held > self._most and self.held > own:
            self._services.telemetry.shed.labels("bytes").inc()
            raise GatewayError(Code.OVERLOADED, retry_after=1)


class _Counted:
    """A body, counted as it comes: what a client only announces takes no room."""

    __slots__ = ("_bytes", "_receive", "size")

    def __init__(self, receive: Receive, held: _Bytes) -> None:
        self._receive = receive
        self._bytes = held
        self.size = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))
        if size:
            self.size += size
            self._bytes.take(size, self.size)
        return message
