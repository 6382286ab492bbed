"""What rows add up to is written with them: once, however often they come, by hour and by day; on either database."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Table, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db import migrate
from scaigrid.db.engine import create_engine, writing
from scaigrid.db.models import usage, usage_rollup, usage_tag_rollup
from scaigrid.ledger.records import Record, UsageRow
from scaigrid.ledger.spans import DAY, HOUR
from scaigrid.ledger.store import LedgerStore
from tests.harness import databases
from tests.harness.databases import Kind, kind_of
from tests.scaigrid.ledger.rows import audit_row, usage_row

pytestmark = pytest.mark.anyio

BEGIN = 1_800_000_000 // DAY * DAY


@pytest.fixture
def made(database_url: str) -> AsyncEngine:
    return create_engine(database_url)


@pytest.fixture
async def engine(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    yield made
    await made.dispose()


async def sums(engine: AsyncEngine, table: Table, *conditions: Any) -> list[dict[str, Any]]:
    query = select(table).where(*conditions).order_by(*(column for column in table.c if column.name != "digest"))
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]


async def attempts(engine: AsyncEngine, span: int = DAY) -> int:
    query = select(func.sum(usage_rollup.c.attempts)).where(usage_rollup.c.span == span)
    async with engine.connect() as connection:
        return int(await connection.scalar(query) or 0)


async def balanced(engine: AsyncEngine) -> int:
    """How many rows there are. Asserts that the sums of either span say the same."""
    async with engine.connect() as connection:
        rows = await connection.scalar(select(func.count()).select_from(usage)) or 0
    assert await attempts(engine, DAY) == await attempts(engine, HOUR) == rows
    return rows


async def test_a_copy_that_was_overtaken_costs_its_operator_and_is_no_error(engine: AsyncEngine) -> None:
    row = usage_row(1, created_at=BEGIN, serving=False, outcome="overtaken", cost=0, backend_cost=2)
    await LedgerStore(engine).insert("w", [row])
    (day,) = await sums(engine, usage_rollup, usage_rollup.c.span == DAY)
    assert [day[name] for name in ("attempts", "requests", "errors", "cost", "backend_cost")] == [1, 0, 0, 0, 2]


async def test_every_sum_is_of_what_its_name_says(engine: AsyncEngine) -> None:
    rows = [
        usage_row(1, created_at=BEGIN + HOUR + 0.5, cost=5, backend_cost=3),
        usage_row(2, created_at=BEGIN + HOUR + 1, cost=7, backend_cost=4, outcome="client_closed"),
        usage_row(3, created_at=BEGIN + 2 * HOUR, serving=False, outcome="error", cost=1, backend_cost=2),
    ]
    await LedgerStore(engine).insert("w", rows)
    (day,) = await sums(engine, usage_rollup, usage_rollup.c.span == DAY)
    assert len(day.pop("digest")) == 16
    both = {
        "requests": 2,
        "tokens_in": 2 * (11 + 12 + 13 + 14 + 16 + 18),
        "tokens_out": 2 * (15 + 17 + 19),
        "tokens": 2 * (11 + 12 + 13 + 14 + 16 + 18 + 15 + 17 + 19),
        "cost": 12,
        "backend_cost": 9,
    }
    of = {"partner_id": "partner_p", "tenant_id": "tenant_t", "user_id": "user_u"}
    assert day == {
        "span": DAY,
        "start": BEGIN,
        **of,
        "key_id": "apikey_k",
        "groups": "group_a group_b",
        "model": "acme/large",
        "backend_id": "be_b",
        "attempts": 3,
        "errors": 2,
        "tokens_cache_read": 24,
        "tokens_cache_write": 54,
        "tokens_reasoning": 14,
        **both,
    }
    hours = await sums(engine, usage_rollup, usage_rollup.c.span == HOUR)
    assert [(hour["start"] - BEGIN, hour["requests"], hour["attempts"], hour["cost"]) for hour in hours] == [
        (HOUR, 2, 2, 12),
        (2 * HOUR, 0, 1, 0),
    ]
    tagged = await sums(engine, usage_tag_rollup, usage_tag_rollup.c.span == DAY)
    for tag in tagged:
        tag.pop("digest")
    # By tenant alone: a tag is not told apart by users
    del of["user_id"]
    tags = [("ort", "Köln"), ("team", "blue")]
    assert tagged == [{"span": DAY, "start": BEGIN, **of, "name": name, "value": value, **both} for name, value in tags]


async def test_calls_without_a_key_or_a_group_are_told_apart(engine: AsyncEngine) -> None:
    await LedgerStore(engine).insert("w", [usage_row(1), usage_row(2, key_id=None), usage_row(3, groups=())])
    days = await sums(engine, usage_rollup, usage_rollup.c.span == DAY)
    assert sorted((day["key_id"], day["groups"]) for day in days) == [
        ("", "group_a group_b"),
        ("apikey_k", ""),
        ("apikey_k", "group_a group_b"),
    ]


async def test_batches_add_to_the_same_sums(engine: AsyncEngine) -> None:
    store = LedgerStore(engine)
    for number in range(5):
        await store.insert("w", [usage_row(number, created_at=BEGIN + number)])
    (day,) = await sums(engine, usage_rollup, usage_rollup.c.span == DAY)
    assert day["attempts"] == await balanced(engine) == 5


async def test_what_comes_twice_is_counted_once(engine: AsyncEngine) -> None:
    """Again by the same process, by the next one, overlapping, and in one batch."""
    store = LedgerStore(engine)
    batch: list[Record] = [usage_row(1), audit_row(2), usage_row(3)]
    await store.insert("w", batch)
    await store.insert("w", batch)
    assert await balanced(engine) == 2
    await LedgerStore(engine).insert("w", batch)
    assert await balanced(engine) == 2
    await store.insert("w", [usage_row(3), usage_row(4), usage_row(4), usage_row(5)])
    assert await balanced(engine) == 4
    await store.insert("v", [usage_row(5), usage_row(6)])
    assert await balanced(engine) == 5


_NO_ROOM: dict[Kind, list[str]] = {
    "sqlite": ["CREATE TRIGGER refuse BEFORE INSERT ON usage_rollup BEGIN SELECT RAISE(ABORT, 'no room'); END"],
    "postgres": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no room'; END$$",
        "CREATE TRIGGER refuse BEFORE INSERT ON usage_rollup FOR EACH ROW EXECUTE FUNCTION refuse()",
    ],
}
_ROOM: dict[Kind, str] = {"sqlite": "DROP TRIGGER refuse", "postgres": "DROP TRIGGER refuse ON usage_rollup"}


async def test_rows_whose_sums_cannot_be_written_are_not_written(engine: AsyncEngine, database_url: str) -> None:
    kind, store = kind_of(database_url), LedgerStore(engine)
    await store.insert("w", [usage_row(0)])
    async with writing(engine).begin() as connection:
        for statement in _NO_ROOM[kind]:
            await connection.execute(text(statement))
    with pytest.raises(DBAPIError, match="no room"):
        await store.insert("w", [usage_row(1), audit_row(2)])
    async with writing(engine).begin() as connection:
        await connection.execute(text(_ROOM[kind]))
    assert await balanced(engine) == 1
    await store.insert("w", [usage_row(1), audit_row(2)])
    assert await balanced(engine) == 2


async def test_writers_at_the_same_time_neither_lose_a_count_nor_wait_for_each_other_for_ever(
    engine: AsyncEngine,
) -> None:
    """Each batch touches the sums of all the others, in an order of its own."""
    stores = [LedgerStore(engine) for _ in range(4)]

    async def write(writer: int) -> None:
        for batch in range(5):
            numbers = range(batch * 40, batch * 40 + 40)
            rows = [
                usage_row(
                    number,
                    id=f"usage_{writer}_{number}",
                    created_at=BEGIN + 1,
                    user_id=f"u{number * (7, 13, 29, 31)[writer] % 40}",
                )
                for number in numbers
            ]
            await stores[writer].insert(f"w{writer}", rows)

    await asyncio.gather(*(write(writer) for writer in range(4)))
    assert await balanced(engine) == 4 * 5 * 40
    assert len(await sums(engine, usage_rollup, usage_rollup.c.span == DAY)) == 40


async def test_a_second_before_the_epoch_s_next_hour_counts_for_the_hour_before(engine: AsyncEngine) -> None:
    edges = [BEGIN + HOUR - 2**-22, float(BEGIN + HOUR)]
    await LedgerStore(engine).insert("w", [usage_row(n, created_at=time) for n, time in enumerate(edges)])
    hours = await sums(engine, usage_rollup, usage_rollup.c.span == HOUR)
    assert [hour["start"] for hour in hours] == [BEGIN, BEGIN + HOUR]


async def test_subjects_may_be_longer_than_an_index_takes(engine: AsyncEngine) -> None:
    groups = tuple(f"group_{number:032x}" for number in range(400))
    rows = [usage_row(1, groups=groups, tags={"n": "ü" * 512}), usage_row(2, groups=groups)]
    await LedgerStore(engine).insert("w", rows)
    assert await balanced(engine) == 2


_LATER = UsageRow.__struct_fields__[UsageRow.__struct_fields__.index("tags") + 1 :]
"""Fields that rows of the releases before did not have."""


def test_the_rows_of_a_ledger_that_is_there_are_summed_when_it_is_migrated(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if they had been written by this release; the next ones add to them."""
    old = dict.fromkeys(_LATER, 0) | {"groups": (), "backend_price_version": ""}
    rows = [
        usage_row(
            number,
            **old,
            created_at=BEGIN + number * HOUR * 7 / 3 - 2**-22 * (number % 2),
            user_id=f"u{number % 3}",
            key_id=None if number % 5 == 0 else "k",
            serving=number % 4 != 0,
            outcome="error" if number % 4 == 0 else "ok",
            tags=({}, {"team": "blue"}, {"team": "red", "a:b": 'x"y'})[number % 3],
        )
        for number in range(40)
    ]
    with monkeypatch.context() as then:
        then.setattr(migrate, "REVISIONS", migrate.REVISIONS[:2])
        then.setattr(migrate, "HEAD", migrate.REVISIONS[1])
        migrate.upgrade(empty_database_url)
    written = databases.fresh(kind_of(empty_database_url), tmp_path)

    async def keep_as_before() -> None:
        engine = create_engine(empty_database_url)
        async with writing(engine).begin() as connection:
            kept = [
                {name: value for name, value in msgspec.structs.asdict(row).items() if name not in _LATER}
                for row in rows
            ]
            await connection.execute(
                insert(usage), [{**row, "tags": msgspec.json.encode(row["tags"]).decode()} for row in kept]
            )
        await engine.dispose()

    async def summed(url: str, *more: UsageRow) -> Sequence[Sequence[Mapping[str, Any]]]:
        engine = create_engine(url)
        await LedgerStore(engine).insert("w", more)
        found = [await sums(engine, table) for table in (usage_rollup, usage_tag_rollup)]
        await engine.dispose()
        return [[{name: row[name] for name in row if name != "digest"} for row in rows] for rows in found]

    asyncio.run(keep_as_before())
    migrate.upgrade(empty_database_url)
    assert asyncio.run(summed(empty_database_url)) == asyncio.run(summed(written, *rows))
    later = asyncio.run(summed(empty_database_url, rows[0], usage_row(99)))
    assert sum(row["attempts"] for row in later[0]) == 2 * 41
    databases.drop(written)
