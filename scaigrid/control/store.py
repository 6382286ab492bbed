"""The control plane's state in the database: read whole, read on from an epoch, and changed one at a time."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Row
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scaigrid.clock import Clock
from scaigrid.control import price_history
from scaigrid.control.codec import Codec
from scaigrid.control.listening import CHANNEL, listen
from scaigrid.control.resource import Resource
from scaigrid.control.state import Gone, State
from scaigrid.db.engine import writing
from scaigrid.db.models import epoch, key_uses, resources
from scaigrid.errors import Code, GatewayError

_KEPT_GONE = 86_400.0
"""Seconds that a deleted row is kept for those who read on."""
_PIECE = 500


class Since(NamedTuple):
    """What has changed since an epoch."""

    epoch: int
    changed: Sequence[Resource]
    gone: Sequence[Gone]


class ControlStore:
    """Raises GatewayError(STORE_UNAVAILABLE) where the database cannot be reached."""

    def __init__(self, engine: AsyncEngine, codec: Codec, clock: Clock) -> None:
        self._engine = engine
        self._codec = codec
        self._clock = clock

    @property
    def codec(self) -> Codec:
        return self._codec

    @property
    def kind(self) -> Literal["sqlite", "postgresql"]:
        """What kind of database it is."""
        return "postgresql" if self._engine.dialect.name == "postgresql" else "sqlite"

    async def epoch(self) -> int:
        async with self._reading() as connection:
            return await _epoch(connection)

    async def config_hash(self) -> str | None:
        """The hash of the configuration that was applied last."""
        async with self._reading() as connection:
            found: str | None = await connection.scalar(select(epoch.c.config_hash))
            return found

    async def load(self) -> State:
        """Everything."""
        async with self._reading() as connection:
            return await self._whole(connection)

    async def since(self, known: int) -> Since:
        """What those who know the state at an epoch do not know yet."""
        async with self._reading() as connection:
            return await self._since(connection, known)

    async def advance(self, state: State) -> State:
        """The state now, from one that was read earlier."""
        news = await self.since(state.epoch)
        return state if news.epoch == state.epoch else state.after(news.changed, news.gone, news.epoch)

    @asynccontextmanager
    async def change(self, known: State | None) -> AsyncGenerator["Change"]:
        """One change, at the next epoch, by nobody else at the same time; nothing is changed where the block raises.

        `known` is a state read earlier, which spares reading all of it again.
        """
        try:
            async with writing(self._engine).begin() as connection:
                # The row that everyone who changes something takes first: on a server they queue here, on SQLite at
                # the write lock.
                await connection.execute(select(epoch.c.epoch).with_for_update())
                if known is None:
                    state = await self._whole(connection)
                else:
                    news = await self._since(connection, known.epoch)
                    state = known.after(news.changed, news.gone, news.epoch)
                change = Change(connection, self._codec, state, self._clock.now())
                yield change
                await change.finish()
                change.conclude()
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable() from error

    async def listen(self, wake: Callable[[], None]) -> None:
        """Calls `wake` at each change, where the database tells of them, until it is cancelled."""
        await listen(self._engine, wake)

    async def uses(self, keys: Collection[str] | None = None) -> dict[str, float]:
        """When each key was last used, in seconds since the epoch: of those given (by id), or of all."""
        asked = select(key_uses.c.key_id, key_uses.c.last_used_at)
        if keys is not None:
            asked = asked.where(key_uses.c.key_id.in_(keys))
        async with self._reading() as connection:
            rows = await connection.execute(asked)
            return {row.key_id: row.last_used_at for row in rows}

    async def prices(
        self, *, kind: price_history.Kind | None, name: str | None, before: int | None, limit: int
    ) -> Sequence[price_history.Priced]:
        """The prices that were in force (see `price_history.versions`)."""
        async with self._reading() as connection:
            return await price_history.versions(connection, kind=kind, name=name, before=before, limit=limit)

    async def used(self, times: dict[str, float]) -> None:
        """Keeps the latest time of each key."""
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(key_uses)
        statement = statement.on_conflict_do_update(
            index_elements=[key_uses.c.key_id],
            set_={"last_used_at": statement.excluded.last_used_at},
            where=key_uses.c.last_used_at < statement.excluded.last_used_at,
        )
        try:
            async with writing(self._engine).begin() as connection:
                # In one order everywhere: two that take the same rows in different ones would wait for each other.
                rows = [{"key_id": key, "last_used_at": when} for key, when in sorted(times.items())]
                await connection.execute(statement, rows)
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable() from error

    @asynccontextmanager
    async def _reading(self) -> AsyncGenerator[AsyncConnection]:
        try:
            # One transaction: on a server several statements must see the same moment.
            engine = self._engine
            if engine.dialect.name == "postgresql":
                engine = engine.execution_options(isolation_level="REPEATABLE READ")
            async with engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable() from error

    async def _whole(self, connection: AsyncConnection) -> State:
        now = await _epoch(connection)
        rows = await connection.execute(select(resources).where(~resources.c.deleted))
        return State.of((self._resource(row) for row in rows), now)

    async def _since(self, connection: AsyncConnection, known: int) -> Since:
        now = await _epoch(connection)
        if now == known:
            return Since(now, (), ())
        rows = (await connection.execute(select(resources).where(resources.c.revision > known))).all()
        return Since(
            now,
            [self._resource(row) for row in rows if not row.deleted],
            [Gone(row.kind, row.id) for row in rows if row.deleted],
        )

    def _resource(self, row: Row[tuple[object, ...]]) -> Resource:
        return Resource(
            kind=row.kind,
            id=row.id,
            origin=row.origin,
            document=self._codec.decode(row.kind, row.document),
            revision=row.revision,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class Change:
    """A change under way. `state` is what holds now, what was put and deleted so far included."""

    def __init__(self, connection: AsyncConnection, codec: Codec, state: State, now: float) -> None:
        self.connection = connection
        self.state = state
        self.now = now
        self._codec = codec
        self.epoch = state.epoch + 1
        """Of everything that is changed here."""
        self._put: dict[str, Resource] = {}
        self._gone: dict[str, Resource] = {}
        self._before: dict[str, Resource | None] = {}
        """What was changed, as it was before the change."""
        self._hash: str | None = None
        self._last: list[Callable[[], None]] = []

    def put(self, resource: Resource) -> Resource:
        """Makes it, or changes the one of that id; answers it as it will be kept."""
        kept = self._stamped(resource)
        self._put[kept.id] = kept
        self._gone.pop(kept.id, None)
        self.state = self.state.after((kept,), (), self.state.epoch)
        return kept

    def delete(self, resource: Resource) -> None:
        self._put.pop(resource.id, None)
        self._gone[resource.id] = resource
        self.state = self.state.after((), (Gone(resource.kind, resource.id),), self.state.epoch)

    def replace(self, put: Sequence[Resource], gone: Sequence[Resource]) -> None:
        """Many at once, where one at a time would copy the state for each."""
        kept = [self._stamped(resource) for resource in put]
        self._put |= {resource.id: resource for resource in kept}
        self._gone |= {resource.id: resource for resource in gone}
        self.state = self.state.after(kept, [Gone(one.kind, one.id) for one in gone], self.state.epoch)

    def _stamped(self, resource: Resource) -> Resource:
        """As it will be kept: changed here and now, made when the one of that id was."""
        before = self.state.get(resource.kind, resource.id)
        self._before.setdefault(resource.id, before)
        return msgspec.structs.replace(
            resource,
            revision=self.epoch,
            created_at=self.now if before is None else before.created_at,
            updated_at=self.now,
        )

    def stamp(self, config_hash: str) -> None:
        """Notes which configuration this change applies."""
        self._hash = config_hash

    def before_commit(self, step: Callable[[], None]) -> None:
        """Has `step` called when everything is written and nothing is committed; what it raises undoes the change."""
        self._last.append(step)

    def conclude(self) -> None:
        """Calls what `before_commit` was given."""
        for step in self._last:
            step()

    async def finish(self) -> None:
        """Writes what was gathered; nothing where nothing was."""
        if not self._put and not self._gone and self._hash is None:
            return
        connection = self.connection
        for piece in _pieces(list(self._gone)):
            # The row stays, empty, so that who reads on sees that it went; its name is free at once.
            await connection.execute(
                update(resources)
                .where(resources.c.id.in_(piece))
                .values(deleted=True, name=None, document="{}", revision=self.epoch, updated_at=self.now)
            )
        await price_history.note(connection, ((self._before.get(id_), one) for id_, one in self._put.items()))
        for piece in _pieces(list(self._put)):
            await connection.execute(delete(resources).where(resources.c.id.in_(piece)))
        # When all of them are out: two may have changed names.
        for piece in _pieces(list(self._put)):
            await connection.execute(insert(resources), [self._row(self._put[id_]) for id_ in piece])
        old = self.now - _KEPT_GONE
        await connection.execute(delete(resources).where(resources.c.deleted, resources.c.updated_at < old))
        values: dict[str, object] = {"epoch": self.epoch, "changed_at": self.now}
        if self._hash is not None:
            values["config_hash"] = self._hash
        await connection.execute(update(epoch).values(**values))
        if connection.dialect.name == "postgresql":
            await connection.execute(select(func.pg_notify(CHANNEL, str(self.epoch))))
        self.state = self.state.after((), (), self.epoch)

    def _row(self, resource: Resource) -> dict[str, object]:
        return {
            "id": resource.id,
            "kind": resource.kind,
            "scope": resource.owner,
            "name": resource.name if resource.is_a.unique else None,
            "origin": resource.origin,
            "revision": resource.revision,
            "created_at": resource.created_at,
            "updated_at": resource.updated_at,
            "deleted": False,
            "document": self._codec.encode(resource.document).decode(),
        }


async def _epoch(connection: AsyncConnection) -> int:
    return int(await connection.scalar(select(epoch.c.epoch)) or 0)


def _pieces(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + _PIECE] for start in range(0, len(ids), _PIECE)]


def _unavailable() -> GatewayError:
    return GatewayError(Code.STORE_UNAVAILABLE, "The database cannot be reached at the moment.")
