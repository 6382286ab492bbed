"""The upstream port over HTTP/1.1 (RFC 9112): asyncio's transports, llhttp as the parser, and a pool.

Small on purpose. It speaks to providers' APIs and to nothing else: no redirects, no cookies, no proxies from the
environment, no content codings. What it does better than a general client is what a gateway lives on: a call that is
cancelled closes its connection at once, a chunk is handed on when it comes, and a call costs a few microseconds.
"""

import asyncio
import select
import ssl
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import certifi
import httptools

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamTooLarge

IDLE_SECONDS: Final = 30.0
"""Unused connections are dropped well before the 60 s at which common load balancers drop them unannounced."""
_MOST_BUFFERED: Final = 256 * 1024
"""Bytes of an answer that are kept for a slow reader; more, and the provider is no longer read from."""
_MOST_HEAD: Final = 64 * 1024
_JOINED: Final = 64 * 1024


class Origin(NamedTuple):
    """Who a connection leads to."""

    secure: bool
    host: str
    port: int


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time. Whoever waits does so for the head, for more of the body, or for its end."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.reusable = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._head_size = 0
        self._in_body = False
        self._complete = False
        self._paused = False
        self._failure: UpstreamFailure | None = None
        self._arrivals = select.poll()

    # -- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # a stream transport, by uvloop or by asyncio
        self._arrivals.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None or self._complete:
            # Nobody asked: whatever this is, the next call must not take it for its answer.
            self.abort()
            return
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"the provider broke HTTP: {error}")
        self._wake()

    def eof_received(self) -> bool:
        self._ended("the provider closed the connection early", cleanly=True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(f"the connection was lost: {exc or 'closed by the provider'}", cleanly=exc is None)
        self._transport = None

    def _ended(self, reason: str, *, cleanly: bool) -> None:
        if self._parser is not None and not self._complete:
            if cleanly and self._in_body and self._until_close():
                self._complete = True
            else:
                self._fail(reason)
        self.reusable = False
        self._wake()

    # -- what the parser tells

    def on_message_begin(self) -> None:
        if self._complete:
            # It must neither change the first one nor wait for the next call. The parser stops, and reports it.
            raise ValueError("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        if self._head_size > _MOST_HEAD:
            self._fail("the provider's answer has too large a head")
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status >= 200:
            self.status = status
            self._in_body = True

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._buffered += len(body)
        if self._buffered > _MOST_BUFFERED and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if not self._in_body:
            # 1xx (RFC 9110, section 15.2): the answer itself is still to come.
            self.headers.clear()
            return
        self._complete = True
        self.reusable = self._parser.should_keep_alive() and not self._until_close()

    def _until_close(self) -> bool:
        """The body has no length of its own and ends with the connection (RFC 9112, section 6.3)."""
        names = {name for name, _ in self.headers}
        return not names & {b"content-length", b"transfer-encoding"} and self.status not in (204, 304)

    # -- what a call does

    @property
    def alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and self._failure is None

    @property
    def quiet(self) -> bool:
        """Nothing has come that the loop has not seen yet. On an idle connection that would be the provider's goodbye."""
        return not self._arrivals.poll(0)

    def begin(self, head: bytes, body: bytes) -> None:
        """Sends a request; the connection is then this call's alone until it is released."""
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self.headers = []
        self._pieces = []
        self._buffered = self._head_size = self.status = 0
        self._in_body = self._complete = self.reusable = False
        if len(body) <= _JOINED:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    async def head(self) -> None:
        """Returns when the head of the answer is there."""
        while not self._in_body:
            await self._more()

    async def chunk(self) -> bytes:
        """All of the body that has come and was not read yet; empty at the end."""
        while not self._pieces:
            if self._complete:
                return b""
            await self._more()
        return self._take()

    async def whole(self, limit: int) -> bytes:
        """The rest of the body. What says beforehand that it is too large is not read at all."""
        for name, value in self.headers:
            if name == b"content-length" and value.isdigit() and int(value) > limit:
                raise UpstreamTooLarge(f"the answer declares {int(value)} bytes")
        taken: list[bytes] = []
        size = 0
        while not self._complete:
            if self._pieces:
                size += self._buffered
                taken.append(self._take())
                if size > limit:
                    raise UpstreamTooLarge(f"the answer passed {limit} bytes")
            await self._more()
        size += self._buffered
        if size > limit:
            raise UpstreamTooLarge(f"the answer passed {limit} bytes")
        taken.append(self._take())
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def release(self) -> bool:
        """Ends the call: True where the connection may serve another one, otherwise it is closed."""
        self._parser = None
        if self._complete and self.reusable and self.alive and not self._pieces:
            return True
        self.abort()
        return False

    def abort(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._buffered = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done() and (self._in_body or self._failure is not None):
            waiter.set_result(None)

    def _fail(self, reason: str) -> None:
        if self._failure is None:
            self._failure = UpstreamFailure(reason)
        self.abort()


class Http1Response:
    """The answer to one call."""

    __slots__ = ("_connection",)

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    @property
    def status(self) -> int:
        return self._connection.status

    @property
    def headers(self) -> Mapping[str, str]:
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self._connection.headers}

    async def read(self, limit: int) -> bytes:
        return await self._connection.whole(limit)

    async def chunk(self) -> bytes:
        return await self._connection.chunk()


class _Call:
    """One call as a context: whatever ends it early closes its connection."""

    __slots__ = ("_connection", "_pool", "_request", "_timeout")

    def __init__(self, pool: "Http1Upstream", request: UpstreamRequest, timeout: float) -> None:
        self._pool = pool
        self._request = request
        self._timeout = timeout
        self._connection: _Connection | None = None

    async def __aenter__(self) -> Http1Response:
        origin, target, host = _split(self._request.url)
        head = _head(self._request, target, host)
        connection = self._pool.idle(origin) or await _connect(origin, self._timeout)
        try:
            connection.begin(head, self._request.body)
            await connection.head()
            if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in connection.headers):
                raise UpstreamFailure("the provider encoded its answer, which it was not asked to do")
        except BaseException:
            connection.abort()
            raise
        self._connection = connection
        return Http1Response(connection)

    async def __aexit__(self, *_: object) -> None:
        connection = self._connection
        if connection is not None and connection.release():
            self._pool.keep(connection)


class Http1Upstream:
    """The pool. Connections are reused last in, first out, so that those not needed grow old and are dropped."""

    def __init__(self) -> None:
        self._idle: dict[Origin, list[_Connection]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def send(self, request: UpstreamRequest, *, connect_timeout: float, stream: bool) -> _Call:
        return _Call(self, request, connect_timeout)

    async def aclose(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def idle(self, origin: Origin) -> _Connection | None:
        """A connection that is still good, None where there is none."""
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()
            if connection.alive and connection.quiet:
                return connection
            connection.abort()
        return None

    def keep(self, connection: _Connection) -> None:
        """Takes a connection back whose call is over."""
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(connection.origin, []).append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_SECONDS, self._drop_old)

    def _drop_old(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - IDLE_SECONDS
        self._sweep = None
        for origin, connections in list(self._idle.items()):
            kept = [connection for connection in connections if connection.alive and connection.idle_since > oldest]
            for connection in connections:
                if connection not in kept:
                    connection.abort()
            if kept:
                self._idle[origin] = kept
            else:
                del self._idle[origin]
        if self._idle:
            self._sweep = loop.call_later(IDLE_SECONDS, self._drop_old)


async def _connect(origin: Origin, timeout: float) -> _Connection:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            _, connection = await loop.create_connection(
                lambda: _Connection(origin),
                origin.host,
                origin.port,
                ssl=_tls() if origin.secure else None,
                server_hostname=origin.host if origin.secure else None,
            )
    except TimeoutError as error:
        raise UpstreamTimeout(f"no connection to {origin.host}:{origin.port} within {timeout:g} s") from error
    except (OSError, ssl.SSLError, UnicodeError) as error:
        raise UpstreamFailure(f"no connection to {origin.host}:{origin.port}: {error}") from error
    return connection


@cache
def _tls() -> ssl.SSLContext:
    """Trusts what the machine trusts, and the public authorities where it knows none (slim containers)."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


@lru_cache(maxsize=1024)
def _split(url: str) -> tuple[Origin, str, str]:
    """Origin, request target and Host of a URL. Raises UpstreamFailure where it has no host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UpstreamFailure(f"not a URL: {error}") from error
    if not host or parts.scheme not in ("http", "https"):
        raise UpstreamFailure("not an HTTP URL")
    secure = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(secure, host, port or (443 if secure else 80)), target, parts.netloc.rpartition("@")[2]


def _head(request: UpstreamRequest, target: str, host: str) -> bytes:
    lines = [f"{request.method} {target} HTTP/1.1\r\nhost: {host}\r\nuser-agent: scaigrid\r\naccept-encoding: identity\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in request.headers]
    lines.append(f"content-length: {len(request.body)}\r\n\r\n")
    head = "".join(lines)
    if head.count("\n") != len(request.headers) + 6 or head.count("\r") != len(request.headers) + 6:
        raise UpstreamFailure("a header to the provider holds a line break")
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError as error:
        raise UpstreamFailure("a header to the provider holds a character that HTTP has no place for") from error
