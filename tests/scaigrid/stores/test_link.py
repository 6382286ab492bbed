"""The way to a store that comes and goes: made anew by itself, told once a change."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from scaigrid.stores.address import Address
from scaigrid.stores.link import Link
from scaigrid.stores.wire import Away, Refused, Wire
from tests.harness.clock import StillClock
from tests.harness.eventually import PATIENCE, becomes
from tests.harness.ports import LOOPBACK
from tests.harness.valkey import Valkey

pytestmark = pytest.mark.anyio


class Host:
    """Greets as it is told, and owns the time that passes between two attempts."""

    def __init__(self, server: Valkey) -> None:
        self.clock = StillClock()
        self.greeted: list[Wire] = []
        self.refuses: Exception | None = None
        self.pauses: list[float] = []
        self.link = Link(
            Address(host=LOOPBACK, port=server.port), 0.5, self.clock, greet=self._greet, sleep=self._sleep
        )

    async def _greet(self, wire: Wire) -> None:
        self.greeted.append(wire)
        if self.refuses is not None:
            raise self.refuses

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)
        await asyncio.sleep(0.005)


@pytest.fixture
def server() -> Iterator[Valkey]:
    with Valkey() as running:
        yield running


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


@asynccontextmanager
async def hosted(server: Valkey) -> AsyncGenerator[Host]:
    host = Host(server)
    try:
        yield host
    finally:
        await host.link.aclose()


async def connected(host: Host) -> Wire:
    async with asyncio.timeout(PATIENCE):
        await host.link.connected()
    assert host.link.wire is not None
    return host.link.wire


async def test_nothing_is_connected_before_it_is_wanted(server: Valkey) -> None:
    async with hosted(server) as host:
        await asyncio.sleep(0)
        assert (host.link.wire, host.link.reason, host.greeted) == (None, "not connected yet", [])


async def test_a_connection_is_greeted_before_anybody_has_it(server: Valkey, logged: list[Any]) -> None:
    async with hosted(server) as host:
        host.link.start()
        host.link.start()
        await host.link.tried()
        assert [await connected(host)] == host.greeted
    assert logged == []


@pytest.mark.parametrize("error", [Away("too old"), Refused("ERR no such thing")])
async def test_a_server_that_does_not_greet_back_is_not_there(
    server: Valkey, logged: list[Any], error: Exception
) -> None:
    async with hosted(server) as host:
        host.refuses = error
        async with asyncio.timeout(PATIENCE):
            await host.link.tried()
        assert (host.link.wire, host.link.reason) == (None, str(error))
        await becomes(lambda: len(host.greeted) > 3, "it tries on")
        assert all(wire.ended.done() for wire in host.greeted[:3])
        host.refuses = None
        await connected(host)
    assert [line["event"] for line in logged] == ["store_lost", "store_found"]


async def test_whatever_an_attempt_fails_by_it_is_made_again(server: Valkey, logged: list[Any]) -> None:
    """A name that cannot be one, an answer of another shape: nobody else would ever connect again."""
    async with hosted(server) as host:
        host.refuses = UnicodeError("label too long")
        async with asyncio.timeout(PATIENCE):
            await host.link.tried()
        assert host.link.reason == "UnicodeError while it was connected to"
        host.refuses = None
        await connected(host)
    assert [line["event"] for line in logged] == ["store_lost", "store_found"]


async def test_attempts_come_less_and_less_often(server: Valkey) -> None:
    server.stop()
    async with hosted(server) as host:
        host.link.start()
        await becomes(lambda: len(host.pauses) >= 8, "it tries on")
    assert host.pauses[:8] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


async def test_a_connection_that_ends_is_made_anew_and_each_change_is_told_once(
    server: Valkey, logged: list[Any]
) -> None:
    async with hosted(server) as host:
        first = await connected(host)
        server.stop()
        await becomes(lambda: len(host.pauses) >= 5, "it tries on")
        assert host.link.wire is None
        assert host.link.reason
        assert first.ended.done()
        server.start()
        assert await connected(host) is not first
    assert [line["event"] for line in logged] == ["store_lost", "store_found"]
    assert {line["store"] for line in logged} == {f"{LOOPBACK}:{server.port}"}
    assert logged[1]["seconds"] >= 0.05


async def test_a_connection_that_lasted_is_followed_by_another_one_soon(server: Valkey) -> None:
    """One that ends again and again is not."""
    async with hosted(server) as host:
        for _ in range(3):
            (await connected(host)).close("it ended")
            await becomes(lambda: host.link.wire is None or not host.link.wire.ended.done(), "noticed")
            await becomes(lambda: host.link.wire is not None and not host.link.wire.ended.done(), "connected")
        assert host.pauses == [0.05, 0.1, 0.2]
        host.clock.advance(5.0)
        (await connected(host)).close("it ended")
        await becomes(lambda: len(host.pauses) == 4, "noticed")
        assert host.pauses[3] == 0.05


async def test_a_link_that_is_closed_connects_no_more(server: Valkey) -> None:
    async with hosted(server) as host:
        wire = await connected(host)
        await host.link.aclose()
        assert host.link.wire is None
        assert wire.ended.result() == "the gateway is stopping"
        await asyncio.sleep(0.02)
        assert len(host.greeted) == 1
