"""Many tenants: how long a start takes, what is held in memory, and how long until a change is in force."""

import json
import os
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, Final

import msgspec
import yaml

from benchmarks import prometheus
from benchmarks.children import Child, await_answer, free_port, get, running
from benchmarks.errors import RigError
from benchmarks.lane import Lane, between
from benchmarks.rig import PYTHON

_KEY: Final = "sgk_bench_" + "t" * 40
_PARTNERS: Final = 10
_START_SECONDS: Final = 120.0
_REBUILD: Final = "scaigrid_config_rebuild_seconds"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON line. Memory is resident, of the process that serves and of the one that keeps it."""

    lane: str = "tenants"
    tenants: int
    resources: int
    first_start_seconds: float
    """With an empty database: everything that the file declares is written."""
    start_seconds: float
    """Again, with nothing to write."""
    worker_mb: float
    parent_mb: float
    change_ms_p50: float
    """A tenant made over the API: from the request to its answer, with which it is in force."""
    change_ms_max: float
    rebuild_ms_p50: float
    """The new snapshot's share of that."""
    rebuild_ms_max: float
    changes: int
    python: str


def configuration(tenants: int, data_folder: Path) -> Mapping[str, Any]:
    """So many tenants, each with a user, a key, a limit of its own and a monthly budget."""
    return {
        "server": {"host": "127.0.0.1", "data_dir": str(data_folder)},
        "partners": {f"p{number}": {} for number in range(_PARTNERS)},
        "tenants": {
            f"t{number}": {"partner": f"p{number % _PARTNERS}", "limits": {"requests_per_minute": 10_000}}
            for number in range(tenants)
        },
        "users": {
            **{f"u{number}": {"tenant": f"t{number}"} for number in range(tenants)},
            "root": {"tenant": "t0", "roles": ["super_admin"], "limits": {"requests_per_minute": None}},
        },
        "keys": {
            **{f"k{number}": {"user": f"u{number}", "sha256": f"{number:064x}"} for number in range(tenants)},
            "root": {"user": "root", "key": _KEY, "limits": {"requests_per_minute": None}},
        },
        "budgets": {
            f"b{number}": {"scope": "tenant", "of": f"t{number}", "period": "monthly", "cost_limit": "100"}
            for number in range(tenants)
        },
        "providers": {"sim": {"type": "simulator"}},
        "backends": {"sim": {"provider": "sim", "model": "m"}},
        "models": {"demo": {"unpriced": "free", "max_output_tokens": 100, "route": {"targets": [{"backend": "sim"}]}}},
    }


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--tenants", type=between(1, 100_000), default=10_000, help="with a user, key and budget each")
    parser.add_argument("--changes", type=between(1, 1000), default=50, help="tenants made over the API (50)")


def run(options: Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="scaigrid-tenants-") as made:
        folder = Path(made)
        file = folder / "gateway.yaml"
        config = configuration(options.tenants, folder / "data")
        dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        file.write_text(yaml.dump(config, Dumper=dumper, sort_keys=False))
        with _serving(file, folder) as (_, _, first):
            pass
        with _serving(file, folder) as (child, port, again):
            print(f"{options.tenants} tenants: first start {first:.2f} s, next {again:.2f} s", flush=True)
            took, rebuilt = _changes(port, options.changes)
            report = Report(
                tenants=options.tenants,
                resources=_resources(config),
                first_start_seconds=round(first, 2),
                start_seconds=round(again, 2),
                worker_mb=round(max(map(_resident, _children(child.pid)), default=0.0), 1),
                parent_mb=round(_resident(child.pid), 1),
                change_ms_p50=round(median(took) * 1000, 1),
                change_ms_max=round(max(took) * 1000, 1),
                rebuild_ms_p50=round(median(rebuilt) * 1000, 1),
                rebuild_ms_max=round(max(rebuilt) * 1000, 1),
                changes=options.changes,
                python=PYTHON,
            )
    print(msgspec.json.encode(report).decode(), flush=True)
    return 0


@contextmanager
def _serving(file: Path, folder: Path) -> Generator[tuple[Child, int, float]]:
    """The gateway, its port, and the seconds until it was ready."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "scaigrid", "serve", file, "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with running("gateway", command, core=0, folder=folder, environment=environment) as child:
        ready_after = await_answer(child, port, "/health/ready", seconds=_START_SECONDS)
        yield child, port, ready_after


def _changes(port: int, count: int) -> tuple[list[float], list[float]]:
    """Seconds of each change, and of the snapshot that was made for it."""
    took: list[float] = []
    rebuilt: list[float] = []
    headers = {"authorization": f"Bearer {_KEY}", "content-type": "application/json"}
    connection = HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)
    for number in range(count):
        began = monotonic()
        connection.request("POST", "/v1/tenants", json.dumps({"slug": f"new{number}"}), headers)
        answer = connection.getresponse()
        body = answer.read()
        took.append(monotonic() - began)
        if answer.status != 201:
            raise RigError(f"a tenant could not be made: {answer.status} {body.decode(errors='replace')}")
        _, text = get(port, "/metrics")
        rebuilt += [one.value for one in prometheus.samples(text.decode()) if one.name == _REBUILD]
    if len(rebuilt) != count:
        raise RigError(f"/metrics has no {_REBUILD}")
    return took, rebuilt


def _resources(config: Mapping[str, Any]) -> int:
    """What the file declares; a model's route is a resource too."""
    sections = (section for name, section in config.items() if name != "server")
    return sum(map(len, sections)) + len(config["models"])


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _resident(pid: int) -> float:
    """Megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RigError(f"/proc/{pid}/status has no VmRSS")


LANE: Final = Lane(
    name="tenants",
    summary="10,000 tenants: start time, memory, and how long a change takes to be in force",
    add_options=add_options,
    run=run,
)
