"""Whether a file has changed, and is whole again: asked now and then, for every kind of file system can be asked.

A file that is being written is looked at again: only what has stayed the same between two looks is taken, and an empty
file is taken for one that is about to be written.
"""

from pathlib import Path
from typing import NamedTuple


class Sign(NamedTuple):
    """What changes with the content of a file, or when another one takes its place."""

    inode: int
    size: int
    changed_ns: int


def sign_of(path: Path) -> Sign | None:
    """None where there is nothing to read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Sign(found.st_ino, found.st_size, found.st_mtime_ns)


class Watch:
    """`read` is the sign of what was read last."""

    def __init__(self, path: Path, read: Sign | None) -> None:
        self._path = path
        self._read = read
        self._seen = read

    def changed(self) -> Sign | None:
        """The sign of what is new, once it has been the same for two looks; what is told is not told again."""
        now = sign_of(self._path)
        before, self._seen = self._seen, now
        if now is None or now.size == 0 or now in (self._read, None) or now != before:
            return None
        self._read = now
        return now

    def note(self) -> None:
        """It is about to be read for another reason; what is written from here on is news."""
        self._read = self._seen = sign_of(self._path)

    def again(self) -> None:
        """What was told could not be taken: tell it once more."""
        self._read = None
