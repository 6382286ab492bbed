"""A ledger of a month: ten million rows of two hundred tenants, and how long its summaries take.

The rows are made by the database itself in a ledger of the release before, and the release's own migration makes the
sums of them. Then every question that a summary can be asked is asked, over the whole month and over spans that begin
and end at no whole hour, for all tenants and for one.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, get_args
from unittest.mock import patch

import httpx

from scaigrid.clock import SystemClock
from scaigrid.db.engine import create_engine
from scaigrid.db.migrate import upgrade
from scaigrid.db.statistics import measure
from scaigrid.db.url import sqlite_path
from scaigrid.ledger.queries import LedgerReader
from scaigrid.ledger.reading import Grouping, Total, UsageFilter
from scaigrid.timestamps import iso
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway
from tests.harness.lanes import secret
from tests.harness.postgres import apart
from tests.money import site
from tests.money.scale.shown import Shown, percentile

_DAYS: Final = 31
_DAY: Final = 86_400
_END: Final = 1_790_000_000 // _DAY * _DAY
_START: Final = _END - _DAYS * _DAY
_BEFORE: Final = "0002"
"""The release that wrote the rows."""
_TENANT: Final = "tenant_17"
_TIMES: Final = 3
_SLICE: Final = 1_000_000

_ROW: Final = {
    "id": "'usage_' || {padded}",
    "request_id": "'req_' || {padded}",
    "created_at": "{start} + n * {step}",
    "partner_id": "'partner_' || (u % 5)",
    "tenant_id": "'tenant_' || (u % 200)",
    "user_id": "'user_' || u",
    "key_id": "'apikey_' || u",
    "model": "'model-' || ((u + 7 * ((n / 1000) % 3)) % 20)",
    "backend_id": "'be_' || ((u + 7 * ((n / 1000) % 3)) % 20)",
    "dialect": "'openai'",
    "operation": "'chat'",
    "stream": "n % 2 = 0",
    "attempt": "1",
    "serving": "n % 100 <> 0",
    "outcome": "CASE WHEN n % 100 = 0 THEN 'error' ELSE 'ok' END",
    "error_code": "CASE WHEN n % 100 = 0 THEN 'BACKEND_ERROR' END",
    "tokens_in": "50 + (n * 31) % 900",
    "tokens_cache_read": "(n * 13) % 200",
    "tokens_cache_write": "0",
    "tokens_cache_write_1h": "0",
    "tokens_out": "(n * 17) % 400",
    "tokens_reasoning": "0",
    "usage_source": "'provider'",
    "cost": "CASE WHEN n % 100 = 0 THEN 0 ELSE (50 + (n * 31) % 900) * 3000 + ((n * 17) % 400) * 15000 END",
    "backend_cost": "(50 + (n * 31) % 900) * 1000",
    "price_version": "'1'",
    "first_byte_us": "1000",
    "latency_us": "2000",
    "tags": """CASE WHEN (n / 1000) % 4 = 0 THEN '{{"team":"t' || ((n / 4000) % 10) || '"}}' ELSE '{{}}' END""",
}
"""Each column of the release before, from the number n of the row and its user u. A user has three of twenty models."""


def asked(url: str, directory: Path, rows: int, slowest: float, say: Callable[[str], object]) -> Shown:
    """Fills, migrates and asks."""
    clock = SystemClock()
    kind = "SQLite" if sqlite_path(url) is not None else "PostgreSQL"
    began = clock.monotonic()
    with patch("scaigrid.db.migrate.HEAD", _BEFORE):
        apart(lambda: upgrade(url))
    _fill(url, rows)
    filled = clock.monotonic()
    say(f"month on {kind}: {rows} rows made in {filled - began:.0f} s")
    apart(lambda: upgrade(url))
    measure(url)
    if kind == "PostgreSQL":
        # As its autovacuum does some time after so many rows.
        _run(url, ["ANALYZE"])
    migrated = clock.monotonic()
    say(f"month on {kind}: migrated, with sums by hour and by day, in {migrated - filled:.0f} s")
    timed = asyncio.run(_timed(url, say))
    http = list(_over_http(url, directory))
    for name, seconds in http:
        say(f"month on {kind}: {1000 * seconds:7.1f} ms over HTTP {name}")
    faults = judged([*timed, *((f"over HTTP {name}", seconds) for name, seconds in http)], slowest)
    faults += balanced(asyncio.run(_summary(url)), _own(url), rows)
    times = [seconds for _, seconds in timed]
    figures = {
        "rows": rows,
        "fill_seconds": round(filled - began, 1),
        "migrate_seconds": round(migrated - filled, 1),
        "questions": len(times),
        "p50_ms": round(1000 * percentile(times, 0.5), 1),
        "p95_ms": round(1000 * percentile(times, 0.95), 1),
        "slowest_ms": round(1000 * max(times), 1),
        "http_slowest_ms": round(1000 * max(seconds for _, seconds in http), 1),
    }
    return Shown(figures=figures, faults=faults)


def judged(timed: Sequence[tuple[str, float]], slowest: float) -> list[str]:
    """Questions that took too long."""
    return [f"{name} took {1000 * seconds:.0f} ms" for name, seconds in timed if seconds > slowest]


def _fill(url: str, rows: int) -> None:
    """Without indexes first: to sort ten million of each in the end is faster than to place each of them."""
    path = sqlite_path(url)
    postgres = path is None
    if postgres:
        found = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'usage' AND indexname LIKE 'ix%'"
    else:
        found = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'usage' AND sql IS NOT NULL"
    indexes = [(str(row[0]), str(row[1])) for row in _run(url, [found])]
    padded = "lpad(n::text, 32, '0')" if postgres else "printf('%032d', n)"
    step = f"{_DAYS * _DAY / rows!r}"
    values = ", ".join(text.format(padded=padded, start=float(_START), step=step) for text in _ROW.values())
    statements = [f"DROP INDEX {name}" for name, _ in indexes]
    for first in range(0, rows, _SLICE):
        last = min(first + _SLICE, rows) - 1
        if postgres:
            numbers = f"SELECT n, (n * 7919) % 1000 AS u FROM generate_series({first}::bigint, {last}::bigint) AS n"  # noqa: S608
        else:
            counted = f"SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}"  # noqa: S608
            numbers = f"WITH RECURSIVE numbers(n) AS ({counted}) SELECT n, (n * 7919) % 1000 AS u FROM numbers"  # noqa: S608
        statements.append(f"INSERT INTO usage ({', '.join(_ROW)}) SELECT {values} FROM ({numbers}) AS numbered")  # noqa: S608
    _run(url, [*statements, *(sql for _, sql in indexes)])


def _run(url: str, statements: Sequence[str]) -> list[Any]:
    """The rows of the last one."""
    path = sqlite_path(url)
    if path is not None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            rows: list[Any] = []
            for statement in statements:
                rows = connection.execute(statement).fetchall()
            return rows

    async def run() -> list[Any]:
        engine = create_engine(url, statement_seconds=None)
        try:
            found: list[Any] = []
            for statement in statements:
                async with engine.begin() as connection:
                    result = await connection.exec_driver_sql(statement)
                    found = list(result) if result.returns_rows else []
            return found
        finally:
            await engine.dispose()

    return asyncio.run(run())


def questions() -> Iterator[tuple[str, Grouping, UsageFilter]]:
    """Everything a summary is asked."""
    spans = {
        "the month": (float(_START), float(_END)),
        "odd hours": (_START + 4321.5, _END - 1234.5),
        "a week": (_END - 7 * _DAY + 100.0, float(_END)),
    }
    for by in get_args(Grouping):
        for span, (start, end) in spans.items():
            for tenant in (None, _TENANT):
                of = "all tenants" if tenant is None else "one tenant"
                yield f"{by}, {span}, {of}", by, UsageFilter(start=start, end=end, tenant_id=tenant)


async def _timed(url: str, say: Callable[[str], object]) -> list[tuple[str, float]]:
    """Each question with the median of a few tries."""
    clock = SystemClock()
    engine = create_engine(url)
    reader = LedgerReader(engine)
    timed: list[tuple[str, float]] = []
    for name, by, wanted in questions():
        tries: list[float] = []
        found: Sequence[Total] = ()
        for _ in range(_TIMES):
            began = clock.monotonic()
            found = await reader.totals(wanted, by, limit=100, after=None)
            tries.append(clock.monotonic() - began)
        timed.append((name, percentile(tries, 0.5)))
        say(f"    {1000 * timed[-1][1]:7.1f} ms  by {name}; first {1000 * tries[0]:.1f} ms, {len(found)} totals")
    await engine.dispose()
    return timed


async def _summary(url: str) -> list[int]:
    """Cost, provider's cost and requests, as a summary of everything has them."""
    engine = create_engine(url, statement_seconds=None)
    totals = await LedgerReader(engine).totals(UsageFilter(), "model", limit=None, after=None)
    await engine.dispose()
    return [sum(getattr(total, name) for total in totals) for name in ("cost", "backend_cost", "requests")]


def _own(url: str) -> list[int]:
    """The same of the rows themselves, and how many rows there are."""
    served = "sum(CASE WHEN serving THEN 1 ELSE 0 END)"
    (row,) = _run(url, [f"SELECT sum(cost), sum(backend_cost), {served}, count(*) FROM usage"])  # noqa: S608
    return [int(value) for value in row]


def balanced(summary: Sequence[int], own: Sequence[int], rows: int) -> list[str]:
    """Where the sums of a summary are not those of the rows."""
    faults = [] if own[-1] == rows else [f"{own[-1]} rows were made instead of {rows}"]
    if list(summary) != list(own[:-1]):
        faults.append(f"the summary says {list(summary)}, the rows {list(own[:-1])}")
    return faults


def _over_http(url: str, directory: Path) -> Iterator[tuple[str, float]]:
    """The same by way of the gateway."""
    clock = SystemClock()
    made = site.config("http://127.0.0.1:9/v1", {"root": {"roles": ["super_admin"]}}, database=url)
    headers = {"authorization": f"Bearer {secret('root')}"}
    with (
        Gateway(made, directory / "gateway") as gateway,
        httpx.Client(base_url=gateway.url, headers=headers, timeout=PATIENCE, trust_env=False) as client,
    ):
        for by in ("model", "user", "tenant", "day", "tag"):
            query = {"group_by": by, "start": iso(_START), "end": iso(_END - 1234.5)}
            began = clock.monotonic()
            got = client.get("/v1/accounting/usage/summary", params=query)
            seconds = clock.monotonic() - began
            assert got.status_code == 200, got.text
            assert got.json()["data"]["items"], got.text
            yield f"by {by}", seconds
