"""`/v1/audit-log`: who did what to which resource, as far as the caller's administration reaches; and its proof."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import route
from msgspec import Meta

from scaigrid.api.collection import PageQuery
from scaigrid.api.crud import Asked
from scaigrid.api.envelope import ListEnvelope, listed
from scaigrid.api.export import PAGE, Download, Format, export
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.query import read_query
from scaigrid.api.requirement import Requirement
from scaigrid.api.usage_selection import confined
from scaigrid.api.view import View, view_of
from scaigrid.control.follower import Control
from scaigrid.cursor import Cursor
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.ledger.audit_reading import AuditFilter, AuditReader, ChainState
from scaigrid.ledger.reading import Position
from scaigrid.ledger.records import AuditRow
from scaigrid.middleware import Services
from scaigrid.timestamps import iso

PATH = "/v1/audit-log"
READING = Requirement("admin:access")
VERIFYING = Requirement("admin:access", reach="platform")

Text = Annotated[str, Meta(min_length=1, max_length=256)]
Moment = Annotated[datetime, Meta(tz=True)]
Actor = Literal["user", "service", "webhook", "anonymous"]
Outcome = Literal["SUCCESS", "FAILURE"]

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_ROWS = Cursor(Position)
_WRITERS = Cursor(str)


class AuditSelection(msgspec.Struct, frozen=True, kw_only=True):
    """Which records."""

    start: Moment | None = None
    """The earliest time, ISO 8601 with an offset from UTC."""
    end: Moment | None = None
    """The time before which they were made, ISO 8601 with an offset from UTC."""
    action: Text | None = None
    """`resource.verb`: `tenant.update`, `inference.chat`."""
    actor_id: Text | None = None
    actor_email: Text | None = None
    actor_type: Actor | None = None
    tenant_id: Text | None = None
    partner_id: Text | None = None
    resource_type: Text | None = None
    resource_id: Text | None = None
    status: Outcome | None = None
    request_id: Text | None = None
    ip_address: Text | None = None


class AuditQuery(AuditSelection, frozen=True, kw_only=True):
    """Which page of which records."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    """The most items of one page."""
    cursor: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    """`next_cursor` of the page before."""


class AuditExportQuery(AuditSelection, frozen=True, kw_only=True):
    """Which records, and how they are written."""

    format: Format = "json"


class ChainsQuery(PageQuery, frozen=True, kw_only=True):
    """Which chains to verify."""

    writer: Text | None = None


class AuditItem(AnswerShape, kw_only=True):
    """One request that changed something, was meant to, or called a model."""

    id: str
    timestamp: str
    """When it came, ISO 8601, UTC."""
    action: str
    """`resource.verb`."""
    actor_id: str | None
    """Null where nobody knows who it was."""
    actor_email: str | None
    actor_type: Annotated[Actor, OPEN]
    tenant_id: str | None
    """Whose record it is: the tenant that the changed resource belongs to, or that the call was made from. Null for
    what stands above tenants."""
    partner_id: str | None
    resource_type: str
    resource_id: str | None
    ip_address: str | None
    user_agent: str | None
    status: Outcome
    http_status: int
    error_code: str | None
    request_id: str
    before: Mapping[str, Any] | None
    """The resource as it was, credentials apart."""
    after: Mapping[str, Any] | None
    """The resource as it became."""


class AuditItems(AnswerShape):
    """All of them: there are no pages."""

    items: Sequence[AuditItem]


class ChainItem(AnswerShape, kw_only=True):
    """The records of one writer: each of them is hashed together with the hash of the one before."""

    writer: str
    """One start of one worker."""
    status: Literal["ok", "broken"]
    first_bad: int | None
    """The number of the first record that is missing or is not as it was written. Nothing is said of those behind."""
    last: int
    """The number of the last record that is in order, which is how many there are; 0 for none."""
    last_hash: str
    """Its SHA-256 in hexadecimal. Kept elsewhere, it shows later whether records up to it were cut off or rewritten."""


@route(PATH, http_method=READ, guards=[READING])
async def listing(
    request: Asked,
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
    audit_log: Provided[AuditReader],
) -> ListEnvelope[AuditItem]:
    query = read_query(request, AuditQuery)
    after = _ROWS.read(query.cursor)
    view = view_of(request, await control.refresh(), services, control, adapters)
    wanted = confined(_filter(query), _reach(view))
    if wanted is None:
        return listed(view.exchange, (), None)
    # One row more than is shown says whether there are more
    rows = await audit_log.audit_page(wanted, limit=query.limit + 1, after=after)
    page = rows[: query.limit]
    more = len(rows) > len(page)
    return listed(view.exchange, [_item(row) for row in page], _ROWS.write(_position(page[-1])) if more else None)


@route(PATH + "/export", http_method=READ, guards=[READING])
async def exporting(
    request: Asked,
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
    audit_log: Provided[AuditReader],
) -> Download:
    query = read_query(request, AuditExportQuery)
    view = view_of(request, await control.refresh(), services, control, adapters)
    wanted = confined(_filter(query), _reach(view))
    return await export(view.exchange, query.format, "audit-log", AuditItem, _pages(audit_log, wanted))


@route(PATH + "/verify", http_method=READ, guards=[VERIFYING])
async def verifying(request: Asked, audit_log: Provided[AuditReader]) -> ListEnvelope[ChainItem]:
    query = read_query(request, ChainsQuery)
    after = _WRITERS.read(query.cursor)
    exchange = exchange_in(request)
    if query.writer is not None:
        found = await audit_log.verified(query.writer)
        return listed(exchange, [_chain(found)] if found.last or found.first_bad is not None else (), None)
    writers = await audit_log.writers(limit=query.limit + 1, after=after)
    page = writers[: query.limit]
    more = len(writers) > len(page)
    items = [_chain(await audit_log.verified(writer)) for writer in page]
    return listed(exchange, items, _WRITERS.write(page[-1]) if more else None)


async def _pages(audit_log: AuditReader, wanted: AuditFilter | None) -> AsyncGenerator[Sequence[AuditItem]]:
    after: Position | None = None
    while wanted is not None:
        rows = await audit_log.audit_page(wanted, limit=PAGE, after=after)
        yield [_item(row) for row in rows]
        if len(rows) < PAGE:
            return
        after = _position(rows[-1])


def _reach(view: View) -> AuditFilter:
    """The records that the caller's administration reaches."""
    if view.tenant_id is not None:
        return AuditFilter(tenant_id=view.tenant_id)
    match view.reach:
        case "platform":
            return AuditFilter()
        case "partner":
            return AuditFilter(partner_id=view.principal.partner.id)
        case _:
            return AuditFilter(tenant_id=view.principal.tenant.id)


def _filter(query: AuditSelection) -> AuditFilter:
    if query.start is not None and query.end is not None and query.end <= query.start:
        raise GatewayError(Code.VALIDATION_ERROR, details=(Detail("end", "must be later than start"),))
    return AuditFilter(
        start=None if query.start is None else query.start.timestamp(),
        end=None if query.end is None else query.end.timestamp(),
        action=query.action,
        actor_id=query.actor_id,
        actor_email=query.actor_email,
        actor_type=query.actor_type,
        tenant_id=query.tenant_id,
        partner_id=query.partner_id,
        resource_type=query.resource_type,
        resource_id=query.resource_id,
        status=query.status,
        request_id=query.request_id,
        ip_address=query.ip_address,
    )


def _position(row: AuditRow) -> Position:
    return Position(row.timestamp, row.id)


def _item(row: AuditRow) -> AuditItem:
    return AuditItem(
        id=row.id,
        timestamp=iso(row.timestamp),
        action=row.action,
        actor_id=row.actor_id,
        actor_email=row.actor_email,
        actor_type=row.actor_type,
        tenant_id=row.tenant_id,
        partner_id=row.partner_id,
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        ip_address=row.ip_address,
        user_agent=row.user_agent,
        status=row.status,
        http_status=row.http_status,
        error_code=row.error_code,
        request_id=row.request_id,
        before=_object(row.before),
        after=_object(row.after),
    )


def _object(text: msgspec.Raw | None) -> Mapping[str, Any] | None:
    return None if text is None else _decode(text)


def _chain(found: ChainState) -> ChainItem:
    return ChainItem(
        writer=found.writer,
        status="ok" if found.first_bad is None else "broken",
        first_bad=found.first_bad,
        last=found.last,
        last_hash=found.hash.hex(),
    )


HANDLERS = (listing, exporting, verifying)
