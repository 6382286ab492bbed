"""Keeps a streamed answer alive that is silent: a frame that says nothing, in the client's dialect, now and then.

A model may think for minutes, and what stands between it and its client (a proxy, a load balancer, the client itself)
gives up a connection on which nothing moves. One timer a call: it is left alone while the answer flows, and looks when
it fires how long nothing has been sent. Only then is there a task, for as long as it takes to send one frame.
"""

import asyncio
from typing import Final

import structlog

from scaigrid.asgi import Headers, Message, Send
from scaigrid.dropping import HEADER
from scaigrid.exchange import Exchange

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

STREAM_HEADERS: Final[Headers] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
"""What every streamed answer begins with."""


class KeepAlive:
    """One streamed call's, from its start to its end.

    Whatever else is sent to the client goes through `send`, so that the two never cut in on each other.
    """

    __slots__ = ("_due", "_exchange", "_loop", "_over", "_seconds", "_send", "_sending", "_silent", "_timer")

    def __init__(self, exchange: Exchange, send: Send, seconds: float) -> None:
        """`seconds` of silence are ended by a frame."""
        self._exchange = exchange
        self._send = send
        self._seconds = seconds
        loop = self._loop = asyncio.get_running_loop()
        self._due = loop.time() + seconds
        self._timer: asyncio.TimerHandle | None = loop.call_at(self._due, self._look)
        self._silent: asyncio.Task[None] | None = None
        """Sends a frame that says nothing."""
        self._sending = False
        """Something else is being sent."""
        self._over = False

    async def send(self, message: Message) -> None:
        """What the answer itself has to say."""
        self._sending = True
        try:
            if self._silent is not None:
                await asyncio.wait((self._silent,))
                if message["type"] == "http.response.start" and self._exchange.response_started:
                    # The frame that was waited for has sent the head.
                    return
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._end()
            await self._send(message)
        finally:
            self._sending = False
            self._due = self._loop.time() + self._seconds

    async def stop(self, seconds: float) -> None:
        """The call is over. Whatever is said now is said after the frame that is under way, if that takes no longer."""
        self._end()
        if (silent := self._silent) is not None:
            await asyncio.wait((silent,), timeout=seconds)
            silent.cancel()

    def _end(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        if self._sending:
            # A client who reads slowly has enough to read.
            self._due = now + self._seconds
        elif self._exchange.gone or self._over:
            return
        elif now >= self._due:
            self._silent = self._loop.create_task(self._say_nothing())
            return
        self._timer = self._loop.call_at(self._due, self._look)

    async def _say_nothing(self) -> None:
        exchange = self._exchange
        frame = exchange.dialect.keep_alive
        try:
            if not exchange.response_started:
                await self._send({"type": "http.response.start", "status": 200, "headers": _head(exchange)})
            await self._send({"type": "http.response.body", "body": frame, "more_body": True})
            # It is no event of the answer, and those are counted.
            exchange.frames_sent -= frame.count(b"\n\n")
        except Exception as error:  # noqa: BLE001 - the answer goes on, and whoever sends that is told what is wrong
            _log.warning("keep_alive_not_sent", request_id=exchange.request_id, reason=repr(error))
            return
        finally:
            self._silent = None
        if not self._over:
            self._due = self._loop.time() + self._seconds
            self._timer = self._loop.call_at(self._due, self._look)


def _head(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """What can be said ahead of the answer: not who will make it, nor how long that took."""
    asked = exchange.attempts[-1] if exchange.attempts else None
    model = exchange.model if asked is None else asked.model
    headers = [*STREAM_HEADERS, (b"x-scaigrid-attempts", b"%d" % len(exchange.attempts))]
    if model is not None:
        headers.append((b"x-scaigrid-model", model.slug.encode()))
    if asked is not None and asked.dropped:
        headers.append((HEADER, ",".join(sorted(asked.dropped)).encode()))
    return headers
