"""`/v1/accounting/prices`: which prices were in force from when on, by the versions that rows are stamped with."""

from typing import Annotated, Literal, NamedTuple

from litestar import route
from msgspec import Meta

from scaigrid.api.collection import PageQuery
from scaigrid.api.crud import Asked
from scaigrid.api.envelope import ListEnvelope, listed
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.prices import ModelPrices, model_prices
from scaigrid.api.query import read_query
from scaigrid.api.requirement import Requirement
from scaigrid.control.follower import Control
from scaigrid.control.price_history import Priced
from scaigrid.cursor import Cursor
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.timestamps import iso

PATH = "/v1/accounting/prices"
READING = Requirement("accounting:view_all")

Priceable = Literal["model", "backend"]


class _Place(NamedTuple):
    """Where in the list."""

    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)]


_CURSOR = Cursor(_Place)


class PriceVersionsQuery(PageQuery, frozen=True, kw_only=True):
    """Which prices to list."""

    kind: Priceable | None = None
    """`model`: what users paid. `backend`: what providers charged."""
    name: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """The slug of a model, or the name of a backend."""


class PriceVersionItem(AnswerShape, kw_only=True):
    """A price that was put in force."""

    kind: Annotated[Priceable, OPEN]
    subject_id: str
    """The id of the model or of the backend."""
    name: str
    """Its slug or name at that time."""
    version: str
    """What usage rows that were billed at it are stamped with."""
    since: str
    """From when on, ISO 8601, UTC; until another one of the same subject followed."""
    prices: ModelPrices


@route(PATH, http_method=READ, guards=[READING])
async def price_versions(request: Asked, control: Provided[Control]) -> ListEnvelope[PriceVersionItem]:
    query = read_query(request, PriceVersionsQuery)
    after = _CURSOR.read(query.cursor)
    before = None if after is None else after.seq
    # One more than is shown says whether there are more
    found = await control.store.prices(kind=query.kind, name=query.name, before=before, limit=query.limit + 1)
    page = found[: query.limit]
    following = _CURSOR.write(_Place(page[-1].seq)) if len(found) > len(page) else None
    return listed(exchange_in(request), [_item(one) for one in page], following)


def _item(one: Priced) -> PriceVersionItem:
    return PriceVersionItem(
        kind=one.kind,
        subject_id=one.id,
        name=one.name,
        version=one.prices.version,
        since=iso(one.since),
        prices=model_prices(one.prices),
    )
