"""Room for so many calls and so many bytes of their bodies; whoever finds none is told at once."""

import asyncio
from typing import Any

import pytest

from middlewares.overload import Overload, OverloadConfig
from scaigrid.asgi import Receive, Scope, Send, respond
from scaigrid.errors import Code, GatewayError
from tests.harness.asgi import Request
from tests.harness.eventually import becomes
from tests.harness.services import Parts
from tests.middlewares.bare import CHAT

BIG = 200_000


@pytest.fixture
def parts() -> Parts:
    return Parts()


class Held:
    """An application that reads the body, and answers when it may."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.read = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            self.read += len(message.get("body", b""))
            more = message.get("more_body", False)
        await self.gate.wait()
        await respond(send, 200, [], b"done")


def linked(parts: Parts, held: Held, **config: Any) -> Overload:
    return Overload(held, OverloadConfig(**config), parts.services)


def post(size: int = 10, *, pieces: int = 1, declared: bool = True) -> Request:
    body = [b"x" * (size // pieces)] * pieces
    return Request(CHAT, headers={"content-length": str(size)} if declared else {}, body=body)


async def refused(link: Overload, request: Request) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await request.through(link)
    assert (caught.value.code, caught.value.retry_after) == (Code.OVERLOADED, 1)
    assert not request.started
    return caught.value


def shed(parts: Parts, reason: str) -> float:
    return parts.metrics.value("scaigrid_shed_calls_total", reason=reason)


async def test_one_call_too_many_is_refused_unread_and_the_next_one_finds_the_place_free(parts: Parts) -> None:
    held = Held()
    link = linked(parts, held, max_calls=2)
    running = [post().start(link) for _ in range(2)]
    await becomes(lambda: len(parts.services.live) == 2, "two are under way")
    third = post()
    await refused(link, third)
    assert third.reads == 0
    assert shed(parts, "calls") == 1
    held.gate.set()
    assert [(await one).status for one in running] == [200, 200]
    assert len(parts.services.live) == 0
    assert (await post().through(link)).status == 200


async def test_a_call_that_fails_leaves_its_place(parts: Parts) -> None:
    async def fails(*_: object) -> None:
        raise GatewayError(Code.VALIDATION_ERROR)

    link = Overload(fails, OverloadConfig(max_calls=1), parts.services)
    for _ in range(3):
        with pytest.raises(GatewayError) as caught:
            await post().through(link)
        assert caught.value.code is Code.VALIDATION_ERROR


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_bodies_have_so_many_bytes_together(parts: Parts, declared: bool) -> None:
    held = Held()
    link = linked(parts, held, max_body_bytes_at_once=2 * BIG)
    running = [post(BIG, pieces=2, declared=declared).start(link) for _ in range(2)]
    await becomes(lambda: held.read == 2 * BIG, "both are read")
    third = post(BIG, pieces=4, declared=declared)
    await refused(link, third)
    assert third.reads == 1, "it is not read to its end"
    assert shed(parts, "bytes") == 1
    # A small one is not worth counting where it says that it is one
    small = post().start(link)
    held.gate.set()
    assert [(await one).status for one in (*running, small)] == [200] * 3
    assert (await post(BIG, declared=declared).through(link)).status == 200


async def test_a_call_that_is_alone_may_have_a_body_of_any_size(parts: Parts) -> None:
    held = Held()
    held.gate.set()
    link = linked(parts, held, max_body_bytes_at_once=1024)
    assert (await post(BIG, pieces=2).through(link)).status == 200


async def test_what_is_only_announced_takes_no_room(parts: Parts) -> None:
    held = Held()
    link = linked(parts, held, max_body_bytes_at_once=2 * BIG)
    announced = Request(CHAT, headers={"content-length": str(2 * BIG)}, body=[b"x"])
    waiting = announced.start(link)
    await becomes(lambda: announced.reads, "it is being read")
    running = post(BIG).start(link)
    await becomes(lambda: held.read >= BIG, "the other one is read")
    held.gate.set()
    assert (await running).status == (await waiting).status == 200


async def test_a_worker_that_stops_takes_no_more_and_ends_what_it_has(parts: Parts) -> None:
    held = Held()
    link = linked(parts, held)
    running = post().start(link)
    await becomes(lambda: len(parts.services.live) == 1, "it is under way")
    parts.services.live.closing = True
    late = post()
    await refused(link, late)
    assert (late.reads, shed(parts, "stopping")) == (0, 1)
    parts.services.live.cut()
    with pytest.raises(GatewayError) as caught:
        await running
    assert (caught.value.code, caught.value.message) == (Code.OVERLOADED, "The gateway is stopping.")


async def test_a_call_that_somebody_else_cancels_is_cancelled(parts: Parts) -> None:
    running = post().start(linked(parts, Held()))
    await becomes(lambda: len(parts.services.live) == 1, "it is under way")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(parts.services.live) == 0
