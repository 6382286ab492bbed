"""Gateways that share a database notice each other, so that none counts limits and budgets beside another.

Each has a row that it renews for as long as it lives. Several may serve together where all count in the same Valkey;
otherwise a gateway whose row is there keeps every other one from starting. A row that nobody renews is stale, and goes
to whoever comes next: a gateway that finds its own gone refuses calls until it can have it back.

The row is named after the data directory, which one gateway owns at a time (`ledger/lock.py`): a gateway that starts
again after a crash finds its own row, and takes it. Times are the database server's, so that no clocks have to agree.
"""

import asyncio
import os
import platform
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from structlog.typing import FilteringBoundLogger

from scaigrid.clock import Clock
from scaigrid.config.schema import Config, Store
from scaigrid.db.engine import create_engine, writing
from scaigrid.db.models import instances
from scaigrid.db.url import database_url, place
from scaigrid.stores.address import read_address
from scaigrid.timestamps import iso

FILE: Final = "instance"
"""In the data directory: who its gateway is, and which life of it is the present one."""
EVERY: Final = 5.0
"""Seconds from one renewal of a row to the next."""
STALE: Final = 20.0
"""A row that has not been renewed for so many seconds is nobody's."""
_LOOK: Final = 0.5
_PARTING: Final = 2.0
"""Seconds that a gateway which stops spends at most on removing its row."""

_log: FilteringBoundLogger = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway: its row, but for when it was seen last."""

    id: str
    life: str
    """Another one for each start."""
    host: str
    pid: int
    store: str
    """`memory`, or which Valkey under which prefix."""
    started_at: float = 0.0
    """In seconds since the epoch, as the database has it."""

    def shares_with(self, other: "Instance") -> bool:
        """Whether both count in the same place."""
        return self.store == other.store != "memory"

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, started {iso(self.started_at)}, which counts in {self.store}"


class NotAlone(Exception):
    """Other gateways serve from the database, and count elsewhere."""

    def __init__(self, others: Sequence[Instance]) -> None:
        self.others = others
        super().__init__("; ".join(map(str, others)))


def store_of(config: Store) -> str:
    """Where a gateway counts, as others compare it: without who it is there."""
    if config.url is None or config.type == "memory":
        return "memory"
    address = read_address(config.url.reveal())
    return f"{config.type} {str(address).lower()}/{address.database} as {config.prefix}"


def shared(config: Config) -> bool:
    """Whether there may be others: a database in the data directory is the directory's owner's alone."""
    return config.database.url is not None


# -- the rows --------------------------------------------------------------------------------------------------------


class Registry:
    """The table of gateways, as one of them sees it. Raises SQLAlchemyError or OSError where there is no database."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def claim(self, me: Instance) -> tuple[Instance, float] | None:
        """Takes the row of `me`, whoever has it; None where another gateway keeps it from that.

        Answers then who, and when it was seen. Of two who claim at once exactly one gets it.
        """
        async with writing(self._engine).begin() as connection:
            await self._alone(connection)
            now = await self._now(connection)
            other = await _in_the_way(connection, me, now)
            if other is None:
                await connection.execute(delete(instances).where(instances.c.id == me.id))
                await _put(connection, me, now)
            return other

    async def renew(self, me: Instance) -> tuple[Instance, float] | None:
        """Renews the row of `me`; where it is gone, puts it back, unless another gateway keeps it from that."""
        async with writing(self._engine).begin() as connection:
            now = await self._now(connection)
            renewed = await connection.execute(
                update(instances).where(instances.c.id == me.id, instances.c.life == me.life).values(seen_at=now)
            )
            if renewed.rowcount:
                return None
        async with writing(self._engine).begin() as connection:
            await self._alone(connection)
            now = await self._now(connection)
            other = await _in_the_way(connection, me, now) or await _successor(connection, me)
            if other is None:
                await _put(connection, me, now)
            return other

    async def leave(self, me: Instance) -> None:
        """Removes the row of `me`, where it still is that."""
        async with writing(self._engine).begin() as connection:
            await connection.execute(delete(instances).where(instances.c.id == me.id, instances.c.life == me.life))

    async def _alone(self, connection: AsyncConnection) -> None:
        """Has everybody else wait who wants to write a row. A transaction of SQLite that writes is alone anyway."""
        if self._engine.dialect.name == "postgresql":
            await connection.execute(text("LOCK TABLE instances IN SHARE ROW EXCLUSIVE MODE"))

    async def _now(self, connection: AsyncConnection) -> float:
        if self._engine.dialect.name == "postgresql":
            found = await connection.scalar(select(func.extract("epoch", func.clock_timestamp())))
            return float(found or 0.0)
        return self._clock.now()


async def _in_the_way(connection: AsyncConnection, me: Instance, now: float) -> tuple[Instance, float] | None:
    """A gateway that lives and counts elsewhere than `me`. Rows that are stale go, so that their owners notice."""
    await connection.execute(delete(instances).where(instances.c.seen_at <= now - STALE, instances.c.id != me.id))
    rows = await connection.execute(select(instances).where(instances.c.id != me.id).order_by(instances.c.started_at))
    for row in rows:
        other = _instance(row)
        if not other.shares_with(me):
            return other, row.seen_at
    return None


async def _successor(connection: AsyncConnection, me: Instance) -> tuple[Instance, float] | None:
    """Who has the row of `me` in another life: a gateway on a copy of its data directory."""
    row = (await connection.execute(select(instances).where(instances.c.id == me.id))).first()
    return None if row is None else (_instance(row), row.seen_at)


async def _put(connection: AsyncConnection, me: Instance, now: float) -> None:
    row = {**msgspec.structs.asdict(me), "started_at": me.started_at or now, "seen_at": now}
    await connection.execute(insert(instances).values(row))


def _instance(row: object) -> Instance:
    return msgspec.convert(row, Instance, from_attributes=True)


# -- who starts ------------------------------------------------------------------------------------------------------


@contextmanager
def present(
    config: Config, clock: Clock, say: Callable[[str], object], *, sleep: Sleep = asyncio.sleep
) -> Generator[None]:
    """Has a row of this gateway in the database while the block lasts: see `arrive`."""
    me = arrive(config, clock, say, sleep=sleep)
    try:
        yield
    finally:
        # Without the database nobody is told that we are gone: the row becomes stale.
        with suppress(SQLAlchemyError, OSError):
            _asked(config, clock, lambda registry: asyncio.wait_for(registry.leave(me), _PARTING))


def arrive(config: Config, clock: Clock, say: Callable[[str], object], *, sleep: Sleep = asyncio.sleep) -> Instance:
    """Puts a row of this gateway into the database, in a new life.

    A row of somebody who counts elsewhere is watched: one that is renewed keeps us from starting (NotAlone), one that
    becomes stale does not, which `say` is told of meanwhile. Raises SQLAlchemyError, OSError where there is no
    database, or the data directory cannot be written.
    """
    me = _born(config)
    _asked(config, clock, lambda registry: _enter(registry, me, say, sleep))
    return me


def _asked(config: Config, clock: Clock, ask: Callable[[Registry], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        engine = create_engine(database_url(config))
        try:
            await ask(Registry(engine, clock))
        finally:
            await engine.dispose()

    asyncio.run(run())


def refusal(config: Config, error: NotAlone) -> str:
    """What to tell a person whose gateway may not start, and the line to change."""
    mine = store_of(config.store)
    return (
        f"the database {place(database_url(config))} is served from by another gateway: {error}; this one would count "
        f"in {mine}, and limits and budgets would be given out twice. Set `store.type: valkey`, with the same "
        "`store.url` and `store.prefix` for every gateway, or stop the other one first"
    )


def _born(config: Config) -> Instance:
    """This gateway in a new life, as its workers will read it."""
    path = Path(config.server.data_dir) / FILE
    earlier = None
    with suppress(OSError, msgspec.MsgspecError):
        earlier = msgspec.json.decode(path.read_bytes(), type=Instance)
    me = Instance(
        id=earlier.id if earlier is not None else f"instance_{secrets.token_hex(16)}",
        life=secrets.token_hex(8),
        host=platform.node(),
        pid=os.getpid(),
        store=store_of(config.store),
    )
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(me) + b"\n")
    new.replace(path)
    return me


async def _enter(registry: Registry, me: Instance, say: Callable[[str], object], sleep: Sleep) -> None:
    watched: dict[tuple[str, str], float] = {}
    while (found := await registry.claim(me)) is not None:
        other, seen = found
        if not watched:
            say(f"scaigrid: waiting, at most {STALE:g} s, whether another gateway still serves: {other}\n")
        if watched.setdefault((other.id, other.life), seen) != seen:
            raise NotAlone([other])
        await sleep(_LOOK)


# -- who serves ------------------------------------------------------------------------------------------------------


class Presence:
    """The row of this gateway, renewed by a worker. `barred` is told why no calls may be let in; '' where they may."""

    def __init__(
        self,
        config: Config,
        engine: AsyncEngine,
        clock: Clock,
        barred: Callable[[str], None],
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._path = Path(config.server.data_dir) / FILE
        self._shared = shared(config)
        self._registry = Registry(engine, clock)
        self._barred = barred
        self._sleep = sleep
        self._trouble = ""

    async def tend(self) -> None:
        """Renews the row, again and again. Returns at once where there is none to be had."""
        if not self._shared:
            return
        try:
            me = msgspec.json.decode(await asyncio.to_thread(self._path.read_bytes), type=Instance)
        except FileNotFoundError:
            # It is served by itself, not by `scaigrid serve`.
            return
        while True:
            # Nothing is known of the others while the database is away, and nobody can start.
            with suppress(SQLAlchemyError, OSError):
                self._found(await self._registry.renew(me))
            await self._sleep(EVERY)

    def _found(self, other: tuple[Instance, float] | None) -> None:
        trouble = "" if other is None else f"another gateway has taken over: {other[0]}"
        if trouble and not self._trouble:
            _log.error("instance_displaced", other=str(other[0] if other else ""))
        elif self._trouble and not trouble:
            _log.info("instance_alone_again")
        if trouble != self._trouble:
            self._trouble = trouble
            self._barred(trouble)
