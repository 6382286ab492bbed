"""What rows of usage add up to, by hour and by day: put into the rollups in the transaction that writes the rows.

A row counts in the sums of its hour and its day, told apart by everything that it may be asked for by, and once for
each of its tags in the sums of those.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from scaigrid.db.models import usage_rollup, usage_tag_rollup
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.spans import DAY, HOUR
from scaigrid.ledger.tag_bounds import TagBounds

_PLACE = ("span", "start", "digest")
_DIGEST_BYTES = 16

_pack = msgspec.msgpack.Encoder().encode

Subjects = tuple[str, ...]
"""The columns between the digest and the sums."""
Sums = list[int]
"""In the order of the columns."""
_Hours = dict[tuple[int, Subjects], Sums]


class Amounts(NamedTuple):
    """What a row brings to sums. `requests` is 1 for an attempt that served, which alone has tokens and a cost."""

    requests: int
    tokens_in: int
    tokens_cache_read: int
    tokens_cache_write: int
    tokens_out: int
    tokens_reasoning: int
    cost: int
    backend_cost: int


_NO_ERRORS = frozenset({"ok", "overtaken"})
"""Outcomes of attempts that did not fail; one that was overtaken was slow, and its call was answered."""


class Rollups:
    """The sums of one batch."""

    def __init__(self, bounds: TagBounds) -> None:
        """`bounds`: how many values of a tag are told apart."""
        self._bounds = bounds
        self._hours: _Hours = {}
        self._tag_hours: _Hours = {}

    def add(self, rows: Iterable[UsageRow]) -> None:
        """Counts the rows. Nothing is written yet."""
        for row in rows:
            second = int(row.created_at)
            amounts = _amounts(row)
            self._count(second - second % HOUR, row, amounts, 1, int(row.outcome not in _NO_ERRORS))
            if row.tags:
                self._tag(second - second % HOUR, row, amounts)

    def change(self, row: UsageRow, cost: int, backend_cost: int) -> None:
        """Counts nano-units that are added to a row which has been counted, or taken from it."""
        second = int(row.created_at)
        amounts = Amounts(0, 0, 0, 0, 0, 0, cost, backend_cost)
        self._count(second - second % HOUR, row, amounts, 0, 0)
        if row.tags:
            self._tag(second - second % HOUR, row, amounts)

    def _count(self, hour: int, row: UsageRow, amounts: Amounts, attempts: int, errors: int) -> None:
        subjects = (
            row.partner_id,
            row.tenant_id,
            row.user_id,
            row.key_id or "",
            " ".join(row.groups),
            row.model,
            row.backend_id,
        )
        sums = self._hours.get((hour, subjects))
        if sums is None:
            sums = self._hours[hour, subjects] = [0] * 11
        requests, tokens_in, cache_read, cache_write, tokens_out, reasoning, cost, backend_cost = amounts
        sums[0] += requests
        sums[1] += attempts
        sums[2] += errors
        sums[3] += tokens_in
        sums[4] += cache_read
        sums[5] += cache_write
        sums[6] += tokens_out
        sums[7] += reasoning
        sums[8] += tokens_in + tokens_out
        sums[9] += cost
        sums[10] += backend_cost

    def _tag(self, hour: int, row: UsageRow, amounts: Amounts) -> None:
        for name, value in self._bounds.kept(row.tenant_id, hour - hour % DAY, row.tags):
            subjects = (row.partner_id, row.tenant_id, name, value)
            sums = self._tag_hours.get((hour, subjects))
            if sums is None:
                sums = self._tag_hours[hour, subjects] = [0] * 6
            sums[0] += amounts.requests
            sums[1] += amounts.tokens_in
            sums[2] += amounts.tokens_out
            sums[3] += amounts.tokens_in + amounts.tokens_out
            sums[4] += amounts.cost
            sums[5] += amounts.backend_cost

    async def write(self, connection: AsyncConnection) -> None:
        """Adds the sums to those that are there. To be the last of a transaction: others wait for these rows.

        Every writer goes through them in the same order, so that no two wait for each other.
        """
        for table, hours in ((usage_rollup, self._hours), (usage_tag_rollup, self._tag_hours)):
            if hours:
                await _upsert(connection, table, sorted(_placed(hours)))


def _amounts(row: UsageRow) -> Amounts:
    if not row.serving:
        return Amounts(0, 0, 0, 0, 0, 0, 0, row.backend_cost)
    cache_write = row.tokens_cache_write + row.tokens_cache_write_1h
    return Amounts(
        1,
        row.tokens_in + row.tokens_cache_read + cache_write + row.tokens_audio_in + row.tokens_image_in,
        row.tokens_cache_read,
        cache_write,
        row.tokens_out + row.tokens_audio_out + row.tokens_image_out,
        row.tokens_reasoning,
        row.cost,
        row.backend_cost,
    )


def _placed(hours: _Hours) -> Iterator[tuple[Any, ...]]:
    """The rows of a rollup: the hours, and the days that they add up to."""
    days: _Hours = {}
    for (hour, subjects), sums in hours.items():
        day = hour - hour % DAY
        known = days.get((day, subjects))
        days[day, subjects] = sums if known is None else [one + other for one, other in zip(known, sums, strict=True)]
        yield (HOUR, hour, _digest(subjects), *subjects, *sums)
    for (day, subjects), sums in days.items():
        yield (DAY, day, _digest(subjects), *subjects, *sums)


def _digest(subjects: Subjects) -> bytes:
    """Tells sums apart. Two with the same subjects and another digest would be no fault: they are added up."""
    return blake2b(_pack(subjects), digest_size=_DIGEST_BYTES).digest()


async def _upsert(connection: AsyncConnection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    statement = _STATEMENTS.get((table.name, connection.dialect.name)) or _statement(table, connection.dialect)
    if connection.dialect.name == "postgresql":
        # One statement for all of them: a round trip for each would cost more than the rows themselves.
        await connection.exec_driver_sql(statement, tuple(list(column) for column in zip(*rows, strict=True)))
    else:
        await connection.exec_driver_sql(statement, list(rows))


_STATEMENTS: dict[tuple[str, str], str] = {}
"""By table and database: made once."""


def _statement(table: Table, dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    columns = [quote(column.name) for column in table.columns]
    sums = [quote(column.name) for column in table.columns if column.name in _sums(table)]
    if dialect.name == "postgresql":
        kinds = [column.type.compile(dialect) for column in table.columns]
        arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(kinds, 1))
        given = f"SELECT * FROM unnest({arrays})"  # noqa: S608  # numbers and types alone
    else:
        given = f"VALUES ({', '.join('?' * len(columns))})"
    added = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in sums)
    text = (
        f"INSERT INTO {table.name} ({', '.join(columns)}) {given} "
        f"ON CONFLICT ({', '.join(_PLACE)}) DO UPDATE SET {added}"
    )
    _STATEMENTS[table.name, dialect.name] = text
    return text


def _sums(table: Table) -> Mapping[str, Any]:
    return {
        name: column
        for name, column in table.columns.items()
        if name not in _PLACE and isinstance(column.type, BigInteger)
    }
