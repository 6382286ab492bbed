"""Rows in the database: as they were, once however often they come, audit rows in one unbroken chain; on either one."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db import faults
from scaigrid.db.engine import create_engine, writing
from scaigrid.db.models import audit, request_timelines, usage
from scaigrid.ledger.chain import verify
from scaigrid.ledger.records import Record
from scaigrid.ledger.store import LedgerStore, storable
from tests.harness.databases import Kind, kind_of
from tests.scaigrid.ledger.rows import audit_row, timeline_row, usage_row

pytestmark = pytest.mark.anyio


@pytest.fixture
def empty(database_url: str) -> AsyncEngine:
    return create_engine(database_url)


@pytest.fixture
def kind(database_url: str) -> Kind:
    return kind_of(database_url)


@pytest.fixture
async def engine(empty: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    yield empty
    await empty.dispose()


async def rows(engine: AsyncEngine, query: Any) -> Sequence[dict[str, Any]]:
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]


async def places(engine: AsyncEngine, writer_id: str = "w") -> list[tuple[str, int]]:
    """Ids and numbers of a chain. Asserts that it holds."""
    async with engine.connect() as connection:
        assert await verify(connection, writer_id) is None
    found = await rows(engine, select(audit).where(audit.c.writer == writer_id).order_by(audit.c.seq))
    return [(row["id"], row["seq"]) for row in found]


def numbered(*numbers: int) -> list[tuple[str, int]]:
    return [(audit_row(number).id, seq) for seq, number in enumerate(numbers, 1)]


async def test_every_field_of_a_usage_row_is_kept_as_it_was(engine: AsyncEngine) -> None:
    full = usage_row(1)
    bare = usage_row(2, key_id=None, error_code="BACKEND_ERROR", first_byte_us=None, serving=False, tags={})
    await LedgerStore(engine).insert("w", [full, bare])
    kept = await rows(engine, select(usage).order_by(usage.c.id))
    wanted = [msgspec.structs.asdict(row) for row in (full, bare)]
    for row in wanted:
        row["tags"] = msgspec.json.encode(row["tags"], order="deterministic").decode()
        row["groups"] = " ".join(row["groups"])
    assert kept == wanted


async def test_every_field_of_an_audit_row_is_kept_as_it_was(engine: AsyncEngine) -> None:
    full = audit_row(1, before=msgspec.Raw(b'{"a": 1.0}'), after=msgspec.Raw(b"null"), error_code="NOT_FOUND")
    await LedgerStore(engine).insert("w", [full])
    (kept,) = await rows(engine, select(audit))
    wanted = {**msgspec.structs.asdict(full), "before": '{"a": 1.0}', "after": "null"}
    assert {name: kept[name] for name in wanted} == wanted


async def test_every_field_of_a_timeline_is_kept_as_it_was(engine: AsyncEngine) -> None:
    full, bare = timeline_row(1), timeline_row(2, key_id=None, document='["\\u0000"]')
    await LedgerStore(engine).insert("w", [full, usage_row(3), bare])
    kept = await rows(engine, select(request_timelines).order_by(request_timelines.c.id))
    assert kept == [msgspec.structs.asdict(row) for row in (full, bare)]


async def test_a_timeline_that_comes_again_is_there_once(engine: AsyncEngine) -> None:
    """As after a crash between the commit and its answer. One of the same request id is another one."""
    store = LedgerStore(engine)
    again = timeline_row(2, request_id=timeline_row(1).request_id, tenant_id="tenant_other")
    await store.insert("w", [timeline_row(1), timeline_row(1)])
    await store.insert("w", [timeline_row(1, document="[]"), again])
    await LedgerStore(engine).insert("v", [again, timeline_row(3)])
    kept = await rows(engine, select(request_timelines).order_by(request_timelines.c.id))
    assert kept == [msgspec.structs.asdict(row) for row in (timeline_row(1), again, timeline_row(3))]


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 0])
async def test_money_has_64_bits(engine: AsyncEngine, value: int) -> None:
    await LedgerStore(engine).insert("w", [usage_row(1, cost=value)])
    assert [row["cost"] for row in await rows(engine, select(usage))] == [value]


async def test_a_number_that_does_not_fit_is_refused_and_nothing_is_written(engine: AsyncEngine) -> None:
    store = LedgerStore(engine)
    with pytest.raises((OverflowError, SQLAlchemyError)) as refused:
        await store.insert("w", [usage_row(1), audit_row(2), usage_row(3, cost=2**63)])
    assert faults.of_values(refused.value)
    assert str(2**63) not in faults.told(refused.value)
    assert await rows(engine, select(usage)) == []
    assert await rows(engine, select(audit)) == []
    await store.insert("w", [usage_row(1), audit_row(2)])
    assert await places(engine) == numbered(2)


async def test_what_comes_twice_is_there_once(engine: AsyncEngine) -> None:
    store = LedgerStore(engine)
    batch: list[Record] = [usage_row(1), audit_row(2), usage_row(3), audit_row(4)]
    await store.insert("w", batch)
    await store.insert("w", batch)
    await LedgerStore(engine).insert("w", batch)
    assert len(await rows(engine, select(usage))) == 2
    assert await places(engine) == numbered(2, 4)


async def test_what_comes_twice_in_one_batch_is_there_once(engine: AsyncEngine) -> None:
    store = LedgerStore(engine)
    await store.insert("w", [audit_row(0)])
    await store.insert("w", [usage_row(1), usage_row(1), audit_row(2), audit_row(2), audit_row(0)])
    assert len(await rows(engine, select(usage))) == 1
    assert await places(engine) == numbered(0, 2)


async def test_a_row_that_is_there_is_left_as_it_is(engine: AsyncEngine) -> None:
    store = LedgerStore(engine)
    await store.insert("w", [usage_row(1), audit_row(1)])
    await store.insert("w", [usage_row(1, cost=0), audit_row(1, action="other")])
    assert [row["cost"] for row in await rows(engine, select(usage))] == [usage_row().cost]
    assert [row["action"] for row in await rows(engine, select(audit))] == [audit_row().action]


async def test_an_overlapping_batch_adds_only_what_is_new(engine: AsyncEngine) -> None:
    """As when a process died between the commit and its noting how far it had come."""
    store = LedgerStore(engine)
    await store.insert("w", [audit_row(number) for number in range(5)])
    await store.insert("w", [audit_row(number) for number in range(3, 9)])
    await store.insert("w", [audit_row(9)])
    assert await places(engine) == numbered(*range(10))


async def test_a_chain_goes_on_in_the_next_process(engine: AsyncEngine) -> None:
    for number in range(4):
        await LedgerStore(engine).insert("w", [audit_row(number)])
    assert await places(engine) == numbered(0, 1, 2, 3)


async def test_each_writer_has_a_chain_of_its_own(engine: AsyncEngine) -> None:
    store = LedgerStore(engine)
    await store.insert("w", [audit_row(0)])
    await store.insert("v", [audit_row(1)])
    await store.insert("w", [audit_row(2)])
    store.forget("v")
    await store.insert("v", [audit_row(3)])
    assert await places(engine) == numbered(0, 2)
    assert await places(engine, "v") == numbered(1, 3)


async def test_a_chain_that_somebody_else_continued_does_not_fork(engine: AsyncEngine) -> None:
    mine, theirs = LedgerStore(engine), LedgerStore(engine)
    await mine.insert("w", [audit_row(0)])
    await theirs.insert("w", [audit_row(1)])
    await mine.insert("w", [audit_row(2)])
    assert await places(engine) == numbered(0, 1, 2)


_NO_ROOM: dict[Kind, list[str]] = {
    "sqlite": ["CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END"],
    "postgres": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no room'; END$$",
        "CREATE TRIGGER refuse BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION refuse()",
    ],
}


async def test_a_batch_is_all_or_nothing(engine: AsyncEngine, kind: Kind) -> None:
    async with writing(engine).begin() as connection:
        for statement in _NO_ROOM[kind]:
            await connection.execute(text(statement))
    with pytest.raises(DBAPIError, match="no room"):
        await LedgerStore(engine).insert("w", [usage_row(1), audit_row(2)])
    assert await rows(engine, select(usage)) == []


async def test_an_error_says_nothing_of_the_values(engine: AsyncEngine) -> None:
    async with writing(engine).begin() as connection:
        await connection.execute(text("DROP TABLE audit"))
    with pytest.raises(DBAPIError) as failed:
        await LedgerStore(engine).insert("w", [audit_row(1, actor_email="somebody@example.com")])
    assert "somebody" not in str(failed.value)
    assert not faults.of_values(failed.value)


async def test_a_nul_sign_is_refused_by_postgres_alone_and_a_storable_row_by_none(
    engine: AsyncEngine, kind: Kind
) -> None:
    store = LedgerStore(engine)
    row = audit_row(1, user_agent="probe\0/1.0")
    if kind == "postgres":
        with pytest.raises(DBAPIError) as refused:
            await store.insert("w", [row])
        assert faults.of_values(refused.value)
    else:
        await store.insert("w", [row])
    await store.insert("v", [storable(audit_row(2, user_agent="probe\0/1.0"))])
    (kept,) = await rows(engine, select(audit.c.user_agent).where(audit.c.writer == "v"))
    assert kept["user_agent"] == "probe\ufffd/1.0"
    assert await places(engine, "v") == [(audit_row(2).id, 1)]


def test_a_row_that_can_be_stored_is_left_as_it_is() -> None:
    row = usage_row(1)
    assert storable(row) is row


async def test_a_batch_of_thousands_is_written_in_order(engine: AsyncEngine) -> None:
    batch = [row for number in range(1500) for row in (usage_row(number), audit_row(number))]
    store = LedgerStore(engine)
    await store.insert("w", batch)
    await store.insert("w", batch)
    assert await places(engine) == numbered(*range(1500))
    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(usage)) == 1500
