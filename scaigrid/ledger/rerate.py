"""Rates rows of the ledger again, at other prices than those that they were billed at, and says what that changes.

Nothing is written unless it is asked for. It is right to repeat: a row that has its price already is left alone, so a
run that was cut off is finished by the next one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, bindparam, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import writing
from scaigrid.db.models import usage
from scaigrid.ledger.queries import usage_row
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.rollup_changes import recost
from scaigrid.pricing import PriceList
from scaigrid.types import Usage

_BATCH = 1000
"""Rows of one transaction: nobody else who writes waits for long."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which rows: of a span, in seconds since the epoch, whose end is not part of it; empty means any."""

    start: float
    end: float
    models: tuple[str, ...] = ()
    """Slugs."""
    backends: tuple[str, ...] = ()
    """Ids."""
    tenants: tuple[str, ...] = ()
    """Ids."""
    version: str | None = None
    """Only rows that are stamped with this version, be it of the price or of the cost."""


class Difference(msgspec.Struct, kw_only=True):
    """What changes for some of the rows. Money is in nano-units."""

    rows: int = 0
    cost_before: int = 0
    cost_after: int = 0
    backend_cost_before: int = 0
    backend_cost_after: int = 0

    def add(self, row: UsageRow, cost: int, backend_cost: int) -> None:
        self.rows += 1
        self.cost_before += row.cost
        self.cost_after += cost
        self.backend_cost_before += row.backend_cost
        self.backend_cost_after += backend_cost


class Report(msgspec.Struct, kw_only=True):
    """What was found."""

    rows: int = 0
    """Billed rows that were looked at."""
    unknown: int = 0
    """Those of them whose model and backend nobody knows a price of any more: they stay as they are."""
    changed: Difference = msgspec.field(default_factory=Difference)
    models: dict[str, Difference] = {}
    """By the slug of the model."""
    tenants: dict[str, Difference] = {}
    """By the id of the tenant: what to give back, or to ask for."""


class Changed(msgspec.Struct, frozen=True):
    """A row whose price changes, and what it costs now."""

    row: UsageRow
    cost: int
    backend_cost: int
    price_version: str
    backend_price_version: str


async def rerate(
    engine: AsyncEngine,
    wanted: Wanted,
    prices: Mapping[str, PriceList],
    costs: Mapping[str, PriceList],
    *,
    apply: bool,
    changed: Callable[[Changed], None] | None = None,
) -> Report:
    """Rates the rows with `prices`, by the slug of the model, and `costs`, by the id of the backend.

    A model or backend that is not among them keeps what its rows have. `changed` is told of each row that changes.
    Raises what SQLAlchemy and its driver raise; then the batches before are written, and nothing of this one.
    """
    report = Report()
    conditions = _conditions(wanted)
    after: tuple[float, str] | None = None
    writer = writing(engine) if apply else engine
    while True:
        async with writer.begin() as connection:
            query = select(usage).where(*conditions).order_by(usage.c.created_at, usage.c.id).limit(_BATCH)
            if after is not None:
                query = query.where(tuple_(usage.c.created_at, usage.c.id) > tuple_(*after))
            if apply:
                # What the sums are told rests on what is read here: nobody else rates or drops these rows meanwhile.
                query = query.with_for_update()
            rows = [usage_row(tuple(row)) for row in (await connection.execute(query)).all()]
            found = [made for row in rows if (made := _judged(row, prices, costs, report)) is not None]
            if apply and found:
                await connection.execute(_UPDATE, [_values(one) for one in found])
                await recost(connection, [(one.row, one.cost, one.backend_cost) for one in found])
        # What is told has been written.
        for one in found:
            _count(report, one)
            if changed is not None:
                changed(one)
        if len(rows) < _BATCH:
            return report
        after = (rows[-1].created_at, rows[-1].id)


_UPDATE = (
    update(usage)
    .where(usage.c.id == bindparam("of"))
    .values(
        cost=bindparam("new_cost"),
        backend_cost=bindparam("new_backend_cost"),
        price_version=bindparam("new_version"),
        backend_price_version=bindparam("new_backend_version"),
    )
)


def _values(one: Changed) -> dict[str, Any]:
    return {
        "of": one.row.id,
        "new_cost": one.cost,
        "new_backend_cost": one.backend_cost,
        "new_version": one.price_version,
        "new_backend_version": one.backend_price_version,
    }


def _conditions(wanted: Wanted) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        usage.c.serving,
        # Where nobody counted nothing was made: such a call is free whatever the price.
        usage.c.usage_source != "none",
        usage.c.created_at >= wanted.start,
        usage.c.created_at < wanted.end,
    ]
    chosen = (
        (usage.c.model, wanted.models),
        (usage.c.backend_id, wanted.backends),
        (usage.c.tenant_id, wanted.tenants),
    )
    conditions += [column.in_(values) for column, values in chosen if values]
    if wanted.version is not None:
        stamps = (usage.c.price_version, usage.c.backend_price_version)
        conditions.append((stamps[0] == wanted.version) | (stamps[1] == wanted.version))
    return conditions


def _judged(
    row: UsageRow, prices: Mapping[str, PriceList], costs: Mapping[str, PriceList], report: Report
) -> Changed | None:
    """The row at its new price; None where nothing changes."""
    report.rows += 1
    price, cost = prices.get(row.model), costs.get(row.backend_id)
    if price is None and cost is None:
        report.unknown += 1
        return None
    used = usage_of(row)
    one = Changed(
        row,
        row.cost if price is None else price.cost(used),
        row.backend_cost if cost is None else cost.cost(used),
        row.price_version if price is None else price.version,
        row.backend_price_version if cost is None else cost.version,
    )
    now = (one.cost, one.backend_cost, one.price_version, one.backend_price_version)
    return None if now == (row.cost, row.backend_cost, row.price_version, row.backend_price_version) else one


def _count(report: Report, one: Changed) -> None:
    """A row of which only the stamp changes costs what it did, and is no difference."""
    row = one.row
    if (one.cost, one.backend_cost) == (row.cost, row.backend_cost):
        return
    kept = (
        report.changed,
        report.models.setdefault(row.model, Difference()),
        report.tenants.setdefault(row.tenant_id, Difference()),
    )
    for difference in kept:
        difference.add(row, one.cost, one.backend_cost)


def usage_of(row: UsageRow) -> Usage:
    """What a row was billed for."""
    return Usage(
        input=row.tokens_in,
        cache_read=row.tokens_cache_read,
        cache_write=row.tokens_cache_write,
        cache_write_1h=row.tokens_cache_write_1h,
        output=row.tokens_out,
        reasoning=row.tokens_reasoning,
        audio_input=row.tokens_audio_in,
        audio_output=row.tokens_audio_out,
        image_input=row.tokens_image_in,
        image_output=row.tokens_image_out,
        images=row.images,
        milliseconds=row.milliseconds,
    )
