"""Everything that stands while a lane runs: the provider, nginx in front of it, and the gateway in front of it."""

import os
import platform
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import gateway, nginx, records, tools
from benchmarks.chat import FRONTEND_MODEL, Target, at_gateway, at_gateway_translated, at_provider
from benchmarks.children import Child
from benchmarks.cpu import Cores, cores, pinned_to
from benchmarks.gateway import Gateway
from benchmarks.mock import Provider, provider

PYTHON: Final = platform.python_version()
"""What runs the gateway: the interpreter that runs this."""


class Hop(msgspec.Struct, frozen=True):
    """One way for a call to go, and the process whose CPU time that costs."""

    name: str
    target: Target
    child: Child
    core: int


class Rig(msgspec.Struct, frozen=True, kw_only=True):
    """Running: provider and load on one core, nginx and the gateway on the other, one of them idle at a time."""

    cores: Cores
    folder: Path
    provider: Provider
    gateway: Gateway
    bare: Hop
    nginx: Hop
    governed: Hop
    translated: Hop
    """The gateway too, by a dialect that the provider does not speak."""

    def tally(self) -> dict[str, int]:
        """Everything that the gateway counts and keeps, as it stands once it is quiet."""
        self.gateway.become_quiet()
        return {
            **gateway.counters(self.gateway.metrics()),
            **records.log_numbers(self.gateway.log, FRONTEND_MODEL),
            **records.database_numbers(self.gateway.database),
        }

    def point_to_complaints(self) -> None:
        """Prints what the gateway said that may explain why something does not hold."""
        for line in records.complaints(self.gateway.log):
            print(f"  the gateway's log: {line[:2000]}", file=sys.stderr, flush=True)

    def conditions(self) -> str:
        """What the numbers were made on, for the head of a table."""
        return (
            f"Python {PYTHON} ({sys.executable}), {platform.machine()}; measured on core {self.cores.measured}, "
            f"load and provider on core {self.cores.load}; load average {os.getloadavg()[0]:.2f}; "
            f"gateway ready after {self.gateway.ready_after:.2f} s"
        )


@contextmanager
def standing(*, events: int = 64, interval_ms: float = 5.0, streams: bool = False) -> Generator[Rig]:
    """The whole rig, its files in a temporary folder; all of it is gone afterwards."""
    tools.require("cc", "nginx", "setpriv", "wrk")
    where = cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scaigrid-bench-")))
        stack.enter_context(pinned_to(where.load))
        upstream = stack.enter_context(provider(core=where.load, folder=folder, events=events, interval_ms=interval_ms))
        proxy, port = stack.enter_context(
            nginx.proxy(provider=upstream.port, core=where.measured, folder=folder, streams=streams)
        )
        served = stack.enter_context(gateway.serving(provider=upstream.port, core=where.measured, folder=folder))
        yield Rig(
            cores=where,
            folder=folder,
            provider=upstream,
            gateway=served,
            bare=Hop("bare", at_provider(upstream.port), upstream.child, where.load),
            nginx=Hop("nginx", at_provider(port), proxy, where.measured),
            governed=Hop("governed", at_gateway(served.port), served.child, where.measured),
            translated=Hop("translated", at_gateway_translated(served.port), served.child, where.measured),
        )
