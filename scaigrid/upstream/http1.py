"""The upstream port over HTTP/1.1 (RFC 9112): asyncio's transports, llhttp as the parser, and a pool.

Small on purpose. It speaks to providers' APIs and to nothing else: no redirects, no cookies, no proxies from the
environment, no content codings. What it does better than a general client is what a gateway lives on: a call that is
cancelled closes its connection at once, a chunk is handed on when it comes, and a call costs a few microseconds.

An answer belongs to one call. A connection serves another one only where nothing is left on it: the answer came whole
and was read to its end, nothing followed it, and the request was sent. Everything else closes it.

A kept connection that the provider closes just when it is picked has failed nobody's call: where it ends at once and
without one byte of an answer, the call is made again on a new connection. That happens once.
"""

import asyncio
import socket
import ssl
from bisect import bisect_right
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, cast

import certifi

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream.http1_messages import Answer, Origin, address, head
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamUnreachable

IDLE_SECONDS: Final = 30.0
"""Unused connections are dropped well before the 60 s at which common load balancers drop them unannounced."""
STALE_SECONDS: Final = 1.0
"""A provider that closes later than this after a request had it, and may have worked on it."""
_CLOSING_SECONDS: Final = 1.0
_KEEPALIVE_SECONDS: Final = 60
"""A provider may think for minutes without a byte; routers forget connections that are silent for that long."""
_JOINED: Final = 64 * 1024


class Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    __slots__ = ("_answer", "_large", "_pool", "heard", "origin", "reusable", "since", "transport")

    def __init__(self, pool: "Http1Upstream", origin: Origin) -> None:
        self.origin = origin
        self.since = 0.0
        """When it was last put into the pool, or taken out of it."""
        self.reusable = True
        self.heard = False
        """A byte of the answer has come."""
        self._pool = pool
        self.transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._large = False

    # -- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports are no subclass.
        self.transport = cast("asyncio.Transport", transport)
        _keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None or answer.complete:
            # Nobody asked: whatever this is, the next call must not take it for its answer.
            self.abort()
        else:
            self.heard = True
            answer.feed(data)

    def eof_received(self) -> None:
        if self._answer is not None:
            self._answer.ended()
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.reusable = False
        if self._answer is not None:
            self._answer.broken(f"the connection was lost: {exc or 'closed'}")
        self._pool.lost(self)

    # -- what a call does

    def begin(self, said: bytes, body: bytes) -> Answer:
        """Sends a request; the connection is then this call's alone until it is released."""
        transport = self.transport
        self.heard = False
        if transport is None or transport.is_closing():
            raise UpstreamFailure("the provider closed the connection before it was asked")
        answer = self._answer = Answer(self)
        self._large = len(body) > _JOINED
        if self._large:
            transport.write(said)
            transport.write(body)
        else:
            transport.write(said + body)
        return answer

    def release(self) -> bool:
        """Ends the call: True where the connection may serve another one, otherwise it is closed."""
        answer, self._answer = self._answer, None
        if answer is None or not answer.leave() or (self._large and self._may_be_unread(answer.status)):
            self.reusable = False
        if not self.reusable:
            self.abort()
        return self.reusable

    def _may_be_unread(self, status: int) -> bool:
        """A large request may be answered before it is read, and not every server then finds its end."""
        return status >= 400 or (self.transport is not None and self.transport.get_write_buffer_size() > 0)

    def abort(self) -> None:
        self.reusable = False
        if self.transport is not None:
            self.transport.abort()

    def pause(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.transport is not None:
            self.transport.resume_reading()


class _Call:
    """One call as a context: whatever ends it early closes its connection."""

    __slots__ = ("_connection", "_pool", "_request", "_timeout")

    def __init__(self, pool: "Http1Upstream", request: UpstreamRequest, timeout: float) -> None:
        self._pool = pool
        self._request = request
        self._timeout = timeout
        self._connection: Connection | None = None

    async def __aenter__(self) -> Answer:
        request = self._request
        origin, addressed = address(request.url)
        said = head(request, addressed)
        connection = self._pool.idle(origin)
        if connection is not None:
            try:
                return await self._ask(connection, said)
            except UpstreamFailure:
                late = asyncio.get_running_loop().time() - connection.since > STALE_SECONDS
                if connection.heard or late:
                    raise
        return await self._ask(await self._pool.connect(origin, self._timeout), said)

    async def _ask(self, connection: Connection, said: bytes) -> Answer:
        try:
            answer = connection.begin(said, self._request.body)
            await answer.begun()
        except BaseException:
            connection.abort()
            connection.release()
            raise
        self._connection = connection
        return answer

    async def __aexit__(self, *_: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.release():
            self._pool.keep(connection)


class Http1Upstream:
    """The pool. Connections are reused last in, first out, so that those not needed grow old and are dropped."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls` says whom to trust; without it, whom the machine trusts."""
        self._tls = tls
        self.connections: set[Connection] = set()
        """Every connection there is, in use or not."""
        self._idle: dict[Origin, list[Connection]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self._empty: asyncio.Future[None] | None = None

    def send(self, request: UpstreamRequest, *, connect_timeout: float, stream: bool) -> _Call:
        return _Call(self, request, connect_timeout)

    async def aclose(self) -> None:
        """Closes every connection, and with it the calls that are under way; there can be no others."""
        self._closed = True
        self._idle.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        if self.connections:
            self._empty = self._empty or asyncio.get_running_loop().create_future()
            for connection in tuple(self.connections):
                connection.abort()
            # They say so in the next turns of the loop.
            await asyncio.wait((self._empty,), timeout=_CLOSING_SECONDS)

    async def connect(self, origin: Origin, seconds: float) -> Connection:
        """A new connection, TLS included, within `seconds`."""
        if self._closed:
            raise UpstreamUnreachable("the gateway is stopping")
        where = f"{origin.host}:{origin.port}"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                if origin.secure and self._tls is None:
                    # Reads files for some tens of milliseconds.
                    self._tls = await asyncio.to_thread(machine_trust)
                _, connection = await loop.create_connection(
                    lambda: Connection(self, origin),
                    origin.host,
                    origin.port,
                    ssl=self._tls if origin.secure else None,
                    server_hostname=origin.host if origin.secure else None,
                )
        except TimeoutError as error:
            raise UpstreamTimeout(f"no connection to {where} within {seconds:g} s") from error
        except OSError as error:
            raise UpstreamUnreachable(f"no connection to {where}: {error}") from error
        self.take(connection)
        return connection

    def take(self, connection: Connection) -> None:
        """Answers for a connection from now on, until it is lost."""
        # Not before: of one that is cancelled while it is handed over, uvloop does not tell that it is lost.
        if connection.transport is not None:
            self.connections.add(connection)
        if self._closed:
            connection.abort()

    def lost(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if self._empty is not None and not self.connections and not self._empty.done():
            self._empty.set_result(None)

    def idle(self, origin: Origin) -> Connection | None:
        """A connection that is still good, None where there is none."""
        connections = self._idle.get(origin)
        if connections:
            now = asyncio.get_running_loop().time()
            while connections:
                connection = connections.pop()
                if connection.reusable and now - connection.since < IDLE_SECONDS:
                    connection.since = now
                    return connection
                connection.abort()
        return None

    def keep(self, connection: Connection) -> None:
        """Takes a connection back whose call is over."""
        loop = asyncio.get_running_loop()
        connection.since = loop.time()
        connections = self._idle.get(connection.origin)
        if connections is None:
            connections = self._idle[connection.origin] = []
        connections.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_SECONDS, self._drop_old)

    def _drop_old(self) -> None:
        loop = asyncio.get_running_loop()
        # Those whose time comes within a second go with it, so that there are no more sweeps than seconds.
        newest = loop.time() - IDLE_SECONDS + 1
        for origin, connections in tuple(self._idle.items()):
            old = bisect_right(connections, newest, key=_since)
            for connection in connections[:old]:
                connection.abort()
            del connections[:old]
            if not connections:
                del self._idle[origin]
        self._sweep = None
        if self._idle:
            oldest = min(connections[0].since for connections in self._idle.values())
            self._sweep = loop.call_at(oldest + IDLE_SECONDS, self._drop_old)


def _keep_alive(wire: socket.socket) -> None:
    # A connection that is lost already refuses; what becomes of it is told elsewhere.
    with suppress(OSError):
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # Linux and macOS have different names for the first one.
        for option in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL"):
            if hasattr(socket, option):
                wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), _KEEPALIVE_SECONDS)


def _since(connection: Connection) -> float:
    return connection.since


@cache
def machine_trust() -> ssl.SSLContext:
    """Trusts what the machine trusts, and the public authorities where it knows none (slim containers)."""
    context = ssl.create_default_context()
    folder = ssl.get_default_verify_paths().capath
    if not context.cert_store_stats()["x509_ca"] and not (folder and any(Path(folder).iterdir())):
        context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
