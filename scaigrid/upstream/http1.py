"""The upstream port over HTTP/1.1 (RFC 9112): asyncio's transports, llhttp as the parser, and a pool.

Small on purpose. It speaks to providers' APIs and to nothing else: no redirects, no cookies, no proxies from the
environment, no content codings. What it does better than a general client is what a gateway lives on: a call that is
cancelled closes its connection at once, a chunk is handed on when it comes, and a call costs a few microseconds.

An answer belongs to one call. A connection serves another one only where nothing is left on it: the answer came whole
and was read to its end, nothing followed it, and the request was sent. Everything else closes it.

A kept connection that the provider closes just when it is picked has failed nobody's call: where it ends without one
byte of an answer, at once, the call is made again on a new connection. That happens once.
"""

import asyncio
import re
import socket
import ssl
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

import certifi
import httptools

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamTooLarge

IDLE_SECONDS: Final = 30.0
"""Unused connections are dropped well before the 60 s at which common load balancers drop them unannounced."""
MOST_BUFFERED: Final = 256 * 1024
"""Bytes of an answer that are kept for a slow reader; more, and the provider is no longer read from."""
MOST_HEAD: Final = 64 * 1024
"""Bytes of names and values in a head, and of anything else that comes without bringing a byte of the body."""
_JOINED: Final = 64 * 1024
_STALE_SECONDS: Final = 1.0
"""A provider that closes later than this after a request had it, and may have worked on it."""
_CLOSING_SECONDS: Final = 1.0
_KEEPALIVE_SECONDS: Final = 60
"""A provider may think for minutes without a byte; routers forget connections that are silent for that long."""

_CODINGS: Final = {b"content-encoding": b"identity", b"transfer-encoding": b"chunked"}
_LENGTHS: Final = frozenset((b"content-length", b"transfer-encoding"))
_OURS: Final = frozenset(
    [
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ]
)
"""What the client alone says: framing and the connection are its own."""
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST: Final = re.compile(r"[0-9a-z._~-]+|[0-9a-f:.]+")
_TARGET: Final = re.compile(r"[!-~]+")


class Origin(NamedTuple):
    """Who a connection leads to."""

    secure: bool
    host: str
    port: int


class Http1Response:
    """The answer to one call, as llhttp tells it, until it is read; it never holds a byte of another call's.

    One waiter at a time: for the head, for more of the body, or for its end.
    """

    __slots__ = (
        "_barren",
        "_buffered",
        "_connection",
        "_failure",
        "_fields",
        "_in_body",
        "_loop",
        "_parser",
        "_paused",
        "_pieces",
        "_waiter",
        "complete",
        "status",
    )

    def __init__(self, connection: "_Connection") -> None:
        self.status = 0
        self.complete = False
        """The answer has come to its end."""
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._barren = 0
        self._in_body = False
        self._paused = False
        self._failure: str | None = None
        self._waiter: asyncio.Future[None] | None = None

    # -- what a call asks

    @property
    def headers(self) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._fields:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip(" \t")
            # RFC 9110, section 5.2: several of one name are one list.
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    def leave(self) -> bool:
        """Ends the call. True where the answer is complete and was read to its end."""
        # The parser holds on to this object, and this object would be garbage only for the collector.
        self._parser = None
        return self.complete and not self._pieces

    async def head(self) -> None:
        """Returns when the head of the answer is there."""
        while not self._in_body:
            await self._more()

    async def chunk(self) -> bytes:
        while not self._pieces:
            if self.complete:
                return b""
            await self._more()
        return self._take()

    async def read(self, limit: int) -> bytes:
        # What says beforehand that it is too large is not read at all.
        if not self.complete and (declared := _declared(self._fields)) > limit:
            raise UpstreamTooLarge(f"the answer declares {declared} bytes")
        taken: list[bytes] = []
        size = 0
        while True:
            if self._pieces:
                size += self._buffered
                if size > limit:
                    raise UpstreamTooLarge(f"the answer passed {limit} bytes")
                taken.append(self._take())
            if self.complete:
                return taken[0] if len(taken) == 1 else b"".join(taken)
            await self._more()

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._buffered = 0
        if self._paused:
            self._paused = False
            self._connection.resume()
        return data

    def _more(self) -> asyncio.Future[None]:
        """Done when something has come. Raises what went wrong meanwhile."""
        if self._failure is not None:
            raise UpstreamFailure(self._failure)
        waiter = self._waiter = self._loop.create_future()
        return waiter

    # -- what the connection tells

    def feed(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            return
        self._barren += len(data)
        before = self._buffered
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.broken(f"the provider broke HTTP: {error}")
        if self._buffered != before:
            self._barren = 0
        elif self._barren > MOST_HEAD and not self.complete:
            self.broken("the provider sends no end of head, trailers or chunk sizes")
        self._wake()

    def ended(self) -> None:
        """The provider closed its side in order: so ends a body without a length (RFC 9112, section 6.3)."""
        if self._in_body and not any(name in _LENGTHS for name, _ in self._fields):
            self.complete = True
        self.broken("the provider closed the connection early")

    def broken(self, reason: str) -> None:
        """Nothing more is to be had from this connection. An answer that is complete stays so."""
        if not self.complete and self._failure is None:
            self._failure = reason
        self._connection.abort()
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and (self._in_body or self._failure is not None):
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    # -- what the parser tells

    def on_message_begin(self) -> None:
        if self.complete:
            self._connection.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the head it is a trailer, which must not pass for a header (RFC 9110, section 6.5.1).
        if not self._in_body:
            self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if parser is None or self._in_body or self._failure is not None:
            return
        status = parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                self.broken(f"the provider answered with status {status}")
            return
        if self._barren > MOST_HEAD and sum(len(name) + len(value) + 4 for name, value in self._fields) > MOST_HEAD:
            self.broken("the provider's answer has too large a head")
            return
        for name, value in self._fields:
            if name in _CODINGS and not self._plain(parser, name, value):
                self.broken("the provider encoded its answer, which it was not asked to do")
                return
        self.status = status
        self._in_body = True

    def _plain(self, parser: httptools.HttpResponseParser, name: bytes, value: bytes) -> bool:
        if name == b"transfer-encoding" and parser.get_http_version() != "1.1":
            # RFC 9112, section 6.1: something on the way may have seen another end of this body.
            self._connection.reusable = False
        return value.strip().lower() == _CODINGS[name]

    def on_body(self, body: bytes) -> None:
        if self.complete or not self._in_body:
            return
        self._pieces.append(body)
        self._buffered += len(body)
        if self._buffered > MOST_BUFFERED and not self._paused:
            self._paused = True
            self._connection.pause()

    def on_message_complete(self) -> None:
        parser = self._parser
        if parser is None or self.complete:
            return
        if not self._in_body:
            # 1xx (RFC 9110, section 15.2): the answer itself is still to come.
            self._fields.clear()
            return
        self.complete = True
        if not parser.should_keep_alive():
            self._connection.reusable = False


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    __slots__ = ("_exchange", "_large", "_pool", "_transport", "heard", "origin", "reusable", "since")

    def __init__(self, pool: "Http1Upstream", origin: Origin) -> None:
        self.origin = origin
        self.since = 0.0
        """When it was last put into the pool, or taken out of it."""
        self.reusable = True
        self.heard = False
        """A byte of the answer has come."""
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._exchange: Http1Response | None = None
        self._large = False

    # -- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports are no subclass.
        self._transport = cast("asyncio.Transport", transport)
        _keep_alive(transport.get_extra_info("socket"))
        self._pool.made(self)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None or exchange.complete:
            # Nobody asked: whatever this is, the next call must not take it for its answer.
            self.abort()
        else:
            self.heard = True
            exchange.feed(data)

    def eof_received(self) -> None:
        if self._exchange is not None:
            self._exchange.ended()
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.reusable = False
        if self._exchange is not None:
            self._exchange.broken(f"the connection was lost: {exc or 'closed'}")
        self._pool.lost(self)

    # -- what a call does

    def begin(self, head: bytes, body: bytes) -> Http1Response:
        """Sends a request; the connection is then this call's alone until it is released."""
        transport = self._transport
        self.heard = False
        if transport is None or transport.is_closing():
            raise UpstreamFailure("the provider closed the connection before it was asked")
        exchange = self._exchange = Http1Response(self)
        self._large = len(body) > _JOINED
        if self._large:
            transport.write(head)
            transport.write(body)
        else:
            transport.write(head + body)
        return exchange

    def release(self) -> bool:
        """Ends the call: True where the connection may serve another one, otherwise it is closed."""
        exchange, self._exchange = self._exchange, None
        if exchange is None or not exchange.leave() or (self._large and self._may_be_unread(exchange.status)):
            self.reusable = False
        if not self.reusable:
            self.abort()
        return self.reusable

    def _may_be_unread(self, status: int) -> bool:
        """A large request may be answered before it is read, and not every server then finds its end."""
        return status >= 400 or (self._transport is not None and self._transport.get_write_buffer_size() > 0)

    def abort(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()


class _Call:
    """One call as a context: whatever ends it early closes its connection."""

    __slots__ = ("_connection", "_pool", "_request", "_timeout")

    def __init__(self, pool: "Http1Upstream", request: UpstreamRequest, timeout: float) -> None:
        self._pool = pool
        self._request = request
        self._timeout = timeout
        self._connection: _Connection | None = None

    async def __aenter__(self) -> Http1Response:
        request = self._request
        origin, address = _split(request.url)
        head = _head(request, address)
        connection = self._pool.idle(origin)
        if connection is not None:
            try:
                return await self._ask(connection, head)
            except UpstreamFailure:
                late = asyncio.get_running_loop().time() - connection.since > _STALE_SECONDS
                if connection.heard or late:
                    raise
        return await self._ask(await self._pool.connect(origin, self._timeout), head)

    async def _ask(self, connection: _Connection, head: bytes) -> Http1Response:
        try:
            response = connection.begin(head, self._request.body)
            await response.head()
        except BaseException:
            connection.abort()
            connection.release()
            raise
        self._connection = connection
        return response

    async def __aexit__(self, *_: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.release():
            self._pool.keep(connection)


class Http1Upstream:
    """The pool. Connections are reused last in, first out, so that those not needed grow old and are dropped."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls` says whom to trust; without it, whom the machine trusts."""
        self._tls = tls
        self._open: set[_Connection] = set()
        self._idle: dict[Origin, list[_Connection]] = {}
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
        if self._open:
            self._empty = self._empty or asyncio.get_running_loop().create_future()
            for connection in tuple(self._open):
                connection.abort()
            # They say so in the next turns of the loop.
            await asyncio.wait((self._empty,), timeout=_CLOSING_SECONDS)

    async def connect(self, origin: Origin, timeout: float) -> _Connection:
        """A new connection, TLS included, within `timeout` seconds."""
        where = f"{origin.host}:{origin.port}"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                if origin.secure and self._tls is None:
                    # Reads files for some tens of milliseconds.
                    self._tls = await asyncio.to_thread(_trust)
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, origin),
                    origin.host,
                    origin.port,
                    ssl=self._tls if origin.secure else None,
                    server_hostname=origin.host if origin.secure else None,
                )
        except TimeoutError as error:
            raise UpstreamTimeout(f"no connection to {where} within {timeout:g} s") from error
        except (OSError, ValueError) as error:
            raise UpstreamFailure(f"no connection to {where}: {error}") from error
        if self._closed:
            connection.abort()
        return connection

    def made(self, connection: _Connection) -> None:
        self._open.add(connection)

    def lost(self, connection: _Connection) -> None:
        self._open.discard(connection)
        if self._empty is not None and not self._open and not self._empty.done():
            self._empty.set_result(None)

    def idle(self, origin: Origin) -> _Connection | None:
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

    def keep(self, connection: _Connection) -> None:
        """Takes a connection back whose call is over."""
        if self._closed:
            connection.abort()
            return
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


def _since(connection: _Connection) -> float:
    return connection.since


@cache
def _trust() -> ssl.SSLContext:
    """Trusts what the machine trusts, and the public authorities where it knows none (slim containers)."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and (paths.capath is None or not any(Path(paths.capath).iterdir())):
        context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


@lru_cache(maxsize=1024)
def _split(url: str) -> tuple[Origin, str]:
    """Origin of a URL, and what a head says between the method and the headers. Raises UpstreamFailure."""
    # No text here quotes the URL: it may hold what must not be in a log.
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:
        raise UpstreamFailure("the provider's address is no URL") from None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise UpstreamFailure("the provider's address is no HTTP URL")
    if "@" in parts.netloc:
        raise UpstreamFailure("the provider's address holds credentials, which belong into a header")
    # urlsplit drops line breaks and tabs in silence.
    if not _TARGET.fullmatch(target) or not url.isprintable():
        raise UpstreamFailure("the provider's address holds what a URL has to escape")
    secure = parts.scheme == "https"
    usual = 443 if secure else 80
    named = f"[{host}]" if ":" in host else host
    if port not in (None, usual):
        named += f":{port}"
    origin = Origin(secure, host, usual if port is None else port)
    return origin, f" {target} HTTP/1.1\r\nhost: {named}\r\nuser-agent: scaigrid\r\naccept-encoding: identity\r\n"


def _head(request: UpstreamRequest, address: str) -> bytes:
    head = f"{request.method}{address}content-length: {len(request.body)}\r\n"
    for name, value in request.headers:
        if not value.isprintable():
            raise UpstreamFailure("a header to the provider holds a line break or another control character")
        head += f"{_field(name)}{value}\r\n"
    try:
        return (head + "\r\n").encode("latin-1")
    except UnicodeEncodeError:
        # Holds the whole head, so what is raised must not hold on to it.
        reason = "a header to the provider holds a character that HTTP has no place for"
    raise UpstreamFailure(reason)


@lru_cache(maxsize=256)
def _field(name: str) -> str:
    """The name of a header as a head begins with it. Raises UpstreamFailure for one that is not the caller's to send."""
    if not _TOKEN.fullmatch(name):
        raise UpstreamFailure("a header to the provider has a name that HTTP has no place for")
    if name.lower() in _OURS:
        raise UpstreamFailure(f"the header {name} to the provider is not the configuration's to send")
    return f"{name}: "


def _declared(headers: list[tuple[bytes, bytes]]) -> int:
    """The length that a head declares, 0 where it does not."""
    for name, value in headers:
        if name == b"content-length":
            # The parser lets 64 bits of digits through, but any number of zeros ahead of them, and spaces behind.
            return int(value.strip()[-20:])
    return 0
