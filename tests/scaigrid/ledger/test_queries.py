"""Which usage rows are found, in which order, and what a subject has spent."""

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.errors import Code, GatewayError, Level
from scaigrid.ledger.queries import LedgerReader, Spent, spent
from scaigrid.ledger.reading import Position, UsageFilter, UsageReader
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.store import LedgerStore
from tests.scaigrid.ledger.database import ledger
from tests.scaigrid.ledger.rows import usage_row

pytestmark = pytest.mark.anyio

START = usage_row(0).created_at
EVERYTHING = UsageFilter()
SUBJECTS: dict[Level, str] = {
    "partner": "partner_id",
    "tenant": "tenant_id",
    "user": "user_id",
    "key": "key_id",
    "model": "model",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def made(path: Path) -> AsyncEngine:
    return ledger(path)


@pytest.fixture
async def engine(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    yield made
    await made.dispose()


async def fill(engine: AsyncEngine, *rows: UsageRow) -> None:
    await LedgerStore(engine).insert("w", rows)


async def walk(reader: UsageReader, wanted: UsageFilter, limit: int) -> list[UsageRow]:
    """Every page, one after the other."""
    found: list[UsageRow] = []
    after: Position | None = None
    while page := await reader.usage_page(wanted, limit=limit, after=after):
        assert len(page) <= limit
        found += page
        after = Position(page[-1].created_at, page[-1].id)
    return found


def newest_first(rows: Sequence[UsageRow]) -> list[UsageRow]:
    return sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)


async def test_a_row_comes_back_as_it_was_recorded(engine: AsyncEngine) -> None:
    rows = [usage_row(0), usage_row(1, key_id=None, error_code="BACKEND_TIMEOUT", first_byte_us=None, tags={})]
    await fill(engine, *rows)
    assert await LedgerReader(engine).usage_page(EVERYTHING, limit=10, after=None) == newest_first(rows)


async def test_an_empty_ledger_has_an_empty_page(engine: AsyncEngine) -> None:
    assert await LedgerReader(engine).usage_page(EVERYTHING, limit=10, after=None) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.lists(st.sampled_from([0.0, 0.25, 1.0, 2.0]), max_size=30), limit=st.integers(1, 8))
def test_pages_of_any_size_show_each_row_once_newest_first(
    tmp_path_factory: pytest.TempPathFactory, times: list[float], limit: int
) -> None:
    """Many rows of one time too, between which the id decides."""
    rows = [usage_row(number, created_at=START + time) for number, time in enumerate(times)]
    engine = ledger(tmp_path_factory.mktemp("walk") / "ledger.db")

    async def found() -> list[UsageRow]:
        await fill(engine, *rows)
        try:
            return await walk(LedgerReader(engine), EVERYTHING, limit)
        finally:
            await engine.dispose()

    assert asyncio.run(found()) == newest_first(rows)


async def test_rows_that_are_added_during_a_walk_neither_repeat_nor_hide_a_row(engine: AsyncEngine) -> None:
    first = [usage_row(number, created_at=START + number // 3) for number in range(30)]
    await fill(engine, *first)
    reader = LedgerReader(engine)
    seen: list[UsageRow] = []
    after: Position | None = None
    number = 100
    while page := await reader.usage_page(EVERYTHING, limit=4, after=after):
        seen += page
        after = Position(page[-1].created_at, page[-1].id)
        # One is newer than all; one is as old as the row that the page ended with, but late.
        await fill(engine, usage_row(number), usage_row(number + 1, created_at=after.created_at))
        number += 2
    ids = [row.id for row in seen]
    assert len(ids) == len(set(ids))
    assert {row.id for row in first} <= set(ids)
    assert seen == newest_first(seen)


@pytest.mark.parametrize("name", ["model", "user_id", "tenant_id", "backend_id", "key_id", "partner_id", "request_id"])
async def test_a_filter_finds_the_rows_of_its_value_alone(engine: AsyncEngine, name: str) -> None:
    mine = [usage_row(number, **{name: "mine"}) for number in range(4)]
    await fill(engine, *mine, *(usage_row(number) for number in range(10, 14)))
    reader = LedgerReader(engine)
    assert await walk(reader, msgspec.structs.replace(EVERYTHING, **{name: "mine"}), 3) == newest_first(mine)
    assert await walk(reader, msgspec.structs.replace(EVERYTHING, **{name: "nobody's"}), 3) == []


async def test_filters_add_up(engine: AsyncEngine) -> None:
    both = usage_row(0, tenant_id="a", model="b")
    await fill(engine, both, usage_row(1, tenant_id="a"), usage_row(2, model="b"))
    assert await walk(LedgerReader(engine), UsageFilter(tenant_id="a", model="b"), 10) == [both]


async def test_the_start_is_part_of_the_span_and_the_end_is_not(engine: AsyncEngine) -> None:
    rows = [usage_row(number) for number in range(5)]
    await fill(engine, *rows)
    wanted = UsageFilter(start=START + 1, end=START + 3)
    assert await walk(LedgerReader(engine), wanted, 10) == [rows[2], rows[1]]


async def test_a_filter_is_a_value_and_never_sql(engine: AsyncEngine) -> None:
    await fill(engine, usage_row(0))
    assert await walk(LedgerReader(engine), UsageFilter(model="x' OR 1=1 --"), 10) == []


async def test_a_ledger_that_cannot_be_read_is_a_store_that_is_unavailable(engine: AsyncEngine, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE usage")
    with pytest.raises(GatewayError) as failed:
        await LedgerReader(engine).usage_page(EVERYTHING, limit=1, after=None)
    assert failed.value.code is Code.STORE_UNAVAILABLE
    assert "usage" not in failed.value.message


@pytest.mark.parametrize(
    "wanted",
    [
        EVERYTHING,
        UsageFilter(start=START, end=START + 9),
        UsageFilter(tenant_id="t"),
        UsageFilter(user_id="u", start=START),
        UsageFilter(request_id="r"),
    ],
    ids=["everything", "span", "tenant", "user", "request"],
)
@pytest.mark.parametrize("after", [None, Position(START, "usage_5")], ids=["first page", "next page"])
async def test_a_page_does_not_read_the_whole_table(
    engine: AsyncEngine, path: Path, monkeypatch: pytest.MonkeyPatch, wanted: UsageFilter, after: Position | None
) -> None:
    """It walks an index from the place where the page begins. Ties in time may be sorted, the table may not."""
    statements = await executed(engine, monkeypatch, wanted, after)
    with closing(sqlite3.connect(path)) as connection:
        plan = [row[3] for query in statements for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert plan[0].startswith(("SEARCH usage USING INDEX", "SCAN usage USING INDEX ix_usage_created_at_id")), plan
    if wanted.request_id is None:
        assert "USE TEMP B-TREE FOR ORDER BY" not in plan


async def executed(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, wanted: UsageFilter, after: Any) -> list[str]:
    """The statements of one page, with their values in them."""
    seen: list[str] = []
    async with engine.connect() as connection:
        execute = type(connection).execute

        async def watched(self: Any, statement: Any, *arguments: Any, **options: Any) -> Any:
            seen.append(str(statement.compile(dialect=engine.dialect, compile_kwargs={"literal_binds": True})))
            return await execute(self, statement, *arguments, **options)

        monkeypatch.setattr(type(connection), "execute", watched)
    await LedgerReader(engine).usage_page(wanted, limit=10, after=after)
    return seen


@pytest.mark.parametrize("level", SUBJECTS)
async def test_what_a_subject_spent_is_the_sum_of_its_serving_rows(engine: AsyncEngine, level: Level) -> None:
    column = SUBJECTS[level]
    await fill(
        engine,
        usage_row(0, **{column: "s"}, cost=5),
        usage_row(1, **{column: "s"}, cost=2**62),
        usage_row(2, **{column: "s"}, cost=7, serving=False),
        usage_row(3, **{column: "other"}, cost=9),
    )
    # Input in four classes and the output; reasoning is part of the output already.
    tokens = 11 + 12 + 13 + 14 + 15
    assert await spent(engine, level, "s", 0.0, math.inf) == Spent(2**62 + 5, 2 * tokens, 2)
    assert await spent(engine, level, "nobody", 0.0, math.inf) == (0, 0, 0)


async def test_spending_is_counted_from_the_start_of_a_period_to_before_its_end(engine: AsyncEngine) -> None:
    await fill(engine, *(usage_row(number, cost=10**number) for number in range(5)))
    assert (await spent(engine, "user", "user_u", START + 1, START + 3)).cost == 110
    assert (await spent(engine, "user", "user_u", START + 3, math.inf)).cost == 11_000
    assert (await spent(engine, "user", "user_u", START + 9, START + 10)) == (0, 0, 0)
