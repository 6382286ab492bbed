"""What the gateway kept of the calls: usage and audit rows in its database, lines in its log."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.errors import RigError

_USAGE: Final = """
SELECT COUNT(*) AS "rows",
       COUNT(DISTINCT request_id) AS "requests",
       COALESCE(SUM(serving), 0) AS "serving rows",
       COALESCE(SUM(tokens_in), 0) AS "input tokens, not cached",
       COALESCE(SUM(tokens_cache_read), 0) AS "input tokens, cached",
       COALESCE(SUM(tokens_cache_write + tokens_cache_write_1h), 0) AS "input tokens, written to a cache",
       COALESCE(SUM(tokens_out), 0) AS "output tokens",
       COALESCE(SUM(cost), 0) AS "cost",
       COALESCE(SUM(backend_cost), 0) AS "backend cost"
FROM usage
"""
_AUDIT: Final = "SELECT http_status, COUNT(*) FROM audit WHERE action LIKE 'inference.%' GROUP BY http_status"


class _Line(msgspec.Struct, frozen=True):
    """As much of a log line as is compared."""

    event: str = ""
    request_id: str = ""
    status: int = 0
    model: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    cost: int = 0
    level: str = ""
    code: str | None = None


def database_numbers(database: Path) -> dict[str, int]:
    """`ledger: ...` over all rows, `ledger ok: ...` over those whose outcome is ok, `audit: status ...`."""
    with closing(_open(database)) as connection:
        numbers = {f"ledger: {name}": value for name, value in _one(connection, _USAGE).items()}
        numbers |= {
            f"ledger ok: {name}": value for name, value in _one(connection, f"{_USAGE} WHERE outcome = 'ok'").items()
        }
        for status, count in _all(connection, _AUDIT):
            numbers[f"audit: status {status}"] = count
    return numbers


def database_ids(database: Path) -> dict[str, Counter[str]]:
    """The request ids by table, with the number of rows of each."""
    with closing(_open(database)) as connection:
        return {
            "ledger": Counter(row[0] for row in _all(connection, "SELECT request_id FROM usage")),
            "audit": Counter(row[0] for row in _all(connection, "SELECT request_id FROM audit")),
        }


def log_numbers(log: Path, model: str) -> dict[str, int]:
    """`log: ...`: the lines of calls of a model, by status, and the sums that they state."""
    numbers: Counter[str] = Counter()
    for line in _lines(log):
        if line.model == model:
            numbers[f"log: status {line.status}"] += 1
            numbers["log: input tokens"] += line.tokens_in
            numbers["log: output tokens"] += line.tokens_out
            numbers["log: cost"] += line.cost
    return dict(numbers)


def log_ids(log: Path, model: str) -> Counter[str]:
    """The request ids of the lines of calls of a model, with the number of lines of each."""
    return Counter(line.request_id for line in _lines(log) if line.model == model)


def complaints(log: Path, most: int = 5) -> list[str]:
    """The first line of each kind of warning, error or failed request: where to look when something does not hold."""
    kinds: dict[tuple[str, str | None], str] = {}
    for line, text in _read(log):
        if line.level in {"warning", "error", "critical"} or line.code is not None:
            kinds.setdefault((line.event, line.code), text)
    return list(kinds.values())[:most]


def _lines(log: Path) -> Iterable[_Line]:
    """Lines of requests; what else is written to standard output is not ours to judge."""
    return (line for line, _ in _read(log) if line.event == "request")


def _read(log: Path) -> Iterable[tuple[_Line, str]]:
    decode = msgspec.json.Decoder(_Line).decode
    with log.open("rb") as lines:
        for text in lines:
            try:
                yield decode(text), text.decode(errors="replace").strip()
            except msgspec.DecodeError:
                continue


def _open(database: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)
    except sqlite3.Error as error:
        raise RigError(f"{database.name} cannot be opened: {error}") from error
    connection.row_factory = sqlite3.Row
    return connection


def _all(connection: sqlite3.Connection, query: str) -> list[Any]:
    try:
        return connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise RigError(f"the database cannot be read: {error}: {' '.join(query.split())}") from error


def _one(connection: sqlite3.Connection, query: str) -> dict[str, int]:
    (row,) = _all(connection, query)
    return {name: int(row[name]) for name in row.keys()}  # noqa: SIM118 - a Row iterates over its values
