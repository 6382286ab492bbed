"""`python -m tests.money [FACT ...]`: budgets are hard, limits are exact, and every token is in the ledger.

Each fact of the table (tests/money/facts) is shown of the real gateway, with what was measured. The last line is one
JSON object; a figure is null where no fact that ran measures it. The exit code is 1 where a fact does not hold.
`--long` has outages last as long as the promise says; `--small` shows what every run of the tests shows.
"""

import json
import logging
import sys
import tempfile
import textwrap
import traceback
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scaigrid.clock import SystemClock
from tests.harness import databases
from tests.harness.provider import Provider
from tests.money.fact import Fact, Found, NotRun, Room, Size, summed, to_stdout
from tests.money.facts import FACTS

_LONGEST: Final = 1000
_FRAMES: Final = 4


def main(arguments: Sequence[str]) -> int:
    # A provider that writes to a gateway which was killed is nothing to be told about.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    by_name = {fact.name: fact for fact in FACTS}
    parser = ArgumentParser(prog="just money", description="Shows the facts about money, limits and the ledger.")
    parser.add_argument("facts", nargs="*", metavar="FACT", help=f"{', '.join(by_name)}; left out: all of them")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--long", action="store_const", const="long", dest="size", help="outages of a minute, more seeds"
    )
    sizes.add_argument("--small", action="store_const", const="small", dest="size", help="a few seconds each")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.facts) - by_name.keys())
    if unknown:
        parser.error(f"no such fact: {', '.join(unknown)}; there are {', '.join(by_name)}")
    chosen = [by_name[name] for name in options.facts] or list(FACTS)
    found: list[Found] = []
    not_run = [fact.name for fact in FACTS if fact not in chosen]
    try:
        for fact in chosen:
            shown = _shown(fact, options.size or "full")
            if shown is None:
                not_run.append(fact.name)
            else:
                found.append(shown)
    finally:
        databases.close()
    to_stdout(json.dumps(summed(found, not_run)))
    return 1 if any(one.faults for one in found) else 0


def _shown(fact: Fact, size: Size) -> Found | None:
    """What came of it; None where it cannot be shown here."""
    clock = SystemClock()
    began = clock.monotonic()
    to_stdout(f"{fact.name}: {fact.promise}")
    with tempfile.TemporaryDirectory(prefix="scaigrid-money-") as directory, Provider() as provider:
        try:
            found = fact.show(Room(Path(directory), provider, size, say=to_stdout))
        except NotRun as reason:
            to_stdout(f"    not run: {reason}")
            return None
        except Exception as error:  # noqa: BLE001  # a fact that breaks off is one that was not shown to hold
            where = "".join(traceback.format_tb(error.__traceback__)[-_FRAMES:]).rstrip()
            to_stdout(textwrap.indent(where, "    "))
            found = Found(faults=[f"broke off: {type(error).__name__}: {str(error)[:_LONGEST]}"])
    for fault in found.faults:
        to_stdout(f"    FAULT {fault}")
    to_stdout(f"    {'does not hold' if found.faults else 'holds'}, {clock.monotonic() - began:.1f} s")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
