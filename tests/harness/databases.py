"""A new database for a test, of either kind that ScaiGrid keeps its records in."""

import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy.engine import make_url

from scaigrid.db.migrate import upgrade
from scaigrid.db.url import sqlite_path
from tests.harness.eventually import PATIENCE
from tests.harness.postgres import Server, apart

Kind = Literal["sqlite", "postgres"]
KINDS: Final[tuple[Kind, ...]] = ("sqlite", "postgres")

_numbers = count(1)
_running: list[Server] = []


def fresh(kind: Kind, directory: Path) -> str:
    """The URL of a new database with every table and no row. It may be asked for anywhere, in a running loop too.

    A SQLite file lies in `directory`. A database of PostgreSQL lives until `drop` or the end of the process.
    """
    if kind == "postgres":
        return server().url(server().createdb(_migrated_database()))
    path = _path(directory)
    path.write_bytes(_migrated_file())
    return f"sqlite+aiosqlite:///{path}"


def empty(kind: Kind, directory: Path) -> str:
    """`fresh`, without the tables: nobody has migrated it."""
    if kind == "postgres":
        return server().url(server().createdb())
    return f"sqlite+aiosqlite:///{_path(directory)}"


def copy(url: str, directory: Path) -> str:
    """The URL of a new database with the rows of another one, to which nobody is connected."""
    path, name = sqlite_path(url), make_url(url).database
    if path is None and name is not None:
        return server().url(server().createdb(name))
    assert path is not None
    copied = _path(directory)
    copied.write_bytes(path.read_bytes())
    return f"sqlite+aiosqlite:///{copied}"


def drop(url: str) -> None:
    """Removes a database of PostgreSQL; a SQLite file goes with its directory."""
    name = make_url(url).database
    if sqlite_path(url) is None and name is not None:
        server().dropdb(name)


def execute(url: str, statement: str, *arguments: object) -> list[dict[str, Any]]:
    """The rows that a statement gives, past all of our code. The arguments are $1, $2 and so on."""
    path, name = sqlite_path(url), make_url(url).database
    if path is None and name is not None:
        return [dict(row) for row in server().execute(statement, *arguments, database=name)]
    assert path is not None
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection, connection:
        connection.row_factory = sqlite3.Row
        # To SQLite $1 is a name, and since Python 3.14 what has a name takes no sequence.
        named = {str(number): argument for number, argument in enumerate(arguments, 1)}
        return [dict(row) for row in connection.execute(statement, named)]


def kind_of(url: str) -> Kind:
    return "postgres" if sqlite_path(url) is None else "sqlite"


def server() -> Server:
    """The one PostgreSQL of this process, started when a test first asks for it."""
    if not _running:
        _running.append(Server().start())
    return _running[0]


def close() -> None:
    """Stops what `server` started."""
    while _running:
        _running.pop().close()
    _migrated_database.cache_clear()


def _path(directory: Path) -> Path:
    return directory / f"database{next(_numbers)}.db"


@cache
def _migrated_database() -> str:
    name = server().createdb()
    apart(lambda: upgrade(server().url(name)))
    return name


@cache
def _migrated_file() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "migrated.db")
        apart(lambda: upgrade(f"sqlite+aiosqlite:///{path}"))
        return path.read_bytes()
