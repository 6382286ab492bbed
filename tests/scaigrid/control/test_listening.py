"""PostgreSQL tells of a change at once; a lost connection is made again."""

import asyncio

from sqlalchemy import text

from scaigrid.control.listening import CHANNEL, listen
from scaigrid.db.engine import create_engine
from tests.harness import databases
from tests.harness.eventually import PATIENCE


async def test_who_listens_is_woken_at_each_change(database_url: str) -> None:
    engine = create_engine(database_url)
    woken = asyncio.Event()
    task = asyncio.create_task(listen(engine, woken.set))
    try:
        if databases.kind_of(database_url) == "sqlite":
            await asyncio.wait_for(task, PATIENCE)
            assert not woken.is_set(), "there is nobody to tell"
            return
        await asyncio.wait_for(woken.wait(), PATIENCE)
        woken.clear()
        async with engine.begin() as connection:
            await connection.execute(text(f"NOTIFY {CHANNEL}, '2'"))
        await asyncio.wait_for(woken.wait(), PATIENCE)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.dispose()
