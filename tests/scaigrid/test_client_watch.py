"""When a client is watched, and what its leaving does. What that means for a call is shown in test_forwarder."""

import asyncio

import pytest

from scaigrid.client_watch import ClientWatch
from scaigrid.patience import Interrupted, Patience, Why
from tests.harness.asgi import Request
from tests.harness.eventually import becomes


class Lasting:
    """A call that goes on without its client, or does not."""

    def __init__(self, *, goes_on: bool = False) -> None:
        self.noted = 0
        self.left = 0
        self._goes_on = goes_on

    def lasts(self) -> None:
        self.noted += 1

    def goes_on(self, patience: Patience) -> bool:
        self.left += 1
        return self._goes_on


def patience() -> Patience:
    return Patience(asyncio.get_running_loop().time() + 60)


async def test_a_client_who_leaves_ends_a_call_that_lasts() -> None:
    request, call = Request(), Lasting()
    request.leave()
    with pytest.raises(Interrupted) as caught, patience() as waits, ClientWatch(request.receive, waits, call):
        await asyncio.Event().wait()
    assert (caught.value.why, call.noted, call.left) == (Why.CLIENT_CLOSED, 1, 1)


async def test_a_call_that_goes_on_without_its_client_is_let_be() -> None:
    request, call = Request(), Lasting(goes_on=True)
    request.leave()
    with patience() as waits, ClientWatch(request.receive, waits, call):
        await becomes(lambda: call.left, "the client has left")
    assert waits.tripped is None


async def test_a_call_that_does_not_last_is_not_watched() -> None:
    request, call = Request(), Lasting()
    with patience() as waits, ClientWatch(request.receive, waits, call):
        pass
    assert (call.noted, request.reads) == (0, 0)


async def test_a_watch_that_was_stopped_says_nothing_more() -> None:
    request, call = Request(), Lasting()
    with patience() as waits, ClientWatch(request.receive, waits, call) as watch:
        await becomes(lambda: call.noted, "the client is watched")
        watch.stop()
        watch.stop()
        request.leave()
        await asyncio.sleep(0)
    assert call.left == 0
