"""When a client is watched, and when a call is told of its leaving. What that means is shown in test_sending."""

import asyncio

from scaigrid.client_watch import ClientWatch
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
