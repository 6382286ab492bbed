"""The asynchronous engine, and what each database has to be told on every connection."""

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from sqlalchemy import event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_WRITES = "scaigrid_writes"

_PRAGMAS = (
    "busy_timeout=15000",
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
_CONNECT_SECONDS = 10.0
_STATEMENT_SECONDS = 30.0
_POOL = {"pool_size": 5, "max_overflow": 5, "pool_timeout": 10.0, "pool_pre_ping": True}
"""Of one worker: the ledger's writer takes one connection, the others are for the control plane. A connection that was
cut while it lay in the pool is found before it is used."""

_SERVER = "postgresql+asyncpg://"
_READ_ONLY = "25006"


def create_engine(url: str, *, statement_seconds: float | None = _STATEMENT_SECONDS) -> AsyncEngine:
    """An engine for `sqlite+aiosqlite:///<path>` or `postgresql+asyncpg://...`. Connects to nothing yet.

    The rest of a PostgreSQL URL is as for libpq (https://www.postgresql.org/docs/current/libpq-connect.html): several
    hosts, `host=` with the directory of a socket, `sslmode`, `sslrootcert`, `target_session_attrs`, settings of the
    server. Besides `pgbouncer=true`: nothing then outlives a transaction, so that a pooler may give each to another
    session of the server.

    A statement that takes longer than `statement_seconds` is cancelled on PostgreSQL, with TimeoutError; None: never.
    Raises ValueError or sqlalchemy.exc.ArgumentError for what is no URL. Values of rows are in none of its errors.
    """
    if url.startswith(_SERVER):
        # The driver reads the address itself, as libpq would; SQLAlchemy would hand it a part of that.
        arguments = {**driver_arguments(url), "command_timeout": statement_seconds}
        engine = create_async_engine(_SERVER, hide_parameters=True, connect_args=arguments, **_POOL)
        event.listen(engine.sync_engine, "handle_error", _moved)
        return engine
    # isolation_level None: the driver begins no transaction by itself, so that ours can begin as they need.
    engine = create_async_engine(url, hide_parameters=True, connect_args={"isolation_level": None})
    event.listen(engine.sync_engine, "connect", _tell)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine for transactions that write: on SQLite they take the write lock at once, and wait for it.

    A transaction that reads first and then wants to write can fail although nobody is wrong (SQLITE_BUSY_SNAPSHOT). On
    PostgreSQL they begin as any other (READ COMMITTED): whoever writes what follows from what it has read locks a row.
    """
    return engine.execution_options(**{_WRITES: True})


def _tell(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")


def driver_arguments(url: str) -> dict[str, Any]:
    """What asyncpg is given to connect with, from a `postgresql+asyncpg` URL."""
    # Cut by hand: some releases of the standard library refuse several hosts of which one is an IPv6 address.
    place, _, asked = url.partition("://")[2].partition("?")
    query = dict(parse_qsl(asked))
    arguments: dict[str, Any] = {"timeout": float(query.pop("connect_timeout", _CONNECT_SECONDS))}
    if query.pop("pgbouncer", "false") not in ("false", "0"):
        # Prepared statements live in a session of the server: without a cache they have no name and are used at once.
        arguments |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")  # as SQLAlchemy's manual has it
    query.setdefault("application_name", "scaigrid")
    return {**arguments, "dsn": f"postgresql://{place}?{urlencode(query, quote_via=quote)}"}


def _moved(context: ExceptionContext) -> None:
    """After a failover the old primary may live on as a standby: connections to it would fail for ever."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True
