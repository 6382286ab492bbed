"""Rows are rated again exactly, nothing is written unasked, and a second run finds nothing left to do."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine
from scaigrid.db.models import usage
from scaigrid.ledger import rerate as module
from scaigrid.ledger.queries import spent
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.rerate import Changed, Report, Wanted, rerate, usage_of
from scaigrid.ledger.store import LedgerStore
from scaigrid.pricing import PriceList
from tests.scaigrid.ledger.rows import usage_row

pytestmark = pytest.mark.anyio

MILLION = 1_000_000
RIGHT = PriceList(input=3 * MILLION, output=5 * MILLION, version="right")
DEAR = PriceList(input=7 * MILLION, version="dear")
ALWAYS = Wanted(start=0.0, end=1e12)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(database_url)
    yield made
    await made.dispose()


def row(number: int, **changes: Any) -> UsageRow:
    """Ten tokens in, one out, and nothing else."""
    plain: dict[str, Any] = dict.fromkeys(
        [name for name in UsageRow.__struct_fields__ if name.startswith("tokens_")] + ["images", "milliseconds"], 0
    )
    own = {"tokens_in": 10, "tokens_out": 1, "cost": 100, "backend_cost": 50, "price_version": "wrong"}
    return usage_row(number, **{**plain, **own, "backend_price_version": "wrong", **changes})


async def fill(engine: AsyncEngine, *rows: UsageRow) -> None:
    await LedgerStore(engine).insert("w", rows)


async def kept(engine: AsyncEngine) -> Sequence[tuple[Any, ...]]:
    columns = (usage.c.cost, usage.c.backend_cost, usage.c.price_version, usage.c.backend_price_version)
    async with engine.connect() as connection:
        return [tuple(one) for one in await connection.execute(select(*columns).order_by(usage.c.id))]


async def rated(
    engine: AsyncEngine,
    wanted: Wanted = ALWAYS,
    prices: Mapping[str, PriceList] | None = None,
    costs: Mapping[str, PriceList] | None = None,
    *,
    apply: bool = True,
) -> Report:
    return await rerate(engine, wanted, {"acme/large": RIGHT} if prices is None else prices, costs or {}, apply=apply)


async def test_a_row_costs_what_the_price_says(engine: AsyncEngine) -> None:
    await fill(engine, row(1))
    report = await rated(engine, costs={"be_b": DEAR})
    assert await kept(engine) == [(35, 70, "right", "dear")]
    assert (report.rows, report.changed.rows, report.unknown) == (1, 1, 0)
    changed = report.changed
    assert (changed.cost_before, changed.cost_after) == (100, 35)
    assert (changed.backend_cost_before, changed.backend_cost_after) == (50, 70)


async def test_unasked_nothing_is_written(engine: AsyncEngine) -> None:
    await fill(engine, row(1))
    report = await rated(engine, apply=False)
    assert report.changed.cost_after == 35
    assert await kept(engine) == [(100, 50, "wrong", "wrong")]


async def test_a_second_run_finds_nothing_to_do(engine: AsyncEngine) -> None:
    await fill(engine, row(1), row(2))
    await rated(engine)
    report = await rated(engine)
    assert (report.rows, report.changed.rows) == (2, 0)


async def test_two_runs_at_once_change_the_sums_once(engine: AsyncEngine) -> None:
    await fill(engine, *(row(number) for number in range(300)))
    await asyncio.gather(*(rated(engine) for _ in range(3)))
    at = row(1).created_at
    assert {cost for cost, *_ in await kept(engine)} == {35}
    assert (await spent(engine, "model", "acme/large", 0.0, at + 86_400 * 3)).cost == 300 * 35


async def test_sums_follow_the_rows(engine: AsyncEngine) -> None:
    """What a budget is counted from, and every summary."""
    await fill(engine, row(1), row(2, tenant_id="tenant_other"))
    await rated(engine)
    at = row(1).created_at
    assert (await spent(engine, "tenant", "tenant_t", at - 7200, at + 7200)).cost == 35
    assert (await spent(engine, "model", "acme/large", 0.0, at + 86_400 * 3)).cost == 70


async def test_who_is_owed_what_is_told_by_model_and_tenant(engine: AsyncEngine) -> None:
    await fill(engine, row(1), row(2, tenant_id="tenant_other"), row(3, model="acme/small"))
    report = await rated(engine, prices={"acme/large": RIGHT, "acme/small": DEAR})
    assert {name: one.cost_after for name, one in report.models.items()} == {"acme/large": 70, "acme/small": 70}
    assert {name: one.rows for name, one in report.tenants.items()} == {"tenant_t": 2, "tenant_other": 1}


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(start=row(2).created_at, end=row(3).created_at),
        Wanted(start=0.0, end=1e12, models=("acme/one",)),
        Wanted(start=0.0, end=1e12, backends=("be_one",)),
        Wanted(start=0.0, end=1e12, tenants=("tenant_one",)),
        Wanted(start=0.0, end=1e12, version="wrong-one"),
    ],
    ids=["span", "model", "backend", "tenant", "version"],
)
async def test_only_the_rows_that_are_wanted_are_touched(engine: AsyncEngine, wanted: Wanted) -> None:
    one = {"model": "acme/one", "backend_id": "be_one", "tenant_id": "tenant_one", "price_version": "wrong-one"}
    await fill(engine, row(1), row(2, **one), row(3))
    report = await rated(engine, wanted, {"acme/large": RIGHT, "acme/one": RIGHT})
    assert (report.rows, report.changed.rows) == (1, 1)
    assert [cost for cost, *_ in await kept(engine)] == [100, 35, 100]


async def test_a_version_is_that_of_the_price_or_of_the_cost(engine: AsyncEngine) -> None:
    await fill(engine, row(1, backend_price_version="wrong-cost"), row(2))
    report = await rated(engine, Wanted(start=0.0, end=1e12, version="wrong-cost"))
    assert report.rows == 1


async def test_what_was_free_by_its_nature_stays_free(engine: AsyncEngine) -> None:
    """A failed attempt, and a call that made nothing: a price for each request is none for these."""
    each = PriceList(request=1_000, version="each")
    await fill(engine, row(1, serving=False, cost=0), row(2, usage_source="none", cost=0), row(3))
    report = await rated(engine, prices={"acme/large": each})
    assert report.rows == 1
    assert [cost for cost, *_ in await kept(engine)] == [0, 0, 1_000]


async def test_what_nobody_knows_a_price_of_stays_as_it_is(engine: AsyncEngine) -> None:
    await fill(engine, row(1, model="gone"))
    report = await rated(engine)
    assert (report.unknown, report.changed.rows) == (1, 0)
    assert await kept(engine) == [(100, 50, "wrong", "wrong")]


async def test_a_row_that_costs_the_same_is_stamped_anew_and_no_difference(engine: AsyncEngine) -> None:
    await fill(engine, row(1, cost=35))
    report = await rated(engine)
    assert report.changed.rows == 0
    assert await kept(engine) == [(35, 50, "right", "wrong")]


async def test_every_batch_is_rated(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one moment too, which a walk by time alone would lose."""
    monkeypatch.setattr(module, "_BATCH", 3)
    moment = row(1).created_at
    await fill(engine, *(row(number, created_at=moment if number < 5 else moment + number) for number in range(10)))
    seen: list[Changed] = []
    report = await rerate(engine, ALWAYS, {"acme/large": RIGHT}, {}, apply=True, changed=seen.append)
    assert (report.rows, report.changed.rows) == (10, 10)
    assert sorted(one.row.id for one in seen) == [row(number).id for number in range(10)]
    assert {cost for cost, *_ in await kept(engine)} == {35}


def test_a_row_has_all_that_is_priced() -> None:
    """Each class in the row has a value of its own: none is left out, and none stands for another."""
    found = usage_of(usage_row(1))
    assert [getattr(found, name) for name in found.__struct_fields__] == [11, 12, 13, 14, 15, 7, 16, 17, 18, 19, 20, 21]
