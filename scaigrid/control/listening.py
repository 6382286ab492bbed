"""Waits for PostgreSQL to tell of a change, so that nobody has to wait for the next look.

It only wakes: what has changed is read as ever, and where nothing is heard (SQLite, a pooler that gives each
transaction another connection, a connection that is lost) the look that comes each second finds it all the same.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

CHANNEL = "scaigrid_epoch"
"""PostgreSQL notifies on it with the new epoch."""
_AGAIN_SECONDS = 5.0


async def listen(engine: AsyncEngine, wake: Callable[[], None]) -> None:
    """Calls `wake` at each change until it is cancelled; returns at once for a database that tells of none."""
    if engine.dialect.name != "postgresql":
        return
    while True:
        with suppress(SQLAlchemyError, OSError, asyncio.TimeoutError):
            await _until_lost(engine, wake)
        await asyncio.sleep(_AGAIN_SECONDS)


async def _until_lost(engine: AsyncEngine, wake: Callable[[], None]) -> None:
    lost = asyncio.Event()

    def ends(_connection: object) -> None:
        lost.set()

    def hears(*_what: object) -> None:
        wake()

    async with engine.connect() as connection:
        # Untyped at this seam: asyncpg's own connection, which has no transaction open.
        driver: Any = (await connection.get_raw_connection()).driver_connection
        driver.add_termination_listener(ends)
        await driver.add_listener(CHANNEL, hears)
        try:
            wake()
            await lost.wait()
        finally:
            # Never given back to the pool: it would go on listening there.
            await connection.invalidate()
