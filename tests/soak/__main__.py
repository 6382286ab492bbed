"""`python -m tests.soak [--minutes 30]`: does a gateway grow that serves a mix of callers for a long time?

A sample of its memory and its open descriptors every few seconds, and in the end the slope. The last line is one JSON
object. The exit code is 1 where it grew by more than is declared (tests/soak/measure.py), or a call was answered
otherwise than it had to be.
"""

import json
import logging
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Final

from scaigrid.clock import SystemClock
from tests.harness.gateway import Gateway
from tests.harness.process_tree import weight
from tests.harness.provider import Provider
from tests.money.fact import to_stdout
from tests.soak.measure import MIB, Sample, Soaked, soaked
from tests.soak.mix import Callers, config

RATE: Final = 40.0
"""Calls a second."""
CALLERS: Final = 8
_EVERY: Final = 5.0
_TOLD: Final = 12
"""Of so many samples one is told."""
_SHOWN: Final = 5


def run(directory: Path, seconds: float, *, rate: float, say: Callable[[str], object]) -> tuple[Soaked, list[str]]:
    """The figures of a gateway that served for so long, and the first failures."""
    clock, pause = SystemClock(), Event()
    every = min(_EVERY, seconds / 40)
    samples: list[Sample] = []
    with Provider() as provider, Gateway(config(provider), directory) as gateway:
        pid = gateway.process.pid
        began = clock.monotonic()
        with Callers(gateway.port, callers=CALLERS, rate=rate) as callers:
            while (at := clock.monotonic() - began) < seconds:
                samples.append(Sample(at, weight(pid)))
                if len(samples) % _TOLD == 1:
                    say(_line(samples[-1], callers))
                pause.wait(every)
        samples.append(Sample(clock.monotonic() - began, weight(pid)))
        say(_line(samples[-1], callers))
        code = gateway.stop()
        failures = list(callers.failures)
        if code:
            failures.append(f"exit code {code}")
        failures += [str(line) for line in gateway.lines() if line["event"] == "unexpected_error"]
        say(f"calls: {dict(callers.calls)}")
    return soaked(samples, calls=callers.calls.total(), failures=len(failures)), failures[:_SHOWN]


def main(arguments: Sequence[str]) -> int:
    # A client who leaves is nothing to be told about.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    parser = ArgumentParser(prog="just soak", description="Shows whether a gateway grows that serves for long.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=RATE, help=f"calls a second; left out: {RATE:g}")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="scaigrid-soak-") as directory:
        figures, failures = run(Path(directory), 60 * options.minutes, rate=options.rate, say=to_stdout)
    for failure in failures:
        to_stdout(f"    FAULT {failure}")
    to_stdout(
        f"memory {figures.rss_first:.1f} -> {figures.rss_last:.1f} MiB, {figures.slope:+.2f} MiB/h; descriptors "
        f"{figures.descriptors_first} -> {figures.descriptors_last}; {figures.calls} calls, {figures.failures} failures"
    )
    to_stdout(json.dumps(figures.told()))
    return 1 if figures.faults else 0


def _line(sample: Sample, callers: Callers) -> str:
    rss, opened = sample.weight.rss / MIB, sample.weight.descriptors
    calls, failures = callers.calls.total(), len(callers.failures)
    return f"{sample.at:7.0f} s  {rss:7.1f} MiB  {opened:4} descriptors  {calls:8} calls  {failures} failures"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
