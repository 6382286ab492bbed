"""Which rows of the audit log are found, in which order, and what is found of chains that somebody has touched."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine, writing
from scaigrid.db.models import audit
from scaigrid.errors import Code, GatewayError
from scaigrid.ledger.audit_queries import AuditLog
from scaigrid.ledger.audit_reading import AuditFilter, ChainState
from scaigrid.ledger.chain import START
from scaigrid.ledger.reading import Position
from scaigrid.ledger.records import AuditRow
from scaigrid.ledger.store import LedgerStore
from tests.scaigrid.ledger.rows import audit_row

pytestmark = pytest.mark.anyio

EVERYTHING = AuditFilter()
LONG = 450
"""Rows of a chain that is walked in more than two pieces."""


@pytest.fixture
def made(database_url: str) -> AsyncEngine:
    return create_engine(database_url)


@pytest.fixture
async def engine(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    yield made
    await made.dispose()


async def fill(engine: AsyncEngine, *rows: AuditRow, writer: str = "w") -> None:
    await LedgerStore(engine).insert(writer, rows)


async def change(engine: AsyncEngine, statement: Any) -> None:
    async with writing(engine).begin() as connection:
        assert (await connection.execute(statement)).rowcount > 0


def newest_first(rows: Sequence[AuditRow]) -> list[AuditRow]:
    return sorted(rows, key=lambda row: (row.timestamp, row.id), reverse=True)


async def test_a_row_comes_back_as_it_was_recorded(engine: AsyncEngine) -> None:
    body = msgspec.Raw('{"name":"Köln"}'.encode())
    rows = [
        audit_row(0, before=body, after=msgspec.Raw(b"{}")),
        audit_row(1, actor_id=None, actor_email=None, tenant_id=None, ip_address=None, error_code="NOT_FOUND"),
    ]
    await fill(engine, *rows)
    assert await AuditLog(engine).audit_page(EVERYTHING, limit=10, after=None) == newest_first(rows)


async def test_pages_of_any_size_show_each_row_once_newest_first(engine: AsyncEngine) -> None:
    rows = [audit_row(number, timestamp=float(number // 3)) for number in range(10)]
    await fill(engine, *rows)
    for limit in (1, 2, 3, 7, 10):
        found: list[AuditRow] = []
        after: Position | None = None
        while page := await AuditLog(engine).audit_page(EVERYTHING, limit=limit, after=after):
            assert len(page) <= limit
            found += page
            after = Position(page[-1].timestamp, page[-1].id)
        assert found == newest_first(rows)


OTHERS: dict[str, Any] = {
    "action": "tenant.update",
    "actor_id": "user_other",
    "actor_email": "other@example.com",
    "actor_type": "anonymous",
    "tenant_id": "tenant_other",
    "partner_id": "partner_other",
    "resource_type": "tenant",
    "resource_id": "other",
    "status": "FAILURE",
    "request_id": "req_other",
    "ip_address": "198.51.100.1",
}


@pytest.mark.parametrize("name", OTHERS)
async def test_a_filter_finds_what_has_its_value(engine: AsyncEngine, name: str) -> None:
    other = audit_row(1, **{name: OTHERS[name]})
    await fill(engine, audit_row(0), other, audit_row(2))
    wanted = AuditFilter(**{name: OTHERS[name]})
    assert await AuditLog(engine).audit_page(wanted, limit=10, after=None) == [other]


def test_every_filter_is_tried() -> None:
    assert {*OTHERS, "start", "end"} == set(AuditFilter.__struct_fields__)


async def test_a_span_has_its_start_and_not_its_end(engine: AsyncEngine) -> None:
    rows = [audit_row(number, timestamp=float(number)) for number in range(5)]
    await fill(engine, *rows)
    found = await AuditLog(engine).audit_page(AuditFilter(start=1.0, end=3.0), limit=10, after=None)
    assert found == [rows[2], rows[1]]


async def test_writers_are_listed_by_name_from_one_on(engine: AsyncEngine) -> None:
    for number, writer in enumerate(("b", "c", "a", "d")):
        await fill(engine, audit_row(2 * number), audit_row(2 * number + 1), writer=writer)
    log = AuditLog(engine)
    assert await log.writers(limit=10, after=None) == ["a", "b", "c", "d"]
    assert await log.writers(limit=2, after=None) == ["a", "b"]
    assert await log.writers(limit=2, after="b") == ["c", "d"]
    assert await log.writers(limit=2, after="d") == []


async def head(engine: AsyncEngine, seq: int) -> bytes:
    async with engine.connect() as connection:
        found: bytes = (
            await connection.execute(select(audit.c.hash).where(audit.c.writer == "w", audit.c.seq == seq))
        ).scalar_one()
        return found


async def test_a_chain_that_nobody_touched_holds_to_its_last_row(engine: AsyncEngine) -> None:
    await fill(engine, *(audit_row(number) for number in range(LONG)))
    await fill(engine, audit_row(LONG), writer="v")
    found = await AuditLog(engine).verified("w")
    assert found == ChainState(writer="w", first_bad=None, last=LONG, hash=await head(engine, LONG))


async def test_who_has_written_nothing_has_a_chain_of_nothing(engine: AsyncEngine) -> None:
    assert await AuditLog(engine).verified("w") == ChainState(writer="w", first_bad=None, last=0, hash=START.hash)


@pytest.mark.parametrize("seq", [1, 200, 201, LONG])
async def test_a_changed_row_is_found_and_the_one_before_it_is_the_last_in_order(engine: AsyncEngine, seq: int) -> None:
    """At the edges of the pieces too, in which a chain is walked."""
    await fill(engine, *(audit_row(number) for number in range(LONG)))
    before = await head(engine, seq - 1) if seq > 1 else START.hash
    await change(engine, update(audit).where(audit.c.writer == "w", audit.c.seq == seq).values(actor_id="nobody"))
    found = await AuditLog(engine).verified("w")
    assert found == ChainState(writer="w", first_bad=seq, last=seq - 1, hash=before)


async def test_a_removed_row_is_found(engine: AsyncEngine) -> None:
    await fill(engine, *(audit_row(number) for number in range(10)))
    await change(engine, delete(audit).where(audit.c.writer == "w", audit.c.seq == 4))
    assert (await AuditLog(engine).verified("w")).first_bad == 4


async def test_a_row_that_was_put_in_is_found(engine: AsyncEngine) -> None:
    """Between two others, where those behind it were moved, and behind the last one."""
    await fill(engine, *(audit_row(number) for number in range(10)))
    async with engine.connect() as connection:
        last = (await connection.execute(select(audit).where(audit.c.seq == 10))).mappings().one()
    forged = {**last, "id": "audit_forged", "seq": 11, "prev_hash": last["hash"]}
    await change(engine, insert(audit).values(**forged))
    assert (await AuditLog(engine).verified("w")).first_bad == 11
    for seq in range(11, 4, -1):
        await change(engine, update(audit).where(audit.c.seq == seq).values(seq=seq + 1))
    await change(engine, update(audit).where(audit.c.id == "audit_forged").values(seq=5))
    assert (await AuditLog(engine).verified("w")).first_bad == 5


async def test_rows_cut_off_at_the_end_are_told_by_the_last_hash_alone(engine: AsyncEngine) -> None:
    await fill(engine, *(audit_row(number) for number in range(10)))
    known = await AuditLog(engine).verified("w")
    await change(engine, delete(audit).where(audit.c.seq > 7))
    now = await AuditLog(engine).verified("w")
    assert now.first_bad is None
    assert (known.last, now.last) == (10, 7)


async def test_a_log_that_cannot_be_read_is_said_to_be(engine: AsyncEngine) -> None:
    async with writing(engine).begin() as connection:
        await connection.execute(text("DROP TABLE audit"))
    log = AuditLog(engine)
    for asked in (log.audit_page(EVERYTHING, limit=1, after=None), log.writers(limit=1, after=None), log.verified("w")):
        with pytest.raises(GatewayError) as caught:
            await asked
        assert caught.value.code is Code.STORE_UNAVAILABLE
