"""The client that calls providers, over real sockets, under the loop of the tests and under the gateway's own.

What every client does is in test_port.py, what it makes of bytes in test_http1_messages.py.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream import http1
from scaigrid.upstream.http1 import IDLE_SECONDS, Connection, Http1Upstream
from scaigrid.upstream.http1_messages import MOST_BUFFERED, Origin
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout, UpstreamUnreachable
from tests.harness.behaviours import Then, answer, gated, raw, reset, silence, stream
from tests.harness.eventually import becomes
from tests.harness.ports import LOOPBACK, refusing_port, silent_port
from tests.harness.provider import Behaviour, Conversation, Endpoint, Gate, Provider

MIB = 1024 * 1024
CONNECT = 5.0
SECRET = "sk-planted-0123456789"
OK = b"HTTP/1.1 200 OK\r\n"
BRACES = b"content-length: 2\r\n\r\n{}"
ASYNCIO = ("asyncio", {"use_uvloop": False})
UVLOOP = ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module", params=[ASYNCIO, UVLOOP], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Their transports differ in type and in temper."""
    return request.param


@pytest.fixture
def running() -> Iterator[Provider]:
    """A provider of its own for each test, which counts connections."""
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Endpoint:
    return running.at("/v1")


@pytest.fixture
async def upstream() -> AsyncIterator[Http1Upstream]:
    made = Http1Upstream()
    yield made
    await made.aclose()


def to(url: str, body: bytes = b"{}") -> UpstreamRequest:
    return UpstreamRequest("POST", f"{url}/chat?key={SECRET}", (("authorization", f"Bearer {SECRET}"),), body)


async def ask(upstream: Http1Upstream, url: str, body: bytes = b"{}", *, seconds: float = CONNECT) -> tuple[int, bytes]:
    """One plain call: status and body."""
    async with upstream.send(to(url, body), connect_timeout=seconds, stream=False) as response:
        return response.status, await response.read(64 * MIB)


def verbatim(*steps: bytes | Gate) -> Behaviour:
    """Bytes as they are; the connection is kept."""

    async def behave(conversation: Conversation) -> None:
        for step in steps:
            await (conversation.write(step) if isinstance(step, bytes) else step.passed())
        conversation.complete = True

    return behave


class Certified(NamedTuple):
    """A server's certificate for `localhost` and 127.0.0.1 by an authority of this run, and a client that knows it."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    authority: Path


class Peer:
    """A server's end of a connection, for what is below requests and answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        port: int = writer.get_extra_info("peername")[1]
        self.port = port

    async def request(self) -> bytes:
        """The body of the next request."""
        while not (line := await self.reader.readline()).lower().startswith(b"content-length:"):
            assert line, "the client has gone"
        length = int(line.partition(b":")[2])
        await self.reader.readuntil(b"\r\n\r\n")
        return await self.reader.readexactly(length)

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> bytes:
        """What the client still sent until it closed, in order or not."""
        pieces: list[bytes] = []
        with suppress(OSError):
            while piece := await self.reader.read(65536):
                pieces.append(piece)
        return b"".join(pieces)


@asynccontextmanager
async def serving(
    behave: Callable[[Peer], Awaitable[object]], *, host: str = LOOPBACK, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[int]:
    """A server in the loop of the test; its port. What a behaviour raises fails the test."""
    tasks: set[asyncio.Task[object]] = set()

    async def behaving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await behave(Peer(reader, writer))
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(behaving, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


# -- one connection, one call after the other ------------------------------------------------------------------------

FIRST: dict[str, tuple[Behaviour, bytes, int]] = {
    "a declared length": (answer(b"one"), b"one", 1),
    "a stream": (stream(b"one", b"two"), b"onetwo", 1),
    "a stream with trailers": (
        verbatim(OK + b"transfer-encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nx-sum: 1\r\n\r\n"),
        *(b"x", 1),
    ),
    "no body": (verbatim(b"HTTP/1.1 204 No Content\r\n\r\n"), b"", 1),
    "interim answers in one packet with it": (
        verbatim(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK + BRACES),
        *(b"{}", 1),
    ),
    "Connection: close": (verbatim(OK + b"connection: close\r\n" + BRACES), b"{}", 2),
    "HTTP/1.0": (verbatim(b"HTTP/1.0 200 OK\r\n" + BRACES), b"{}", 2),
    "a body until the end": (raw(OK + b"\r\nall"), b"all", 2),
    "another answer in the same packet": (
        verbatim(OK + BRACES + b"HTTP/1.1 500 Oops\r\ncontent-length: 3\r\n\r\nbad"),
        *(b"{}", 2),
    ),
    "the beginning of another one": (verbatim(OK + BRACES + b"HTTP/1.1 200 OK\r\nx: "), b"{}", 2),
}


@pytest.mark.parametrize(("first", "body", "connections"), FIRST.values(), ids=FIRST)
async def test_a_connection_serves_the_next_call_where_nothing_is_left_on_it(
    upstream: Http1Upstream, running: Provider, provider: Endpoint, first: Behaviour, body: bytes, connections: int
) -> None:
    provider.then(first, answer(b"next"))
    assert (await ask(upstream, provider.url))[1] == body
    assert await ask(upstream, provider.url) == (200, b"next")
    assert running.connected == connections


async def test_an_interim_answer_is_not_the_answer(upstream: Http1Upstream, provider: Endpoint) -> None:
    gate = Gate()
    provider.then(verbatim(b"HTTP/1.1 100 Continue\r\n\r\n", gate, OK + BRACES))
    task = asyncio.create_task(ask(upstream, provider.url))
    assert await becomes(gate.reached.is_set, "the interim answer was sent")
    gate.open()
    assert await task == (200, b"{}")


@pytest.mark.parametrize("unasked", [OK + BRACES, b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"x"])
async def test_what_comes_unasked_ends_an_idle_connection(
    upstream: Http1Upstream, running: Provider, provider: Endpoint, unasked: bytes
) -> None:
    gate = Gate()
    provider.then(verbatim(OK + BRACES, gate, unasked), answer(b"next"))
    assert await ask(upstream, provider.url) == (200, b"{}")
    assert len(running.connections) == 1
    gate.open()
    await becomes(lambda: not running.connections, "the client has closed the connection")
    assert await ask(upstream, provider.url) == (200, b"next")
    assert running.connected == 2


async def test_what_comes_after_an_answer_ends_the_connection_of_a_call_that_is_not_over(
    upstream: Http1Upstream, running: Provider, provider: Endpoint
) -> None:
    gate = Gate()
    provider.then(verbatim(OK + BRACES, gate, b"\r\n"))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=False) as response:
        assert await response.read(MIB) == b"{}"
        gate.open()
        await becomes(lambda: not running.connections, "the client has closed the connection")
        assert await response.chunk() == b""


async def test_an_answer_that_was_not_read_to_its_end_ends_the_connection(
    upstream: Http1Upstream, running: Provider, provider: Endpoint
) -> None:
    provider.then(answer(b"x" * 1000), answer(b"next"))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=False) as response:
        assert response.status == 200
    assert await ask(upstream, provider.url) == (200, b"next")
    assert running.connected == 2


async def test_an_answer_gives_nothing_of_the_call_after_it(upstream: Http1Upstream, provider: Endpoint) -> None:
    gate = Gate()
    provider.then(stream(b"one"), stream(b"two", gate, b"more"))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=True) as first:
        assert [await first.chunk(), await first.chunk()] == [b"one", b""]
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=True) as second:
        assert await second.chunk() == b"two"
        gate.open()
        assert await first.chunk() == b""
        assert [await second.chunk(), await second.chunk()] == [b"more", b""]


async def test_a_chunk_that_is_still_waited_for_ends_with_its_call(upstream: Http1Upstream, provider: Endpoint) -> None:
    provider.then(stream(b"one", Then.STALL), stream(b"two"))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=True) as first:
        assert await first.chunk() == b"one"
        task = asyncio.create_task(first.chunk())
        await asyncio.sleep(0)
    with pytest.raises(UpstreamFailure, match="the call is over"):
        await task
    assert await ask(upstream, provider.url) == (200, b"two")


# -- a connection that was closed while it was kept ------------------------------------------------------------------

BREAKS = pytest.mark.parametrize("breaks", [raw(b""), reset], ids=["closed", "reset"])


@BREAKS
async def test_a_kept_connection_that_ends_when_it_is_used_fails_no_call(
    upstream: Http1Upstream, running: Provider, provider: Endpoint, breaks: Behaviour
) -> None:
    provider.then(answer(b"one"), breaks, answer(b"two"))
    assert await ask(upstream, provider.url) == (200, b"one")
    assert await ask(upstream, provider.url, b"again") == (200, b"two")
    assert [one.body for one in provider.requests] == [b"{}", b"again", b"again"]
    assert running.connected == 2


@BREAKS
async def test_a_call_is_made_again_once(upstream: Http1Upstream, provider: Endpoint, breaks: Behaviour) -> None:
    provider.then(answer(b"one"), breaks, breaks, answer(b"never"))
    await ask(upstream, provider.url)
    with pytest.raises(UpstreamFailure):
        await ask(upstream, provider.url)
    assert (len(provider.requests), provider.unused) == (3, 1)


@BREAKS
async def test_a_new_connection_that_ends_is_a_failure(
    upstream: Http1Upstream, provider: Endpoint, breaks: Behaviour
) -> None:
    provider.then(breaks, answer(b"never"))
    with pytest.raises(UpstreamFailure):
        await ask(upstream, provider.url)
    assert (len(provider.requests), provider.unused) == (1, 1)


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", OK])
async def test_a_call_that_was_answered_at_all_is_not_made_again(
    upstream: Http1Upstream, provider: Endpoint, begun: bytes
) -> None:
    provider.then(answer(b"one"), raw(begun), answer(b"never"))
    await ask(upstream, provider.url)
    with pytest.raises(UpstreamFailure):
        await ask(upstream, provider.url)
    assert provider.unused == 1


async def test_a_call_that_the_provider_had_for_a_while_is_not_made_again(
    upstream: Http1Upstream, provider: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "STALE_SECONDS", -1.0)
    provider.then(answer(b"one"), raw(b""), answer(b"never"))
    await ask(upstream, provider.url)
    with pytest.raises(UpstreamFailure):
        await ask(upstream, provider.url)
    assert provider.unused == 1


@pytest.mark.parametrize("end", [Conversation.close, Conversation.reset], ids=["closed", "reset"])
async def test_a_connection_that_was_closed_while_it_was_kept_is_not_used(
    upstream: Http1Upstream,
    running: Provider,
    provider: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Conversation], None],
) -> None:
    """No second try is needed, so none is left to it."""
    monkeypatch.setattr(http1, "STALE_SECONDS", -1.0)
    gate = Gate()

    async def answers_and_closes(conversation: Conversation) -> None:
        await conversation.answer(200, [], b"one")
        await gate.passed()
        end(conversation)

    provider.then(answers_and_closes, answer(b"two"))
    await ask(upstream, provider.url)
    gate.open()
    await becomes(lambda: not upstream.connections, "the client knows that the connection is closed")
    assert await ask(upstream, provider.url) == (200, b"two")
    assert running.connected == 2


# -- large requests --------------------------------------------------------------------------------------------------

TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig"


@pytest.mark.parametrize(("early", "status"), [(TOO_LARGE, 413), (OK + BRACES, 200)])
async def test_an_answer_may_come_before_the_request_is_sent_and_ends_the_connection(
    upstream: Http1Upstream, early: bytes, status: int
) -> None:
    """What was not sent yet must not reach a server that may take it for the next request."""
    ends: list[bytes] = []

    async def behave(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(early)
        await ended.wait()
        ends.append(await peer.gone())

    ended = asyncio.Event()
    body = b"x" * (32 * MIB)
    async with serving(behave) as port:
        assert (await ask(upstream, f"http://{LOOPBACK}:{port}", body))[0] == status
        ended.set()
        await becomes(lambda: ends, "the server sees the connection closed")
    assert len(ends[0]) < len(body)


@pytest.mark.parametrize(("status", "connections"), [(200, 1), (429, 2)])
async def test_a_large_request_that_is_refused_ends_the_connection(
    upstream: Http1Upstream, running: Provider, provider: Endpoint, status: int, connections: int
) -> None:
    """It may have been refused unread, and on a server that forgets to read it the rest would be the next request."""
    provider.always(answer(b"{}", status=status))
    for _ in range(2):
        assert await ask(upstream, provider.url, b"x" * MIB) == (status, b"{}")
    assert running.connected == connections


async def test_a_small_request_that_is_refused_keeps_the_connection(
    upstream: Http1Upstream, running: Provider, provider: Endpoint
) -> None:
    provider.always(answer(b"{}", status=429))
    for _ in range(2):
        assert await ask(upstream, provider.url, b"x" * 1000) == (429, b"{}")
    assert running.connected == 1


async def test_an_early_answer_is_taken_though_the_server_closes_at_once(upstream: Http1Upstream) -> None:
    async def behave(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(TOO_LARGE)
        peer.writer.write_eof()
        await peer.gone()

    async with serving(behave) as port:
        assert await ask(upstream, f"http://{LOOPBACK}:{port}", b"x" * (8 * MIB)) == (413, b"big")


async def test_cancelling_ends_a_call_to_a_server_that_does_not_read(upstream: Http1Upstream) -> None:
    body = b"x" * (32 * MIB)
    read: list[bytes] = []

    async def behave(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        sending.set()
        await cancelled.wait()
        read.append(await peer.gone())

    sending, cancelled = asyncio.Event(), asyncio.Event()
    async with serving(behave) as port:
        task = asyncio.create_task(ask(upstream, f"http://{LOOPBACK}:{port}", body))
        await sending.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled.set()
        await becomes(lambda: read, "the server sees the connection closed")
    assert len(read[0]) < len(body)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_a_slow_reader_gets_everything_and_holds_little(secure: bool, certified: Certified) -> None:
    """The server is faster than the reader, so whatever is not read piles up somewhere: mostly not here."""
    size = 24 * MIB
    piece = bytes(range(256)) * 256

    async def behave(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(OK + b"content-length: %d\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            await peer.say(piece)
        await peer.gone()

    upstream = Http1Upstream(certified.client)
    async with serving(behave, tls=certified.server if secure else None) as port:
        url = f"{'https' if secure else 'http'}://{LOOPBACK}:{port}"
        longest = got = 0
        async with upstream.send(to(url), connect_timeout=CONNECT, stream=True) as response:
            while chunk := await response.chunk():
                assert chunk[:1] == piece[got % 256 : got % 256 + 1]
                longest, got = max(longest, len(chunk)), got + len(chunk)
                for _ in range(30):
                    await asyncio.sleep(0)
        assert got == size
        assert MOST_BUFFERED < longest <= 3 * MOST_BUFFERED
        await upstream.aclose()


# -- connecting ------------------------------------------------------------------------------------------------------


async def test_cancelling_while_connecting_ends_at_once(upstream: Http1Upstream) -> None:
    with silent_port() as port:
        task = asyncio.create_task(ask(upstream, f"http://{LOOPBACK}:{port}", seconds=3600))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_a_call_that_is_cancelled_at_any_moment_leaves_no_connection(secure: bool, certified: Certified) -> None:
    """Among the moments: between the connection's being made and its being handed over."""
    gone = 0
    met = 0

    async def behave(peer: Peer) -> None:
        nonlocal gone, met
        met += 1
        await peer.gone()
        gone += 1

    upstream = Http1Upstream(certified.client)
    async with serving(behave, tls=certified.server if secure else None) as port:
        url = f"{'https' if secure else 'http'}://{LOOPBACK}:{port}"
        for turns in range(40):
            task = asyncio.create_task(ask(upstream, url))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await becomes(lambda: not upstream.connections and met == gone, "every connection is closed")
    assert met
    await upstream.aclose()


async def test_a_request_that_cannot_be_said_makes_no_connection(
    upstream: Http1Upstream, running: Provider, provider: Endpoint
) -> None:
    for headers in ((("x-a", "b\r\nx-smuggled: 1"),), (("content-length", "0"),)):
        request = UpstreamRequest("POST", provider.url, headers, b"{}")
        with pytest.raises(UpstreamFailure):
            async with upstream.send(request, connect_timeout=CONNECT, stream=False):
                pass
    assert running.connected == 0


@pytest.mark.parametrize("banner", [b"220 mail.example.test ESMTP\r\n", OK + BRACES], ids=["SMTP", "HTTP"])
async def test_a_server_that_speaks_first_is_not_believed(upstream: Http1Upstream, banner: bytes) -> None:
    async def behave(peer: Peer) -> None:
        await peer.say(banner)
        await peer.gone()

    async with serving(behave) as port:
        origin = Origin(False, LOOPBACK, port)
        connection = await upstream.connect(origin, CONNECT)
        await becomes(lambda: not connection.reusable, "the banner has come")
        with pytest.raises(UpstreamFailure):
            connection.begin(b"POST / HTTP/1.1\r\n\r\n", b"")


async def test_a_connection_that_ends_is_nobody_s_before_the_loop_has_said_so(upstream: Http1Upstream) -> None:
    async with serving(Peer.gone) as port:
        connection = await upstream.connect(Origin(False, LOOPBACK, port), CONNECT)
        before = connection.reusable
        connection.eof_received()
        assert (before, connection.reusable) == (True, False)
        assert connection.transport is not None
        with pytest.raises(UpstreamFailure, match="before it was asked"):
            connection.begin(b"POST / HTTP/1.1\r\n\r\n", b"")


async def test_a_server_that_hangs_up_is_a_failure(upstream: Http1Upstream) -> None:
    calls: list[int] = []

    async def behave(peer: Peer) -> None:
        calls.append(peer.port)

    async with serving(behave) as port:
        with pytest.raises(UpstreamFailure):
            await ask(upstream, f"http://{LOOPBACK}:{port}")
    assert len(calls) == 1


def test_a_connection_is_lost_before_it_is_used() -> None:
    """The loop may tell so between making it and handing it over."""

    async def lose() -> None:
        with pytest.raises(UpstreamFailure):
            Connection(Http1Upstream(), Origin(False, LOOPBACK, 1)).begin(b"", b"")

    asyncio.run(lose())


@pytest.fixture(scope="session")
def ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")


async def test_an_ipv6_address_is_reached(upstream: Http1Upstream, ipv6: None) -> None:
    heads: list[bytes] = []

    async def behave(peer: Peer) -> None:
        heads.append(await peer.reader.readuntil(b"\r\n\r\n"))
        await peer.say(OK + BRACES)
        await peer.gone()

    async with serving(behave, host="::1") as port:
        assert await ask(upstream, f"http://[::1]:{port}") == (200, b"{}")
    assert b"\r\nhost: [::1]:%d\r\n" % port in heads[0]


async def test_a_name_is_asked_at_each_of_its_addresses(upstream: Http1Upstream, provider: Endpoint) -> None:
    """`localhost` is often ::1 first, where nobody listens."""
    provider.then(answer(b"{}"))
    assert await ask(upstream, provider.url.replace(LOOPBACK, "localhost")) == (200, b"{}")


async def test_a_silent_connection_is_kept_open_by_the_system(upstream: Http1Upstream) -> None:
    async def behave(peer: Peer) -> None:
        await peer.gone()

    async with serving(behave) as port:
        connection = await upstream.connect(Origin(False, LOOPBACK, port), CONNECT)
        assert connection.transport is not None
        wire: socket.socket = connection.transport.get_extra_info("socket")
        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    folder = tmp_path_factory.mktemp("authority")
    authority.issue_cert("localhost", LOOPBACK).private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    server.load_cert_chain(folder / "server.pem")
    written = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(written))
    return Certified(server, ssl.create_default_context(cafile=written), written)


@pytest.fixture
async def secured(certified: Certified) -> AsyncIterator[Http1Upstream]:
    made = Http1Upstream(certified.client)
    yield made
    await made.aclose()


async def echoes(peer: Peer) -> None:
    """Answers each request with its own body."""
    with suppress(AssertionError, asyncio.IncompleteReadError, OSError):
        while True:
            body = await peer.request()
            await peer.say(OK + b"content-length: %d\r\n\r\n" % len(body) + body)


@pytest.mark.parametrize("host", [LOOPBACK, "localhost"])
async def test_a_server_that_is_who_it_says_is_called_by_tls(
    secured: Http1Upstream, certified: Certified, host: str
) -> None:
    ports: list[int] = []

    async def behave(peer: Peer) -> None:
        ports.append(peer.port)
        await echoes(peer)

    async with serving(behave, tls=certified.server) as port:
        for body in (b"one", b"two", bytes(range(256)) * 40_000):
            assert await ask(secured, f"https://{host}:{port}", body) == (200, body)
    assert len(ports) == 1


async def test_the_machine_is_asked_whom_to_trust(certified: Certified, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certified.authority))
    http1.machine_trust.cache_clear()
    upstream = Http1Upstream()
    async with serving(echoes, tls=certified.server) as port:
        assert await ask(upstream, f"https://{LOOPBACK}:{port}", b"one") == (200, b"one")
    assert http1.machine_trust().cert_store_stats()["x509_ca"] == 1
    await upstream.aclose()
    http1.machine_trust.cache_clear()


def test_a_machine_that_knows_no_authority_is_given_the_public_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    http1.machine_trust.cache_clear()
    context = http1.machine_trust()
    http1.machine_trust.cache_clear()
    assert context.cert_store_stats()["x509_ca"] > 50
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


async def test_a_server_of_another_name_is_refused(secured: Http1Upstream, certified: Certified) -> None:
    """127.0.0.2 is this machine too, and the certificate does not name it."""
    bodies: list[bytes] = []

    async def behave(peer: Peer) -> None:
        bodies.append(await peer.gone())

    async with serving(behave, host="127.0.0.2", tls=certified.server) as port:
        with pytest.raises(UpstreamFailure, match=r"not valid for '127\.0\.0\.2'"):
            await ask(secured, f"https://127.0.0.2:{port}")
    assert b"".join(bodies) == b""


async def test_a_server_of_an_unknown_authority_is_refused(upstream: Http1Upstream, certified: Certified) -> None:
    async with serving(echoes, tls=certified.server) as port:
        with pytest.raises(UpstreamFailure, match="certificate verify failed"):
            await ask(upstream, f"https://{LOOPBACK}:{port}")


async def test_http_on_a_port_of_tls_is_a_failure(upstream: Http1Upstream, certified: Certified) -> None:
    async with serving(echoes, tls=certified.server) as port:
        with pytest.raises(UpstreamFailure):
            await ask(upstream, f"http://{LOOPBACK}:{port}")


async def no_tls(peer: Peer) -> None:
    """What a server of plain HTTP makes of a handshake."""
    await peer.reader.read(1)
    await peer.say(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


async def test_tls_on_a_port_of_http_is_a_failure(secured: Http1Upstream) -> None:
    async with serving(no_tls) as port:
        with pytest.raises(UpstreamFailure) as caught:
            await ask(secured, f"https://{LOOPBACK}:{port}")
    assert type(caught.value) is UpstreamUnreachable


async def test_a_handshake_that_does_not_end_is_no_connection_in_time(secured: Http1Upstream) -> None:
    async with serving(Peer.gone) as port:
        with pytest.raises(UpstreamTimeout, match=r"within 0\.05 s"):
            await ask(secured, f"https://{LOOPBACK}:{port}", seconds=0.05)


STAGES: dict[str, bytes | None] = {"handshake": None, "no head": b"", "half a head": OK, "body": OK + b"\r\n{"}


@pytest.mark.parametrize("said", STAGES.values(), ids=STAGES)
async def test_cancelling_closes_a_connection_of_tls_at_every_stage(
    secured: Http1Upstream, certified: Certified, said: bytes | None
) -> None:
    async def behave(peer: Peer) -> None:
        if said is None:
            assert (await peer.reader.read(1)) == b"\x16"
        else:
            await peer.request()
            await peer.say(said)
        reached.set()
        await peer.gone()
        gone.set()

    reached, gone = asyncio.Event(), asyncio.Event()
    async with serving(behave, tls=None if said is None else certified.server) as port:
        task = asyncio.create_task(ask(secured, f"https://{LOOPBACK}:{port}"))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await gone.wait()


@pytest.mark.parametrize("said", [b"", OK + BRACES[:-1], OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"])
async def test_a_provider_that_breaks_off_is_a_failure_over_tls(
    secured: Http1Upstream, certified: Certified, said: bytes
) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.say(said)

    async with serving(behave, tls=certified.server) as port:
        with pytest.raises(UpstreamFailure):
            await ask(secured, f"https://{LOOPBACK}:{port}")


async def test_a_body_without_a_length_ends_with_tls(secured: Http1Upstream, certified: Certified) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK + b"\r\nall")
        peer.writer.close()
        await peer.writer.wait_closed()

    async with serving(behave, tls=certified.server) as port:
        assert await ask(secured, f"https://{LOOPBACK}:{port}") == (200, b"all")


# -- the pool --------------------------------------------------------------------------------------------------------


async def test_the_connection_that_was_used_last_is_used_first(upstream: Http1Upstream) -> None:
    doors = {name: asyncio.Event() for name in (b"a", b"b", b"c")}
    arrived: list[bytes] = []

    async def behave(peer: Peer) -> None:
        with suppress(AssertionError):
            while True:
                name = await peer.request()
                arrived.append(name)
                await doors[name].wait()
                said = str(peer.port).encode()
                await peer.say(OK + b"content-length: %d\r\n\r\n" % len(said) + said)

    async with serving(behave) as port:
        url = f"http://{LOOPBACK}:{port}"
        tasks = {name: asyncio.create_task(ask(upstream, url, name)) for name in doors}
        await becomes(lambda: len(arrived) == 3, "three calls are under way")
        ports: dict[bytes, bytes] = {}
        for name in (b"b", b"a", b"c"):
            doors[name].set()
            ports[name] = (await tasks[name])[1]
        assert len(set(ports.values())) == 3
        assert [(await ask(upstream, url, b"a"))[1] for _ in range(2)] == [ports[b"c"]] * 2


async def test_origins_share_no_connection(upstream: Http1Upstream, running: Provider, provider: Endpoint) -> None:
    provider.always(answer(b"{}"))
    await ask(upstream, provider.url)
    await ask(upstream, provider.url.replace(LOOPBACK, "localhost"))
    assert running.connected == 2


class Ahead:
    """The clock of the loop, which a test puts forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        loop = asyncio.get_running_loop()
        runs = loop.time
        monkeypatch.setattr(loop, "time", lambda: runs() + self.seconds)


OWN_CLOCK = pytest.mark.parametrize("anyio_backend", [ASYNCIO], ids=["asyncio"])
"""uvloop's clock is out of reach."""


@OWN_CLOCK
async def test_an_unused_connection_is_closed_in_time(
    upstream: Http1Upstream, running: Provider, provider: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Ahead(monkeypatch)
    gates = [Gate(), Gate()]
    provider.then(*(gated(gate, answer(b"{}")) for gate in gates)).always(answer(b"{}"))
    tasks = [asyncio.create_task(ask(upstream, provider.url)) for _ in gates]
    for gate in gates:
        await becomes(gate.reached.is_set, "the call is under way")
    gates[0].open()
    await becomes(lambda: any(task.done() for task in tasks), "one connection is idle")
    clock.seconds = 20
    gates[1].open()
    await asyncio.gather(*tasks)
    assert len(running.connections) == 2
    clock.seconds = IDLE_SECONDS + 1
    await becomes(lambda: len(running.connections) < 2, "the older one is closed")
    assert len(running.connections) == 1
    clock.seconds = IDLE_SECONDS + 21
    await becomes(lambda: not running.connections, "the younger one is closed")
    assert await ask(upstream, provider.url) == (200, b"{}")


@OWN_CLOCK
async def test_how_long_a_connection_was_kept_does_not_matter_to_its_last_call(
    upstream: Http1Upstream, provider: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many servers close after 5 s; what counts is how soon they close after the request."""
    clock = Ahead(monkeypatch)
    provider.then(answer(b"one"), raw(b""), answer(b"two"))
    await ask(upstream, provider.url)
    clock.seconds = 5
    assert await ask(upstream, provider.url) == (200, b"two")


@OWN_CLOCK
async def test_a_connection_in_use_does_not_grow_old(
    upstream: Http1Upstream, running: Provider, provider: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Ahead(monkeypatch)
    provider.always(answer(b"{}"))
    for _ in range(5):
        await ask(upstream, provider.url)
        clock.seconds += IDLE_SECONDS * 0.9
        for _ in range(3):
            await asyncio.sleep(0)
    assert running.connected == 1


@OWN_CLOCK
async def test_a_connection_that_is_too_old_is_not_used_though_nobody_has_looked_yet(
    upstream: Http1Upstream, running: Provider, provider: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a machine was asleep."""
    clock = Ahead(monkeypatch)
    provider.always(answer(b"{}"))
    await ask(upstream, provider.url)
    clock.seconds = IDLE_SECONDS + 1
    await ask(upstream, provider.url)
    assert running.connected == 2


async def test_an_unused_connection_is_closed_by_itself(
    upstream: Http1Upstream, running: Provider, provider: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "IDLE_SECONDS", 0.01)
    provider.always(answer(b"{}"))
    await ask(upstream, provider.url)
    await becomes(lambda: not running.connections, "the connection is closed")


async def test_closing_ends_idle_connections_and_calls_under_way(running: Provider, provider: Endpoint) -> None:
    upstream = Http1Upstream()
    provider.then(silence, stream(b"one", Then.STALL), answer(b"{}"))
    waiting = asyncio.create_task(ask(upstream, provider.url))
    await provider.comes()
    reading = asyncio.create_task(ask(upstream, provider.url))
    await provider.comes()
    await ask(upstream, provider.url)
    assert len(running.connections) == 3
    await upstream.aclose()
    for task in (waiting, reading):
        with pytest.raises(UpstreamFailure):
            await task
    await becomes(lambda: not running.connections, "every connection is closed")
    await upstream.aclose()


async def test_a_closed_pool_calls_nobody(running: Provider, provider: Endpoint) -> None:
    upstream = Http1Upstream()
    await upstream.aclose()
    with pytest.raises(UpstreamFailure):
        await ask(upstream, provider.url)
    assert running.connected == 0


async def test_a_call_that_ends_after_the_pool_was_closed_leaves_nothing(running: Provider, provider: Endpoint) -> None:
    upstream = Http1Upstream()
    provider.always(answer(b"{}"))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=False) as response:
        assert await response.read(MIB) == b"{}"
        closing = asyncio.create_task(upstream.aclose())
        await asyncio.sleep(0)
    await closing
    await becomes(lambda: not running.connections, "the connection is closed")


async def test_a_connection_that_is_made_while_the_pool_closes_is_closed(upstream: Http1Upstream) -> None:
    said: list[bytes] = []

    async def behave(peer: Peer) -> None:
        said.append(await peer.gone())

    async with serving(behave) as port:
        task = asyncio.create_task(ask(upstream, f"http://{LOOPBACK}:{port}"))
        await asyncio.sleep(0)
        await upstream.aclose()
        with pytest.raises(UpstreamFailure):
            await task
        await becomes(lambda: said, "the server sees the connection closed")
    assert said == [b""]


# -- any sequence at all ---------------------------------------------------------------------------------------------


def _own(body: bytes) -> bytes:
    return b"x-mine: %s\r\ncontent-length: %d\r\n\r\n%s" % (body[:8], len(body), body)


def _chunks(body: bytes) -> bytes:
    middle = len(body) // 2
    pieces = b"".join(b"%x;e\r\n%s\r\n" % (len(piece), piece) for piece in (body[:middle], body[middle:]) if piece)
    return b"x-mine: %s\r\ntransfer-encoding: chunked\r\n\r\n%s0\r\nx-sum: 1\r\n\r\n" % (body[:8], pieces)


SOUND: dict[str, Callable[[bytes], bytes]] = {
    "length": lambda body: OK + _own(body),
    "chunks": lambda body: OK + _chunks(body),
    "interim": lambda body: b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 103 x\r\nx-mine: early\r\n\r\n" + OK + _chunks(body),
    "close": lambda body: OK + b"connection: close\r\n" + _own(body),
    "old": lambda body: b"HTTP/1.0 200 OK\r\n" + _own(body),
    "twice": lambda body: OK + _own(body) + OK + _own(b"another's!" * 2),
    "more": lambda body: OK + _chunks(body) + b"HTTP/1.1 200 OK\r\nx-mine: ",
}
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda body: b"",
    "garbage": lambda body: b"\x00" + body,
    "coding": lambda body: OK + b"content-encoding: gzip\r\n" + _own(body) + OK + _own(body),
    "two lengths": lambda body: OK + b"content-length: 1\r\n" + _own(body),
    "too short": lambda body: (OK + _own(body))[:-1],
    "no last chunk": lambda body: (OK + _chunks(body))[:-14],
    "no number": lambda body: (OK + _chunks(body)).replace(b";e\r\n", b"z;e\r\n"),
}


class Turn(NamedTuple):
    """What the provider does with one request."""

    form: str
    sizes: list[int]
    """How many bytes come at a time."""
    late: bytes
    """What comes when all is said: to nobody."""
    ends: str
    """`eof`, `reset`, or `` for a connection that is kept."""


class Deed(NamedTuple):
    """What the caller does with one answer."""

    kind: str
    patience: int
    """After how many turns of the loop it is cancelled."""


class NoSocket:
    def setsockopt(self, *_: object) -> None:
        """There is none."""


class Staged(asyncio.Transport):
    """A connection to a provider that plays its turns: what it says comes in later turns of the loop."""

    def __init__(self, stage: "Stage") -> None:
        super().__init__({"socket": NoSocket()})
        self.connection: Connection
        self._stage = stage
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        body = bytes(data).partition(b"\r\n\r\n")[2]
        turn = self._stage.turn()
        said, steps = {**SOUND, **BROKEN}[turn.form](body), list[bytes]()
        for size in turn.sizes:
            steps.append(said[:size])
            said = said[size:]
        self._play([step for step in [*steps, said, turn.late] if step], turn.ends)

    def _play(self, steps: list[bytes], ends: str) -> None:
        if self._closing:
            return
        if steps:
            self.connection.data_received(steps[0])
            self._stage.soon(lambda: self._play(steps[1:], ends))
        elif ends == "eof":
            self.connection.eof_received()
            self.abort()
        elif ends == "reset":
            self._closing = True
            self._stage.soon(lambda: self.connection.connection_lost(ConnectionResetError()))

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            self._stage.soon(lambda: self.connection.connection_lost(None))

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Stage(Http1Upstream):
    """The pool, with providers that are played."""

    def __init__(self, turns: list[Turn]) -> None:
        super().__init__()
        self._turns = iter(turns)
        self._coming = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.last: Turn | None = None

    def turn(self) -> Turn:
        self.last = next(self._turns, Turn("length", [], b"", ""))
        return self.last

    def soon(self, do: Callable[[], None]) -> None:
        def doing() -> None:
            do()
            self._coming -= 1
            if not self._coming:
                self._quiet.set()

        self._coming += 1
        self._quiet.clear()
        asyncio.get_running_loop().call_soon(doing)

    async def connect(self, origin: Origin, seconds: float) -> Connection:
        transport = Staged(self)
        transport.connection = Connection(self, origin)
        transport.connection.connection_made(transport)
        self.take(transport.connection)
        return transport.connection

    async def settle(self) -> None:
        """Returns when everything that the providers say has come."""
        await self._quiet.wait()


SIZES = st.lists(st.integers(1, 60), max_size=12)
LATE = st.sampled_from([b"", b"", b"", b"\r\n", b"x", OK + _own(b"another's!")])
TURNS = st.one_of(
    st.builds(Turn, st.sampled_from(sorted(SOUND)), SIZES, LATE, st.sampled_from(["", "", "eof", "reset"])),
    st.builds(Turn, st.sampled_from(sorted(BROKEN)), SIZES, st.just(b""), st.sampled_from(["eof", "reset"])),
)
DEEDS = st.builds(Deed, st.sampled_from(["read", "read", "drain", "peek", "leave", "cancel"]), st.integers(0, 12))


@given(st.lists(st.tuples(TURNS, DEEDS), min_size=2, max_size=12))
async def test_every_call_has_its_own_answer_or_a_failure(story: list[tuple[Turn, Deed]]) -> None:
    """Whatever came before it, however it was cut, and whatever became of it."""
    stage = Stage([turn for turn, _ in story])
    for number, (_, deed) in enumerate(story):
        body = b"<call %d>" % number * (1 + number % 3)

        async def call(body: bytes = body, deed: Deed = deed) -> tuple[bytes, str | None]:
            async with stage.send(to("http://x.test", body), connect_timeout=CONNECT, stream=True) as response:
                mine = response.headers.get("x-mine")
                match deed.kind:
                    case "read" | "cancel":
                        return await response.read(MIB), mine
                    case "drain":
                        pieces = [await response.chunk()]
                        while pieces[-1]:
                            pieces.append(await response.chunk())
                        return b"".join(pieces), mine
                    case "peek":
                        return await response.chunk(), mine
                    case _:
                        return b"", mine

        task = asyncio.create_task(call())
        for _ in range(deed.patience if deed.kind == "cancel" else 0):
            await asyncio.sleep(0)
        if deed.kind == "cancel":
            task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        turn = stage.last
        if isinstance(outcome, tuple):
            got, mine = outcome
            assert mine == body[:8].decode()
            assert body.startswith(got) if deed.kind in {"peek", "leave"} else got == body
        else:
            assert isinstance(outcome, UpstreamFailure | asyncio.CancelledError)
            assert deed.kind == "cancel" or (turn is not None and turn.form in BROKEN)
        await stage.settle()
    await stage.aclose()
    assert not stage.connections


# -- what is said of a failure ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [reset, raw(b""), raw(b"nonsense"), raw(OK + b"content-encoding: gzip\r\n\r\n"), raw(OK + BRACES[:-1])],
    ids=["reset", "closed", "no HTTP", "coding", "cut"],
)
async def test_a_failure_names_neither_key_nor_query(
    upstream: Http1Upstream, provider: Endpoint, behaviour: Behaviour
) -> None:
    provider.always(behaviour)
    with pytest.raises(UpstreamFailure) as caught:
        await ask(upstream, provider.url)
    assert SECRET not in everything(caught.value)


async def test_a_failure_to_connect_names_neither_key_nor_query(secured: Http1Upstream) -> None:
    async with serving(no_tls) as port:
        with refusing_port() as refusing:
            for url in (f"http://{LOOPBACK}:{refusing}", f"https://{LOOPBACK}:{port}"):
                with pytest.raises(UpstreamFailure) as caught:
                    await ask(secured, url)
                assert SECRET not in everything(caught.value)


def everything(error: BaseException | None) -> str:
    """All that a log could print of an error and of those behind it."""
    said = ""
    while error is not None:
        said += f"{error!r} {error} {vars(error)}"
        error = error.__cause__ or error.__context__
    return said
