"""Puts batches of records into the database: each row once however often it comes, audit rows into their chain.

What usage rows add up to is written in the same transaction, so that sums and rows never disagree.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Table, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scaigrid.db.engine import writing
from scaigrid.db.models import audit, request_timelines, usage
from scaigrid.ledger.chain import START, Checkpoint, link
from scaigrid.ledger.records import AuditRow, Record, Row, TimelineRow, UsageRow
from scaigrid.ledger.rollups import Rollups
from scaigrid.ledger.tag_bounds import TagBounds

RowT = TypeVar("RowT", UsageRow, AuditRow)

_SLICE = 64
"""Rows made between two turns of the event loop: no stream waits longer than that for its next event."""
_PIECE = 500
"""Ids asked for in one statement."""

_TAGS = UsageRow.__struct_fields__.index("tags")
"""The place of the tags among a row's fields; the groups follow, and neither is kept as it is."""

_fields = msgspec.structs.astuple
_json = msgspec.json.Encoder(order="deterministic").encode


class LedgerStore:
    """The ledger's tables, for one writer process. Rows are known by their id: one that is there is left as it is."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = writing(engine)
        self._heads: dict[str, Checkpoint] = {}
        """Of the writers whose last batch went well: where their chains end. What follows is known to be new."""
        self._bounds = TagBounds()
        # Compiled once: the ORM's way through an insert costs more than the database's own work.
        self._usage_sql = _insert(usage, engine)
        self._audit_sql = _insert(audit, engine)
        # One that is there is the same one: nothing is summed of it, and it is in no chain.
        self._timeline_sql = f"{_insert(request_timelines, engine)} ON CONFLICT DO NOTHING"

    async def insert(self, writer_id: str, records: Sequence[Record]) -> None:
        """All of them in one transaction; audit rows continue the chain of `writer_id`.

        Raises what SQLAlchemy and its driver raise; nothing has been written then, or all of it just before the
        connection was lost. Both are right to repeat.
        """
        rows = [record for record in records if type(record) is UsageRow]
        audits = [record for record in records if type(record) is AuditRow]
        timelines = [record for record in records if type(record) is TimelineRow]
        head = self._heads.pop(writer_id, None)
        if head is not None:
            # A row may be there already, in spite of all. Which ones, and where the chain ends, is asked below.
            with suppress(IntegrityError):
                self._heads[writer_id] = await self._write(writer_id, rows, audits, timelines, head)
                return
        # And an earlier try, whose answer was lost, may be committed between our asking and our writing.
        with suppress(IntegrityError):
            self._heads[writer_id] = await self._write(writer_id, rows, audits, timelines, None)
            return
        self._heads[writer_id] = await self._write(writer_id, rows, audits, timelines, None)

    def forget(self, writer_id: str) -> None:
        """Nothing more comes from this writer."""
        self._heads.pop(writer_id, None)

    async def _write(
        self,
        writer_id: str,
        rows: Sequence[UsageRow],
        audits: Sequence[AuditRow],
        timelines: Sequence[TimelineRow],
        head: Checkpoint | None,
    ) -> Checkpoint:
        async with self._engine.begin() as connection:
            if head is None:
                head = await _head(connection, writer_id)
                rows = await _missing(connection, usage, rows)
                audits = await _missing(connection, audit, audits)
            rollups = await self._summed(rows)
            if rows:
                await connection.exec_driver_sql(self._usage_sql, await _made(_usage_values(row) for row in rows))
            if audits:
                links = await _made(_linked(writer_id, audits, head))
                await connection.exec_driver_sql(self._audit_sql, links)
                head = Checkpoint(links[-1][-3], links[-1][-1])
            if timelines:
                made = await _made(_timeline_values(row) for row in timelines)
                await connection.exec_driver_sql(self._timeline_sql, made)
            await rollups.write(connection)
        return head

    async def _summed(self, rows: Sequence[UsageRow]) -> Rollups:
        rollups = Rollups(self._bounds)
        for start in range(0, len(rows), _SLICE):
            rollups.add(rows[start : start + _SLICE])
            await asyncio.sleep(0)
        return rollups


def storable(record: Row) -> Row:
    """The record without NUL signs, for which PostgreSQL's text has no place; the same object where it has none."""
    texts = [(name, getattr(record, name)) for name in record.__struct_fields__]
    plain = {name: _plain(text) for name, text in texts if isinstance(text, str) and "\0" in text}
    return msgspec.structs.replace(record, **plain) if plain else record


async def _made(rows: Iterator[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = []
    while piece := list(islice(rows, _SLICE)):
        made += piece
        await asyncio.sleep(0)
    return made


def _usage_values(row: UsageRow) -> tuple[Any, ...]:
    fields = _fields(row)
    tags = _json(row.tags).decode() if row.tags else "{}"
    if "\\u0000" in tags:
        # PostgreSQL could keep it, and then not look into it.
        tags = _json({_plain(name): _plain(value) for name, value in row.tags.items()}).decode()
    return (*fields[:_TAGS], tags, " ".join(row.groups), *fields[_TAGS + 2 :])


def _timeline_values(row: TimelineRow) -> tuple[Any, ...]:
    id_, request_id, *rest = _fields(row)
    return (request_id, id_, *rest)


def _linked(writer_id: str, rows: Sequence[AuditRow], head: Checkpoint) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        fields = (*_fields(row)[:-2], _text(row.before), _text(row.after))
        there = link(writer_id, fields, head)
        yield (*fields, writer_id, there.seq, head.hash, there.hash)
        head = there


async def _head(connection: AsyncConnection, writer_id: str) -> Checkpoint:
    query = select(audit.c.seq, audit.c.hash).where(audit.c.writer == writer_id).order_by(audit.c.seq.desc()).limit(1)
    last = (await connection.execute(query)).one_or_none()
    return START if last is None else Checkpoint(last.seq, last.hash)


async def _missing(connection: AsyncConnection, table: Table, rows: Sequence[RowT]) -> Sequence[RowT]:
    """Those that are not in the database, each once. One that is must take no number of a chain, and is summed."""
    by_id = {row.id: row for row in reversed(rows)}
    ids = iter(tuple(by_id))
    while piece := list(islice(ids, _PIECE)):
        for known in await connection.scalars(select(table.c.id).where(table.c.id.in_(piece))):
            del by_id[known]
    return tuple(reversed(by_id.values()))


def _insert(table: Table, engine: AsyncEngine) -> str:
    """The statement in the words of the engine's own driver, all columns in the table's order."""
    return str(insert(table).inline().compile(dialect=engine.dialect))


def _plain(text: str) -> str:
    return text.replace("\0", "\ufffd")


def _text(raw: msgspec.Raw | None) -> str | None:
    return None if raw is None else bytes(raw).decode()
