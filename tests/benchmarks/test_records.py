import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from benchmarks import records
from benchmarks.errors import RigError
from scaigrid.db import models

USAGE = {
    "partner_id": "p",
    "tenant_id": "t",
    "user_id": "u",
    "model": "bench/chat",
    "backend_id": "b",
    "dialect": "openai",
    "operation": "chat",
    "stream": 0,
    "attempt": 1,
    "tokens_reasoning": 0,
    "usage_source": "provider",
    "price_version": "1",
    "latency_us": 1,
    "tags": "{}",
    "created_at": 0.0,
    "tokens_cache_write": 1,
    "tokens_cache_write_1h": 2,
}
AUDIT = {"timestamp": 0.0, "actor_type": "user", "resource_type": "model", "writer": "w", "prev_hash": b"", "hash": b""}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The gateway's own tables, with two answered calls, one that was cancelled, and a refusal that has no usage."""
    path = tmp_path / "scaigrid.db"
    engine = create_engine(f"sqlite:///{path}")
    models.metadata.create_all(engine)
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        for place, (outcome, serving, cost) in enumerate([("ok", 1, 70), ("ok", 1, 30), ("client_closed", 0, 5)]):
            _insert(
                connection,
                "usage",
                USAGE
                | {"id": f"usage_{place}", "request_id": f"req_{place}", "outcome": outcome, "serving": serving}
                | {"tokens_in": 10, "tokens_cache_read": 20, "tokens_out": 30, "cost": cost, "backend_cost": cost // 5},
            )
        for place, (status, action) in enumerate(
            [(200, "inference.chat"), (200, "inference.chat"), (499, "inference.chat"), (404, "request.post")]
        ):
            row = {"id": f"audit_{place}", "request_id": f"req_{place}", "seq": place, "http_status": status}
            _insert(connection, "audit", AUDIT | row | {"action": action, "status": "SUCCESS"})
        connection.commit()
    return path


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    columns, places = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", list(row.values()))  # noqa: S608


def test_the_database_is_summed_by_outcome_and_status(database: Path) -> None:
    numbers = records.database_numbers(database)
    assert numbers == {
        "ledger: rows": 3,
        "ledger: requests": 3,
        "ledger: serving rows": 2,
        "ledger: input tokens, not cached": 30,
        "ledger: input tokens, cached": 60,
        "ledger: input tokens, written to a cache": 9,
        "ledger: output tokens": 90,
        "ledger: cost": 105,
        "ledger: backend cost": 21,
        "ledger ok: rows": 2,
        "ledger ok: requests": 2,
        "ledger ok: serving rows": 2,
        "ledger ok: input tokens, not cached": 20,
        "ledger ok: input tokens, cached": 40,
        "ledger ok: input tokens, written to a cache": 6,
        "ledger ok: output tokens": 60,
        "ledger ok: cost": 100,
        "ledger ok: backend cost": 20,
        "audit: status 200": 2,
        "audit: status 499": 1,
    }


def test_an_empty_ledger_is_zero_not_nothing(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DELETE FROM usage")
        connection.commit()
    assert records.database_numbers(database)["ledger: cost"] == 0


def test_ids_are_counted_where_they_stand(database: Path) -> None:
    ids = records.database_ids(database)
    assert ids["ledger"] == {"req_0": 1, "req_1": 1, "req_2": 1}
    assert ids["audit"]["req_3"] == 1


def test_a_database_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "scaigrid.db"
    with pytest.raises(RigError, match="cannot be"):
        records.database_numbers(path)
    assert not path.exists()


LOG = b"""\
{"event":"request","request_id":"req_1","status":200,"model":"bench/chat","tokens_in":146,"tokens_out":96,"cost":7}
not JSON
{"event":"request","request_id":"req_2","status":499,"model":"bench/chat"}
{"event":"request","request_id":"req_3","status":200,"path":"/metrics"}
{"event":"worker_started","model":"bench/chat"}
["event"]
{"event":"request","request_id":"req_1","status":200,"model":"bench/chat","tokens_in":146,"tokens_out":96,"cost":7}
"""


def test_complaints_are_one_line_of_each_kind(tmp_path: Path) -> None:
    log = tmp_path / "stdout"
    log.write_bytes(
        LOG
        + b'{"event":"request","level":"error","status":500,"code":"INTERNAL_ERROR","request_id":"req_7"}\n'
        + b'{"event":"request","level":"error","status":500,"code":"INTERNAL_ERROR","request_id":"req_8"}\n'
        + b'{"event":"request","level":"info","status":429,"code":"RATE_LIMITED"}\n'
        + b'{"event":"ledger_stalled","level":"warning"}\n'
    )
    assert [line.count("req_7") for line in records.complaints(log)] == [1, 0, 0]
    assert "ledger_stalled" in records.complaints(log)[-1]
    assert len(records.complaints(log, most=2)) == 2


def test_only_lines_of_calls_to_the_model_count(tmp_path: Path) -> None:
    log = tmp_path / "stdout"
    log.write_bytes(LOG)
    assert records.log_numbers(log, "bench/chat") == {
        "log: status 200": 2,
        "log: status 499": 1,
        "log: input tokens": 292,
        "log: output tokens": 192,
        "log: cost": 14,
    }
    assert records.log_ids(log, "bench/chat") == {"req_1": 2, "req_2": 1}
