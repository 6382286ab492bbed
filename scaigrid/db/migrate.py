"""Brings a database to the revision that this release knows; imports Alembic only where there is something to do.

Asking an up-to-date SQLite file for its revision costs one query of the standard library, so that a start does not pay
for migrations that it does not need.
"""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

REVISIONS = ("0001",)
"""All there are, oldest first: the files in `migrations/versions`."""
HEAD = REVISIONS[-1]

_CURRENT = "SELECT version_num FROM alembic_version"
_SQLITE = ("sqlite+aiosqlite:///", "sqlite:///")


class UnknownRevision(Exception):
    """The database has been written by a newer release (or by something else); this one must not touch it."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(
            f"the database is at revision {found!r}, which this release does not know; it knows up to {HEAD!r}. "
            "Use the release that wrote it, or restore the backup that was made before that release."
        )


class CannotOpen(Exception):
    """The database file is not one, or may not be read."""


def ensure_current(url: str) -> bool:
    """Makes sure that the database is at HEAD; True where something had to be done. Before any event loop runs.

    Raises UnknownRevision, CannotOpen, OSError, and what the driver raises.
    """
    if current(url) == HEAD:
        return False
    upgrade(url)
    return True


def current(url: str) -> str | None:
    """The database's revision, None where it has none or there is no database yet. Before any event loop runs.

    Raises UnknownRevision for one that is not in REVISIONS, CannotOpen for a file that is no database.
    """
    path = sqlite_path(url)
    if path is None:
        found = asyncio.run(_server_revision(url))
    elif path.exists():
        found = _file_revision(path)
    else:
        found = None
    if found is not None and found not in REVISIONS:
        raise UnknownRevision(found)
    return found


def upgrade(url: str) -> None:
    """Migrates to HEAD in one transaction; makes a SQLite file and its directory. Before any event loop runs.

    Raises as `ensure_current` does. A database at HEAD is left as it is.
    """
    path = sqlite_path(url)
    if path is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    current(url)
    asyncio.run(_upgrade(url))


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL, relative ones to the working directory; None for the URL of a server."""
    for prefix in _SQLITE:
        if url.startswith(prefix):
            return Path(url.removeprefix(prefix).partition("?")[0])
    return None


def _file_revision(path: Path) -> str | None:
    try:
        # mode=rw: opening must not make a file.
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'alembic_version'").fetchone() is None:
                return None
            row = connection.execute(_CURRENT).fetchone()
    except sqlite3.Error as error:
        raise CannotOpen(f"{path}: {error}") from error
    return None if row is None else str(row[0])


async def _server_revision(url: str) -> str | None:
    from sqlalchemy import inspect

    from scaigrid.db.engine import create_engine

    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
                return None
            return (await connection.exec_driver_sql(_CURRENT)).scalar()
    finally:
        await engine.dispose()


async def _upgrade(url: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import Connection

    from scaigrid.db.engine import create_engine, writing

    config = Config()
    # Alembic's options are interpolated, and a path may hold a percent sign.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    engine = create_engine(url)
    try:
        async with writing(engine).begin() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()
