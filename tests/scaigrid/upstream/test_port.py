"""What every way to a provider does, whichever client carries it."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream.http1 import Http1Upstream
from scaigrid.upstream.httpx import HttpxUpstream
from scaigrid.upstream.port import Upstream, UpstreamFailure, UpstreamTimeout, UpstreamTooLarge, UpstreamUnreachable
from tests.harness.behaviours import Then, answer, cut, gated, raw, redirect, reset, silence, stalled, stream
from tests.harness.eventually import becomes
from tests.harness.ports import refusing_port, silent_port
from tests.harness.provider import Behaviour, Conversation, Endpoint, Gate, Provider

UPSTREAMS: dict[str, Callable[[], Upstream]] = {"httpx": HttpxUpstream, "http1": Http1Upstream}
MIB = 1024 * 1024
CONNECT = 5.0


@pytest.fixture(params=sorted(UPSTREAMS))
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[Upstream]:
    made = UPSTREAMS[request.param]()
    yield made
    await made.aclose()


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider, request: pytest.FixtureRequest) -> Endpoint:
    """An endpoint that no other test asks."""
    return running.at(f"/{len(request.node.nodeid)}-{abs(hash(request.node.nodeid))}/v1")


def to(url: str, body: bytes = b"{}") -> UpstreamRequest:
    return UpstreamRequest("POST", f"{url}/chat", (("content-type", "application/json"), ("x-key", "k")), body)


def reset_after(data: bytes) -> Behaviour:
    async def behave(conversation: Conversation) -> None:
        await conversation.write(data)
        conversation.reset()

    return behave


def closing_later(body: bytes) -> Behaviour:
    """Promises to keep the connection, and then does not."""

    async def behave(conversation: Conversation) -> None:
        await conversation.answer(200, [], body)
        conversation.complete = False

    return behave


async def ask(upstream: Upstream, url: str, *, limit: int = MIB, stream: bool = False) -> tuple[int, bytes]:
    """One plain call: status and body."""
    async with upstream.send(to(url), connect_timeout=CONNECT, stream=stream) as response:
        return response.status, await response.read(limit)


async def drain(upstream: Upstream, url: str) -> bytes:
    """One streamed call, to its end."""
    async with upstream.send(to(url), connect_timeout=CONNECT, stream=True) as response:
        pieces: list[bytes] = []
        while piece := await response.chunk():
            pieces.append(piece)
        return b"".join(pieces)


async def test_a_plain_answer_comes_with_its_status_headers_and_body(upstream: Upstream, provider: Endpoint) -> None:
    provider.then(answer(b'{"a": 1}', status=418, headers=[("X-Odd", "one"), ("content-type", "application/json")]))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=False) as response:
        assert (response.status, response.headers["x-odd"]) == (418, "one")
        assert await response.read(MIB) == b'{"a": 1}'


async def test_the_request_arrives_as_it_was_given(upstream: Upstream, provider: Endpoint) -> None:
    provider.then(answer(b""))
    body = json.dumps({"text": "é" * 70_000}, ensure_ascii=False).encode()
    async with upstream.send(to(provider.url, body), connect_timeout=CONNECT, stream=False):
        pass
    seen = await provider.comes()
    assert (seen.method, seen.body, seen.header("x-key")) == ("POST", body, "k")
    assert seen.header("user-agent") == "scaigrid"


async def test_a_chunk_is_handed_on_before_the_next_one_is_sent(upstream: Upstream, provider: Endpoint) -> None:
    """Each gate opens only once everything ahead of it was received, so a client that holds back never finishes."""
    gates = [Gate(), Gate()]
    provider.then(stream(b"one", gates[0], b"two", gates[1], b"three"))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=True) as response:
        async with asyncio.timeout(10):
            assert await response.chunk() == b"one"
            gates[0].open()
            assert await response.chunk() == b"two"
            gates[1].open()
            assert await response.chunk() == b"three"
            assert await response.chunk() == b""


async def test_the_head_is_there_before_the_body(upstream: Upstream, provider: Endpoint) -> None:
    gate = Gate()
    provider.then(stream(gate, b"late"))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=True) as response:
        assert response.status == 200
        gate.open()
        assert await response.chunk() == b"late"


async def test_after_the_end_comes_nothing(upstream: Upstream, provider: Endpoint) -> None:
    provider.then(stream(b"one"))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=True) as response:
        assert [await response.chunk() for _ in range(3)] == [b"one", b"", b""]


async def test_a_large_stream_comes_whole(upstream: Upstream, provider: Endpoint) -> None:
    provider.then(stream(*[bytes([65 + place % 26]) * 100_000 for place in range(40)]))
    got = await drain(upstream, provider.url)
    assert (len(got), got[:1], got[-1:]) == (4_000_000, b"A", b"N")


async def test_leaving_the_block_closes_the_provider_s_connection(upstream: Upstream, provider: Endpoint) -> None:
    provider.then(stream(b"one", Then.STALL))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=True) as response:
        assert await response.chunk() == b"one"
        seen = await provider.comes()
        assert not seen.left.is_set()
    assert await becomes(seen.left.is_set, "the provider sees its connection closed")


@pytest.mark.parametrize("behaviour", [stream(b"one", Then.STALL), silence], ids=["in the body", "before the head"])
async def test_cancelling_closes_the_provider_s_connection(
    upstream: Upstream, provider: Endpoint, behaviour: Behaviour
) -> None:
    provider.then(behaviour)
    task = asyncio.create_task(drain(upstream, provider.url))
    seen = await provider.comes()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await becomes(seen.left.is_set, "the provider sees its connection closed")


async def test_a_connection_is_used_again(upstream: Upstream, running: Provider, provider: Endpoint) -> None:
    provider.always(answer(b"{}"))
    await ask(upstream, provider.url)
    before = running.connected
    for _ in range(3):
        assert await ask(upstream, provider.url) == (200, b"{}")
    assert running.connected == before


async def test_a_finished_stream_leaves_its_connection_to_the_next_call(
    upstream: Upstream, running: Provider, provider: Endpoint
) -> None:
    provider.always(stream(b"one", b"two"))
    await drain(upstream, provider.url)
    before = running.connected
    assert await drain(upstream, provider.url) == b"onetwo"
    assert running.connected == before


async def test_an_unfinished_stream_does_not_spoil_the_next_call(upstream: Upstream, provider: Endpoint) -> None:
    provider.then(stream(b"one", Then.STALL), stream(b"two"))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=True) as response:
        await response.chunk()
    assert await drain(upstream, provider.url) == b"two"


async def test_calls_do_not_wait_for_each_other(upstream: Upstream, provider: Endpoint) -> None:
    gate = Gate()
    provider.then(gated(gate, answer(b"slow")), answer(b"quick"))
    slow = asyncio.create_task(ask(upstream, provider.url))
    await provider.comes()
    assert await ask(upstream, provider.url) == (200, b"quick")
    gate.open()
    assert await slow == (200, b"slow")


async def test_nobody_listening_is_a_failure(upstream: Upstream) -> None:
    with refusing_port() as port, pytest.raises(UpstreamFailure) as caught:
        await ask(upstream, f"http://127.0.0.1:{port}")
    assert type(caught.value) is UpstreamUnreachable


async def test_no_connection_in_time_is_a_timeout(upstream: Upstream) -> None:
    with silent_port() as port, pytest.raises(UpstreamTimeout):
        async with upstream.send(to(f"http://127.0.0.1:{port}"), connect_timeout=0.05, stream=False):
            pass


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(reset, id="reset before the head"),
        pytest.param(raw(b""), id="closed before the head"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\ncontent-"), id="closed in the head"),
        pytest.param(raw(b"220 mail.example.test ESMTP\r\n\r\n"), id="no HTTP"),
        pytest.param(cut(b"{", declared=10), id="closed in a plain body"),
        pytest.param(stream(b"one", Then.CLOSE), id="closed in a stream"),
        pytest.param(stream(b"one", Then.RESET), id="reset in a stream"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nx\r\n"), id="broken chunk size"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_a_provider_that_breaks_off_is_a_failure(
    upstream: Upstream, provider: Endpoint, behaviour: Behaviour, streamed: bool
) -> None:
    provider.always(behaviour)
    with pytest.raises(UpstreamFailure) as caught:
        await (drain(upstream, provider.url) if streamed else ask(upstream, provider.url))
    assert type(caught.value) is UpstreamFailure


async def test_a_body_that_declares_no_length_ends_with_the_connection(upstream: Upstream, provider: Endpoint) -> None:
    provider.always(raw(b"HTTP/1.1 200 OK\r\n\r\nall"))
    assert await ask(upstream, provider.url) == (200, b"all")


async def test_such_a_body_that_is_reset_is_a_failure(upstream: Upstream, provider: Endpoint) -> None:
    """Its end is the connection's, so only the way in which that ended tells whether it is whole."""
    provider.always(reset_after(b"HTTP/1.1 200 OK\r\n\r\nnot al"))
    with pytest.raises(UpstreamFailure):
        await ask(upstream, provider.url)


async def test_what_comes_ahead_of_the_answer_is_not_the_answer(upstream: Upstream, provider: Endpoint) -> None:
    """Interim answers (RFC 9110, section 15.2)."""
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"
    provider.always(raw(early + b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}"))
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=False) as response:
        assert (response.status, "link" in response.headers) == (201, False)
        assert await response.read(MIB) == b"{}"


async def test_what_comes_after_the_answer_changes_nothing(upstream: Upstream, provider: Endpoint) -> None:
    smuggled = b"HTTP/1.1 500 Oops\r\ncontent-length: 3\r\n\r\nbad"
    provider.then(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}" + smuggled))
    assert await ask(upstream, provider.url) == (200, b"{}")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_is_whole(upstream: Upstream, provider: Endpoint, status: int) -> None:
    provider.then(raw(f"HTTP/1.1 {status} Nothing\r\n\r\n".encode()))
    assert await ask(upstream, provider.url) == (status, b"")


async def test_a_connection_that_the_provider_has_closed_is_not_used_again(
    upstream: Upstream, running: Provider, provider: Endpoint
) -> None:
    provider.then(closing_later(b"one"), answer(b"two"))
    assert await ask(upstream, provider.url) == (200, b"one")
    await becomes(lambda: not running.connections, "the provider has closed every connection")
    assert await ask(upstream, provider.url) == (200, b"two")


async def test_many_calls_at_once_each_get_their_own_answer(upstream: Upstream, provider: Endpoint) -> None:
    async def echo(conversation: Conversation) -> None:
        await conversation.answer(200, [], conversation.request.body)

    provider.always(echo)

    async def one(text: bytes) -> bytes:
        async with upstream.send(to(provider.url, text), connect_timeout=CONNECT, stream=False) as response:
            return await response.read(MIB)

    bodies = [b"%d" % number * 1000 for number in range(60)]
    assert await asyncio.gather(*map(one, bodies)) == bodies


async def test_a_stream_that_nobody_reads_is_not_gathered(upstream: Upstream, provider: Endpoint) -> None:
    """What is not read stays with the provider, who has to wait: so the gateway's memory is bounded."""
    sent: list[int] = []

    async def pour(conversation: Conversation) -> None:
        await conversation.head(200, [("transfer-encoding", "chunked")])
        for number in range(500):
            await conversation.chunk(b"x" * 100_000)
            sent.append(number)
        await conversation.end()

    provider.then(pour)
    async with upstream.send(to(provider.url), connect_timeout=CONNECT, stream=True) as response:
        total = len(await response.chunk())
        before = -1
        while before != (before := len(sent)):
            # As long as the provider sends more between two other calls, it has not been made to wait.
            provider.then(answer(b"{}"))
            await ask(upstream, provider.url)
        assert len(sent) < 250
        while piece := await response.chunk():
            total += len(piece)
    assert total == 50_000_000


@pytest.mark.parametrize(
    "behaviour",
    [stalled(b"x" * 70_000, declared=200_000), stream(*[b"x" * 60_000] * 3, Then.STALL)],
    ids=["declared", "undeclared"],
)
async def test_an_answer_over_the_bound_is_not_read_to_its_end(
    upstream: Upstream, provider: Endpoint, behaviour: Behaviour
) -> None:
    provider.then(behaviour)
    with pytest.raises(UpstreamTooLarge):
        await ask(upstream, provider.url, limit=100_000)


async def test_an_answer_of_exactly_the_bound_is_taken(upstream: Upstream, provider: Endpoint) -> None:
    provider.then(answer(b"x" * 1500))
    assert await ask(upstream, provider.url, limit=1500) == (200, b"x" * 1500)


async def test_an_answer_in_a_coding_that_nobody_asked_for_is_a_failure(upstream: Upstream, provider: Endpoint) -> None:
    provider.then(answer(gzip.compress(b'{"a": 1}'), headers=[("content-encoding", "gzip")]))
    with pytest.raises(UpstreamFailure, match="encoded its answer"):
        await ask(upstream, provider.url)
    assert (await provider.comes()).header("accept-encoding") == "identity"


async def test_a_coding_that_is_none_is_taken(upstream: Upstream, provider: Endpoint) -> None:
    provider.then(answer(b"{}", headers=[("content-encoding", "Identity")]))
    assert await ask(upstream, provider.url) == (200, b"{}")


async def test_a_redirect_is_an_answer_and_not_followed(upstream: Upstream, provider: Endpoint) -> None:
    provider.always(redirect(f"{provider.url}/elsewhere"))
    assert await ask(upstream, provider.url) == (307, b"")
    assert len(provider.requests) == 1


async def test_a_cookie_is_not_kept(upstream: Upstream, provider: Endpoint) -> None:
    provider.always(answer(b"", headers=[("set-cookie", "session=1; Path=/")]))
    for _ in range(2):
        await ask(upstream, provider.url)
    assert [one.header("cookie") for one in provider.requests] == [None, None]


@pytest.mark.parametrize("kind", sorted(UPSTREAMS))
async def test_no_proxy_is_taken_from_the_environment(
    kind: str, running: Provider, provider: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing_port() as port:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        upstream = UPSTREAMS[kind]()
        provider.then(answer(b"direct"))
        assert await ask(upstream, provider.url) == (200, b"direct")
        await upstream.aclose()


@pytest.mark.parametrize("url", ["http://", "http://[::1", "nonsense", "ftp://127.0.0.1/x"])
async def test_an_address_that_cannot_be_asked_is_a_failure(upstream: Upstream, url: str) -> None:
    with pytest.raises(UpstreamFailure):
        await ask(upstream, url)


async def test_each_connect_deadline_holds_for_its_own_calls(upstream: Upstream, provider: Endpoint) -> None:
    provider.then(answer(b"{}"))
    assert await ask(upstream, provider.url) == (200, b"{}")
    with silent_port() as port, pytest.raises(UpstreamTimeout):
        async with upstream.send(to(f"http://127.0.0.1:{port}"), connect_timeout=0.05, stream=False):
            pass
