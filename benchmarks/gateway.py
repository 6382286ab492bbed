"""The gateway with everything on: one key of one user of one tenant of one partner, each with a limit and budgets.

Every limit is real and none is ever reached, so that the whole of the work is done for every call.
"""

import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

import msgspec
import yaml

from benchmarks import prometheus
from benchmarks.chat import COST, FRONTEND_MODEL, GATEWAY_KEY, PRICES, PROVIDER_KEY, PROVIDER_MODEL, Prices
from benchmarks.children import Child, await_answer, free_port, get, running
from benchmarks.errors import RigError

BUDGETS: Final[Mapping[str, tuple[str, str]]] = {
    "bench-partner": ("partner", "bench-partner"),
    "bench-tenant": ("tenant", "bench-tenant"),
    "bench-user": ("user", "bench-user"),
    "bench-key": ("key", "bench-key"),
    "bench-model": ("model", FRONTEND_MODEL),
}
"""By name: scope and subject."""
LIMITED: Final = ("partner", "tenant", "user", "key")
"""The levels that have a limit."""

_KEY_VARIABLE: Final = "BENCHMARK_GATEWAY_KEY"
_PROVIDER_KEY_VARIABLE: Final = "BENCHMARK_PROVIDER_KEY"
_START_SECONDS: Final = 60.0
_QUIET_SECONDS: Final = 30.0
_BETWEEN_SCRAPES: Final = 0.1


def configuration(*, provider: int, data_folder: Path) -> dict[str, Any]:
    """What is served, in the words of scaigrid/config/schema.py."""
    return {
        "server": {"host": "127.0.0.1", "workers": 1, "data_dir": str(data_folder)},
        "partners": {"bench-partner": {"limits": _limits()}},
        "tenants": {"bench-tenant": {"partner": "bench-partner", "limits": _limits()}},
        "users": {"bench-user": {"tenant": "bench-tenant", "limits": _limits()}},
        "keys": {"bench-key": {"user": "bench-user", "key": f"${{{_KEY_VARIABLE}}}", "limits": _limits()}},
        "budgets": {
            name: {
                "scope": scope,
                "of": subject,
                "period": "monthly",
                "cost_limit": "1000000000",
                "token_limit": 2**52,
                "request_limit": 2**52,
            }
            for name, (scope, subject) in BUDGETS.items()
        },
        "providers": {
            "bench": {
                "type": "custom",
                "base_url": f"http://127.0.0.1:{provider}/v1",
                "api_key": f"${{{_PROVIDER_KEY_VARIABLE}}}",
            }
        },
        "backends": {"bench": {"provider": "bench", "model": PROVIDER_MODEL, "cost": _amounts(COST)}},
        "models": {
            FRONTEND_MODEL: {
                "context_window": 128_000,
                "max_output_tokens": 4096,
                "prices": _amounts(PRICES) | {"request": PRICES.request},
                "route": {"targets": [{"backend": "bench"}]},
            }
        },
    }


def _limits() -> dict[str, int]:
    return {"requests_per_minute": 1_000_000_000}


def _amounts(prices: Prices) -> dict[str, str]:
    return {"input": prices.input, "cached_input": prices.cached_input, "output": prices.output}


class Gateway(msgspec.Struct, frozen=True):
    """A running gateway."""

    child: Child
    port: int
    data_folder: Path
    ready_after: float
    """Seconds from the command to the first 200 of /health/ready."""

    @property
    def database(self) -> Path:
        return self.data_folder / "scaigrid.db"

    @property
    def log(self) -> Path:
        """Its standard output: a JSON line for each request."""
        return self.child.stdout

    def metrics(self) -> str:
        """What /metrics says now; the lines are not read yet."""
        try:
            status, text = get(self.port, "/metrics")
        except OSError as error:
            raise RigError(f"/metrics does not answer ({error}):\n{self.child.complaint()}") from error
        if status != 200:
            raise RigError(f"/metrics answered {status}")
        return text.decode()

    def become_quiet(self) -> None:
        """Waits until no call is under way and everything recorded is in the database: nothing changes any more."""
        deadline = monotonic() + _QUIET_SECONDS
        before: Pulse | None = None
        while monotonic() < deadline:
            pulse = read_pulse(self.metrics())
            if pulse == before and not pulse.backlog and not pulse.under_way:
                return
            before = pulse
            self.child.pause(_BETWEEN_SCRAPES)
        raise RigError(f"the gateway was not quiet within {_QUIET_SECONDS:g} s after the last call: {before}")


class Pulse(msgspec.Struct, frozen=True):
    """What moves while the gateway has something to do."""

    requests: int
    """Calls of our model that have ended; a scrape is a request too, and no sign of work."""
    under_way: int
    backlog: int
    """Records that are in a journal but not in the database."""


def read_pulse(metrics: str) -> Pulse:
    """From the text of /metrics; without `scaigrid_ledger_backlog` nobody could tell when it is done."""
    sums: dict[str, float] = {}
    for sample in prometheus.samples(metrics):
        if sample.labels.get("model", FRONTEND_MODEL) != FRONTEND_MODEL:
            continue
        sums[sample.name] = sums.get(sample.name, 0) + sample.value
    if "scaigrid_ledger_backlog" not in sums:
        raise RigError("/metrics has no scaigrid_ledger_backlog")
    return Pulse(
        requests=int(sums.get("scaigrid_requests_total", 0)),
        under_way=int(sums.get("scaigrid_backend_inflight_requests", 0)),
        backlog=int(sums["scaigrid_ledger_backlog"]),
    )


def counters(metrics: str) -> dict[str, int]:
    """What the gateway says of itself, by the names that `truth` compares; other models and metrics are left out."""
    found: dict[str, int] = {}
    for sample in prometheus.samples(metrics):
        namer = _NAMES.get(sample.name)
        name = namer(sample.labels) if namer is not None else None
        if name is not None:
            found[name] = found.get(name, 0) + int(sample.value)
    return found


def _of_our_model(name: Callable[[Mapping[str, str]], str]) -> Callable[[Mapping[str, str]], str | None]:
    return lambda labels: name(labels) if labels["model"] == FRONTEND_MODEL else None


_NAMES: Final[Mapping[str, Callable[[Mapping[str, str]], str | None]]] = {
    "scaigrid_requests_total": _of_our_model(lambda labels: f"metrics: status {labels['status']}"),
    "scaigrid_tokens_total": _of_our_model(lambda labels: f"metrics: {labels['direction']} tokens"),
    "scaigrid_taken_total": lambda labels: f"{labels['of']}s of the {labels['level']}: {labels['kind']}",
    "scaigrid_budget_spent": lambda labels: f"budget {labels['budget']}: {labels['kind']}",
}


@contextmanager
def serving(*, provider: int, core: int, folder: Path) -> Generator[Gateway]:
    """`scaigrid serve` of this checkout in front of the provider's port, everything of it on `core`."""
    data_folder = folder / "data"
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(configuration(provider=provider, data_folder=data_folder), sort_keys=False))
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "scaigrid", "serve", file, "--port", str(port)]
    # PYTHONDONTWRITEBYTECODE and its kind change what is measured: the interpreter's own defaults are.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {_KEY_VARIABLE: GATEWAY_KEY, _PROVIDER_KEY_VARIABLE: PROVIDER_KEY}
    with running("gateway", command, core=core, folder=folder, environment=environment) as child:
        ready_after = await_answer(child, port, "/health/ready", seconds=_START_SECONDS)
        yield Gateway(child, port, data_folder, ready_after)
