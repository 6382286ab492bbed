"""What SQLite has to be told of its tables to choose among their indexes: PostgreSQL finds it out by itself.

Without it a question about one tenant reads the sums of all. It is told at each start, from a sample of each index, so
it takes milliseconds however large the tables are. Source: https://www.sqlite.org/lang_analyze.html
"""

import sqlite3
from contextlib import closing, suppress
from typing import Final

from scaigrid.db.url import sqlite_path

_SAMPLE: Final = 1000
"""Rows of each index."""


def measure(url: str) -> None:
    """Measures the tables of a SQLite file anew, for connections that are opened from now on; elsewhere does nothing.

    A file that somebody else is writing to is left as it is: plans are then those of before.
    """
    path = sqlite_path(url)
    if path is None:
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=0.1)) as connection:
        connection.execute(f"PRAGMA analysis_limit={_SAMPLE}")
        connection.execute("ANALYZE")
