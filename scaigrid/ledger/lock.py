"""One owner: a lock file in the data directory, so that a second gateway refuses to start and names the first."""

import fcntl
import os
import platform
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from scaigrid.clock import Clock
from scaigrid.timestamps import iso

NAME = "scaigrid.lock"


class _Holder(msgspec.Struct, frozen=True):
    """What the lock file says. Only for people: the lock itself is the kernel's."""

    pid: int | None = None
    host: str | None = None
    started: str | None = None


class DataDirTaken(Exception):
    """Another gateway owns the data directory; `pid`, `host` and `started` are None where it has not yet said so."""

    def __init__(self, directory: Path, holder: _Holder) -> None:
        self.pid, self.host, self.started = holder.pid, holder.host, holder.started
        who = f"process {self.pid} on {self.host}, started {self.started}" if self.pid else "a process that is starting"
        super().__init__(f"the data directory {directory} belongs to another gateway: {who}")


class DataDirLock:
    """Holds a data directory from `acquire` until `release`, or until this process and every fork of it is gone.

    The lock is flock(2)'s: it belongs to the open file, which forked workers inherit, so that a worker that outlives a
    killed parent keeps the directory until it dies too. Programs that are executed do not inherit it (O_CLOEXEC).
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._fd: int | None = None

    def acquire(self) -> None:
        """Makes the directory where it is missing. Raises DataDirTaken, or OSError where the file cannot be made."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / NAME
        fd = take(path)
        if fd is None:
            raise DataDirTaken(self._directory, _read(path))
        holder = _Holder(os.getpid(), platform.node(), iso(self._clock.now()))
        try:
            text = msgspec.json.encode(holder) + b"\n"
            os.ftruncate(fd, 0)
            os.pwrite(fd, text, 0)
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    def release(self) -> None:
        """Lets go. The file stays: a second gateway may be waiting at it, and a new file would be another lock."""
        if self._fd is not None:
            # Closing, not LOCK_UN, which would also take the lock from the forks that still work here.
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def take(path: Path) -> int | None:
    """The descriptor that holds the lock on `path`, which is made where it is missing; None where someone else has it.

    Raises OSError where there can be no such file, or where the file system knows no locks.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError:
            os.close(fd)
            raise
        if os.fstat(fd).st_nlink:
            return fd
        # The holder before us removed the file between our opening and our locking it.
        os.close(fd)


def _read(path: Path) -> _Holder:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(path.read_bytes(), type=_Holder)
    return _Holder()
