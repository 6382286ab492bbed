"""A row of the audit log that is changed, removed or put in is found, by us and by anybody with SHA-256 and JSON."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine, writing
from scaigrid.db.models import audit
from scaigrid.ledger.chain import FIELDS, START, Checkpoint, link, verify
from scaigrid.ledger.records import AuditRow
from scaigrid.ledger.store import LedgerStore
from tests.harness import databases
from tests.scaigrid.ledger.rows import audit_row

pytestmark = pytest.mark.anyio

ROWS = 450
"""More than two pages of the walk."""


@pytest.fixture(scope="module", params=databases.KINDS)
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with a chain of ROWS rows by `w`, and one of three by `v`."""
    url = databases.fresh(request.param, tmp_path_factory.mktemp("chain"))
    engine = create_engine(url)

    async def fill() -> None:
        store = LedgerStore(engine)
        body = msgspec.Raw(b'{"name":"K\xc3\xb6ln"}')
        await store.insert("w", [audit_row(number, before=body, error_code="NOT_FOUND") for number in range(ROWS)])
        await store.insert("v", [audit_row(ROWS + number) for number in range(3)])
        await engine.dispose()

    asyncio.run(fill())
    yield url
    databases.drop(url)


@pytest.fixture
def copied(original: str, tmp_path: Path) -> Iterator[AsyncEngine]:
    url = databases.copy(original, tmp_path)
    yield create_engine(url)
    databases.drop(url)


@pytest.fixture
async def engine(copied: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    yield copied
    await copied.dispose()


async def broken(engine: AsyncEngine, writer_id: str = "w", since: Checkpoint = START) -> int | None:
    async with engine.connect() as connection:
        return await verify(connection, writer_id, since=since)


async def change(engine: AsyncEngine, statement: Any) -> None:
    async with writing(engine).begin() as connection:
        assert (await connection.execute(statement)).rowcount > 0


async def test_an_untouched_chain_holds(engine: AsyncEngine) -> None:
    assert await broken(engine) is None
    assert await broken(engine, "v") is None
    assert await broken(engine, "nobody") is None


@pytest.mark.parametrize("name", FIELDS)
async def test_a_change_of_any_field_is_found_where_it_was_made(engine: AsyncEngine, name: str) -> None:
    value: Any = 1.5 if name == "timestamp" else 201 if name == "http_status" else "other"
    await change(engine, update(audit).where(audit.c.writer == "w", audit.c.seq == 300).values({name: value}))
    assert await broken(engine) == 300
    assert await broken(engine, "v") is None


async def test_a_field_that_is_emptied_is_found(engine: AsyncEngine) -> None:
    await change(engine, update(audit).where(audit.c.writer == "w", audit.c.seq == 7).values(error_code=None))
    assert await broken(engine) == 7


@pytest.mark.parametrize("name", ["prev_hash", "hash"])
async def test_a_changed_hash_is_found(engine: AsyncEngine, name: str) -> None:
    await change(engine, update(audit).where(audit.c.writer == "w", audit.c.seq == 9).values({name: bytes(32)}))
    assert await broken(engine) == 9


async def test_a_removed_row_is_found(engine: AsyncEngine) -> None:
    await change(engine, delete(audit).where(audit.c.writer == "w", audit.c.seq == 200))
    assert await broken(engine) == 200


async def test_a_chain_without_its_beginning_does_not_hold(engine: AsyncEngine) -> None:
    await change(engine, delete(audit).where(audit.c.writer == "w", audit.c.seq <= 3))
    assert await broken(engine) == 1


async def test_rows_that_have_changed_places_are_found(engine: AsyncEngine) -> None:
    for here, there in ((5, -1), (6, 5), (-1, 6)):
        await change(engine, update(audit).where(audit.c.writer == "w", audit.c.seq == here).values(seq=there))
    assert await broken(engine) == 5


async def test_a_row_hashed_anew_breaks_the_one_behind_it(engine: AsyncEngine) -> None:
    """Whoever changes one row and its hash has to change all that follow."""
    row = audit.c.writer == "w", audit.c.seq == 41
    async with engine.connect() as connection:
        values = tuple((await connection.execute(select(*(audit.c[name] for name in FIELDS)).where(*row))).one())
        before = (await connection.execute(select(audit.c.prev_hash).where(*row))).scalar_one()
    forged = ("audit_forged", *values[1:])
    new = link("w", forged, Checkpoint(40, before))
    await change(engine, update(audit).where(*row).values(id="audit_forged", hash=new.hash))
    assert await broken(engine) == 42


async def test_a_checkpoint_stands_for_what_is_no_longer_kept(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        known = (
            await connection.execute(select(audit.c.seq, audit.c.hash).where(audit.c.writer == "w", audit.c.seq == 100))
        ).one()
    await change(engine, delete(audit).where(audit.c.writer == "w", audit.c.seq <= 100))
    assert await broken(engine, since=Checkpoint(*known)) is None
    assert await broken(engine, since=Checkpoint(100, bytes(32))) == 101


async def test_the_canonical_form_is_plain_json(engine: AsyncEngine) -> None:
    """As the module's text says it, with nothing but the standard library."""
    query = select(audit).where(audit.c.writer == "w").order_by(audit.c.seq).limit(2)
    async with engine.connect() as connection:
        rows = [dict(row) for row in (await connection.execute(query)).mappings()]
    previous = bytes(32)
    for number, row in enumerate(rows, 1):
        array = ["w", number, *(row[name] for name in FIELDS)]
        canonical = json.dumps(array, ensure_ascii=False, separators=(",", ":")).encode()
        assert (row["prev_hash"], row["hash"]) == (previous, hashlib.sha256(previous + canonical).digest())
        previous = row["hash"]


def test_strings_are_escaped_as_json_needs_and_no_more() -> None:
    fields = ['"\\/', "\n\r\t\b\f", "\x00\x1f", "\x7f é 漢 😀", "", None, 1.5, 1767225600.0]
    canonical = json.dumps(["w", 1, *fields], ensure_ascii=False, separators=(",", ":")).encode()
    assert link("w", fields, START) == Checkpoint(1, hashlib.sha256(bytes(32) + canonical).digest())


def test_every_field_of_the_row_is_hashed() -> None:
    assert AuditRow.__struct_fields__ == FIELDS
    assert [column.name for column in audit.columns] == [*FIELDS, "writer", "seq", "prev_hash", "hash"]
