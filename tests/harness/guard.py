"""The guard on the event loop, and the few calls that may block it."""

from typing import Final

from blockbuster import BlockBuster

from tests.harness.checkout import ROOMS

MAY_BLOCK: Final = (
    # Lines leave in batches, and a write to a file or to a pipe with a reader takes microseconds.
    ("os.write", "scaigrid/log.py", "flush"),
    # A row has to be on record before its answer ends, and appending some hundred bytes to a file takes about 2 us.
    ("os.write", "scaigrid/ledger/journal.py", "append"),
    # A traceback's file names are absolute already, so nothing is asked of the disk.
    ("os.path.abspath", "structlog/tracebacks.py", "extract"),
)
"""What is called, the file (ours, or a package's) that may call it, and in which function; each with its reason."""


def guard() -> BlockBuster:
    """A guard, not active yet, that watches our three packages: a test may block its own loop, the gateway may not."""
    made = BlockBuster(list(ROOMS))
    for call, file, function in MAY_BLOCK:
        made.functions[call].can_block_in(file, function)
    return made
