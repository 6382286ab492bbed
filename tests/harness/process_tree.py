"""What a process and all that it started weigh, read from /proc: resident memory and open descriptors (Linux)."""

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Weight(NamedTuple):
    """Of a whole tree at one moment."""

    processes: int
    rss: int
    """Bytes. Pages that several processes share are counted in each."""
    descriptors: int


def tree(pid: int) -> list[int]:
    """The process and its descendants, as far as they are there."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                children[_parent(entry)].append(int(entry.name))
    found = [pid]
    for one in found:
        found += children[one]
    return found


def weight(pid: int) -> Weight:
    """The tree's weight. Whoever ends meanwhile weighs nothing."""
    processes = rss = descriptors = 0
    for one in tree(pid):
        with suppress(OSError):
            pages = int((_PROC / str(one) / "statm").read_text().split()[1])
            opened = len(os.listdir(_PROC / str(one) / "fd"))  # noqa: PTH208 - counted, not walked
            processes, rss, descriptors = processes + 1, rss + pages * _PAGE, descriptors + opened
    return Weight(processes, rss, descriptors)


def _parent(entry: Path) -> int:
    # The name in parentheses may hold anything; what follows the last one is split by spaces (proc(5)).
    return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
