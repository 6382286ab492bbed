"""What every store of calls under way keeps to, whatever it is made of: to be registered is to be tested here."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.repeats import RUNS
from scaigrid.repeats.port import Answer, Claim, End, Head, Own, Reader, Reading, Refusal, Runs, end_of, head_of, pack
from tests.harness.eventually import PATIENCE
from tests.harness.repeats import OPENERS

pytestmark = pytest.mark.anyio

LEASE = 30.0
ROOM = 1_000


@pytest.fixture(params=sorted(RUNS))
async def runs(request: pytest.FixtureRequest) -> AsyncGenerator[Runs]:
    async with OPENERS[request.param]() as opened:
        yield opened


async def claimed(runs: Runs, scope: str = "key", fingerprint: str = "body") -> Claim:
    found = await runs.claim(scope, fingerprint, LEASE)
    assert isinstance(found, Own)
    return found.claim


async def joined(runs: Runs, scope: str = "key") -> Reader:
    found = await runs.claim(scope, "body", LEASE)
    assert not isinstance(found, Own)
    return found


async def read(reader: Reader) -> Reading:
    """Everything up to the end, or to where it was lost."""
    pieces: list[bytes] = []
    async with asyncio.timeout(PATIENCE):
        while True:
            reading = await reader.read()
            pieces += reading.pieces
            if reading.end is not None or reading.lost:
                return reading._replace(pieces=pieces)


async def test_the_first_has_the_key_and_everybody_else_its_run(runs: Runs) -> None:
    found = await asyncio.gather(*(runs.claim("key", "body", LEASE) for _ in range(30)))
    assert len([one for one in found if isinstance(one, Own)]) == 1
    assert {one.fingerprint for one in found if not isinstance(one, Own)} == {"body"}


async def test_another_request_under_the_key_sees_whose_it_is(runs: Runs) -> None:
    await claimed(runs, fingerprint="one body")
    found = await runs.claim("key", "another", LEASE)
    assert not isinstance(found, Own)
    assert found.fingerprint == "one body"


async def test_keys_know_nothing_of_each_other(runs: Runs) -> None:
    (await claimed(runs, "one")).add(b"of the one", ROOM)
    other = await claimed(runs, "other")
    other.end(End(whole=True))
    (await claimed(runs, "other")).end(End(whole=True))
    assert (await (await joined(runs, "one")).read()).pieces == [b"of the one"]


async def test_who_joins_late_reads_from_the_start_and_then_live(runs: Runs) -> None:
    claim = await claimed(runs)
    claim.add(b"a", ROOM)
    claim.add(b"b", ROOM)
    reader = await joined(runs)
    assert await reader.read() == Reading([b"a", b"b"])
    news = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    assert not news.done()
    claim.add(b"c", ROOM)
    assert await asyncio.wait_for(news, PATIENCE) == Reading([b"c"])
    claim.end(End(whole=True))
    assert await read(reader) == Reading([], End(whole=True))


async def test_pieces_keep_their_number_and_their_order(runs: Runs) -> None:
    claim = await claimed(runs)
    reader = await joined(runs)
    reading = asyncio.create_task(read(reader))
    pieces = [b"%d" % number * (number % 7 + 1) for number in range(200)]
    for piece in pieces:
        claim.add(piece, 100_000)
        await asyncio.sleep(0)
    claim.end(End(whole=True))
    assert (await reading).pieces == pieces


async def test_a_run_that_is_over_leaves_the_key_free_and_is_read_to_its_end(runs: Runs) -> None:
    claim = await claimed(runs)
    claim.add(b"a", ROOM)
    reader = await joined(runs)
    refusal = Refusal(Code.BACKEND_ERROR, "It broke.", (Detail("model", "is sad"),), 7, "key")
    claim.end(End(whole=False, refusal=refusal))
    again = await claimed(runs)
    again.add(b"another", ROOM)
    assert await read(reader) == Reading([b"a"], End(whole=False, refusal=refusal))


async def test_a_run_that_stays_is_read_from_its_start_after_its_end(runs: Runs) -> None:
    claim = await claimed(runs)
    claim.add(b"a", ROOM)
    claim.end(End(whole=True), stays=LEASE)
    assert await read(await joined(runs)) == Reading([b"a"], End(whole=True))


async def test_no_more_is_held_than_there_is_room_for(runs: Runs) -> None:
    """Who keeps up misses nothing of it; who comes late is told that the start is gone."""
    claim = await claimed(runs)
    reader = await joined(runs)
    for piece in (b"aaaa", b"bbbb", b"cccc"):
        claim.add(piece, 10)
        assert (await reader.read()).pieces == [piece]
    assert (await (await joined(runs)).read()).lost == "outrun"
    claim.add(b"dddd", 10)
    assert (await reader.read()).pieces == [b"dddd"]


async def test_a_piece_larger_than_the_room_is_not_held(runs: Runs) -> None:
    claim = await claimed(runs)
    reader = await joined(runs)
    claim.add(b"a" * 11, 10)
    assert (await reader.read()).lost == "outrun"


async def test_a_holder_knows_when_nobody_reads_along(runs: Runs) -> None:
    claim = await claimed(runs)
    await asyncio.wait_for(claim.deserted(), PATIENCE)
    reader = await joined(runs)
    listening = asyncio.create_task(reader.read())
    claim.add(b"a", ROOM)
    await listening
    alone = asyncio.create_task(claim.deserted())
    await asyncio.sleep(0.05)
    assert not alone.done()
    reader.leave()
    reader.leave()
    await asyncio.wait_for(alone, PATIENCE)


def test_what_is_kept_of_a_refusal_is_all_of_it() -> None:
    error = GatewayError(
        Code.CONTENT_REFUSED, "No.", details=(Detail("messages", "are rude"),), retry_after=3, level="tenant"
    )
    again = Refusal.of(error).error()
    assert (again.code, again.message, again.details) == (error.code, error.message, error.details)
    assert (again.retry_after, again.level) == (error.retry_after, error.level)


def test_what_is_told_is_told_in_bytes() -> None:
    head = Head("req_1", 200, ((b"content-type", b"text/plain"),))
    assert head_of(pack(head)) == head
    end = End(whole=False, refusal=Refusal(Code.OVERLOADED, "Later."))
    assert end_of(pack(end)) == end
    assert Answer(fingerprint="f", head=head).body is None
