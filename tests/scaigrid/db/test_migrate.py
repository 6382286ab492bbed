"""A database is brought to the revision of this release, and one that is not ours to touch is left alone."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from scaigrid.db import migrate
from scaigrid.db.engine import create_engine
from scaigrid.db.migrate import (
    HEAD,
    REVISIONS,
    CannotMigrate,
    CannotOpen,
    NotReady,
    OldRevision,
    UnknownRevision,
    current,
    ensure_current,
    upgrade,
)
from tests.harness import databases
from tests.harness.databases import execute
from tests.harness.eventually import eventually
from tests.harness.ports import LOOPBACK, refusing_port

ASKS = """
import sys
from scaigrid.db.migrate import ensure_current
assert not ensure_current(sys.argv[1])
print([name for name in ("alembic", "sqlalchemy", "aiosqlite", "asyncpg") if name in sys.modules])
"""
UPGRADES = """
import sys
from scaigrid.db.migrate import upgrade
print(upgrade(sys.argv[1]))
"""
TABLES = {
    "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table'",
    "postgres": "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "of 100% gold" / "ledger.db"


@pytest.fixture
def url(path: Path) -> str:
    """A SQLite file that is not there yet."""
    return f"sqlite+aiosqlite:///{path}"


def tables(url: str) -> set[str]:
    return {row["name"] for row in execute(url, TABLES[databases.kind_of(url)])}


def migrated_by_the_first_release(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as then:
        then.setattr(migrate, "REVISIONS", REVISIONS[:1])
        then.setattr(migrate, "HEAD", REVISIONS[0])
        upgrade(url)


def test_an_upgrade_makes_the_directory_the_file_and_the_tables(url: str, path: Path) -> None:
    assert current(url) is None
    assert not path.parent.exists()
    assert upgrade(url) is None
    assert current(url) == HEAD
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_database_without_tables_gets_them(empty_database_url: str) -> None:
    assert current(empty_database_url) is None
    assert ensure_current(empty_database_url)
    assert current(empty_database_url) == HEAD
    assert {"alembic_version", "usage", "audit"} <= tables(empty_database_url)


def test_a_current_database_is_left_as_it_is(database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO audit (id, timestamp, action, actor_type, resource_type, status, http_status, request_id, writer, "
        "seq, prev_hash, hash) VALUES ('a', 1, 'x', 'user', 'r', 's', 200, 'q', 'w', 1, '', '')",
    )
    assert not ensure_current(database_url)
    assert upgrade(database_url) == HEAD
    assert [row["id"] for row in execute(database_url, "SELECT id FROM audit")] == ["a"]


def test_asking_a_current_file_imports_no_library(url: str) -> None:
    upgrade(url)
    done = subprocess.run([sys.executable, "-c", ASKS, url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_older_database_waits_until_somebody_says_so_and_keeps_its_rows(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = empty_database_url
    migrated_by_the_first_release(url, monkeypatch)
    execute(
        url,
        "INSERT INTO audit (id, timestamp, action, actor_type, resource_type, status, http_status, request_id, writer, "
        "seq, prev_hash, hash) VALUES ('a', 1, 'x', 'user', 'r', 's', 200, 'q', 'w', 1, '', '')",
    )
    with pytest.raises(OldRevision, match=f"'{REVISIONS[0]}'.*'{HEAD}'"):
        ensure_current(url)
    assert current(url) == REVISIONS[0]
    assert upgrade(url) == REVISIONS[0]
    assert current(url) == HEAD
    assert [row["id"] for row in execute(url, "SELECT id FROM audit")] == ["a"]


@pytest.mark.parametrize("do", [current, upgrade, ensure_current])
def test_a_database_of_a_newer_release_is_left_alone_and_both_revisions_are_named(
    database_url: str, do: Callable[[str], object]
) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    before = tables(database_url)
    with pytest.raises(UnknownRevision, match=f"'9999'.*'{HEAD}'"):
        do(database_url)
    assert execute(database_url, "SELECT version_num FROM alembic_version") == [{"version_num": "9999"}]
    assert tables(database_url) == before


def test_a_file_of_a_newer_release_stays_byte_for_byte(url: str, path: Path) -> None:
    upgrade(url)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(UnknownRevision):
        upgrade(url)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_told_with_its_name(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"these are not the pages you are looking for" * 100)
    with pytest.raises(CannotOpen, match=r"gold/ledger\.db cannot be opened: file is not a database"):
        upgrade(url)


def test_a_directory_in_the_place_of_the_file_is_told_with_its_name(url: str, path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(CannotOpen, match=r"gold/ledger\.db cannot be opened: unable to open"):
        current(url)


def test_a_file_in_the_place_of_a_directory_is_told_with_the_name(url: str, path: Path) -> None:
    path.parent.parent.mkdir()
    path.parent.touch()
    with pytest.raises(CannotOpen, match=r"gold/ledger\.db cannot be opened: (File exists|Not a directory)"):
        upgrade(url)


def test_an_empty_file_is_a_database_without_a_revision(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()
    assert current(url) is None
    assert ensure_current(url)


def test_a_failed_upgrade_leaves_nothing_behind(empty_database_url: str) -> None:
    """Half a migration would be at no revision at all."""
    execute(empty_database_url, "CREATE TABLE audit (n INTEGER)")
    with pytest.raises(CannotMigrate, match=r'is as it was:.*audit"? already exists'):
        upgrade(empty_database_url)
    assert tables(empty_database_url) == {"audit"}


@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
def test_two_upgrades_at_once_make_one(empty_database_url: str) -> None:
    command = [sys.executable, "-c", UPGRADES, empty_database_url]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(2)
    ]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(out.strip() for out, _ in said) == [HEAD, "None"]
    assert current(empty_database_url) == HEAD


@pytest.mark.parametrize("empty_database_url", ["postgres"], indirect=True)
def test_an_upgrade_waits_for_the_one_that_is_under_way(empty_database_url: str) -> None:
    """The lock is the server's: the other one may run on another machine."""
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    async def told() -> None:
        other = create_engine(empty_database_url)
        async with other.connect() as connection:
            await connection.execute(text(f"SELECT pg_advisory_lock({migrate.LOCK})"))
            upgrading = asyncio.create_task(asyncio.to_thread(upgrade, empty_database_url))
            await asyncio.to_thread(eventually, lambda: execute(empty_database_url, waiting), "the upgrade waits")
            assert "usage" not in tables(empty_database_url)
            await connection.execute(text(f"SELECT pg_advisory_unlock({migrate.LOCK})"))
            assert await upgrading is None
        await other.dispose()

    asyncio.run(told())
    assert "usage" in tables(empty_database_url)


@pytest.mark.parametrize("do", [current, upgrade, ensure_current])
def test_a_server_that_cannot_be_reached_is_told_on_one_line_without_the_password(do: Callable[[str], object]) -> None:
    with refusing_port() as port, pytest.raises(CannotOpen) as failed:
        do(f"postgresql+asyncpg://u:hidden@{LOOPBACK}:{port}/d")
    said = str(failed.value)
    assert f"the database {LOOPBACK}:{port}/d cannot be opened: Connect call failed" in said
    assert "\n" not in said
    assert "hidden" not in said


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("&user=nobody_here", 'role "nobody_here" does not exist'),
        ("&sslmode=sideways", "sslmode"),
        ("&no_such_setting=1", 'unrecognized configuration parameter "no_such_setting"'),
        ("&port=x", "invalid literal"),
        ("&connect_timeout=soon", "could not convert"),
    ],
    ids=["no such user", "no such mode", "no such setting", "no such port", "no such time"],
)
@pytest.mark.parametrize("empty_database_url", ["postgres"], indirect=True)
def test_a_server_that_refuses_is_told_with_its_reason(more: str, reason: str, empty_database_url: str) -> None:
    with pytest.raises(NotReady, match=f"cannot be opened: .*{reason}"):
        current(empty_database_url.replace("postgres@", "") + "&user=postgres" * ("user" not in more) + more)
