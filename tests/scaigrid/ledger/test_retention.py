"""Old rows go in small steps, their sums stay; nothing goes that was not summed. On either database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Table, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine, writing
from scaigrid.db.models import request_timelines, usage, usage_rollup, usage_tag_rollup
from scaigrid.ledger.queries import Spent, spent
from scaigrid.ledger.reading import UsageFilter
from scaigrid.ledger.retention import LOCK, Dropped, Retention
from scaigrid.ledger.spans import DAY, HOUR
from scaigrid.ledger.store import LedgerStore
from scaigrid.ledger.sums import totals
from tests.harness.clock import StillClock
from tests.harness.databases import kind_of
from tests.scaigrid.ledger.rows import timeline_row, usage_row

pytestmark = pytest.mark.anyio

NOW = StillClock().now()
TODAY = int(NOW) // DAY * DAY


@pytest.fixture
def made(database_url: str) -> AsyncEngine:
    return create_engine(database_url)


@pytest.fixture
async def engine(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    yield made
    await made.dispose()


def retention(engine: AsyncEngine, **more: Any) -> Retention:
    async def at_once(_: float) -> None:
        """No test is about how long a pause is."""

    given: dict[str, Any] = {"usage_days": 32, "hourly_days": None, "sleep": at_once}
    return Retention(engine, StillClock(), **{**given, **more})


async def count(engine: AsyncEngine, table: Table, *conditions: Any) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


async def fill(engine: AsyncEngine, *ages: float) -> None:
    """A row of each age in days."""
    rows = [usage_row(number, created_at=TODAY - age * DAY, cost=1) for number, age in enumerate(ages)]
    await LedgerStore(engine).insert("w", rows)


async def test_rows_go_once_their_whole_day_is_old_enough(engine: AsyncEngine) -> None:
    await fill(engine, 0, 31.9, 32, 32.01, 32.5, 33, 40)
    assert await retention(engine).sweep() == Dropped(4, 0)
    async with engine.connect() as connection:
        kept = (await connection.scalars(select(usage.c.created_at))).all()
    assert min(kept) == TODAY - 32 * DAY
    assert len(kept) == 3
    assert await retention(engine).sweep() == Dropped(0, 0)


async def test_what_the_rows_added_up_to_stays(engine: AsyncEngine) -> None:
    await fill(engine, *(32 + number / 4 for number in range(20)))
    before = [await spent(engine, "user", "user_u", start, NOW) for start in (0.0, TODAY - 34 * DAY - HOUR)]
    await retention(engine).sweep()
    assert before == [await spent(engine, "user", "user_u", start, NOW) for start in (0.0, TODAY - 34 * DAY - HOUR)]
    assert before[0] == Spent(20, 20 * before[0].tokens // 20, 20)


async def test_steps_are_small(engine: AsyncEngine) -> None:
    await fill(engine, *[33.0] * 25)
    pauses: list[int] = []

    async def watched(_: float) -> None:
        pauses.append(await count(engine, usage))

    assert await retention(engine, batch=10, sleep=watched).sweep() == Dropped(25, 0)
    assert pauses == [15, 5]


async def test_sums_of_hours_go_later_and_those_of_days_never(engine: AsyncEngine) -> None:
    await fill(engine, *(number + 0.5 for number in range(50)))
    days = await count(engine, usage_rollup, usage_rollup.c.span == DAY)
    assert await retention(engine, hourly_days=40, batch=3).sweep() == Dropped(18, 30)
    for table in (usage_rollup, usage_tag_rollup):
        async with engine.connect() as connection:
            oldest = await connection.scalar(select(func.min(table.c.start)).where(table.c.span == HOUR))
        assert oldest == TODAY - 40 * DAY + DAY // 2
    assert await count(engine, usage_rollup, usage_rollup.c.span == DAY) == days == 50
    async with engine.connect() as connection:
        (whole,) = await totals(connection, UsageFilter(start=TODAY - 50 * DAY, end=TODAY), "model")
    assert whole.requests == 50


async def test_timelines_have_a_time_of_their_own(engine: AsyncEngine) -> None:
    """They go to the minute, in small steps, whatever stays of the usage."""
    ages = (0, 6.9, 7.001, 7.5, 8, 30)
    made = [timeline_row(number, created_at=NOW - age * DAY) for number, age in enumerate(ages)]
    await LedgerStore(engine).insert("w", [*made, usage_row(0, created_at=NOW - 30 * DAY)])
    kept: list[int] = []

    async def watched(_: float) -> None:
        kept.append(await count(engine, request_timelines))

    swept = retention(engine, usage_days=None, timeline_days=7, batch=2, sleep=watched)
    assert await swept.sweep() == Dropped(0, 0, 4)
    assert kept == [4, 2]
    assert await count(engine, request_timelines) == 2
    assert await count(engine, usage) == 1


async def test_nothing_goes_where_nothing_is_asked_for(engine: AsyncEngine) -> None:
    await fill(engine, 1000)
    assert await retention(engine, usage_days=None).sweep() == Dropped(0, 0)
    assert await count(engine, usage) == 1


async def test_a_day_whose_sums_lack_rows_is_left_as_it_is(engine: AsyncEngine) -> None:
    """As rows do that a gateway of the release before has written."""
    await fill(engine, 40, 41, 41.2, 42)
    async with engine.connect() as connection:
        rows = [dict(row) for row in (await connection.execute(select(usage))).mappings()]
    async with writing(engine).begin() as connection:
        late = [row for row in rows if row["created_at"] == TODAY - 41 * DAY]
        await connection.execute(insert(usage), [{**row, "id": "unsummed"} for row in late])
    assert await retention(engine).sweep() == Dropped(3, 0)
    async with engine.connect() as connection:
        kept = (await connection.scalars(select(usage.c.id).order_by(usage.c.id))).all()
    assert set(kept) == {"unsummed", usage_row(1).id}
    async with writing(engine).begin() as connection:
        await connection.execute(delete(usage).where(usage.c.id == "unsummed"))
    assert await retention(engine).sweep() == Dropped(1, 0)


async def test_one_at_a_time(engine: AsyncEngine, database_url: str) -> None:
    await fill(engine, 33)
    if kind_of(database_url) == "postgres":
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            assert await retention(engine).sweep() == Dropped(0, 0)
    assert await retention(engine).sweep() == Dropped(1, 0)


class Enough(Exception):
    """The test has seen what it waited for."""


async def test_it_goes_on_for_ever_whatever_the_database_does(engine: AsyncEngine) -> None:
    await fill(engine, 33, 34)
    rounds: list[int] = []

    async def between(_: float) -> None:
        async with writing(engine).begin() as connection:
            if not rounds:
                await connection.execute(text("ALTER TABLE usage RENAME TO away"))
            elif len(rounds) == 1:
                await connection.execute(text("ALTER TABLE away RENAME TO usage"))
                await connection.execute(insert(usage), [late])
            else:
                raise Enough
        rounds.append(await count(engine, usage_rollup))

    async with engine.connect() as connection:
        late = dict((await connection.execute(select(usage).limit(1))).mappings().one())
    with pytest.raises(Enough):
        await retention(engine, sleep=between).run()
    assert await count(engine, usage) == 0


async def test_where_everything_stays_there_is_nothing_to_run(engine: AsyncEngine) -> None:
    await retention(engine, usage_days=None).run()
