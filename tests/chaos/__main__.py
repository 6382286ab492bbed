"""`python -m tests.chaos [EVENT ...]`: what operations do to a gateway, and what then becomes of its callers.

Each event of the table (tests/chaos/events) is brought about with real processes: what is declared for it stands beside
what was measured. The last line is one JSON object. The exit code is 1 where something is not as declared.
"""

import json
import logging
import sys
import tempfile
import traceback
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scaigrid.clock import SystemClock
from tests.chaos.event import Event, Found, head, row, summed
from tests.chaos.events import EVENTS
from tests.harness import databases
from tests.harness.provider import Provider
from tests.money.fact import Room, Size, to_stdout

_FRAMES: Final = 4
_LONGEST: Final = 1000


def main(arguments: Sequence[str]) -> int:
    # A provider that writes to a gateway which was killed is nothing to be told about.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    by_name = {event.name: event for event in EVENTS}
    parser = ArgumentParser(prog="just chaos", description="Shows what becomes of callers when operations go wrong.")
    parser.add_argument("events", nargs="*", metavar="EVENT", help=f"{', '.join(by_name)}; left out: all of them")
    parser.add_argument("--small", action="store_true", help="what every run of the tests shows")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.events) - by_name.keys())
    if unknown:
        parser.error(f"no such event: {', '.join(unknown)}; there are {', '.join(by_name)}")
    chosen = [by_name[name] for name in options.events] or list(EVENTS)
    clock = SystemClock()
    began = clock.monotonic()
    found: list[tuple[Event, Found]] = []
    to_stdout(head())
    try:
        for event in chosen:
            found.append((event, _shown(event, "small" if options.small else "full", clock)))
            to_stdout(row(*found[-1]))
    finally:
        databases.close()
    not_run = [event.name for event in EVENTS if event not in chosen]
    to_stdout(json.dumps(summed(found, not_run, clock.monotonic() - began)))
    return 1 if any(one.faults for _, one in found) else 0


def _shown(event: Event, size: Size, clock: SystemClock) -> Found:
    began = clock.monotonic()
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="scaigrid-chaos-") as directory, Provider() as provider:
        try:
            found = event.show(Room(Path(directory), provider, size, say=lines.append))
        except Exception as error:  # noqa: BLE001  # an event that breaks off is one that was not shown to be lived through
            where = "".join(traceback.format_tb(error.__traceback__)[-_FRAMES:]).rstrip()
            sys.stderr.write(f"{where}\n")
            told = f"broke off: {type(error).__name__}: {str(error)[:_LONGEST]}"
            found = Found(measured=[line.strip() for line in lines], faults=[told])
    found.measured.append(f"{clock.monotonic() - began:.1f} s in all")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
