"""Sums follow rows that come to cost something else; on either database."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine, writing
from scaigrid.ledger.reading import Tag, Total, UsageFilter
from scaigrid.ledger.rollup_changes import recost
from scaigrid.ledger.spans import DAY
from scaigrid.ledger.store import LedgerStore
from scaigrid.ledger.sums import totals
from tests.scaigrid.ledger.rows import usage_row

pytestmark = pytest.mark.anyio

BEGIN = 1_800_000_000 // DAY * DAY


@pytest.fixture
def made(database_url: str) -> AsyncEngine:
    return create_engine(database_url)


@pytest.fixture
async def engine(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    yield made
    await made.dispose()


async def total(engine: AsyncEngine, wanted: UsageFilter) -> Total:
    async with engine.connect() as connection:
        (found,) = await totals(connection, wanted, "tenant")
    return found


async def test_costs_are_taken_over_and_nothing_else_changes(engine: AsyncEngine) -> None:
    dear = usage_row(1, created_at=BEGIN + 1, cost=100, backend_cost=50)
    failed = usage_row(2, created_at=BEGIN + 2, cost=0, backend_cost=5, serving=False)
    await LedgerStore(engine).insert("w", [dear, failed, usage_row(3, created_at=BEGIN + 3, cost=1, backend_cost=1)])
    wanted = (UsageFilter(), UsageFilter(start=BEGIN, end=BEGIN + 3600), UsageFilter(tag=Tag("team", "blue")))
    before = [await total(engine, one) for one in wanted]
    async with writing(engine).begin() as connection:
        await recost(connection, [(dear, 30, 80), (failed, 9, 7)])
    after = [await total(engine, one) for one in wanted]
    assert after == [msgspec.structs.replace(one, cost=31, backend_cost=88) for one in before]
