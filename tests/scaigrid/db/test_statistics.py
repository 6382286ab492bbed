"""SQLite knows how large its tables are once it was told; PostgreSQL is left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

from scaigrid.db.migrate import upgrade
from scaigrid.db.statistics import measure

_SUM = (
    "INSERT INTO usage_rollup SELECT 86400, 86400 * n, CAST(n AS BLOB), 'p', 't' || (n % 50), 'u', '', '', 'm', 'b', "
    "1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1 "
    "FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000) SELECT n FROM c)"
)
_QUESTION = (
    "SELECT SUM(cost) FROM usage_rollup WHERE span = 86400 AND start >= 0 AND start < 864000000 AND tenant_id = 't7'"
)


def plan(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return " ".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {_QUESTION}"))


def test_a_question_about_one_tenant_reads_its_own_sums(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    url = f"sqlite+aiosqlite:///{path}"
    upgrade(url)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_SUM)
    assert "ix_usage_rollup_tenant_id_span_start" not in plan(path)
    measure(url)
    assert "ix_usage_rollup_tenant_id_span_start" in plan(path)


def test_a_file_that_is_being_written_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    url = f"sqlite+aiosqlite:///{path}"
    upgrade(url)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=DELETE")
        writer.execute("BEGIN EXCLUSIVE")
        measure(url)
        writer.execute("ROLLBACK")


def test_a_database_server_is_not_asked() -> None:
    measure("postgresql+asyncpg://nobody@127.0.0.1:1/none")
