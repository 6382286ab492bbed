"""When a client is watched, and when a call is told of its leaving. What that means is shown in test_sending."""

import asyncio
import gc
import weakref

from scaigrid.asgi import Message
from scaigrid.client_watch import ClientWatch
from scaigrid.errors import Code, GatewayError
from tests.harness.asgi import Request
from tests.harness.eventually import becomes


class Lasting:
    """A call, and what it was told."""

    def __init__(self) -> None:
        self.noted = 0
        self.parted = asyncio.Event()

    def lasts(self) -> None:
        self.noted += 1

    def left(self) -> None:
        self.parted.set()


async def test_a_call_that_lasts_is_told_that_its_client_leaves() -> None:
    request, call = Request(), Lasting()
    request.leave()
    with ClientWatch(request.receive, call):
        await call.parted.wait()
    assert call.noted == 1


async def test_a_call_that_does_not_last_is_not_watched() -> None:
    request, call = Request(), Lasting()
    with ClientWatch(request.receive, call):
        pass
    assert (call.noted, request.reads) == (0, 0)


async def test_a_watch_that_was_stopped_says_nothing_more() -> None:
    request, call = Request(), Lasting()
    with ClientWatch(request.receive, call) as watch:
        await becomes(lambda: call.noted, "the client is watched")
        watch.stop()
        watch.stop()
        request.leave()
        await asyncio.sleep(0)
    assert not call.parted.is_set()


async def test_a_client_who_sends_more_than_is_taken_is_no_longer_listened_to() -> None:
    """A body that nobody waits for, of a call about something that a provider keeps, and the watch finds it."""
    call, refused = Lasting(), asyncio.Event()
    parted, held = call.parted, weakref.ref(call)

    async def receive() -> Message:
        refused.set()
        raise GatewayError(Code.REQUEST_TOO_LARGE)

    before = asyncio.all_tasks()
    gc.disable()
    try:
        with ClientWatch(receive, call):
            await refused.wait()
            await becomes(lambda: asyncio.all_tasks() == before, "the watch is over")
        del call
        assert held() is None, "a failure that nobody asks for would hold the call until the collector comes"
    finally:
        gc.enable()
    assert not parted.is_set()
