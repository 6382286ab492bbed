"""`just money-scale`: a day of a million requests through the ledger, and questions to a ledger of ten million rows.

The last line is one JSON object; the exit code is 1 where a sum does not agree or a question took too long. What it
fills is removed again. `--rows` and `--requests` are for smaller machines.
"""

import asyncio
import json
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from tests.harness import postgres
from tests.harness.databases import KINDS, Kind
from tests.money.fact import to_stdout
from tests.money.scale.day import simulated
from tests.money.scale.month import asked

_SETTINGS: Final = {
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
}
"""Of a small server; the tests' own is a tiny one."""


def main(arguments: Sequence[str]) -> int:
    parser = ArgumentParser(
        prog="just money-scale", description="Shows that the ledger balances and answers when large."
    )
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the simulated day; 0: none (1000000)")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the ledger that is asked; 0: none (10000000)")
    parser.add_argument("--database", choices=KINDS, action="append", help="left out: both")
    parser.add_argument("--directory", type=Path, help="where the databases lie, about 1 kB a row (the temporary one)")
    parser.add_argument("--slowest", type=float, default=0.3, help="seconds that a question may take (0.3)")
    options = parser.parse_args(arguments)
    told: dict[str, Any] = {}
    faults: list[str] = []
    for kind in options.database or KINDS:
        with tempfile.TemporaryDirectory(prefix="scaigrid-scale-", dir=options.directory) as directory:
            if options.requests:
                with _empty(kind, Path(directory, "day")) as url:
                    day = asyncio.run(simulated(url, Path(directory), options.requests, to_stdout))
                told[f"{kind}_day"] = day.figures
                faults += [f"{kind}: {fault}" for fault in day.faults]
            if options.rows:
                with _empty(kind, Path(directory, "month")) as url:
                    month = asked(url, Path(directory), options.rows, options.slowest, to_stdout)
                told[f"{kind}_month"] = month.figures
                faults += [f"{kind}: {fault}" for fault in month.faults]
    for fault in faults:
        to_stdout(f"FAULT {fault}")
    to_stdout(json.dumps({**told, "faults": len(faults)}))
    return 1 if faults else 0


@contextmanager
def _empty(kind: Kind, directory: Path) -> Generator[str]:
    """The URL of a database without tables, on a disk: there is more of it than memory may have room for."""
    directory.mkdir()
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{directory / 'scale.db'}"
        return
    with (
        patch("tests.harness.postgres._quick", return_value=directory if _enterable(directory) else None),
        patch.dict("tests.harness.postgres._SETTINGS", _SETTINGS),
        postgres.Server() as server,
    ):
        yield server.url(server.createdb())


def _enterable(directory: Path) -> bool:
    """Whether a server that is not run by root may have its files there."""
    return all(parent.stat().st_mode & 0o001 for parent in (directory, *directory.parents))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
