"""Which usage rows are found, in which order, and what a subject has spent."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine, writing
from scaigrid.db.models import usage
from scaigrid.errors import Code, GatewayError, Level
from scaigrid.ledger.queries import LedgerReader, Spent, spent, spent_by
from scaigrid.ledger.reading import Position, UsageFilter, UsageReader
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.store import LedgerStore
from tests.harness.databases import Kind, kind_of
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
def made(database_url: str) -> AsyncEngine:
    return create_engine(database_url)


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
def test_pages_of_any_size_show_each_row_once_newest_first(database_url: str, times: list[float], limit: int) -> None:
    """Many rows of one time too, between which the id decides."""
    rows = [usage_row(number, created_at=START + time) for number, time in enumerate(times)]
    engine = create_engine(database_url)

    async def found() -> list[UsageRow]:
        async with writing(engine).begin() as connection:
            await connection.execute(delete(usage))
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


async def test_a_ledger_that_cannot_be_read_is_a_store_that_is_unavailable(engine: AsyncEngine) -> None:
    async with writing(engine).begin() as connection:
        await connection.execute(text("DROP TABLE usage"))
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
    engine: AsyncEngine,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    wanted: UsageFilter,
    after: Position | None,
) -> None:
    """It walks an index from the place where the page begins. Ties in time may be sorted, the table may not."""
    (statement,) = await executed(engine, monkeypatch, wanted, after)
    kind = kind_of(database_url)
    async with engine.connect() as connection:
        for setting in _FORBIDS[kind]:
            await connection.execute(text(setting))
        rows = (await connection.exec_driver_sql(f"{_EXPLAIN[kind]} {statement}")).all()
    plan = [str(row[-1]) for row in rows]
    assert any(walk in line for line in plan for walk in _WALKS[kind]), plan
    if wanted.request_id is None:
        assert _SORTS[kind] not in {line.strip(" ->") for line in plan}, plan


_FORBIDS: dict[Kind, Sequence[str]] = {
    "sqlite": (),
    # For a small table PostgreSQL would rather read and sort all of it: these ask whether it could do without.
    "postgres": ("SET enable_seqscan = off", "SET enable_bitmapscan = off", "SET enable_sort = off"),
}
_EXPLAIN: dict[Kind, str] = {"sqlite": "EXPLAIN QUERY PLAN", "postgres": "EXPLAIN (COSTS OFF)"}
_WALKS: dict[Kind, Sequence[str]] = {
    "sqlite": ("SEARCH usage USING INDEX", "SCAN usage USING INDEX ix_usage_created_at_id"),
    "postgres": ("Index Scan using ix_usage_", "Index Scan Backward using ix_usage_"),
}
_SORTS: dict[Kind, str] = {"sqlite": "USE TEMP B-TREE FOR ORDER BY", "postgres": "Sort"}


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
    # Every class of input and output; reasoning is part of the output already, and images and time are no tokens.
    tokens = 11 + 12 + 13 + 14 + 15 + 16 + 17 + 18 + 19
    assert await spent(engine, level, "s", 0.0, math.inf) == Spent(2**62 + 5, 2 * tokens, 2)
    assert await spent(engine, level, "nobody", 0.0, math.inf) == (0, 0, 0)


async def test_spending_is_counted_from_the_start_of_a_period_to_before_its_end(engine: AsyncEngine) -> None:
    await fill(engine, *(usage_row(number, cost=10**number) for number in range(5)))
    assert (await spent(engine, "user", "user_u", START + 1, START + 3)).cost == 110
    assert (await spent(engine, "user", "user_u", START + 3, math.inf)).cost == 11_000
    assert (await spent(engine, "user", "user_u", START + 9, START + 10)) == (0, 0, 0)


@pytest.mark.parametrize("level", SUBJECTS)
async def test_what_each_subject_of_a_level_spent_is_told_at_once(engine: AsyncEngine, level: Level) -> None:
    column = SUBJECTS[level]
    await fill(
        engine,
        *(usage_row(number, **{column: "many"}, cost=10**number) for number in range(5)),
        usage_row(5, **{column: "one"}, cost=2**62),
        usage_row(6, **{column: "one"}, cost=1, serving=False),
    )
    found = await spent_by(engine, level, START + 1, math.inf)
    assert {subject: spent.cost for subject, spent in found.items()} == {"many": 11_110, "one": 2**62}
    for subject, spent_of in found.items():
        assert spent_of == await spent(engine, level, subject, START + 1, math.inf)
    assert {subject: spent.cost for subject, spent in (await spent_by(engine, level, START, START + 2)).items()} == {
        "many": 11
    }


async def test_calls_without_a_key_are_no_subject(engine: AsyncEngine) -> None:
    await fill(engine, usage_row(1, key_id=None))
    assert await spent_by(engine, "key", 0.0, math.inf) == {}


async def test_what_somebody_in_two_groups_spent_counts_for_each_of_them(engine: AsyncEngine) -> None:
    await fill(
        engine,
        usage_row(1, groups=("group_a", "group_b"), cost=1),
        usage_row(2, groups=("group_b",), cost=20),
        usage_row(3, groups=("group_ab",), cost=300),
        usage_row(4, groups=(), cost=4000),
    )
    found = await spent_by(engine, "group", START, math.inf)
    assert {group: (spent.cost, spent.requests) for group, spent in found.items()} == {
        "group_a": (1, 1),
        "group_b": (21, 2),
        "group_ab": (300, 1),
    }
    assert await spent(engine, "group", "group_b", START, math.inf) == found["group_b"]
    assert await spent(engine, "group", "group", START, math.inf) == (0, 0, 0)


async def test_a_period_that_begins_within_an_hour_is_counted_to_the_row(engine: AsyncEngine) -> None:
    """As in zones that are half an hour off: 18:30 in UTC is midnight there."""
    half = START // 3600 * 3600 + 1800
    times = [half - 3600.5, half - 0.5, half, half + 86_400 - 0.5, half + 86_400]
    await fill(engine, *(usage_row(number, created_at=time, cost=10**number) for number, time in enumerate(times)))
    assert (await spent(engine, "user", "user_u", half, half + 86_400)).cost == 1100
    assert (await spent_by(engine, "user", half, math.inf))["user_u"].cost == 11_100
