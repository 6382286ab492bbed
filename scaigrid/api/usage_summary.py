"""`/v1/accounting/usage/summary`: what usage adds up to, each caller's as far as its permissions reach."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from litestar import Request, route
from msgspec import UNSET, UnsetType

from scaigrid.api.envelope import ListEnvelope, listed
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.query import read_query
from scaigrid.api.usage_selection import READING, Limit, UsageSpan, confined, reach_of, selected
from scaigrid.api.usage_selection import Cursor as CursorText
from scaigrid.cursor import Cursor
from scaigrid.dialects.shapes import AnswerShape
from scaigrid.ledger.reading import Grouping, Rank, Total, UsageFilter, UsageReader
from scaigrid.middleware import Services
from scaigrid.pricing import to_decimal

PATH = "/v1/accounting/usage/summary"

_CURSOR = Cursor(Rank)


class SummaryQuery(UsageSpan, frozen=True, kw_only=True):
    """What is added up, and by what."""

    group_by: Grouping = "model"
    """What is told apart. A request counts for each of its groups and each of its tags."""
    limit: Limit = 100
    """The most items of one page."""
    cursor: CursorText | None = None
    """`next_cursor` of the page before."""


class SummaryItem(AnswerShape, kw_only=True):
    """What the requests of one kind add up to."""

    group_key: str
    """The slug, the id (empty for requests without a key), `name:value` of a tag, or the day in UTC, `2026-01-31`."""
    request_count: int
    input_tokens: int
    """All of them, cached and written ones, sound and images included."""
    output_tokens: int
    """All of them, reasoning, sound and images included."""
    total_tokens: int
    total_cost: str
    """What they are charged, a decimal string."""
    backend_cost: str | UnsetType = UNSET
    """What providers charge, failed attempts included. Only with the permission `accounting:view_all`."""


class TotalsPage(NamedTuple):
    """A page of totals, and the cursor of the next one."""

    totals: Sequence[Total]
    following: str | None


@route(PATH, http_method=READ, guards=[READING])
async def summary(
    request: Request[Any, Any, Any], services: Provided[Services], reader: Provided[UsageReader]
) -> ListEnvelope[SummaryItem]:
    exchange = exchange_in(request)
    query = read_query(request, SummaryQuery)
    wanted = confined(selected(query, services.clock.now()), reach_of(exchange.principal))
    page = await totals_page(reader, wanted, query.group_by, query.limit, query.cursor)
    sees_costs = exchange.principal.may("accounting:view_all")
    return listed(exchange, [_item(total, sees_costs=sees_costs) for total in page.totals], page.following)


async def totals_page(
    reader: UsageReader, wanted: UsageFilter | None, by: Grouping, limit: int, cursor: str | None
) -> TotalsPage:
    """The totals of `wanted`, none of them for None. Raises VALIDATION_ERROR for a cursor that no page gave."""
    after = _CURSOR.read(cursor)
    if wanted is None:
        return TotalsPage((), None)
    # One more than is shown says whether there are more
    found = await reader.totals(wanted, by, limit=limit + 1, after=after)
    if len(found) <= limit:
        return TotalsPage(found, None)
    last = found[limit - 1]
    return TotalsPage(found[:limit], _CURSOR.write(Rank(last.cost, last.key)))


def _item(total: Total, *, sees_costs: bool) -> SummaryItem:
    return SummaryItem(
        group_key=total.key,
        request_count=total.requests,
        input_tokens=total.tokens_in,
        output_tokens=total.tokens_out,
        total_tokens=total.tokens,
        total_cost=to_decimal(total.cost),
        backend_cost=to_decimal(total.backend_cost) if sees_costs else UNSET,
    )


HANDLERS = (summary,)
