"""Questions to the audit log: a page of its rows, who wrote to it, and whether their chains hold."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scaigrid.db.models import audit
from scaigrid.errors import Code, GatewayError
from scaigrid.ledger.audit_reading import AuditFilter, ChainState
from scaigrid.ledger.chain import FIELDS, START, follow
from scaigrid.ledger.reading import Position
from scaigrid.ledger.records import AuditRow

_COLUMNS = [audit.c[name] for name in FIELDS]


class AuditLog:
    """Reads the audit log for the control plane."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def audit_page(self, wanted: AuditFilter, *, limit: int, after: Position | None) -> Sequence[AuditRow]:
        """At most `limit` rows, newest first, from the one that follows `after`; the id decides between equal times.

        A walk from page to page shows no row twice and misses none that was there when it began, whatever is added
        meanwhile. Raises GatewayError(STORE_UNAVAILABLE) where the database cannot be read.
        """
        conditions = _conditions(wanted)
        if after is not None:
            conditions.append(tuple_(audit.c.timestamp, audit.c.id) < tuple_(after.created_at, after.id))
        query = select(*_COLUMNS).where(*conditions)
        query = query.order_by(audit.c.timestamp.desc(), audit.c.id.desc()).limit(limit)
        async with self._reading() as connection:
            rows = (await connection.execute(query)).all()
        return [_audit_row(tuple(row)) for row in rows]

    async def writers(self, *, limit: int, after: str | None) -> Sequence[str]:
        """At most `limit` of those who have written to the log, by name, from the one that follows `after`."""
        found: list[str] = []
        async with self._reading() as connection:
            while len(found) < limit:
                # One at a time from the index of the chains: a million rows of a writer are stepped over.
                query = select(audit.c.writer).order_by(audit.c.writer).limit(1)
                last = found[-1] if found else after
                following = await connection.scalar(query if last is None else query.where(audit.c.writer > last))
                if following is None:
                    break
                found.append(following)
        return found

    async def verified(self, writer: str) -> ChainState:
        """A writer's chain, walked from its beginning to its end."""
        here = START
        while True:
            # A transaction for each piece: one as long as the walk would keep the database from tidying up behind it.
            async with self._reading() as connection:
                piece = await follow(connection, writer, here)
            here = piece.last
            if piece.first_bad is not None or not piece.more:
                return ChainState(writer=writer, first_bad=piece.first_bad, last=here.seq, hash=here.hash)

    @asynccontextmanager
    async def _reading(self) -> AsyncGenerator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise GatewayError(Code.STORE_UNAVAILABLE, "The audit log cannot be read at the moment.") from error


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name, value in msgspec.structs.asdict(wanted).items():
        if value is None:
            continue
        if name == "start":
            conditions.append(audit.c.timestamp >= value)
        elif name == "end":
            conditions.append(audit.c.timestamp < value)
        else:
            conditions.append(audit.c[name] == value)
    return conditions


def _audit_row(values: tuple[Any, ...]) -> AuditRow:
    *fields, before, after = values
    row = msgspec.convert(("audit", *fields), AuditRow)
    return msgspec.structs.replace(row, before=_raw(before), after=_raw(after))


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())
