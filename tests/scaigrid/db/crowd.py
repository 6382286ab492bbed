"""Several that write to one database at once, for a test: `python -m tests.scaigrid.db.crowd URL NAME ROUNDS`."""

import asyncio
import sys

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine, writing
from scaigrid.db.models import epoch, usage
from scaigrid.ledger.chain import verify
from scaigrid.ledger.store import LedgerStore
from tests.scaigrid.ledger.rows import audit_row, usage_row

BATCH = 20


async def record(engine: AsyncEngine, name: str, rounds: int) -> None:
    """What the ledger's writer does: batches of rows."""
    store = LedgerStore(engine)
    for turn in range(rounds):
        numbers = range(turn * BATCH, (turn + 1) * BATCH)
        rows = [usage_row(number, id=f"{name}-{number}") for number in numbers]
        await store.insert(name, [*rows, *(audit_row(number, id=f"{name}-{number}") for number in numbers)])


async def change(engine: AsyncEngine, rounds: int) -> None:
    """What the control plane does: reads, and writes what follows from it."""
    for _ in range(rounds):
        async with writing(engine).begin() as connection:
            now = (await connection.execute(select(epoch.c.epoch).with_for_update())).scalar_one()
            await connection.execute(select(usage).limit(10))
            await connection.execute(update(epoch).values(epoch=now + 1))


async def look(engine: AsyncEngine, name: str, rounds: int) -> None:
    """What the API does: reads while others write."""
    for _ in range(rounds):
        async with engine.connect() as connection:
            await connection.execute(select(usage).order_by(usage.c.created_at.desc(), usage.c.id.desc()).limit(50))
            assert await verify(connection, name) is None


async def crowd(engine: AsyncEngine, name: str, rounds: int) -> None:
    """Each of them at once. Raises what any of them met."""
    changing = (change(engine, rounds) for _ in range(3))
    await asyncio.gather(record(engine, name, rounds), *changing, look(engine, name, rounds))
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(crowd(create_engine(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
