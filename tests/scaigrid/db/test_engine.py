"""What every connection is told, and that transactions begin and end when we say so."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine, driver_arguments, writing
from tests.harness import databases
from tests.harness.checkout import ROOT
from tests.harness.eventually import eventually
from tests.scaigrid.db.crowd import BATCH, crowd

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


@pytest.fixture
def made(path: Path) -> AsyncEngine:
    return create_engine(f"sqlite+aiosqlite:///{path}")


@pytest.fixture
async def engine(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with writing(made).begin() as connection:
        await connection.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    yield made
    await made.dispose()


def locked(path: Path) -> bool:
    """Whether somebody holds the write lock."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        other.execute("ROLLBACK")
        return False


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 1), ("busy_timeout", 15_000), ("foreign_keys", 1), ("temp_store", 2)],
)
async def test_each_connection_is_told(engine: AsyncEngine, pragma: str, value: Any) -> None:
    async with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            assert await connection.scalar(text(f"PRAGMA {pragma}")) == value


async def test_a_writing_transaction_has_the_lock_before_its_first_write(engine: AsyncEngine, path: Path) -> None:
    async with writing(engine).begin():
        assert locked(path)
    assert not locked(path)


async def test_a_reading_transaction_takes_no_lock_and_sees_one_state(engine: AsyncEngine, path: Path) -> None:
    async with engine.connect() as reader:
        assert await reader.scalar(text("SELECT count(*) FROM t")) == 0
        assert not locked(path)
        async with writing(engine).begin() as writer:
            await writer.execute(text("INSERT INTO t VALUES (1)"))
        assert await reader.scalar(text("SELECT count(*) FROM t")) == 0
    async with engine.connect() as reader:
        assert await reader.scalar(text("SELECT count(*) FROM t")) == 1


async def test_a_writer_waits_for_another(engine: AsyncEngine) -> None:
    async def add(number: int) -> None:
        async with writing(engine).begin() as connection:
            highest = await connection.scalar(text("SELECT coalesce(max(n), 0) FROM t"))
            await connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": highest + 1})

    await asyncio.gather(*(add(number) for number in range(12)))
    async with engine.connect() as connection:
        assert list(await connection.scalars(text("SELECT n FROM t ORDER BY n"))) == list(range(1, 13))


async def test_a_failed_transaction_leaves_nothing(engine: AsyncEngine) -> None:
    async def fail() -> None:
        async with writing(engine).begin() as connection:
            await connection.execute(text("CREATE TABLE u (n INTEGER)"))
            await connection.execute(text("INSERT INTO t VALUES (1)"))
            await connection.execute(text("INSERT INTO t VALUES (1)"))

    with pytest.raises(IntegrityError):
        await fail()
    async with engine.connect() as connection:
        assert list(await connection.scalars(text("SELECT name FROM sqlite_schema WHERE type = 'table'"))) == ["t"]
        assert await connection.scalar(text("SELECT count(*) FROM t")) == 0


async def test_the_driver_begins_no_transaction_by_itself(engine: AsyncEngine) -> None:
    """Or it would be one without the lock, and ours inside of it an error."""
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver.execute("INSERT INTO t VALUES (1)")
        assert not driver.in_transaction


async def test_errors_do_not_repeat_values(engine: AsyncEngine) -> None:
    with pytest.raises(IntegrityError) as failed:
        async with writing(engine).begin() as connection:
            await connection.execute(text("INSERT INTO t VALUES (:n)"), [{"n": 271828}, {"n": 271828}])
    assert "271828" not in str(failed.value)


def test_making_an_engine_touches_no_file(made: AsyncEngine, path: Path) -> None:
    assert made.dialect.name == "sqlite"
    assert not path.exists()


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(ArgumentError):
        create_engine("scaigrid.db")


def test_however_many_write_at_once_nobody_meets_a_lock_and_nothing_is_lost(database_url: str) -> None:
    """Gateways and their workers are processes of their own, and each has a ledger and a control plane."""
    rounds, names = 15, ("one", "two", "three")
    command = [sys.executable, "-m", "tests.scaigrid.db.crowd", database_url]
    others = [
        subprocess.Popen([*command, name, str(rounds)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for name in names[:-1]
    ]
    asyncio.run(crowd(create_engine(database_url), names[-1], rounds))
    said = [other.communicate()[1] for other in others]
    assert [other.returncode for other in others] == [0, 0], said
    execute = databases.execute
    assert execute(database_url, "SELECT epoch FROM epoch") == [{"epoch": 3 * rounds * len(names)}]
    for table in ("usage", "audit"):
        assert execute(database_url, f"SELECT count(*) AS n FROM {table}") == [{"n": rounds * BATCH * len(names)}]  # noqa: S608


class TestPostgres:
    """What is different on a server."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> Iterator[str]:
        made = databases.empty("postgres", tmp_path)
        yield made
        databases.drop(made)

    @pytest.fixture
    def query(self) -> str:
        return ""

    @pytest.fixture
    def unused(self, url: str, query: str) -> AsyncEngine:
        return create_engine(url + query, statement_seconds=0.2)

    @pytest.fixture
    async def server(self, unused: AsyncEngine) -> AsyncIterator[AsyncEngine]:
        yield unused
        await unused.dispose()

    async def test_making_an_engine_reaches_for_no_server(self) -> None:
        engine = await asyncio.to_thread(create_engine, "postgresql+asyncpg://u:hidden@nowhere.invalid:1,[::1]:2/d")
        assert engine.dialect.name == "postgresql"
        assert "hidden" not in repr(engine)

    async def test_it_tells_the_server_its_name(self, server: AsyncEngine) -> None:
        async with server.connect() as connection:
            assert await connection.scalar(text("SHOW application_name")) == "scaigrid"

    @pytest.mark.parametrize("query", ["&application_name=blue&statement_timeout=7s"])
    async def test_what_stands_behind_the_question_mark_is_the_servers(self, server: AsyncEngine) -> None:
        async with server.connect() as connection:
            assert await connection.scalar(text("SHOW application_name")) == "blue"
            assert await connection.scalar(text("SHOW statement_timeout")) == "7s"

    @pytest.mark.parametrize(("query", "kept"), [("", True), ("&pgbouncer=true", False)])
    async def test_behind_a_pooler_no_statement_outlives_its_use(self, server: AsyncEngine, kept: bool) -> None:
        """The next transaction may be in another session of the server, where it would not be known."""
        asked = "SELECT name FROM pg_prepared_statements WHERE statement LIKE '%generate_series%'"
        async with server.connect() as connection:
            for most in (1, 2, 3):
                await connection.execute(text("SELECT * FROM generate_series(1, :most)"), {"most": most})
            assert bool((await connection.execute(text(asked))).all()) == kept

    @pytest.mark.parametrize("query", ["&pgbouncer=true"])
    async def test_behind_a_pooler_many_rows_are_written_as_ever(self, server: AsyncEngine) -> None:
        async with writing(server).begin() as connection:
            await connection.execute(text("CREATE TABLE t (n BIGINT PRIMARY KEY)"))
            await connection.exec_driver_sql("INSERT INTO t VALUES ($1)", [(number,) for number in range(500)])
            await connection.execute(text("DISCARD PLANS"))
            assert await connection.scalar(text("SELECT count(*) FROM t")) == 500

    async def test_a_statement_that_takes_too_long_is_cancelled(self, server: AsyncEngine, url: str) -> None:
        with pytest.raises(TimeoutError):
            async with server.connect() as connection:
                await connection.execute(text("SELECT pg_sleep(600)"))

        def asleep() -> list[dict[str, Any]]:
            return databases.execute(
                url, "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'"
            )

        assert await asyncio.to_thread(eventually, lambda: not asleep(), "the server has stopped working on it")
        async with server.connect() as connection:
            assert await connection.scalar(text("SELECT 7")) == 7

    async def test_connections_that_the_server_has_cut_are_noticed_before_they_are_used(
        self, server: AsyncEngine, url: str
    ) -> None:
        async with server.connect() as connection:
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
        await asyncio.to_thread(databases.execute, url, "SELECT pg_terminate_backend($1, 20000)", pid)
        async with server.connect() as connection:
            assert await connection.scalar(text("SELECT pg_backend_pid()")) != pid

    async def test_a_connection_to_what_has_become_a_standby_is_given_up(self, server: AsyncEngine) -> None:
        async with server.connect() as connection:
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            await connection.execute(text("SET default_transaction_read_only = on"))
            await connection.commit()
            with pytest.raises(DBAPIError, match="read-only"):
                await connection.execute(text("CREATE TABLE t (n BIGINT)"))
        async with writing(server).begin() as connection:
            assert await connection.scalar(text("SELECT pg_backend_pid()")) != pid
            await connection.execute(text("CREATE TABLE t (n BIGINT)"))

    async def test_errors_repeat_neither_values_nor_the_password(self, server: AsyncEngine) -> None:
        async with writing(server).begin() as connection:
            await connection.execute(text("CREATE TABLE t (n BIGINT PRIMARY KEY)"))
        with pytest.raises(IntegrityError) as failed:
            async with writing(server).begin() as connection:
                await connection.execute(text("INSERT INTO t VALUES (:n)"), [{"n": 271828}, {"n": 271828}])
        assert "271828" not in str(failed.value)


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgresql+asyncpg://u:p%40@h:5433/d", "postgresql://u:p%40@h:5433/d?application_name=scaigrid"),
        (
            "postgresql+asyncpg://h1:1,h2:2/d?ssl=require",
            "postgresql://h1:1,h2:2/d?sslmode=require&application_name=scaigrid",
        ),
        ("postgresql+asyncpg:///d?host=/run/pg", "postgresql:///d?host=%2Frun%2Fpg&application_name=scaigrid"),
        (
            "postgresql+asyncpg://u@h/d?pgbouncer=true&connect_timeout=3&search_path=a%20b",
            "postgresql://u@h/d?search_path=a%20b&application_name=scaigrid",
        ),
    ],
)
def test_the_driver_is_given_the_address_as_libpq_would_be(url: str, dsn: str) -> None:
    assert driver_arguments(url)["dsn"] == dsn


def test_the_address_says_how_long_to_wait_and_what_to_keep() -> None:
    usual = driver_arguments("postgresql+asyncpg://h/d")
    pooled = driver_arguments("postgresql+asyncpg://h/d?pgbouncer=true&connect_timeout=3")
    assert (usual["timeout"], pooled["timeout"]) == (10.0, 3.0)
    assert {name: pooled[name] for name in pooled.keys() - usual.keys()} == {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
    }
