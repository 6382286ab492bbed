import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from scaigrid.db.engine import create_engine
from scaigrid.db.models import idempotency
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.repeats.answers import DatabaseAnswers
from scaigrid.repeats.port import Answer, Head, Refusal
from tests.harness import databases
from tests.harness.clock import StillClock

pytestmark = pytest.mark.anyio

DAY = 86_400.0
ANSWER = Answer(
    fingerprint="body",
    head=Head("req_1", 200, ((b"content-type", b"text/event-stream"), (b"x-odd", b"\xff"))),
    body=bytes(range(256)),
)


@pytest.fixture
async def engine(database_url: str) -> AsyncGenerator[AsyncEngine]:
    made = create_engine(database_url)
    yield made
    await made.dispose()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def answers(engine: AsyncEngine, clock: StillClock) -> DatabaseAnswers:
    return DatabaseAnswers(engine, clock, 1_000)


def body(size: int) -> Answer:
    return Answer(fingerprint="body", head=Head("req_1", 200), body=b"x" * size)


async def rows(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(select(func.count()).select_from(idempotency)) or 0


async def test_what_is_kept_is_found_byte_for_byte(answers: DatabaseAnswers) -> None:
    assert await answers.find("key") is None
    await answers.keep("key", ANSWER, DAY)
    assert await answers.find("key") == ANSWER
    assert await answers.find("another") is None


async def test_a_refusal_is_kept_whole(answers: DatabaseAnswers) -> None:
    refusal = Refusal(Code.CONTENT_REFUSED, "No\0.", (Detail("messages", "are rude"),))
    refused = Answer(fingerprint="body", head=Head("req_1", 422), refusal=refusal)
    await answers.keep("key", refused, DAY)
    assert await answers.find("key") == refused


async def test_what_was_too_large_is_known_to_have_been(answers: DatabaseAnswers) -> None:
    large = Answer(fingerprint="body", head=Head("req_1", 200), body=None)
    await answers.keep("key", large, DAY)
    assert await answers.find("key") == large


async def test_an_answer_is_found_until_its_time_is_over(answers: DatabaseAnswers, clock: StillClock) -> None:
    await answers.keep("key", ANSWER, DAY)
    clock.advance(DAY - 1)
    assert await answers.find("key") == ANSWER
    clock.advance(1)
    assert await answers.find("key") is None


async def test_the_first_answer_stays(answers: DatabaseAnswers, clock: StillClock) -> None:
    await answers.keep("key", ANSWER, DAY)
    await answers.keep("key", body(1), DAY)
    assert await answers.find("key") == ANSWER
    clock.advance(DAY)
    await answers.keep("key", body(1), DAY)
    assert await answers.find("key") == body(1)


async def test_many_at_once_keep_one(answers: DatabaseAnswers, engine: AsyncEngine) -> None:
    await asyncio.gather(*(answers.keep("key", body(number), DAY) for number in range(1, 9)))
    assert await rows(engine) == 1
    assert await answers.find("key") is not None


async def test_what_is_over_is_removed_however_much_it_is(
    answers: DatabaseAnswers, engine: AsyncEngine, clock: StillClock
) -> None:
    for number in range(401):
        await answers.keep(f"key {number}", body(0), 60)
    await answers.keep("later", body(0), 61)
    clock.advance(60)
    await answers.tidy()
    assert await rows(engine) == 1


async def test_the_oldest_bodies_are_forgotten_where_there_is_too_much(
    answers: DatabaseAnswers, engine: AsyncEngine, clock: StillClock
) -> None:
    """Not that they were given: nothing is charged a second time."""
    for number in range(250):
        await answers.keep(f"key {number}", body(6), DAY)
        clock.advance(1)
    await answers.tidy()
    assert await rows(engine) == 250
    oldest, newest = await answers.find("key 0"), await answers.find("key 249")
    assert oldest is not None
    assert (oldest.body, newest) == (None, body(6))


async def test_it_is_tidied_as_long_as_the_worker_lives(
    answers: DatabaseAnswers, engine: AsyncEngine, clock: StillClock
) -> None:
    await answers.keep("key", ANSWER, 60)
    clock.advance(60)
    turns = 0

    async def sleep(seconds: float) -> None:
        nonlocal turns
        assert seconds == 60
        turns += 1
        if turns == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await answers.tend(sleep)
    assert await rows(engine) == 0


async def _find(answers: DatabaseAnswers) -> None:
    await answers.find("key")


async def _keep(answers: DatabaseAnswers) -> None:
    await answers.keep("key", ANSWER, DAY)


@pytest.mark.parametrize("ask", [_find, _keep])
async def test_a_database_that_is_away_is_said_to_be(
    ask: Callable[[DatabaseAnswers], Awaitable[None]], tmp_path: Path
) -> None:
    engine = create_engine(databases.empty("sqlite", tmp_path))
    with pytest.raises(GatewayError) as refused:
        await ask(DatabaseAnswers(engine, StillClock(), 1_000))
    assert (refused.value.code, refused.value.retry_after) == (Code.STORE_UNAVAILABLE, 1)
    await engine.dispose()


async def test_the_tidying_goes_on_when_the_database_is_back(tmp_path: Path) -> None:
    engine = create_engine(databases.empty("sqlite", tmp_path))
    turns = 0

    async def sleep(_: float) -> None:
        nonlocal turns
        turns += 1
        if turns == 3:
            raise asyncio.CancelledError

    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await DatabaseAnswers(engine, StillClock(), 1_000).tend(sleep)
    assert [line["event"] for line in lines] == ["answers_not_tidied"] * 2
    await engine.dispose()
