"""What is this client's own. What it does as a way to providers is in test_port.py, beside the reference."""

import asyncio
import inspect
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import httptools
import pytest

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream import http1
from scaigrid.upstream.http1 import IDLE_SECONDS, Http1Upstream
from scaigrid.upstream.port import UpstreamFailure, UpstreamTimeout
from tests.harness.behaviours import answer, raw, stream
from tests.harness.eventually import becomes
from tests.harness.provider import Endpoint, Gate, Provider

ERRORS = [found for _, found in inspect.getmembers(httptools, inspect.isclass) if issubclass(found, Exception)]
OS_ERRORS = [OSError, ConnectionRefusedError, ConnectionResetError, ssl.SSLError, ssl.SSLCertVerificationError]


@pytest.fixture
def running() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Endpoint:
    return running.at("/v1")


def to(url: str, *headers: tuple[str, str], body: bytes = b"{}") -> UpstreamRequest:
    return UpstreamRequest("POST", url, headers, body)


async def ask(upstream: Http1Upstream, request: UpstreamRequest) -> tuple[int, bytes]:
    async with upstream.send(request, connect_timeout=5, stream=False) as response:
        return response.status, await response.read(2**20)


def test_there_are_errors_to_map() -> None:
    assert {httptools.HttpParserError, httptools.HttpParserUpgrade} <= set(ERRORS)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
async def test_every_error_of_the_parser_is_a_failure_of_the_port(
    kind: type[Exception], provider: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __init__(self, _: object) -> None: ...

        def feed_data(self, _: bytes) -> None:
            raise kind("why")

    monkeypatch.setattr(httptools, "HttpResponseParser", Broken)
    provider.always(answer(b"{}"))
    upstream = Http1Upstream()
    with pytest.raises(UpstreamFailure, match="why"):
        await ask(upstream, to(provider.url))
    await upstream.aclose()


@pytest.mark.parametrize("kind", OS_ERRORS, ids=lambda kind: kind.__name__)
async def test_every_way_not_to_connect_is_a_failure_of_the_port(
    kind: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise kind(1, "why")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", refuse)
    with pytest.raises(UpstreamFailure, match=r"no connection to 127\.0\.0\.1:1") as caught:
        await ask(Http1Upstream(), to("http://127.0.0.1:1/"))
    assert not isinstance(caught.value, UpstreamTimeout)


async def test_a_name_that_cannot_be_one_is_a_failure_of_the_port() -> None:
    with pytest.raises(UpstreamFailure):
        await ask(Http1Upstream(), to(f"http://{'a' * 64}.invalid/"))


async def test_the_path_the_query_and_the_host_arrive(provider: Endpoint, running: Provider) -> None:
    provider.then(answer(b"{}"))
    upstream = Http1Upstream()
    await ask(upstream, to(f"{provider.url}/chat?api-version=1&x=%2F"))
    seen = await provider.comes()
    assert (seen.path, seen.header("host")) == ("/v1/chat?api-version=1&x=%2F", f"127.0.0.1:{running.port}")
    await upstream.aclose()


async def test_who_is_in_the_address_is_not_in_the_host(provider: Endpoint, running: Provider) -> None:
    provider.then(answer(b"{}"))
    upstream = Http1Upstream()
    await ask(upstream, to(f"http://user:word@127.0.0.1:{running.port}/v1/chat"))
    assert (await provider.comes()).header("host") == f"127.0.0.1:{running.port}"
    await upstream.aclose()


@pytest.mark.parametrize("value", ["a\r\nx-smuggled: 1", "a\nx-smuggled: 1", "a\rb", "ключ"])
async def test_a_header_cannot_bring_another_one_along(provider: Endpoint, value: str) -> None:
    upstream = Http1Upstream()
    with pytest.raises(UpstreamFailure, match="header"):
        await ask(upstream, to(provider.url, ("x-key", value)))
    assert provider.requests == []
    await upstream.aclose()


async def test_a_head_without_end_is_not_read_on(provider: Endpoint) -> None:
    provider.always(raw(b"HTTP/1.1 200 OK\r\n" + b"x-much: %s\r\n" % (b"y" * 8000) * 20 + b"\r\n"))
    upstream = Http1Upstream()
    with pytest.raises(UpstreamFailure):
        await ask(upstream, to(provider.url))
    await upstream.aclose()


async def test_another_protocol_is_a_failure(provider: Endpoint) -> None:
    provider.always(raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"))
    upstream = Http1Upstream()
    with pytest.raises(UpstreamFailure):
        await ask(upstream, to(provider.url))
    await upstream.aclose()


async def test_a_connection_that_is_not_needed_grows_old_and_is_closed(
    provider: Endpoint, running: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "IDLE_SECONDS", 0.02)
    provider.always(answer(b"{}"))
    upstream = Http1Upstream()
    await ask(upstream, to(provider.url))
    await becomes(lambda: not running.connections, "the old connection is closed")
    await upstream.aclose()


async def test_a_connection_that_was_just_used_outlives_an_old_one(
    provider: Endpoint, running: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls at once leave two connections behind; the pool looks when the first of them is old."""
    looks: list[Callable[[], None]] = []
    loop = asyncio.get_running_loop()
    gate = Gate()
    provider.then(stream(gate, b"one"), answer(b"two"))
    upstream = Http1Upstream()
    slow = asyncio.create_task(ask(upstream, to(provider.url)))
    await provider.comes()
    with monkeypatch.context() as patched:
        patched.setattr(loop, "call_later", lambda _, look: looks.append(look))
        await ask(upstream, to(provider.url))
    now = loop.time()
    with monkeypatch.context() as patched:
        patched.setattr(loop, "time", lambda: now + IDLE_SECONDS / 2)
        gate.open()
        await slow
    assert len(running.connections) == 2
    with monkeypatch.context() as patched:
        patched.setattr(loop, "time", lambda: now + IDLE_SECONDS + 1)
        looks[0]()
    await becomes(lambda: len(running.connections) == 1, "the old connection is closed")
    provider.then(answer(b"three"))
    before = running.connected
    assert await ask(upstream, to(provider.url)) == (200, b"three")
    assert running.connected == before
    await upstream.aclose()


async def test_closing_it_closes_its_connections(provider: Endpoint, running: Provider) -> None:
    provider.always(answer(b"{}"))
    upstream = Http1Upstream()
    await ask(upstream, to(provider.url))
    assert len(running.connections) == 1
    await upstream.aclose()
    await becomes(lambda: not running.connections, "the connection is closed")


async def test_what_comes_while_nobody_asks_costs_the_connection(provider: Endpoint, running: Provider) -> None:
    """It could be taken for the answer to the next call."""
    gate = Gate()

    async def chatter(conversation: Any) -> None:
        await conversation.answer(200, [], b"one")
        await gate.passed()
        await conversation.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad")
        await conversation.silence()

    provider.then(chatter, answer(b"two"))
    upstream = Http1Upstream()
    assert await ask(upstream, to(provider.url)) == (200, b"one")
    seen = await provider.comes()
    gate.open()
    await becomes(seen.left.is_set, "the connection is closed")
    assert await ask(upstream, to(provider.url)) == (200, b"two")
    await upstream.aclose()


async def test_certificates_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    async def connect(*_: object, **how: Any) -> None:
        asked.append(how)
        raise OSError

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
    with pytest.raises(UpstreamFailure):
        await ask(Http1Upstream(), to("https://provider.example.test/v1"))
    (how,) = asked
    context: ssl.SSLContext = how["ssl"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert how["server_hostname"] == "provider.example.test"
    assert context.cert_store_stats()["x509_ca"] > 50


async def test_a_provider_that_speaks_no_tls_is_a_failure(provider: Endpoint, running: Provider) -> None:
    provider.always(answer(b"{}"))
    with pytest.raises(UpstreamFailure):
        await ask(Http1Upstream(), to(f"https://127.0.0.1:{running.port}/v1"))
