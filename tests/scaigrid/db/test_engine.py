"""What every SQLite connection is told, and that transactions begin and end when we say so."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine, writing

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
    [("journal_mode", "wal"), ("synchronous", 1), ("busy_timeout", 5000), ("foreign_keys", 1), ("temp_store", 2)],
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
