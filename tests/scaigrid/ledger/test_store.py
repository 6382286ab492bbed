"""Rows in the database: as they were, once however often they come, audit rows in one unbroken chain."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import writing
from scaigrid.db.models import audit, usage
from scaigrid.ledger.chain import verify
from scaigrid.ledger.records import Record
from scaigrid.ledger.store import LedgerStore
from tests.scaigrid.ledger.database import ledger
from tests.scaigrid.ledger.rows import audit_row, usage_row

pytestmark = pytest.mark.anyio


@pytest.fixture
def empty(tmp_path: Path) -> AsyncEngine:
    return ledger(tmp_path / "ledger.db")


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
    assert kept == wanted


async def test_every_field_of_an_audit_row_is_kept_as_it_was(engine: AsyncEngine) -> None:
    full = audit_row(1, before=msgspec.Raw(b'{"a": 1.0}'), after=msgspec.Raw(b"null"), error_code="NOT_FOUND")
    await LedgerStore(engine).insert("w", [full])
    (kept,) = await rows(engine, select(audit))
    wanted = {**msgspec.structs.asdict(full), "before": '{"a": 1.0}', "after": "null"}
    assert {name: kept[name] for name in wanted} == wanted


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 0])
async def test_money_has_64_bits(engine: AsyncEngine, value: int) -> None:
    await LedgerStore(engine).insert("w", [usage_row(1, cost=value)])
    assert [row["cost"] for row in await rows(engine, select(usage))] == [value]


async def test_a_number_that_does_not_fit_is_refused_and_nothing_is_written(engine: AsyncEngine) -> None:
    store = LedgerStore(engine)
    with pytest.raises(OverflowError):
        await store.insert("w", [usage_row(1), audit_row(2), usage_row(3, cost=2**63)])
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


async def test_a_batch_is_all_or_nothing(engine: AsyncEngine) -> None:
    async with writing(engine).begin() as connection:
        await connection.execute(
            text("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
        )
    with pytest.raises(IntegrityError, match="no room"):
        await LedgerStore(engine).insert("w", [usage_row(1), audit_row(2)])
    assert await rows(engine, select(usage)) == []


async def test_an_error_says_nothing_of_the_values(engine: AsyncEngine) -> None:
    async with writing(engine).begin() as connection:
        await connection.execute(text("DROP TABLE audit"))
    with pytest.raises(OperationalError) as failed:
        await LedgerStore(engine).insert("w", [audit_row(1, actor_email="somebody@example.com")])
    assert "somebody" not in str(failed.value)


async def test_a_batch_of_thousands_is_written_in_order(engine: AsyncEngine) -> None:
    batch = [row for number in range(1500) for row in (usage_row(number), audit_row(number))]
    store = LedgerStore(engine)
    await store.insert("w", batch)
    await store.insert("w", batch)
    assert await places(engine) == numbered(*range(1500))
    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(usage)) == 1500
