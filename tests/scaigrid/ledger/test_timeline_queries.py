"""Whose timeline is found: the latest of that request id among those that the one who asks may see."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine, writing
from scaigrid.errors import Code, GatewayError
from scaigrid.ledger.reading import UsageFilter
from scaigrid.ledger.store import LedgerStore
from scaigrid.ledger.timeline_queries import Timelines
from tests.scaigrid.ledger.rows import timeline_row

pytestmark = pytest.mark.anyio

ID = "of-my-own-choice"
EVERYTHING = UsageFilter()


@pytest.fixture
def made(database_url: str) -> AsyncEngine:
    return create_engine(database_url)


@pytest.fixture
async def engine(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    yield made
    await made.dispose()


async def test_a_timeline_comes_back_as_it_was_recorded(engine: AsyncEngine) -> None:
    rows = [timeline_row(1), timeline_row(2, key_id=None)]
    await LedgerStore(engine).insert("w", rows)
    for row in rows:
        assert await Timelines(engine).timeline(row.request_id, EVERYTHING) == row
    assert await Timelines(engine).timeline("req_of_nobody", EVERYTHING) is None


async def test_of_an_id_that_was_used_twice_the_latest_is_meant(engine: AsyncEngine) -> None:
    rows = [timeline_row(number, request_id=ID) for number in (2, 1)]
    await LedgerStore(engine).insert("w", rows)
    assert await Timelines(engine).timeline(ID, EVERYTHING) == rows[0]


async def test_another_s_request_of_the_same_id_is_neither_found_nor_in_the_way(engine: AsyncEngine) -> None:
    mine = timeline_row(1, request_id=ID)
    colleague = timeline_row(2, request_id=ID, user_id="user_v")
    neighbour = timeline_row(3, request_id=ID, tenant_id="tenant_n", user_id="user_n")
    stranger = timeline_row(4, request_id=ID, tenant_id="tenant_s", user_id="user_s", partner_id="partner_s")
    await LedgerStore(engine).insert("w", [stranger, neighbour, colleague, mine])
    reader = Timelines(engine)
    for reach, found in (
        (UsageFilter(user_id="user_u"), mine),
        (UsageFilter(tenant_id="tenant_t"), colleague),
        (UsageFilter(partner_id="partner_p"), neighbour),
        (EVERYTHING, stranger),
        (UsageFilter(user_id="user_nobody"), None),
    ):
        assert await reader.timeline(ID, reach) == found


async def test_a_database_that_cannot_be_read_is_told_as_such(engine: AsyncEngine) -> None:
    async with writing(engine).begin() as connection:
        await connection.execute(text("ALTER TABLE request_timelines RENAME TO away"))
    with pytest.raises(GatewayError) as caught:
        await Timelines(engine).timeline(ID, EVERYTHING)
    assert caught.value.code is Code.STORE_UNAVAILABLE
