"""What is true of the store in a Valkey alone; what is true of every store is in test_port.py."""

import asyncio
from collections.abc import AsyncGenerator, Iterator

import pytest

from scaigrid.clock import SystemClock
from scaigrid.config.schema import Store
from scaigrid.errors import Code, GatewayError
from scaigrid.repeats.port import Claim, End, Own, Reader, Reading
from scaigrid.repeats.valkey import ValkeyRuns
from scaigrid.secrets import Secret
from tests.harness.eventually import PATIENCE, becomes
from tests.harness.ports import free_port
from tests.harness.repeats import over
from tests.harness.valkey import Valkey

pytestmark = pytest.mark.anyio

ROOM = 1_000


@pytest.fixture
def server() -> Iterator[Valkey]:
    with Valkey() as running:
        yield running


@pytest.fixture
async def one(server: Valkey) -> AsyncGenerator[ValkeyRuns]:
    runs = over(server, "shared")
    yield runs
    await runs.aclose()


@pytest.fixture
async def other(server: Valkey) -> AsyncGenerator[ValkeyRuns]:
    runs = over(server, "shared")
    yield runs
    await runs.aclose()


async def claimed(runs: ValkeyRuns, lease: float = 30.0) -> Claim:
    found = await runs.claim("key", "body", lease)
    assert isinstance(found, Own)
    return found.claim


async def joined(runs: ValkeyRuns) -> Reader:
    found = await runs.claim("key", "body", 30.0)
    assert not isinstance(found, Own)
    return found


async def test_two_workers_claim_a_key_once(one: ValkeyRuns, other: ValkeyRuns) -> None:
    found = await asyncio.gather(*(runs.claim("key", "body", 30.0) for runs in (one, other) for _ in range(50)))
    assert len([each for each in found if isinstance(each, Own)]) == 1


async def test_one_worker_reads_what_another_one_says_within_50_ms(one: ValkeyRuns, other: ValkeyRuns) -> None:
    claim = await claimed(one)
    reader = await joined(other)
    clock = SystemClock()
    waits: list[float] = []
    for number in range(20):
        reading = asyncio.create_task(reader.read())
        await asyncio.sleep(0.01)
        said = clock.monotonic()
        claim.add(b"%d" % number, ROOM)
        assert (await reading).pieces == [b"%d" % number]
        waits.append(clock.monotonic() - said)
    assert sorted(waits)[10] < 0.05, waits


async def test_what_a_dead_worker_claimed_is_free_again_in_time(one: ValkeyRuns, other: ValkeyRuns) -> None:
    claim = await claimed(one, lease=0.5)
    claim.add(b"half of", ROOM)
    reader = await joined(other)
    assert (await reader.read()).pieces == [b"half of"]
    await one.aclose()
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == Reading(lost="died")
        assert isinstance(await other.claim("key", "body", 30.0), Own)


async def test_a_claim_lives_as_long_as_its_worker(one: ValkeyRuns, other: ValkeyRuns, server: Valkey) -> None:
    await claimed(one, lease=0.4)
    clock = SystemClock()
    begun = clock.monotonic()
    await becomes(lambda: clock.monotonic() > begun + 1.2, "three leases have gone")
    assert not isinstance(await other.claim("key", "body", 30.0), Own)


async def test_a_server_that_forgets_is_told_again(one: ValkeyRuns, other: ValkeyRuns, server: Valkey) -> None:
    claim = await claimed(one, lease=0.4)
    claim.add(b"forgotten", ROOM)
    await joined(other)
    server.command("FLUSHALL")
    await becomes(lambda: server.keys("*again*"), "the claim is there again")
    reader = await joined(other)
    claim.add(b"more", ROOM)
    assert (await reader.read()).lost == "outrun"


async def test_what_was_said_while_the_server_was_away_is_missed_and_noticed(server: Valkey) -> None:
    one, other = over(server, "shared"), over(server, "shared")
    try:
        claim = await claimed(one)
        claim.add(b"a", ROOM)
        reader = await joined(other)
        assert (await reader.read()).pieces == [b"a"]
        server.command("CLIENT", "KILL", "TYPE", "normal")
        # In the same turn of the loop: nobody can have come back before it is held up.
        server.pause()
        await becomes(lambda: one_is_away(one), "the connection is lost")
        claim.add(b"unheard", ROOM)
        server.go_on()
        await becomes(lambda: not one_is_away(one), "there is another")
        claim.add(b"c", ROOM)
        async with asyncio.timeout(PATIENCE):
            while not (reading := await tried(reader)).lost:
                assert reading.pieces == []
        assert reading.lost == "outrun"
    finally:
        await one.aclose()
        await other.aclose()


def passing(server: Valkey) -> bool:
    """There are keys, and every one of them expires."""
    found = server.keys("*")
    return bool(found) and all(server.command("PTTL", key) > 0 for key in found)


def one_is_away(runs: ValkeyRuns) -> bool:
    return not runs.connected


async def tried(reader: Reader) -> Reading:
    try:
        return await reader.read()
    except GatewayError:
        await asyncio.sleep(0.01)
        return Reading()


async def test_an_end_reaches_a_server_that_was_away(server: Valkey) -> None:
    one = over(server, "shared")
    try:
        claim = await claimed(one)
        server.command("CLIENT", "KILL", "TYPE", "normal")
        await becomes(lambda: one_is_away(one), "the connection is lost")
        claim.end(End(whole=True))
        await becomes(lambda: not server.keys("*again*"), "the key is free")
        assert isinstance(await one.claim("key", "body", 30.0), Own)
    finally:
        await one.aclose()


async def test_without_a_server_nothing_is_claimed() -> None:
    url = Secret(f"valkey://127.0.0.1:{free_port()}")
    runs = ValkeyRuns(Store(type="valkey", url=url), SystemClock())
    with pytest.raises(GatewayError) as refused:
        await runs.claim("key", "body", 30.0)
    assert (refused.value.code, refused.value.retry_after) == (Code.STORE_UNAVAILABLE, 1)
    # However long the server is away: what it was never asked for is not remembered for its return.
    assert runs._ending == {}  # pyright: ignore[reportPrivateUsage]  # nothing else tells what is remembered
    await runs.aclose()


async def test_a_valkey_has_a_url() -> None:
    with pytest.raises(ValueError, match="URL"):
        ValkeyRuns(Store(type="memory"), SystemClock())


async def test_everything_in_the_server_expires(one: ValkeyRuns, server: Valkey) -> None:
    claim = await claimed(one)
    claim.add(b"a", ROOM)
    await joined(one)
    assert passing(server)
    claim.end(End(whole=True))
    await becomes(lambda: not server.keys("*again*"), "the key is free")
    assert passing(server)
