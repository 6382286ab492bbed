"""Who runs on which core, and for how long: Linux affinity and /proc (proc_pid_stat(5), proc_stat(5))."""

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.errors import RigError

_PROC: Final = Path("/proc")
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Cores(msgspec.Struct, frozen=True):
    """One core for what is measured, one for everything else: load, provider and this process."""

    measured: int
    load: int


class Process(msgspec.Struct, frozen=True):
    """A line of /proc/PID/stat: clock ticks of user and system time, its own and of children that it has waited for."""

    pid: int
    parent: int
    ticks: int


def cores() -> Cores:
    """The first two that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise RigError("two cores are needed, one for what is measured and one for the load")
    return Cores(usable[0], usable[1])


@contextmanager
def pinned_to(core: int) -> Generator[None]:
    """What is started inside runs on `core`, and so does all that it starts itself."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def parse_process(stat: str) -> Process:
    """One /proc/PID/stat; the name in it, in parentheses, may hold anything."""
    before, _, after = stat.rpartition(")")
    fields = after.split()
    user, system, children_user, children_system = map(int, fields[11:15])
    return Process(int(before.split(" ", 1)[0]), int(fields[1]), user + system + children_user + children_system)


def parse_busy(stat: str, core: int) -> int:
    """Clock ticks in which a core was not idle, from /proc/stat; time stolen by the hypervisor is not idle."""
    for line in stat.splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, interrupts, soft_interrupts, stolen = map(int, fields[:8])
            return user + nice + system + interrupts + soft_interrupts + stolen
    raise RigError(f"/proc/stat knows no core {core}")


def tree(root: int, processes: Iterable[Process]) -> list[Process]:
    """`root` and everything that descends from it."""
    children: dict[int, list[Process]] = {}
    by_pid: dict[int, Process] = {}
    for process in processes:
        by_pid[process.pid] = process
        children.setdefault(process.parent, []).append(process)
    if root not in by_pid:
        return []
    found = [by_pid[root]]
    for process in found:
        found.extend(children.get(process.pid, ()))
    return found


def tree_seconds(root: int) -> float:
    """CPU seconds, user and system, that a process and its descendants have used so far.

    Those of a descendant that ended are in its parent's, who waited for it; so nothing is counted twice or lost.
    """
    members = tree(root, _processes())
    if not members:
        raise RigError(f"process {root} has ended")
    return sum(process.ticks for process in members) / _TICKS_A_SECOND


def busy_seconds(core: int) -> float:
    """Seconds since the machine's start in which a core was not idle, whoever used it."""
    return parse_busy((_PROC / "stat").read_text(), core) / _TICKS_A_SECOND


def _processes() -> Iterator[Process]:
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                yield parse_process((folder / "stat").read_text())
            except OSError:  # it ended while we looked
                continue
