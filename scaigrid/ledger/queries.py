"""Questions to the ledger: a page of usage rows, and what a subject has spent."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.cursor import Cursor
from scaigrid.db.models import usage
from scaigrid.errors import Code, GatewayError, Level
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
)

_tags = msgspec.json.Decoder(dict[str, str]).decode


class Spent(NamedTuple):
    """Nano-units, tokens (every input class and the output) and requests."""

    cost: int
    tokens: int
    requests: int


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows. None: any. Times are seconds since the epoch, the end is not part of the span."""

    start: float | None = None
    end: float | None = None
    partner_id: str | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    backend_id: str | None = None
    request_id: str | None = None


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that the asker may see at all; None: any."""

    partner_id: str | None
    tenant_id: str | None
    user_id: str | None


class Position(NamedTuple):
    """A place among the rows: what they are sorted by, newest first."""

    created_at: float
    id: str


_CURSOR = Cursor(Position)


class LedgerReader:
    """Reads usage rows for the control plane."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def usage_page(
        self, scope: Scope, filters: Filters, limit: int, cursor: str | None
    ) -> tuple[Sequence[UsageRow], str | None]:
        """At most `limit` rows that fit scope and filters both, newest first, and the cursor of the next page.

        A walk from page to page shows no row twice and misses none that was there when it began, whatever is added
        meanwhile. Raises GatewayError: VALIDATION_ERROR for a cursor that no page gave, STORE_UNAVAILABLE where the
        database cannot be read.
        """
        after = _CURSOR.read(cursor)
        conditions = [*_conditions(scope), *_conditions(filters)]
        if after is not None:
            conditions.append(tuple_(usage.c.created_at, usage.c.id) < tuple_(after.created_at, after.id))
        newest = (usage.c.created_at.desc(), usage.c.id.desc())
        query = select(usage).where(*conditions).order_by(*newest).limit(limit + 1)
        try:
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).all()
        except (SQLAlchemyError, OSError) as error:
            raise GatewayError(Code.STORE_UNAVAILABLE, "The ledger cannot be read at the moment.") from error
        page = [_usage_row(tuple(row)) for row in rows[:limit]]
        more = len(rows) > limit
        return page, _CURSOR.write(Position(page[-1].created_at, page[-1].id)) if more else None


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


def _conditions(wanted: Filters | Scope) -> list[ColumnElement[bool]]:
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
    *fields, tags = values
    return msgspec.convert(("usage", *fields, _tags(tags)), UsageRow)
