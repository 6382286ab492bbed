"""The asynchronous engine, and what SQLite has to be told on every connection."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_WRITES = "scaigrid_writes"

_PRAGMAS = (
    "busy_timeout=5000",
    "journal_mode=WAL",
    # A commit survives the process at once, and the machine from the next checkpoint on: as the journal does.
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    # Measured: rows of many tenants touch many index pages. With a small cache each is read again, with frequent
    # checkpoints each is written again.
    "cache_size=-16000",
    "wal_autocheckpoint=4000",
    "journal_size_limit=67108864",
)


def create_engine(url: str) -> AsyncEngine:
    """An engine for `sqlite+aiosqlite:///<path>` (or a server's URL). Connects to nothing yet.

    Raises sqlalchemy.exc.ArgumentError for what is no URL. Values of rows appear in none of its errors or logs.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_async_engine(parsed, hide_parameters=True, pool_pre_ping=True)
    # isolation_level None: the driver begins no transaction by itself, so that ours can begin as they need.
    engine = create_async_engine(parsed, hide_parameters=True, connect_args={"isolation_level": None})
    event.listen(engine.sync_engine, "connect", _tell)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine for transactions that write: on SQLite they take the write lock at once, and wait for it.

    A transaction that reads first and then wants to write can fail although nobody is wrong (SQLITE_BUSY_SNAPSHOT).
    """
    return engine.execution_options(**{_WRITES: True})


def _tell(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")
