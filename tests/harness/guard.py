"""The guard on the event loop, and the few calls that may block it."""

from typing import Final

from blockbuster import BlockBuster

from tests.harness.checkout import ROOMS

MAY_BLOCK: Final = (
    # Lines leave in batches, and a write to a file or to a pipe with a reader takes microseconds.
    ("os.write", "scaigrid/log.py", "flush"),
    # A row has to be on record before its answer ends, and appending some hundred bytes to a file takes about 2 us.
    ("os.write", "scaigrid/ledger/journal.py", "_write"),
    # Once for each new connection: an absolute path is made absolute, and nothing asked of the disk.
    ("os.path.abspath", "sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args"),
    # A traceback's file names are absolute already, so nothing is asked of the disk.
    ("os.path.abspath", "structlog/tracebacks.py", "extract"),
)
"""What is called, the file (ours, or a package's) that may call it, and in which function; each with its reason."""

MAY_LOOK: Final = (
    # Once for each time zone that a budget names: a file of some kilobytes.
    ("scaigrid/zones.py", "known"),
    # Once for each new connection: whether there are the files with passwords and certificates that libpq would take.
    ("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args"),
)
"""A file (ours, or a package's) and the function in it under which any call may block: each Python names it anew."""

BEFORE_SERVING: Final = ("scaigrid.db.migrate", "scaigrid.db.migrations")
"""What runs before there is anything to serve, in a loop that nobody else is in."""


def guard() -> BlockBuster:
    """A guard, not active yet, that watches our three packages: a test may block its own loop, the gateway may not."""
    made = BlockBuster(list(ROOMS), excluded_modules=list(BEFORE_SERVING))
    for call, file, function in MAY_BLOCK:
        made.functions[call].can_block_in(file, function)
    for file, function in MAY_LOOK:
        for watched in made.functions.values():
            watched.can_block_in(file, function)
    return made
