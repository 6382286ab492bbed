"""A database is brought to the revision of this release, and one that is not ours to touch is left alone."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

import scaigrid.db
from scaigrid.db.migrate import (
    HEAD,
    REVISIONS,
    CannotOpen,
    UnknownRevision,
    current,
    ensure_current,
    sqlite_path,
    upgrade,
)
from scaigrid.db.models import metadata

ASKS = """
import sys
from scaigrid.db.migrate import ensure_current
assert not ensure_current(sys.argv[1])
print([name for name in ("alembic", "sqlalchemy", "aiosqlite") if name in sys.modules])
"""
UPGRADES = """
import sys
from scaigrid.db.migrate import upgrade
upgrade(sys.argv[1])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "of 100% gold" / "ledger.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def set_revision(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def test_the_revisions_are_those_of_the_scripts() -> None:
    """They are written down a second time, so that a start need not import Alembic to know them."""
    scripts = ScriptDirectory(str(Path(scaigrid.db.__file__).parent / "migrations"))
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS
    assert scripts.get_heads() == [HEAD]


def test_an_upgrade_makes_the_directory_the_file_and_the_tables(url: str, path: Path) -> None:
    assert current(url) is None
    assert not path.parent.exists()
    upgrade(url)
    assert current(url) == HEAD
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_tables_are_those_of_the_models(url: str, path: Path) -> None:
    upgrade(url)
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_migrated_and_made_from_the_models_the_schema_is_the_same_text(url: str, path: Path, tmp_path: Path) -> None:
    """More than the comparison above sees: the names and columns of every constraint too."""
    upgrade(url)
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'models.db'}")
    metadata.create_all(engine)
    engine.dispose()
    schemas: list[set[str]] = []
    for database in (path, tmp_path / "models.db"):
        with closing(sqlite3.connect(database)) as connection:
            statements = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        schemas.append({" ".join(sql.split()) for (sql,) in statements if "alembic_version" not in sql})
    assert schemas[0] == schemas[1]


def test_an_upgrade_leaves_a_current_database_as_it_is(url: str, path: Path) -> None:
    assert ensure_current(url)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO audit SELECT 'a', 1, 'x', 0,0,'user',0,0,'r',0,0,0,'s',200,0,'q',0,0,'w',1,'','' "
        )
    assert not ensure_current(url)
    upgrade(url)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM audit").fetchone() == (1,)


def test_asking_a_current_database_imports_no_library(url: str) -> None:
    upgrade(url)
    done = subprocess.run([sys.executable, "-c", ASKS, url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("do", [current, upgrade, ensure_current])
def test_a_database_of_a_newer_release_is_left_alone_and_both_revisions_are_named(
    url: str, path: Path, do: object
) -> None:
    upgrade(url)
    set_revision(path, "9999")
    before = path.read_bytes()
    assert callable(do)
    with pytest.raises(UnknownRevision, match=f"'9999'.*'{HEAD}'"):
        do(url)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_told_with_its_name(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"these are not the pages you are looking for" * 100)
    with pytest.raises(CannotOpen, match=r"gold/ledger\.db: file is not a database"):
        upgrade(url)


def test_a_directory_in_the_place_of_the_file_is_told_with_its_name(url: str, path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(CannotOpen, match=r"gold/ledger\.db: unable to open"):
        current(url)


def test_an_empty_file_is_a_database_without_a_revision(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()
    assert current(url) is None
    assert ensure_current(url)


def test_a_failed_upgrade_leaves_nothing_behind(url: str, path: Path) -> None:
    """Half a migration would be at no revision at all."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE audit (n INTEGER)")
    with pytest.raises(OperationalError, match="audit already exists"):
        upgrade(url)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("audit",)]


def test_two_upgrades_at_once_make_one(url: str, path: Path) -> None:
    command = [sys.executable, "-c", UPGRADES, url]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ) for _ in range(2)]
    errors = [process.communicate()[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert current(url) == HEAD


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite+aiosqlite:///data/x.db", Path("data/x.db")),
        ("sqlite+aiosqlite:////srv/x.db", Path("/srv/x.db")),
        ("sqlite:///x.db?timeout=1", Path("x.db")),
        ("postgresql+asyncpg://u@h/d", None),
    ],
)
def test_the_file_of_a_url(url: str, path: Path | None) -> None:
    assert sqlite_path(url) == path
