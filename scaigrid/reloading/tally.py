"""How often the file was read again, by what came of it: counted by the process that reads it, told by the workers.

A file in the data directory is between them, for the process that keeps the workers serves nobody.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import get_args

import msgspec

from scaigrid.reloading.outcome import Outcome

NAME = "reloads.json"
_decoder = msgspec.json.Decoder(dict[Outcome, int])


class Tally:
    """Begins at 0, as a process does."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._counts: dict[Outcome, int] = dict.fromkeys(get_args(Outcome), 0)
        self._write()

    def count(self, outcome: Outcome) -> None:
        self._counts[outcome] += 1
        self._write()

    def _write(self) -> None:
        # A disk that is full is told by others; what was counted is written the next time.
        with suppress(OSError):
            fresh = self._path.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(self._counts))
            fresh.replace(self._path)


def counted(directory: Path) -> Mapping[Outcome, int]:
    """What was counted so far by the process that owns the directory; nothing where nobody counts."""
    with suppress(OSError, msgspec.DecodeError):
        return _decoder.decode((directory / NAME).read_bytes())
    return {}
