"""`/v1/accounting/margin`: what callers are charged beside what providers charge, for the operator alone."""

from typing import Any, Literal

from litestar import Request, route

from scaigrid.api.envelope import ListEnvelope, listed
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.query import read_query
from scaigrid.api.requirement import Requirement
from scaigrid.api.usage_selection import Cursor, Limit, UsageSpan, selected
from scaigrid.api.usage_summary import totals_page
from scaigrid.dialects.shapes import AnswerShape
from scaigrid.ledger.reading import Total, UsageReader
from scaigrid.middleware import Services
from scaigrid.pricing import to_decimal

PATH = "/v1/accounting/margin"
READING = Requirement("accounting:view_all")


class MarginQuery(UsageSpan, frozen=True, kw_only=True):
    """What is compared, and by what."""

    group_by: Literal["model", "backend", "tenant", "partner", "day"] = "model"
    """What is told apart."""
    limit: Limit = 100
    """The most items of one page."""
    cursor: Cursor | None = None
    """`next_cursor` of the page before."""


class MarginItem(AnswerShape, kw_only=True):
    """What is left of what requests of one kind were charged. Money is in decimal strings."""

    group_key: str
    """The slug, the id, or the day in UTC, `2026-01-31`."""
    request_count: int
    total_cost: str
    """What callers are charged."""
    backend_cost: str
    """What providers charge, failed attempts included."""
    margin: str
    """The difference: below zero where providers charge more."""
    margin_pct: str | None
    """The margin in percent of `total_cost`, with two places, rounded down; null where nothing was charged."""


@route(PATH, http_method=READ, guards=[READING])
async def margin(
    request: Request[Any, Any, Any], services: Provided[Services], reader: Provided[UsageReader]
) -> ListEnvelope[MarginItem]:
    query = read_query(request, MarginQuery)
    page = await totals_page(reader, selected(query, services.clock.now()), query.group_by, query.limit, query.cursor)
    return listed(exchange_in(request), [_item(total) for total in page.totals], page.following)


def _item(total: Total) -> MarginItem:
    left = total.cost - total.backend_cost
    return MarginItem(
        group_key=total.key,
        request_count=total.requests,
        total_cost=to_decimal(total.cost),
        backend_cost=to_decimal(total.backend_cost),
        margin=to_decimal(left),
        margin_pct=_percent(left, total.cost) if total.cost else None,
    )


def _percent(part: int, whole: int) -> str:
    hundredths = part * 10_000 // whole
    sign, places = ("-" if hundredths < 0 else ""), divmod(abs(hundredths), 100)
    return f"{sign}{places[0]}.{places[1]:02d}"


HANDLERS = (margin,)
