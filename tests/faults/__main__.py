"""`python -m tests.faults [FAULT ...] [--dialect NAME ...]`: how providers fail, and what callers see.

Each fault is played on every surface that can chat, streamed and plain, against the real gateway. Prints the score;
the last line is one JSON object. The exit code is 1 where anything failed.
"""

import json
import logging
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from scaigrid.clock import SystemClock
from tests.faults.kinds import FAULTS
from tests.faults.play import cases, play, verdict
from tests.faults.score import Score
from tests.faults.surfaces import SURFACES
from tests.harness.provider import Provider


def main(arguments: Sequence[str]) -> int:
    # A provider that writes to a gateway which has hung up is nothing to be told about.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    by_name = {fault.name: fault for fault in FAULTS}
    dialects = sorted({*SURFACES, *(surface.dialect for surface in SURFACES.values())})
    parser = ArgumentParser(prog="just faults", description="Shows what callers see of sixteen faults of providers.")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"{', '.join(by_name)}; left out: all of them")
    parser.add_argument(
        "--dialect", action="append", choices=dialects, help="a dialect, or one surface of it; left out: all of them"
    )
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.faults) - by_name.keys())
    if unknown:
        parser.error(f"no such fault: {', '.join(unknown)}; there are {', '.join(by_name)}")
    faults = [fault for fault in FAULTS if fault.name in (options.faults or by_name)]
    asked = options.dialect or dialects
    surfaces = [surface.name for surface in SURFACES.values() if {surface.name, surface.dialect} & set(asked)]
    clock = SystemClock()
    began = clock.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="scaigrid-faults-") as directory,
        Provider() as provider,
        Provider() as rude,
    ):
        several = cases(faults, surfaces, provider, rude)
        play(several, Path(directory))
    score = Score(faults, surfaces, {case.key: verdict(case) for _, case in several})
    for line in (*score.table(), *score.reasons()):
        _say(line)
    _say(json.dumps({**score.summary(), "seconds": round(clock.monotonic() - began, 1)}))
    return 1 if score.summary()["failed"] else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
