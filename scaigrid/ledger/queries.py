"""Questions to the ledger: a page of usage rows, and what a subject has spent."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.models import usage
from scaigrid.errors import Code, GatewayError, Level
from scaigrid.ledger.reading import Position, UsageFilter
from scaigrid.ledger.records import UsageRow

_SUBJECTS = {
    "partner": usage.c.partner_id,
    "tenant": usage.c.tenant_id,
    "user": usage.c.user_id,
    "key": usage.c.key_id,
    "model": usage.c.model,
}
_TOKENS = (
    usage.c.tokens_in
    + usage.c.tokens_cache_read
    + usage.c.tokens_cache_write
    + usage.c.tokens_cache_write_1h
    + usage.c.tokens_out
    + usage.c.tokens_audio_in
    + usage.c.tokens_audio_out
    + usage.c.tokens_image_in
    + usage.c.tokens_image_out
)
_TAGS = UsageRow.__struct_fields__.index("tags")

_tags = msgspec.json.Decoder(dict[str, str]).decode


class Spent(NamedTuple):
    """Nano-units, tokens (every input class and the output) and requests."""

    cost: int
    tokens: int
    requests: int


class LedgerReader:
    """Reads usage rows for the control plane."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
        """At most `limit` rows, newest first, from the one that follows `after`; the id decides between equal times.

        A walk from page to page shows no row twice and misses none that was there when it began, whatever is added
        meanwhile. Raises GatewayError(STORE_UNAVAILABLE) where the database cannot be read.
        """
        conditions = _conditions(wanted)
        if after is not None:
            conditions.append(tuple_(usage.c.created_at, usage.c.id) < tuple_(after.created_at, after.id))
        query = select(usage).where(*conditions).order_by(usage.c.created_at.desc(), usage.c.id.desc()).limit(limit)
        try:
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).all()
        except (SQLAlchemyError, OSError) as error:
            raise GatewayError(Code.STORE_UNAVAILABLE, "The ledger cannot be read at the moment.") from error
        return [_usage_row(tuple(row)) for row in rows]


async def spent(engine: AsyncEngine, level: Level, subject: str, start: float, end: float) -> Spent:
    """What a subject was billed for from `start` (inclusive) to `end` (exclusive, may be infinite), in epoch seconds.

    `subject` is the id of a partner, tenant, user or key, or the slug of a model. Only serving attempts count: the
    others are the provider's affair.
    """
    conditions = [usage.c.serving, _SUBJECTS[level] == subject, usage.c.created_at >= start]
    if end != math.inf:
        conditions.append(usage.c.created_at < end)
    query = select(func.sum(usage.c.cost), func.sum(_TOKENS), func.count()).where(*conditions)
    async with engine.connect() as connection:
        cost, tokens, requests = (await connection.execute(query)).one()
    # The sum of no rows is NULL, and PostgreSQL's sum of 64-bit integers is a decimal.
    return Spent(int(cost or 0), int(tokens or 0), requests)


async def spent_by(engine: AsyncEngine, level: Level, start: float, end: float) -> Mapping[str, Spent]:
    """What every subject of a level was billed for in a span, as `spent` says it of one; by the id of the subject."""
    subject = _SUBJECTS[level]
    conditions = [usage.c.serving, usage.c.created_at >= start]
    if end != math.inf:
        conditions.append(usage.c.created_at < end)
    query = select(subject, func.sum(usage.c.cost), func.sum(_TOKENS), func.count()).where(*conditions)
    async with engine.connect() as connection:
        rows = (await connection.execute(query.group_by(subject))).all()
    return {of: Spent(int(cost or 0), int(tokens or 0), requests) for of, cost, tokens, requests in rows if of}


def _conditions(wanted: UsageFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name, value in msgspec.structs.asdict(wanted).items():
        if value is None:
            continue
        if name == "start":
            conditions.append(usage.c.created_at >= value)
        elif name == "end":
            conditions.append(usage.c.created_at < value)
        else:
            conditions.append(usage.c[name] == value)
    return conditions


def _usage_row(values: tuple[Any, ...]) -> UsageRow:
    tags, groups = values[_TAGS : _TAGS + 2]
    fields = (*values[:_TAGS], _tags(tags), groups.split(), *values[_TAGS + 2 :])
    return msgspec.convert(("usage", *fields), UsageRow)
