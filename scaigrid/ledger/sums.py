"""What usage adds up to: from the sums of whole days and hours, and from the rows themselves at the edges of a span.

All of it is one statement, so that no row counts twice or not at all because it came meanwhile.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.selectable import FromClause

from scaigrid.db.models import usage, usage_rollup, usage_tag_rollup
from scaigrid.ledger.reading import Grouping, Rank, Tag, Total, UsageFilter
from scaigrid.ledger.spans import DAY, ROWS, Piece, cut, pieces
from scaigrid.ledger.tag_bounds import OTHER
from scaigrid.ledger.tag_queries import each_tag, has_tag
from scaigrid.timestamps import iso

_SUMS = ("requests", "tokens_in", "tokens_out", "tokens", "cost", "backend_cost")
_COLUMNS: Mapping[Grouping, str] = {
    "model": "model",
    "user": "user_id",
    "backend": "backend_id",
    "tenant": "tenant_id",
    "partner": "partner_id",
    "key": "key_id",
    "group": "groups",
}
_FEW: frozenset[Grouping] = frozenset({"day", "group"})
"""What is put in order here: there are few days, and groups stand several in one column."""
_IN_TAG_SUMS = frozenset({"start", "end", "partner_id", "tenant_id", "tag"})
"""What the sums of tags can be asked for by; the other sums know everything else but tags and the next."""
_OF_ROWS_ALONE = frozenset({"request_id", "outcome", "usage_source"})
_INPUT = (
    usage.c.tokens_in
    + usage.c.tokens_cache_read
    + usage.c.tokens_cache_write
    + usage.c.tokens_cache_write_1h
    + usage.c.tokens_audio_in
    + usage.c.tokens_image_in
)
_OUTPUT = usage.c.tokens_out + usage.c.tokens_audio_out + usage.c.tokens_image_out
_WHOLE = cast(usage.c.created_at, BigInteger)
_SECOND = _WHOLE - case((usage.c.created_at < _WHOLE, 1), else_=0)
"""PostgreSQL's cast rounds, SQLite's cuts off."""


class _Source(NamedTuple):
    """A table that is summed: from what, by which key, and what."""

    table: FromClause
    key: ColumnElement[Any]
    sums: Mapping[str, ColumnElement[int]]
    attempts: ColumnElement[int]
    conditions: Sequence[ColumnElement[bool]]


_ROW_SUMS: Mapping[str, ColumnElement[int]] = {
    "requests": case((usage.c.serving, 1), else_=0),
    "tokens_in": case((usage.c.serving, _INPUT), else_=0),
    "tokens_out": case((usage.c.serving, _OUTPUT), else_=0),
    "tokens": case((usage.c.serving, _INPUT + _OUTPUT), else_=0),
    "cost": case((usage.c.serving, usage.c.cost), else_=0),
    "backend_cost": usage.c.backend_cost,
}


async def totals(
    connection: AsyncConnection,
    wanted: UsageFilter,
    by: Grouping,
    *,
    limit: int | None = None,
    after: Rank | None = None,
) -> Sequence[Total]:
    """At most `limit` totals, the dearest first, from the one that follows `after`.

    Raises what SQLAlchemy and its driver raise.
    """
    query = await _query(connection, wanted, by)
    if query is None:
        return ()
    if by not in _FEW:
        return [_total(*row) for row in await connection.execute(_page(query, limit, after))]
    found = [_total(_day(key) if by == "day" else key, *sums) for key, *sums in await connection.execute(query)]
    ranked = sorted(_apart(found) if by == "group" else found, key=_rank)
    if after is not None:
        ranked = [total for total in ranked if _rank(total) > (-after.cost, after.key)]
    return ranked[:limit]


def _page(query: Select[Any], limit: int | None, after: Rank | None) -> Select[Any]:
    key, cost = query.selected_columns["key"], query.selected_columns["cost"]
    if after is not None:
        query = query.having(or_(cost < after.cost, and_(cost == after.cost, key > after.key)))
    return query.order_by(cost.desc(), key).limit(limit)


async def _query(connection: AsyncConnection, wanted: UsageFilter, by: Grouping) -> Select[Any] | None:
    """The sums by `key`; None for a span without time in it."""
    dialect = connection.dialect.name
    start, end = wanted.start or 0.0, math.inf if wanted.end is None else wanted.end
    tagged = by == "tag" or wanted.tag is not None
    if await _rows_alone(connection, wanted, by):
        parts = pieces(start, end, ())
    else:
        # There are few sums of tags, and they do not say how many attempts they are of.
        parts = pieces(start, end) if tagged else cut(start, end)
    if not parts:
        return None
    summed = [_summed(_source(piece, wanted, by, dialect, tagged=tagged), piece.sign) for piece in parts]
    found = union_all(*summed).subquery("found")
    query = select(found.c.key, *(func.sum(found.c[name]).label(name) for name in _SUMS)).group_by(found.c.key)
    if all(piece.sign > 0 for piece in parts):
        return query
    # What there was only in a part that is taken away is not there at all.
    return query.having(func.sum(found.c.attempts) > 0)


async def _rows_alone(connection: AsyncConnection, wanted: UsageFilter, by: Grouping) -> bool:
    """Whether no sums answer it: they do not tell apart what is asked for."""
    asked = {name for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    if asked & _OF_ROWS_ALONE:
        return True
    if by != "tag" and wanted.tag is None:
        return False
    if not asked <= _IN_TAG_SUMS or (by not in ("tag", "day") and _COLUMNS[by] not in _IN_TAG_SUMS):
        return True
    return wanted.tag is not None and bool(await connection.scalar(_crowded(wanted, wanted.tag)))


def _crowded(wanted: UsageFilter, tag: Tag) -> Select[Any]:
    """Whether some of the tag was counted together with others."""
    table = usage_tag_rollup
    kept = [table.c.name == OTHER]
    if tag.value is not None:
        kept.append(and_(table.c.name == tag.name, table.c.value == OTHER))
    start, end = (wanted.start or 0.0) // DAY * DAY, math.inf if wanted.end is None else wanted.end
    within = [table.c.span == DAY, table.c.start >= int(start), or_(*kept), *_equal(table, wanted)]
    if end != math.inf:
        within.append(table.c.start < math.ceil(end))
    return select(exists(select(1).select_from(table).where(*within)))


def _source(piece: Piece, wanted: UsageFilter, by: Grouping, dialect: str, *, tagged: bool) -> _Source:
    if piece.of == ROWS:
        return _rows(piece, wanted, by, dialect)
    table = usage_tag_rollup if tagged else usage_rollup
    conditions = [table.c.span == piece.of, table.c.start >= int(piece.start), *_equal(table, wanted)]
    if piece.end != math.inf:
        conditions.append(table.c.start < int(piece.end))
    if wanted.tag is not None:
        conditions.append(table.c.name == wanted.tag.name)
        if wanted.tag.value is not None:
            conditions.append(table.c.value == wanted.tag.value)
    match by:
        case "day":
            key: ColumnElement[Any] = table.c.start - table.c.start % DAY
        case "tag":
            key = table.c.name + ":" + table.c.value
        case _:
            key = table.c[_COLUMNS[by]]
    attempts = table.c.requests if tagged else table.c.attempts
    return _Source(table, key, {name: table.c[name] for name in _SUMS}, attempts, conditions)


def _rows(piece: Piece, wanted: UsageFilter, by: Grouping, dialect: str) -> _Source:
    table: FromClause = usage
    conditions = [usage.c.created_at >= piece.start, *row_conditions(wanted, dialect)]
    if piece.end != math.inf:
        conditions.append(usage.c.created_at < piece.end)
    match by:
        case "day":
            key: ColumnElement[Any] = _SECOND - _SECOND % DAY
        case "tag":
            table, name, value = each_tag(dialect)
            key = name + ":" + value
            if wanted.tag is not None:
                conditions.append(name == wanted.tag.name)
                conditions.append(true() if wanted.tag.value is None else value == wanted.tag.value)
        case _:
            key = func.coalesce(usage.c[_COLUMNS[by]], "")
    return _Source(table, key, _ROW_SUMS, literal(1), conditions)


def row_conditions(wanted: UsageFilter, dialect: str) -> list[ColumnElement[bool]]:
    """What a filter asks of the rows of `usage`, their time apart."""
    conditions = _equal(usage, wanted)
    if wanted.tag is not None:
        conditions.append(has_tag(wanted.tag, dialect))
    return conditions


def _equal(table: FromClause, wanted: UsageFilter) -> list[ColumnElement[bool]]:
    given = msgspec.structs.asdict(wanted)
    return [table.c[name] == given[name] for name in given if given[name] is not None and name in _PLAIN]


_PLAIN = frozenset(UsageFilter.__struct_fields__) - {"start", "end", "tag"}


def _summed(source: _Source, sign: int) -> Select[Any]:
    summed = {**source.sums, "attempts": source.attempts}
    sums = [(sign * func.sum(column)).label(name) for name, column in summed.items()]
    query = select(source.key.label("key"), *sums).select_from(source.table)
    return query.where(*source.conditions).group_by(source.key)


def _apart(found: Sequence[Total]) -> Sequence[Total]:
    """By group, what was summed by all the groups that somebody is in."""
    groups: dict[str, Total] = {}
    for total in found:
        for group in total.key.split():
            known = groups.get(group)
            more = {name: getattr(total, name) + (getattr(known, name) if known else 0) for name in _SUMS}
            groups[group] = Total(key=group, **more)
    return tuple(groups.values())


def _total(key: str, *sums: int) -> Total:
    # PostgreSQL's sum of 64-bit integers is a decimal.
    return Total(key=key, **dict(zip(_SUMS, map(int, sums), strict=True)))


def _day(start: int) -> str:
    return iso(int(start))[:10]


def _rank(total: Total) -> tuple[int, str]:
    return -total.cost, total.key
