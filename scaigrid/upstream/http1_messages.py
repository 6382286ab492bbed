"""The messages of HTTP/1.1 (RFC 9112) as a provider reads and writes them: the head of a request, and an answer."""

import asyncio
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple, Protocol
from urllib.parse import SplitResult, urlsplit

import httptools

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream.port import UpstreamFailure, UpstreamTooLarge, UpstreamUnreachable

MOST_BUFFERED: Final = 256 * 1024
"""Bytes of an answer that are kept for a slow reader; more, and the provider is no longer read from."""
MOST_HEAD: Final = 64 * 1024
"""Bytes of a head, and of anything else that comes without bringing a byte of the body."""

_CODINGS: Final = {b"content-encoding": b"identity", b"transfer-encoding": b"chunked"}
_LENGTHS: Final = frozenset((b"content-length", b"transfer-encoding"))
_CLIENT_S_OWN: Final = frozenset(
    (
        *("host", "user-agent", "accept-encoding"),
        *("content-length", "transfer-encoding", "te", "trailer", "expect"),
        *("connection", "keep-alive", "proxy-connection", "upgrade"),
    )
)
"""Headers about the message and the connection, of which there must be one or none."""
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST: Final = re.compile(r"[0-9a-z._~-]+|[0-9a-f:.]+")
_TARGET: Final = re.compile(r"[!-~]+")


class Origin(NamedTuple):
    """Who a connection leads to."""

    secure: bool
    host: str
    port: int


# -- requests --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def address(url: str) -> tuple[Origin, str]:
    """Origin of a URL, and what a head says between method and headers.

    Raises UpstreamUnreachable without naming it.
    """
    taken_apart = _parts(url)
    if taken_apart is None:
        raise UpstreamUnreachable("the provider's address is no URL")
    parts, host, port = taken_apart
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise UpstreamUnreachable("the provider's address is no HTTP URL")
    if "@" in parts.netloc:
        raise UpstreamUnreachable("the provider's address holds credentials, which belong in a header")
    # urlsplit drops line breaks and tabs in silence.
    if not _TARGET.fullmatch(target) or not url.isprintable():
        raise UpstreamUnreachable("the provider's address holds what a URL has to escape")
    secure = parts.scheme == "https"
    usual = 443 if secure else 80
    origin = Origin(secure, host, usual if port is None else port)
    name = f"[{host}]" if ":" in host else host
    if origin.port != usual:
        name += f":{port}"
    return origin, f" {target} HTTP/1.1\r\nhost: {name}\r\nuser-agent: scaigrid\r\naccept-encoding: identity\r\n"


def _parts(url: str) -> tuple[SplitResult, str, int | None] | None:
    try:
        parts = urlsplit(url)
        return parts, (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:
        # It quotes the URL, and whatever were raised from here would hold on to it.
        return None


def head(request: UpstreamRequest, addressed: str) -> bytes:
    """What goes ahead of the body. Raises UpstreamFailure for a header that would say more than itself."""
    text = f"{request.method}{addressed}content-length: {len(request.body)}\r\n"
    for name, value in request.headers:
        if not value.isprintable():
            raise UpstreamFailure("a header to the provider holds a line break or another control character")
        text += f"{_field(name)}{value}\r\n"
    try:
        return (text + "\r\n").encode("latin-1")
    except UnicodeEncodeError:
        # That error holds the whole head, credentials included: what is raised must not hold on to it.
        reason = "a header to the provider holds a character that HTTP has no place for"
    raise UpstreamFailure(reason)


@lru_cache(maxsize=256)
def _field(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise UpstreamFailure("a header to the provider has a name that HTTP has no place for")
    if name.lower() in _CLIENT_S_OWN:
        raise UpstreamFailure(f"the header {name} to the provider is for the client alone to send")
    return f"{name}: "


# -- answers ---------------------------------------------------------------------------------------------------------


class Wire(Protocol):
    """What an answer comes over."""

    reusable: bool

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def abort(self) -> None: ...


class Answer:
    """The answer to one call: llhttp and the connection write it, the call reads it, and no other call's byte is in it.

    One waiter at a time: for the head, for more of the body, or for its end.
    """

    __slots__ = (
        "_barren",
        "_buffered",
        "_failure",
        "_fields",
        "_in_body",
        "_loop",
        "_parser",
        "_paused",
        "_pieces",
        "_waiter",
        "_wire",
        "complete",
        "status",
    )

    def __init__(self, wire: Wire) -> None:
        self.status = 0
        self.complete = False
        """It has come to its end."""
        self._wire = wire
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

    # -- what the call asks

    @property
    def headers(self) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._fields:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip(" \t")
            # RFC 9110, section 5.2: several of one name are one list.
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    async def begun(self) -> None:
        """Returns when the head is there."""
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

    def leave(self) -> bool:
        """Ends the call. True where the answer is complete and was read to its end."""
        # Each holds on to the other: together they would be garbage that only the collector finds.
        self._parser = None
        self._paused = False
        if self.complete:
            return not self._pieces
        self._failure = self._failure or "the call is over"
        self._wake()
        return False

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._buffered = 0
        if self._paused:
            self._paused = False
            self._wire.resume()
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
            self.broken("the provider sends no end of a head, of trailers or of the size of a chunk")
        self._wake()

    def ended(self) -> None:
        """The provider closed its side in order: so ends a body without a length (RFC 9112, section 6.3)."""
        if self._in_body and self._failure is None and not any(name in _LENGTHS for name, _ in self._fields):
            self.complete = True
        self.broken("the provider closed the connection early")

    def broken(self, reason: str) -> None:
        """Nothing more is to be had from this connection. An answer that is complete stays so."""
        if not self.complete and self._failure is None:
            self._failure = reason
        self._wire.abort()
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
            # Another answer in the same packet, or what looks like one.
            self._wire.reusable = False

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
            if name in _CODINGS and not self._is_plain(parser, name, value):
                self.broken("the provider encoded its answer, which it was not asked to do")
                return
        self.status = status
        self._in_body = True

    def _is_plain(self, parser: httptools.HttpResponseParser, name: bytes, value: bytes) -> bool:
        if name == b"transfer-encoding" and parser.get_http_version() != "1.1":
            # RFC 9112, section 6.1: something on the way may have seen another end of this body.
            self._wire.reusable = False
        return value.strip().lower() == _CODINGS[name]

    def on_body(self, body: bytes) -> None:
        if self.complete:
            return
        self._pieces.append(body)
        self._buffered += len(body)
        if self._buffered > MOST_BUFFERED and not self._paused:
            self._paused = True
            self._wire.pause()

    def on_message_complete(self) -> None:
        parser = self._parser
        if parser is None:
            return
        if not self._in_body:
            # 1xx (RFC 9110, section 15.2): the answer itself is still to come.
            self._fields.clear()
            return
        self.complete = True
        if not parser.should_keep_alive():
            self._wire.reusable = False


def _declared(fields: list[tuple[bytes, bytes]]) -> int:
    """The length that a head declares, 0 where it does not."""
    for name, value in fields:
        if name == b"content-length":
            # The parser lets 64 bits of digits through, but any number of zeros ahead of them, and spaces behind.
            return int(value.strip()[-20:])
    return 0
