"""What is worth knowing of a configuration though nothing is wrong with it, one line each on standard error."""

import sys
from collections.abc import Iterable

from scaigrid.cli.paint import harmless
from scaigrid.control.bounding import notes
from scaigrid.control.resource import Resource
from scaigrid.control.state import State


def print_notes(declared: Iterable[Resource]) -> None:
    """Of what a file declares, whatever the database has beside it."""
    for note in notes(State.of(declared)):
        print(f"note: {harmless(note)}", file=sys.stderr)
