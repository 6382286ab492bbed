"""One thing done to the control plane by a process that does nothing else with it: a command, or a gateway's start.

All of it raises GatewayError(STORE_UNAVAILABLE), and vault.CannotOpen for credentials under another key.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from scaigrid.adapter import Adapter
from scaigrid.clock import SystemClock
from scaigrid.config.schema import Config
from scaigrid.control import history
from scaigrid.control.apply import Applied, apply
from scaigrid.control.codec import Codec
from scaigrid.control.plan import Plan, planned
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.control.store import ControlStore
from scaigrid.control.vault import Vault
from scaigrid.db.engine import create_engine
from scaigrid.db.url import database_url
from scaigrid.errors import Code, GatewayError


class NoSuchEntry(Exception):
    """The history has no entry of that number; it has those that are named."""

    def __init__(self, known: Sequence[int]) -> None:
        self.known = known
        super().__init__(f"the history has the entries {known[-1]} to {known[0]}" if known else "the history is empty")


async def load(config: Config, vault: Vault) -> State:
    """Everything."""
    async with _store(config, vault) as store:
        return await store.load()


async def plan(config: Config, vault: Vault, declared: Sequence[Resource], adapters: Mapping[str, Adapter]) -> Plan:
    """What applying would do."""
    return planned(await load(config, vault), declared, vault, adapters).plan


async def put_in_force(
    config: Config,
    vault: Vault,
    declared: Sequence[Resource],
    adapters: Mapping[str, Adapter],
    *,
    source: str,
    actor: str,
) -> Applied:
    """Applies what is declared. Raises apply.Refused."""
    async with _store(config, vault) as store, store.change(None) as change:
        return await apply(change, declared, vault, store.codec, adapters=adapters, source=source, actor=actor)


async def entries(config: Config) -> Sequence[history.Entry]:
    """The history, latest first."""
    async with _reading(config) as connection:
        return await history.entries(connection)


async def roll_back(
    config: Config, vault: Vault, adapters: Mapping[str, Adapter], seq: int | None, *, actor: str
) -> tuple[int, Applied]:
    """Applies what an entry of the history declared; None: the one before the last. Answers which one that was.

    Raises NoSuchEntry, and apply.Refused.
    """
    async with _store(config, vault) as store, store.change(None) as change:
        known = [entry.seq for entry in await history.entries(change.connection)]
        wanted = seq if seq is not None else known[1] if len(known) > 1 else 0
        declared = await history.declared_by(change.connection, wanted, store.codec)
        if declared is None:
            raise NoSuchEntry(known)
        done = await apply(
            change, declared, vault, store.codec, adapters=adapters, source=f"rollback to {wanted}", actor=actor
        )
        return wanted, done


@asynccontextmanager
async def _store(config: Config, vault: Vault) -> AsyncGenerator[ControlStore]:
    engine = create_engine(database_url(config))
    try:
        yield ControlStore(engine, Codec(vault), SystemClock())
    finally:
        await engine.dispose()


@asynccontextmanager
async def _reading(config: Config) -> AsyncGenerator[AsyncConnection]:
    engine = create_engine(database_url(config))
    try:
        async with engine.connect() as connection:
            yield connection
    except (SQLAlchemyError, OSError) as error:
        raise GatewayError(Code.STORE_UNAVAILABLE, "The database cannot be reached.") from error
    finally:
        await engine.dispose()
