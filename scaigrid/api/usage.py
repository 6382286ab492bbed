"""`/v1/accounting/usage`: the usage rows, each caller's as far as its permissions reach; as pages or as a file."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Annotated, Any

from litestar import Request, route
from msgspec import UNSET, UnsetType

from scaigrid.api.envelope import ListEnvelope, listed
from scaigrid.api.export import PAGE, Download, Format, export
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.query import read_query
from scaigrid.api.usage_selection import READING, Limit, UsageSelection, confined, reach_of, selected
from scaigrid.api.usage_selection import Cursor as CursorText
from scaigrid.cursor import Cursor
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.ledger.reading import Position, UsageFilter, UsageReader
from scaigrid.ledger.records import Outcome, UsageRow, UsageSource
from scaigrid.middleware import Services
from scaigrid.pricing import to_decimal
from scaigrid.timestamps import iso

PATH = "/v1/accounting/usage"
EXPORT_PATH = "/v1/accounting/export"

_CURSOR = Cursor(Position)


class UsageQuery(UsageSelection, frozen=True, kw_only=True):
    """Which rows to list."""

    limit: Limit = 100
    """The most items of one page."""
    cursor: CursorText | None = None
    """`next_cursor` of the page before."""


class UsageExportQuery(UsageSelection, frozen=True, kw_only=True):
    """Which rows, and how they are written."""

    format: Format = "json"


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
    dialect: str
    """In which the caller spoke."""
    operation: str
    """What was asked for: `chat`, `embed`."""
    attempt: int
    """1 for the first backend that was tried."""
    outcome: Annotated[Outcome, OPEN]
    """`interrupted`: the gateway was killed while the call was under way. `overtaken`: a second copy of the call was
    made, for it was slow, and the other one answered first."""
    error_code: str | None
    stream: bool
    tokens_in: int
    """All input tokens, cached and written ones, sound and images included."""
    tokens_out: int
    """All output tokens, reasoning, sound and images included."""
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    image_input_tokens: int
    image_output_tokens: int
    images: int
    """Images that were made."""
    seconds: float
    """Of sound, where it is charged by its length."""
    usage_source: Annotated[UsageSource, OPEN]
    """Who counted: the provider, the gateway, an estimate, or nobody as no tokens were made."""
    cost: str
    """What the attempt is charged, a decimal string; 0 where another one served."""
    overrun: str
    """The part of the cost that was not reserved for the call: the provider did not keep to its bound."""
    backend_cost: str | UnsetType = UNSET
    """What the provider charges. Only with the permission `accounting:view_all`."""
    price_version: str
    """Of the price that the cost was worked out with."""
    backend_price_version: str | UnsetType = UNSET
    """Of the provider's price. Only with the permission `accounting:view_all`."""
    first_byte_ms: float | None
    """From the request to the first byte of the backend's answer; null where there was none."""
    latency_ms: float
    tags: Mapping[str, str]
    """The request's `metadata`, and what its header `X-ScaiGrid-Tags` adds to it."""


class UsageItems(AnswerShape):
    """All of them: there are no pages."""

    items: Sequence[UsageItem]


@route(PATH, http_method=READ, guards=[READING])
async def usage(
    request: Request[Any, Any, Any], services: Provided[Services], reader: Provided[UsageReader]
) -> ListEnvelope[UsageItem]:
    exchange = exchange_in(request)
    query = read_query(request, UsageQuery)
    after = _CURSOR.read(query.cursor)
    wanted = confined(selected(query, services.clock.now()), reach_of(exchange.principal))
    if wanted is None:
        return listed(exchange, (), None)
    rows, following = await _page(reader, wanted, query.limit, after)
    sees_costs = exchange.principal.may("accounting:view_all")
    return listed(exchange, [_item(row, sees_costs=sees_costs) for row in rows], following)


@route(EXPORT_PATH, http_method=READ, guards=[READING])
async def exporting(
    request: Request[Any, Any, Any], services: Provided[Services], reader: Provided[UsageReader]
) -> Download:
    exchange = exchange_in(request)
    query = read_query(request, UsageExportQuery)
    wanted = confined(selected(query, services.clock.now()), reach_of(exchange.principal))
    sees_costs = exchange.principal.may("accounting:view_all")
    return await export(exchange, query.format, "usage", UsageItem, _pages(reader, wanted, sees_costs=sees_costs))


async def _page(
    reader: UsageReader, wanted: UsageFilter, limit: int, after: Position | None
) -> tuple[Sequence[UsageRow], str | None]:
    """One page, and the cursor of the next one."""
    # One row more than is shown says whether there are more
    rows = await reader.usage_page(wanted, limit=limit + 1, after=after)
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], _CURSOR.write(_position(rows[limit - 1]))


async def _pages(
    reader: UsageReader, wanted: UsageFilter | None, *, sees_costs: bool
) -> AsyncGenerator[Sequence[UsageItem]]:
    after: Position | None = None
    while wanted is not None:
        rows = await reader.usage_page(wanted, limit=PAGE, after=after)
        yield [_item(row, sees_costs=sees_costs) for row in rows]
        if len(rows) < PAGE:
            return
        after = _position(rows[-1])


def _position(row: UsageRow) -> Position:
    return Position(row.created_at, row.id)


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
        dialect=row.dialect,
        operation=row.operation,
        attempt=row.attempt,
        outcome=row.outcome,
        error_code=row.error_code,
        stream=row.stream,
        tokens_in=row.tokens_in + row.tokens_cache_read + cache_write + row.tokens_audio_in + row.tokens_image_in,
        tokens_out=row.tokens_out + row.tokens_audio_out + row.tokens_image_out,
        cached_input_tokens=row.tokens_cache_read,
        cache_write_tokens=cache_write,
        reasoning_tokens=row.tokens_reasoning,
        audio_input_tokens=row.tokens_audio_in,
        audio_output_tokens=row.tokens_audio_out,
        image_input_tokens=row.tokens_image_in,
        image_output_tokens=row.tokens_image_out,
        images=row.images,
        seconds=row.milliseconds / 1000,
        usage_source=row.usage_source,
        cost=to_decimal(row.cost),
        overrun=to_decimal(row.overrun),
        backend_cost=to_decimal(row.backend_cost) if sees_costs else UNSET,
        price_version=row.price_version,
        backend_price_version=row.backend_price_version if sees_costs else UNSET,
        first_byte_ms=None if row.first_byte_us is None else row.first_byte_us / 1000,
        latency_ms=row.latency_us / 1000,
        tags=row.tags,
    )


HANDLERS = (usage, exporting)
