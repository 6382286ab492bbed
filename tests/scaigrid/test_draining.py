"""How many answers are read on, and how they end. What that means for a call is shown in test_forwarder."""

import asyncio

import pytest

from scaigrid.config.schema import Forwarder
from scaigrid.draining import Drain, Drains
from scaigrid.errors import Code, GatewayError
from scaigrid.patience import Interrupted, Patience, Why
from scaigrid.telemetry import Telemetry
from tests.harness.eventually import becomes


def drains(*, drain_bytes: int = 100, drain_at_once: int = 100) -> Drains:
    return Drains(Forwarder(drain_bytes=drain_bytes, drain_at_once=drain_at_once), Telemetry())


class Call:
    """One that waits for ever, and is read on."""

    def __init__(self, of: Drains) -> None:
        self.drain: Drain | None = None
        self.why: Why | None = None
        self.task = asyncio.create_task(self._run(of))

    async def _run(self, of: Drains) -> None:
        try:
            with Patience(asyncio.get_running_loop().time() + 60) as patience:
                self.drain = of.begin(patience)
                await asyncio.Event().wait()
        except Interrupted as interrupted:
            self.why = interrupted.why
        finally:
            if self.drain is not None:
                self.drain.end()


async def test_one_that_ends_makes_room_for_another() -> None:
    of = drains(drain_at_once=1)
    first = Call(of)
    await becomes(lambda: first.drain, "it is read on")
    with Patience(asyncio.get_running_loop().time() + 60) as patience:
        assert of.begin(patience) is None
        assert first.drain is not None
        first.drain.cut()
        await first.task
        assert of.begin(patience) is not None


async def test_more_bytes_than_are_allowed_are_enough() -> None:
    with Patience(asyncio.get_running_loop().time() + 60) as patience:
        drain = drains(drain_bytes=10).begin(patience)
        assert drain is not None
        drain.take(4)
        drain.take(6)
        with pytest.raises(GatewayError) as caught:
            drain.take(1)
    assert caught.value.code is Code.CLIENT_CLOSED


async def test_a_worker_that_stops_cuts_all_off_and_waits_for_them() -> None:
    of = drains()
    calls = [Call(of) for _ in range(3)]
    await becomes(lambda: all(call.drain for call in calls), "they are read on")
    await of.aclose()
    assert [call.why for call in calls] == [Why.CLIENT_CLOSED] * 3
    with Patience(asyncio.get_running_loop().time() + 60) as patience:
        assert of.begin(patience) is None


async def test_a_worker_that_reads_nothing_on_stops_at_once() -> None:
    await drains().aclose()
