"""Brings a database to the revision that this release knows; imports Alembic only where there is something to do.

Asking an up-to-date SQLite file for its revision costs one query of the standard library, so that a start does not pay
for migrations that it does not need. All of this runs before there is an event loop: it makes one of its own.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import aclosing, closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from scaigrid.db.url import place, sqlite_path

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

REVISIONS = ("0001", "0002", "0003", "0004")
"""All there are, oldest first: the files in `migrations/versions`."""
HEAD = REVISIONS[-1]

LOCK = 0x5CA1_6121
"""The key of the advisory lock under which a PostgreSQL database is migrated."""
_CURRENT = "SELECT version_num FROM alembic_version"

T = TypeVar("T")


class NotReady(Exception):
    """The database cannot be served from as it is: which one (without its password), and why not."""


class UnknownRevision(NotReady):
    """It has been written by a newer release (or by something else); this one must not touch it."""

    def __init__(self, url: str, found: str) -> None:
        self.found = found
        super().__init__(
            f"the database {place(url)} is at revision {found!r}, which this release does not know; it knows up to "
            f"{HEAD!r}. Use the release that wrote it, or restore the backup that was made before that release."
        )


class OldRevision(NotReady):
    """It has been written by an older release, and holds what a person may want to back up first."""

    def __init__(self, url: str, found: str) -> None:
        self.found = found
        super().__init__(f"the database {place(url)} is at revision {found!r}, and this release needs {HEAD!r}")


class CannotOpen(NotReady):
    """It cannot be reached, is none, or may not be read."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"the database {place(url)} cannot be opened: {reason}")


class CannotMigrate(NotReady):
    """A step failed, and left nothing behind."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"the database {place(url)} cannot be migrated, and is as it was: {reason}")


def ensure_current(url: str) -> bool:
    """Makes sure that the database is at HEAD; True where it had no tables and got them.

    Nothing can be lost where there is nothing. Raises OldRevision where there is something, and as `upgrade` does.
    """
    found = current(url)
    if found is None:
        upgrade(url)
    elif found != HEAD:
        raise OldRevision(url, found)
    return found is None


def current(url: str) -> str | None:
    """The database's revision, None where it has none or there is no database yet.

    Raises UnknownRevision for one that is not in REVISIONS, CannotOpen.
    """
    path = sqlite_path(url)
    if path is None:
        return _in_transaction(url, lambda connection: _revision(connection, url))
    return _known(url, _file_revision(url, path)) if path.exists() else None


def upgrade(url: str) -> str | None:
    """Migrates to HEAD in one transaction, alone: a second one waits for the first and finds nothing left to do.

    Makes a SQLite file and its directory. Answers the revision that it found: HEAD where nothing was done. Raises
    UnknownRevision, CannotOpen, CannotMigrate.
    """
    path = sqlite_path(url)
    if path is not None:
        current(url)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CannotOpen(url, _reason(error)) from error
    return _in_transaction(url, lambda connection: _upgrade(connection, url))


def _known(url: str, revision: str | None) -> str | None:
    if revision is not None and revision not in REVISIONS:
        raise UnknownRevision(url, revision)
    return revision


def _file_revision(url: str, path: Path) -> str | None:
    try:
        # mode=rw: opening must not make a file.
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'alembic_version'").fetchone() is None:
                return None
            row = connection.execute(_CURRENT).fetchone()
    except sqlite3.Error as error:
        raise CannotOpen(url, _reason(error)) from error
    return None if row is None else str(row[0])


def _in_transaction(url: str, work: Callable[["Connection"], T]) -> T:
    from sqlalchemy.exc import DBAPIError

    from scaigrid.db.engine import create_engine, writing

    try:
        # No bound on a statement: an index on a large table takes the time it takes.
        engine = create_engine(url, statement_seconds=None)
    except ValueError as error:
        raise CannotOpen(url, _reason(error)) from error

    async def run() -> T:
        try:
            async with aclosing(await _connected(writing(engine), url)) as connection, connection.begin():
                return await connection.run_sync(work)
        except (OSError, DBAPIError) as error:
            raise CannotMigrate(url, _reason(error)) from error
        finally:
            await engine.dispose()

    return asyncio.run(run())


async def _connected(engine: "AsyncEngine", url: str) -> "AsyncConnection":
    from sqlalchemy.exc import DBAPIError

    try:
        return await engine.connect()
    except (OSError, DBAPIError, ValueError) as error:
        # ValueError: what the driver says of an address that it cannot make sense of.
        raise CannotOpen(url, _reason(error)) from error


def _reason(error: Exception) -> str:
    """What the driver or the system says, on one line."""
    said = getattr(error, "orig", None) or error
    text = getattr(said, "strerror", None) or str(said.args[0] if said.args else said)
    return " ".join(str(text).split()) or type(said).__name__


def _revision(connection: "Connection", url: str) -> str | None:
    from sqlalchemy import inspect

    if not inspect(connection).has_table("alembic_version"):
        return None
    return _known(url, connection.exec_driver_sql(_CURRENT).scalar())


def _upgrade(connection: "Connection", url: str) -> str | None:
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        # SQLite's transaction has the write lock already.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    found = _revision(connection, url)
    if found != HEAD:
        config = Config()
        # Alembic's options are interpolated, and a path may hold a percent sign.
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
    return found
