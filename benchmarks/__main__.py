"""The command: `python -m benchmarks LANE [options]`; the last line of its output is one JSON object."""

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from benchmarks.errors import RigError
from benchmarks.lanes import LANES


def main(arguments: Sequence[str] | None = None) -> int:
    """0 measured and consistent, 1 not, 2 something is missing or misspelt."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures the gateway from outside.")
    choices = parser.add_subparsers(dest="lane", required=True, metavar="LANE")
    for lane in LANES:
        lane.add_options(choices.add_parser(lane.name, help=lane.summary, description=lane.summary))
    options = parser.parse_args(arguments)
    # So that the way out is the one by which every child is stopped and every folder removed.
    signal.signal(signal.SIGTERM, _leave)
    try:
        return next(lane for lane in LANES if lane.name == options.lane).run(options)
    except RigError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
