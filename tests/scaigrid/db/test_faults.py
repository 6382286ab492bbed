"""A record that a database cannot hold is told from a database that cannot hold any at the moment."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db import faults
from scaigrid.db.engine import create_engine, writing
from tests.harness.databases import kind_of
from tests.harness.ports import LOOPBACK, refusing_port

pytestmark = pytest.mark.anyio

T = Table("t", MetaData(), Column("n", BigInteger, primary_key=True, autoincrement=False), Column("s", Text))
HALF = "\ud800"
LONG = "".join(map(chr, range(1000, 9000)))


@pytest.fixture
def made(empty_database_url: str) -> AsyncEngine:
    return create_engine(empty_database_url)


@pytest.fixture
async def engine(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with writing(made).begin() as connection:
        await connection.execute(text("CREATE TABLE t (n BIGINT NOT NULL PRIMARY KEY, s TEXT)"))
        await connection.execute(text("CREATE INDEX t_s ON t (s)"))
    yield made
    await made.dispose()


async def failure(engine: AsyncEngine, *rows: dict[str, Any], first: str = "SELECT 1") -> Exception:
    """Why these rows could not be added."""
    try:
        async with writing(engine).begin() as connection:
            await connection.execute(text(first))
            await connection.execute(insert(T), list(rows))
    except Exception as error:  # noqa: BLE001 - which one is what is asked
        return error
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    "rows",
    [
        [{"n": 1, "s": "a"}, {"n": 1, "s": "b"}],
        [{"n": None, "s": "a"}],
        [{"n": 2**63, "s": "a"}],
        [{"n": 1, "s": HALF}],
    ],
    ids=["twice the same key", "nothing for a key", "too large a number", "half a character"],
)
async def test_values_that_do_not_fit_are_their_own_fault(engine: AsyncEngine, rows: list[dict[str, Any]]) -> None:
    assert faults.of_values(await failure(engine, *rows))


@pytest.mark.parametrize("empty_database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("value", ["a\0b", LONG, b"bytes"], ids=["NUL", "longer than an index takes", "no text"])
async def test_what_postgres_alone_has_no_place_for_is_its_own_fault(engine: AsyncEngine, value: str | bytes) -> None:
    error = await failure(engine, {"n": 1, "s": value})
    assert faults.of_values(error)
    assert str(value) not in faults.told(error)


@pytest.mark.parametrize("first", ["DROP TABLE t", "ALTER TABLE t RENAME COLUMN s TO u"])
async def test_a_table_that_is_not_as_it_should_be_is_not_the_values_fault(engine: AsyncEngine, first: str) -> None:
    assert not faults.of_values(await failure(engine, {"n": 1, "s": "a"}, first=first))


async def test_a_database_that_may_only_be_read_is_not_the_values_fault(
    engine: AsyncEngine, empty_database_url: str
) -> None:
    first = {"sqlite": "PRAGMA query_only = 1", "postgres": "SET TRANSACTION READ ONLY"}[kind_of(empty_database_url)]
    assert not faults.of_values(await failure(engine, {"n": 1, "s": "a"}, first=first))


@pytest.mark.parametrize("query", ["", "?sslmode=verify-full&sslrootcert=/nowhere", "?sslmode=sideways"])
def test_a_server_that_cannot_be_reached_is_not_the_values_fault(query: str) -> None:
    with refusing_port() as port:
        engine = create_engine(f"postgresql+asyncpg://u:secret-of-u@{LOOPBACK}:{port}/d{query}")
        error = asyncio.run(failure(engine, {"n": 1, "s": "a"}))
    assert not faults.of_values(error)
    assert "secret-of-u" not in faults.told(error)


def test_what_is_said_of_an_error_has_its_name_and_its_reason() -> None:
    assert faults.told(OSError("disk full")) == "OSError: disk full"
