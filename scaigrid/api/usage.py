"""`/v1/accounting/usage`: the usage rows, each caller's as far as its permissions reach."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from litestar import Request, route
from msgspec import UNSET, Meta, UnsetType

from scaigrid.api.envelope import ListEnvelope, listed
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.query import read_query
from scaigrid.api.requirement import Requirement, may
from scaigrid.config.snapshot import Principal
from scaigrid.cursor import Cursor
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.ledger.reading import Position, UsageFilter, UsageReader
from scaigrid.ledger.records import Outcome, UsageRow, UsageSource
from scaigrid.middleware import Services
from scaigrid.periods import bounds
from scaigrid.pricing import to_decimal
from scaigrid.timestamps import iso

FilterT = TypeVar("FilterT", bound=msgspec.Struct)
READING = Requirement("accounting:view_own", "accounting:view_tenant", "accounting:view_partner", "accounting:view_all")
"""One of them is enough; the widest says how far the rows reach."""

Text = Annotated[str, Meta(min_length=1, max_length=256)]

_UTC = ZoneInfo("UTC")
_CURSOR = Cursor(Position)


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows to list."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    """The most items of one page."""
    cursor: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    """`next_cursor` of the page before."""
    start: Annotated[datetime, Meta(tz=True)] | None = None
    """The earliest time, ISO 8601 with an offset from UTC."""
    end: Annotated[datetime, Meta(tz=True)] | None = None
    """The time before which rows were made, ISO 8601 with an offset from UTC."""
    period: Literal["daily", "weekly", "monthly"] | None = None
    """Instead of start and end: the current day, week (from Monday) or month in UTC."""
    partner_id: Text | None = None
    tenant_id: Text | None = None
    user_id: Text | None = None
    key_id: Text | None = None
    model: Text | None = None
    """A slug, as requests name it."""
    backend_id: Text | None = None
    request_id: Text | None = None


class UsageItem(AnswerShape, kw_only=True):
    """One attempt at one backend."""

    id: str
    request_id: str
    created_at: str
    """ISO 8601, UTC."""
    partner_id: str
    tenant_id: str
    user_id: str
    key_id: str | None
    model: str
    backend_id: str
    attempt: int
    """1 for the first backend that was tried."""
    outcome: Annotated[Outcome, OPEN]
    error_code: str | None
    stream: bool
    tokens_in: int
    """All input tokens, cached and written ones included."""
    tokens_out: int
    """All output tokens, reasoning included."""
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    usage_source: Annotated[UsageSource, OPEN]
    """Who counted: the provider, the gateway, an estimate, or nobody as no tokens were made."""
    cost: str
    """What the attempt is charged, a decimal string; 0 where another one served."""
    backend_cost: str | UnsetType = UNSET
    """What the provider charges. Only with the permission `accounting:view_all`."""
    latency_ms: float
    tags: Mapping[str, str]
    """The request's `metadata`."""


@route("/v1/accounting/usage", http_method=READ, guards=[READING])
async def usage(
    request: Request[Any, Any, Any], services: Provided[Services], reader: Provided[UsageReader]
) -> ListEnvelope[UsageItem]:
    exchange = exchange_in(request)
    reach = reach_of(exchange.principal)
    query = read_query(request, UsageQuery)
    after = _CURSOR.read(query.cursor)
    wanted = confined(_filter(query, services.clock.now()), reach)
    if wanted is None:
        return listed(exchange, (), None)
    rows, following = await _page(reader, wanted, query.limit, after)
    sees_costs = may(exchange.principal, "accounting:view_all")
    return listed(exchange, [_item(row, sees_costs=sees_costs) for row in rows], following)


def reach_of(principal: Principal) -> UsageFilter:
    """The rows that a caller may see who meets `READING`, by the widest of the permissions that its key carries."""
    if may(principal, "accounting:view_all"):
        return UsageFilter()
    if may(principal, "accounting:view_partner"):
        return UsageFilter(partner_id=principal.partner.id)
    if may(principal, "accounting:view_tenant"):
        return UsageFilter(tenant_id=principal.tenant.id)
    return UsageFilter(user_id=principal.user.id)


def confined(wanted: FilterT, reach: FilterT) -> FilterT | None:
    """The part of `wanted` that lies within `reach`; None where none of it does."""
    merged = msgspec.structs.asdict(wanted)
    for name, bound in msgspec.structs.asdict(reach).items():
        if bound is not None:
            if merged[name] not in (None, bound):
                return None
            merged[name] = bound
    return type(wanted)(**merged)


async def _page(
    reader: UsageReader, wanted: UsageFilter, limit: int, after: Position | None
) -> tuple[Sequence[UsageRow], str | None]:
    """One page, and the cursor of the next one."""
    # One row more than is shown says whether there are more
    rows = await reader.usage_page(wanted, limit=limit + 1, after=after)
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], _CURSOR.write(Position(last.created_at, last.id))


def _filter(query: UsageQuery, now: float) -> UsageFilter:
    start, end = _span(query, now)
    return UsageFilter(
        start=start,
        end=end,
        partner_id=query.partner_id,
        tenant_id=query.tenant_id,
        user_id=query.user_id,
        key_id=query.key_id,
        model=query.model,
        backend_id=query.backend_id,
        request_id=query.request_id,
    )


def _span(query: UsageQuery, now: float) -> tuple[float | None, float | None]:
    if query.period is not None:
        if query.start is not None or query.end is not None:
            raise _invalid("period", "cannot be given together with start or end")
        return bounds(query.period, _UTC, now)
    if query.start is not None and query.end is not None and query.end <= query.start:
        raise _invalid("end", "must be later than start")
    return _seconds(query.start), _seconds(query.end)


def _invalid(field: str, message: str) -> GatewayError:
    return GatewayError(Code.VALIDATION_ERROR, details=(Detail(field, message),))


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _item(row: UsageRow, *, sees_costs: bool) -> UsageItem:
    cache_write = row.tokens_cache_write + row.tokens_cache_write_1h
    return UsageItem(
        id=row.id,
        request_id=row.request_id,
        created_at=iso(row.created_at),
        partner_id=row.partner_id,
        tenant_id=row.tenant_id,
        user_id=row.user_id,
        key_id=row.key_id,
        model=row.model,
        backend_id=row.backend_id,
        attempt=row.attempt,
        outcome=row.outcome,
        error_code=row.error_code,
        stream=row.stream,
        tokens_in=row.tokens_in + row.tokens_cache_read + cache_write,
        tokens_out=row.tokens_out,
        cached_input_tokens=row.tokens_cache_read,
        cache_write_tokens=cache_write,
        reasoning_tokens=row.tokens_reasoning,
        usage_source=row.usage_source,
        cost=to_decimal(row.cost),
        backend_cost=to_decimal(row.backend_cost) if sees_costs else UNSET,
        latency_ms=row.latency_us / 1000,
        tags=row.tags,
    )
