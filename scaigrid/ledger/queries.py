"""Questions to the ledger: a page of usage rows, what they add up to, and what a subject has spent."""

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scaigrid.db.models import usage
from scaigrid.errors import Code, GatewayError, Level
from scaigrid.ledger.reading import Grouping, Position, Rank, Total, UsageFilter
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.sums import row_conditions, totals

_SUBJECTS: Mapping[Level, str] = {
    "partner": "partner_id",
    "tenant": "tenant_id",
    "user": "user_id",
    "key": "key_id",
    "model": "model",
}
_TAGS = UsageRow.__struct_fields__.index("tags")

_tags = msgspec.json.Decoder(dict[str, str]).decode


class Spent(NamedTuple):
    """Nano-units, tokens (every input class and the output) and requests."""

    cost: int
    tokens: int
    requests: int


NOTHING = Spent(0, 0, 0)


class LedgerReader:
    """Reads usage rows for the control plane."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
        """At most `limit` rows, newest first, from the one that follows `after`; the id decides between equal times.

        A walk from page to page shows no row twice and misses none that was there when it began, whatever is added
        meanwhile. Raises GatewayError(STORE_UNAVAILABLE) where the database cannot be read.
        """
        conditions = row_conditions(wanted, self._engine.dialect.name)
        if wanted.start is not None:
            conditions.append(usage.c.created_at >= wanted.start)
        if wanted.end is not None:
            conditions.append(usage.c.created_at < wanted.end)
        if after is not None:
            conditions.append(tuple_(usage.c.created_at, usage.c.id) < tuple_(after.created_at, after.id))
        query = select(usage).where(*conditions).order_by(usage.c.created_at.desc(), usage.c.id.desc()).limit(limit)
        async with self._reading() as connection:
            rows = (await connection.execute(query)).all()
        return [usage_row(tuple(row)) for row in rows]

    async def totals(
        self, wanted: UsageFilter, by: Grouping, *, limit: int | None, after: Rank | None
    ) -> Sequence[Total]:
        """What the rows add up to, by something of theirs: at most `limit`, from the one that follows `after`.

        The dearest first. Raises GatewayError(STORE_UNAVAILABLE) where the database cannot be read.
        """
        async with self._reading() as connection:
            return await totals(connection, wanted, by, limit=limit, after=after)

    @asynccontextmanager
    async def _reading(self) -> AsyncGenerator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise GatewayError(Code.STORE_UNAVAILABLE, "The ledger cannot be read at the moment.") from error


async def spent(engine: AsyncEngine, level: Level, subject: str, start: float, end: float) -> Spent:
    """What a subject was billed for from `start` (inclusive) to `end` (exclusive, may be infinite), in epoch seconds.

    `subject` is the id of a partner, tenant, user, group or key, or the slug of a model. Only serving attempts count:
    the others are the provider's affair.
    """
    if level == "group":
        return (await spent_by(engine, level, start, end)).get(subject, NOTHING)
    wanted = _within(start, end, **{_SUBJECTS[level]: subject})
    async with engine.connect() as connection:
        found = await totals(connection, wanted, level)
    return _spent(found[0]) if found else NOTHING


async def spent_by(engine: AsyncEngine, level: Level, start: float, end: float) -> Mapping[str, Spent]:
    """What every subject of a level was billed for in a span, as `spent` says it of one; by the id of the subject.

    What a user in several groups has used counts for each of them.
    """
    async with engine.connect() as connection:
        found = await totals(connection, _within(start, end), level)
    return {total.key: _spent(total) for total in found if total.key}


def _within(start: float, end: float, **subject: str) -> UsageFilter:
    return UsageFilter(start=start, end=None if end == math.inf else end, **subject)  # type: ignore[arg-type]  # names from `_SUBJECTS`


def _spent(total: Total) -> Spent:
    return Spent(total.cost, total.tokens, total.requests)


def usage_row(values: tuple[Any, ...]) -> UsageRow:
    tags, groups = values[_TAGS : _TAGS + 2]
    fields = (*values[:_TAGS], _tags(tags), groups.split(), *values[_TAGS + 2 :])
    return msgspec.convert(("usage", *fields), UsageRow)
