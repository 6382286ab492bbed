"""Drops usage by age, in small steps: the rows first, the sums of hours later, the sums of days never; and timelines.

A day's rows go only where their sums are there. One worker at a time does it: on PostgreSQL whoever holds a lock, on
SQLite whoever is writing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Delete, Table, delete, func, select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from structlog.typing import FilteringBoundLogger

from scaigrid.clock import Clock
from scaigrid.db import faults
from scaigrid.db.engine import writing
from scaigrid.db.models import request_timelines, usage, usage_rollup, usage_tag_rollup
from scaigrid.ledger.spans import DAY, HOUR

LOCK = 0x5CA1_6122
"""The key of the advisory lock under which a step is taken on PostgreSQL."""
_SECONDS = 3600.0
"""Between two rounds: what is dropped is a day old or more."""

_log: FilteringBoundLogger = structlog.get_logger(__name__)


class Dropped(NamedTuple):
    """What a round has dropped: rows, sums of hours, and timelines of requests."""

    rows: int
    sums: int
    timelines: int = 0


class Retention:
    """`run` it as a task, or take one round at a time with `sweep`.

    A step is a transaction of at most `batch` rows, and `pause` seconds lie between two, for those who wait to write.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        *,
        usage_days: int | None,
        hourly_days: int | None,
        timeline_days: int | None = None,
        batch: int = 2000,
        pause: float = 0.1,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engine = writing(engine)
        self._clock = clock
        self._usage_days = usage_days
        self._hourly_days = hourly_days
        self._timeline_days = timeline_days
        self._batch = batch
        self._pause = pause
        self._sleep = sleep

    async def run(self) -> None:
        """A round an hour, until it is cancelled. A database that is away is tried again in the next one."""
        while (self._usage_days, self._hourly_days, self._timeline_days) != (None, None, None):
            try:
                dropped = await self.sweep()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("retention_stalled", error=faults.told(error))
            else:
                if any(dropped):
                    _log.info("usage_dropped", **dropped._asdict())
            await self._sleep(_SECONDS)

    async def sweep(self) -> Dropped:
        """Drops all that is old enough now. Raises what SQLAlchemy and its driver raise."""
        rows = sums = timelines = 0
        if self._usage_days is not None:
            rows = await self._drop_rows(self._before(self._usage_days))
        if self._hourly_days is not None:
            before = self._before(self._hourly_days)
            for table in (usage_rollup, usage_tag_rollup):
                sums += await self._drop(partial(_old_sums, table, before, self._batch))
        if self._timeline_days is not None:
            # Nothing is counted from them: they go to the minute.
            too_old = self._clock.now() - self._timeline_days * DAY
            timelines = await self._drop(partial(_old_timelines, too_old, self._batch))
        return Dropped(rows, sums, timelines)

    def _before(self, days: int) -> int:
        """Whole days in UTC alone."""
        return int(self._clock.now()) // DAY * DAY - days * DAY

    async def _drop_rows(self, before: int) -> int:
        """Day by day, the oldest first. A day whose sums lack some of its rows is left as it is."""
        dropped, day = 0, 0
        while True:
            async with self._engine.connect() as connection:
                oldest = await connection.scalar(select(func.min(usage.c.created_at)).where(usage.c.created_at >= day))
                if oldest is None or oldest >= before:
                    return dropped
                start = int(oldest) // DAY * DAY
                kept, counted = await _attempts(connection, start)
            day = start + DAY
            if kept > counted:
                _log.error("usage_not_dropped", day=start, rows=kept, counted=counted)
            else:
                dropped += await self._drop(partial(_old_rows, start, day, self._batch))

    async def _drop(self, made: Callable[[], Delete]) -> int:
        """Step by step until nothing is left of it, or somebody else is at it."""
        dropped = 0
        while True:
            async with self._engine.begin() as connection:
                if not await _alone(connection):
                    return dropped
                step: Any = await connection.execute(made())
            rows: int = step.rowcount
            dropped += rows
            if rows < self._batch:
                return dropped
            await self._sleep(self._pause)


async def _alone(connection: AsyncConnection) -> bool:
    """Until the end of the transaction. On SQLite whoever writes is."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(await connection.scalar(select(func.pg_try_advisory_xact_lock(LOCK))))


async def _attempts(connection: AsyncConnection, day: int) -> tuple[int, int]:
    """How many rows a day has, and how many its sums have counted."""
    within = (usage.c.created_at >= day, usage.c.created_at < day + DAY)
    rows = await connection.scalar(select(func.count()).select_from(usage).where(*within))
    of_day = (usage_rollup.c.span == DAY, usage_rollup.c.start == day)
    counted = await connection.scalar(select(func.sum(usage_rollup.c.attempts)).where(*of_day))
    return rows or 0, int(counted or 0)


def _old_rows(start: int, end: int, batch: int) -> Delete:
    within = (usage.c.created_at >= start, usage.c.created_at < end)
    return delete(usage).where(usage.c.id.in_(select(usage.c.id).where(*within).limit(batch)))


def _old_timelines(before: float, batch: int) -> Delete:
    place = (request_timelines.c.request_id, request_timelines.c.id)
    old = select(*place).where(request_timelines.c.created_at < before).limit(batch)
    return delete(request_timelines).where(tuple_(*place).in_(old))


def _old_sums(table: Table, before: int, batch: int) -> Delete:
    place = (table.c.span, table.c.start, table.c.digest)
    old = select(*place).where(table.c.span == HOUR, table.c.start < before).limit(batch)
    return delete(table).where(tuple_(*place).in_(old))
