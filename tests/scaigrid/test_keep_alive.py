"""What is said on a stream while there is nothing to say, and that nothing else is spoiled by it."""

import asyncio
from typing import Any

import pytest

from scaigrid.asgi import Message
from scaigrid.config.schema import Forwarder as ForwarderConfig
from scaigrid.errors import Code
from scaigrid.keep_alive import KeepAlive
from scaigrid.sse import COMMENT
from tests.harness.eventually import becomes
from tests.harness.upstream import Planned
from tests.scaigrid.scene import FAILED, FINE, STREAM, Scene, streamed

OFTEN = ForwarderConfig(keep_alive_seconds=0.01)
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def scene(*plans: Planned, stream: bool = True, config: ForwarderConfig = OFTEN, **more: Any) -> Scene:
    return Scene(*plans, asked={"stream": stream}, config=config, **more)


async def test_a_silent_stream_says_so_until_it_has_content() -> None:
    gate = asyncio.Event()
    one = scene(Planned(*STREAM, ahead=gate))
    task = asyncio.create_task(one.run())
    assert await one.request.got(2) == [COMMENT] * 2
    assert (one.exchange.response_started, one.exchange.committed, one.exchange.first_byte) == (True, False, None)
    assert (one.request.status, one.request.header("content-type")) == (200, "text/event-stream; charset=utf-8")
    assert (one.request.header("x-scaigrid-model"), one.request.header("x-scaigrid-attempts")) == ("acme/chat", "1")
    one.parts.clock.advance(3.0)
    gate.set()
    assert await task is None
    said = [piece for piece in one.request.pieces if piece != COMMENT]
    assert b"".join(said).endswith(STREAM[-1])
    assert [message["type"] for message in one.request.sent].count("http.response.start") == 1
    assert one.exchange.frames_sent == b"".join(said).count(b"\n\n")
    assert one.rows == [FINE]
    (row,) = one.parts.kept.usage
    assert row.first_byte_us == 3_000_000


async def test_it_says_so_between_two_pieces_too() -> None:
    gate = asyncio.Event()
    one = scene(Planned(*STREAM[:2], gate, *STREAM[2:]))
    task = asyncio.create_task(one.run())
    pieces = await one.request.got(4)
    assert pieces[2:4] == [COMMENT, COMMENT]
    gate.set()
    assert await task is None
    assert one.rows == [FINE]


@pytest.mark.parametrize("off", ["off", "plain"])
async def test_nothing_is_said_where_it_is_off_or_an_answer_is_plain(off: str) -> None:
    config = ForwarderConfig(keep_alive_seconds=None) if off == "off" else OFTEN
    one = scene(Planned(*STREAM, ahead=asyncio.Event()), stream=off == "off", config=config)
    task = asyncio.create_task(one.run())
    await becomes(lambda: one.request.reads, "it has lasted for ten times the silence")
    assert not one.request.started
    task.cancel()
    await asyncio.wait((task,))


async def test_nothing_is_said_after_the_end() -> None:
    never = asyncio.Event()
    one = scene(streamed(*STREAM, never))
    task = asyncio.create_task(one.run())
    await becomes(lambda: one.request.complete, "the answer is complete")
    assert await task is None
    assert one.request.complete, "the last thing that was sent is the end"


async def test_nothing_is_said_to_a_client_who_has_left() -> None:
    one = scene(Planned(*STREAM[:2], asyncio.Event()), model={"on_disconnect": "drain"})
    task = asyncio.create_task(one.run())
    await one.request.got(2)
    one.request.leave()
    await becomes(lambda: one.exchange.gone, "it is noticed")
    sent = len(one.request.sent)
    watch = Planned(ahead=asyncio.Event())
    other = scene(watch)
    running = asyncio.create_task(other.run())
    await other.request.got(3)
    assert len(one.request.sent) <= sent + 1, "one that was on its way"
    for each in (task, running):
        each.cancel()
    await asyncio.wait((task, running))


async def test_it_waits_for_what_is_being_sent_and_the_other_way_round() -> None:
    """One send at a time, however slowly the client reads."""
    under_way: list[bytes] = []
    most = 0
    read = asyncio.Event()
    sent: list[bytes] = []

    async def slow(message: Message) -> None:
        nonlocal most
        body: bytes = message.get("body", b"")
        under_way.append(body)
        most = max(most, len(under_way))
        if len(sent) in {1, 2}:
            await read.wait()
        under_way.remove(body)
        sent.append(body)

    one = scene()
    alive = KeepAlive(one.exchange, slow, 0.01)
    await becomes(lambda: len(sent) == 1 and under_way == [COMMENT], "a comment waits for the client")
    content = asyncio.create_task(alive.send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True}))
    await asyncio.sleep(0)
    read.set()
    await content
    assert (most, sent[1:3]) == (1, [COMMENT, b"data: 1\n\n"])
    read.clear()
    await alive.stop(1.0)
    assert under_way == []


@pytest.mark.parametrize(("dialect", "frame"), [("openai", COMMENT), ("native", COMMENT)])
async def test_another_backend_is_asked_all_the_same(dialect: str, frame: bytes) -> None:
    gate = asyncio.Event()

    class Failing(Planned):
        async def head(self) -> None:
            await gate.wait()

    one = scene(Failing(b"{}", status=500), streamed(), dialect=dialect)
    task = asyncio.create_task(one.run())
    assert (await one.request.got(1))[0] == frame
    gate.set()
    assert await task is None
    assert (one.asked, one.rows) == ("ab", [FAILED, FINE])
    assert one.request.complete


async def test_a_failure_after_it_is_none_of_content() -> None:
    """Nobody is billed, and the error is told by whoever renders it: the stream has begun, and not ended."""
    one = scene(Planned(ahead=asyncio.Event()), route={"deadlines": {"first_byte": 0.05}}, providers=("openai",))
    assert await one.code() is Code.BACKEND_TIMEOUT
    assert (one.exchange.response_started, one.exchange.committed, one.request.complete) == (True, False, False)
    assert one.rows == [("timeout", False, "none", 0)]


async def test_a_client_who_takes_no_comment_does_not_hold_the_end_of_the_call() -> None:
    never = asyncio.Event()

    async def stuck(message: Message) -> None:
        if message["type"] == "http.response.body":
            await never.wait()

    one = scene(
        Planned(ahead=asyncio.Event()), providers=("openai",), route={"deadlines": {"first_byte": 0.1, "idle": 0.01}}
    )
    one.send = stuck
    assert await one.code() is Code.BACKEND_TIMEOUT


async def test_what_cannot_be_sent_ends_the_comments_and_not_the_call() -> None:
    tried: list[Message] = []

    async def broken(message: Message) -> None:
        tried.append(message)
        raise OSError("gone")

    one = scene()
    alive = KeepAlive(one.exchange, broken, 0.01)
    await becomes(lambda: tried, "it is tried")
    await alive.stop(1.0)
    assert len(tried) == 1
