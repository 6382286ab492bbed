"""The journal: what a request leaves behind is in a file before its answer ends, and the database takes it from there.

A record is kept once `append` returned: it lies in the kernel's page cache, which outlives any death of this process
(kill -9 too) but not that of the machine. Segments are flushed to the disk when they are closed, not record by record:
that would cost every call milliseconds to guard against a power failure.

    <directory>/<writer>-<number>.jnl   segments, in the order of their numbers
    <directory>/<writer>.lock           locked as long as the writer lives; a writer that does not is an orphan
"""

import os
import re
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from scaigrid.errors import Code, GatewayError
from scaigrid.ledger import frames
from scaigrid.ledger.lock import take
from scaigrid.ledger.records import Begun, Record

SEGMENT_BYTES = 16 * 1024 * 1024

_WRITER = re.compile(r"[A-Za-z0-9_]{1,64}")
_SEGMENT = re.compile(r"([A-Za-z0-9_]{1,64})-([0-9]{8,})\.jnl")
_NOWHERE = -1
_PROBE = bytes(8192)
"""As much as the records of a call are, and nothing that a reader would take for one."""

_log: FilteringBoundLogger = structlog.get_logger(__name__)


class Segment(msgspec.Struct):
    """One file of a journal: how many records it holds, and whether more may come."""

    path: Path
    records: int = 0
    closed: bool = False


class Orphan(msgspec.Struct, frozen=True):
    """The segments that a writer left which is no more; this process holds its lock."""

    writer_id: str
    segments: deque[Segment]
    lock_path: Path
    lock: int

    def close(self) -> None:
        """Lets go of the writer; blocks. Its lock file goes with its last segment."""
        _unlock(self.lock, self.lock_path, keep=bool(self.segments))


class Journal:
    """Appends records to the segments of one writer. Everything here but `close` belongs to one thread, the loop's.

    `writer_id` is new with every start: letters, digits and underscores. `segments` are those that hold records which
    nobody has taken yet; the last one is being written. Whoever takes the records removes the segments.
    """

    def __init__(self, directory: Path, writer_id: str, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Makes the directory and the first segment. Raises OSError where it cannot, ValueError for a bad id."""
        if not _WRITER.fullmatch(writer_id):
            raise ValueError(f"{writer_id!r} is no writer id: letters, digits and underscores, at most 64")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_path = _lock_path(directory, writer_id)
        lock = take(self._lock_path)
        if lock is None:
            raise BlockingIOError(f"the journal of {writer_id} in {directory} is in use")
        self.writer_id = writer_id
        self.directory = directory
        self.segments: deque[Segment] = deque()
        self._lock = lock
        self._limit = segment_bytes
        self._number = 0
        self._fd = _NOWHERE
        self._size = 0
        self._sealed = False
        self._trouble = False
        self._stuck = False
        self._open: dict[str, tuple[Begun, Segment]] = {}
        """By id, the attempts that have begun and have no row yet, and the segment that says so last."""
        self._wake: Callable[[], None] | None = None
        self._retiring: list[threading.Thread] = []
        try:
            # Says who it is, and that it is locked: an empty one may be between its making and its locking.
            os.write(lock, b"%d\n" % os.getpid())
            self._open_next()
        except OSError:
            os.close(lock)
            raise

    @property
    def writable(self) -> bool:
        """False from an append that could not be kept until one could be again."""
        return not self._trouble

    def check(self) -> None:
        """Raises GatewayError(STORE_UNAVAILABLE) where no record could be kept just now.

        While all is well it costs nothing; after trouble it finds out, by writing something and taking it back.
        """
        if not self._trouble:
            return
        self._recover()
        self._write(_PROBE)
        try:
            os.ftruncate(self._fd, self._size)
        except OSError as error:
            raise self._refusal(error.strerror or type(error).__name__) from error
        self._well()

    def append(self, record: Record) -> None:
        """Returns once the record survives the death of the process.

        Raises GatewayError(STORE_UNAVAILABLE) where it cannot be kept; the journal is then as it was before, and later
        appends work again as soon as there is room.
        """
        frame = frames.frame(record)
        if self._trouble:
            self._recover()
        self._write(frame)
        self._size += len(frame)
        self._segment.records += 1
        if self._open or type(record) is Begun:
            self._note(record)
        if self._trouble:
            self._well()
        if self._size >= self._limit:
            self.roll()
        if self._wake is not None:
            wake, self._wake = self._wake, None
            wake()

    def _write(self, octets: bytes) -> None:
        try:
            written = os.write(self._fd, octets)
        except OSError as error:
            raise self._refusal(error.strerror or type(error).__name__) from error
        if written != len(octets):
            raise self._refusal(f"{written} of {len(octets)} bytes written")

    def _well(self) -> None:
        self._trouble = False
        _log.info("journal_writable_again", segment=str(self._segment.path))

    def _note(self, record: Record) -> None:
        if isinstance(record, Begun):
            self._open[record.id] = (record, self._segment)
        else:
            self._open.pop(record.id, None)

    def carry_over(self, segment: Segment) -> None:
        """Says again, in the segment that is being written, which attempts are open that a closed one tells of.

        Then that one can be removed. Raises GatewayError(STORE_UNAVAILABLE) where it cannot be said.
        """
        for begun, told in tuple(self._open.values()):
            if told is segment:
                self.append(begun)

    def on_append(self, wake: Callable[[], None]) -> None:
        """Has `wake` called once, by the next append."""
        self._wake = wake

    def roll(self) -> bool:
        """Goes on in a new segment. False where none can be made (no descriptor left): then the old one goes on."""
        try:
            self._open_next()
        except OSError as error:
            if not self._stuck:
                _log.warning("journal_not_rolled", segment=str(self._segment.path), reason=str(error))
            self._stuck = True
            return False
        self._stuck = False
        return True

    def seal(self) -> None:
        """No more records: appends are refused from now on, and the last segment is closed."""
        if not self._sealed:
            self._sealed = self._trouble = True
            self._retire()

    def close(self) -> None:
        """Seals, waits for the disk, and lets go of the writer; blocks. What was not taken waits for the next start."""
        self.seal()
        for thread in self._retiring:
            thread.join()
        if self._lock != _NOWHERE:
            _unlock(self._lock, self._lock_path, keep=bool(self.segments))
            self._lock = _NOWHERE

    def _open_next(self) -> None:
        number = self._number + 1
        path = self.directory / f"{self.writer_id}-{number:08d}.jnl"
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._retire()
        self._number, self._fd, self._size = number, fd, 0
        self._segment = Segment(path)
        self.segments.append(self._segment)

    def _retire(self) -> None:
        """Closes the segment beside the loop: flushing 16 MiB takes longer than a token may wait."""
        if self._fd != _NOWHERE:
            self._segment.closed = True
            thread = threading.Thread(target=_flush, args=(self._fd, self._segment.path))
            try:
                thread.start()
            except RuntimeError:
                # No more threads. The record that filled the segment is kept all the same.
                _flush(self._fd, self._segment.path)
            else:
                self._retiring = [*(one for one in self._retiring if one.is_alive()), thread]
            self._fd = _NOWHERE

    def _refusal(self, reason: str) -> GatewayError:
        if not self._trouble:
            _log.error("journal_not_writable", segment=str(self._segment.path), reason=reason)
        self._trouble = True
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            # Half a record stays behind. Nothing may follow it, or a reader could not tell it from a damaged file.
            self._retire()
        return GatewayError(Code.STORE_UNAVAILABLE, "The request cannot be recorded at the moment.")

    def _recover(self) -> None:
        """Makes sure that there is a segment to append to, after trouble."""
        if self._sealed:
            raise GatewayError(Code.STORE_UNAVAILABLE, "The gateway is shutting down.")
        if self._fd == _NOWHERE and not self.roll():
            raise GatewayError(Code.STORE_UNAVAILABLE, "The request cannot be recorded at the moment.")


def adopt(directory: Path) -> list[Orphan]:
    """The orphans of a directory, oldest first, each locked for this process. Blocks: reads every segment's headers.

    Writers that live, in this process or another, hold their own lock and are left alone. The lock file of one that
    has left nothing else is removed.
    """
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in directory.iterdir() if directory.is_dir() else ():
        if name := _SEGMENT.fullmatch(path.name):
            found.setdefault(name[1], []).append((int(name[2]), path))
        elif path.suffix == ".lock" and path.stat().st_size:
            found.setdefault(path.stem, [])
    orphans: list[Orphan] = []
    for writer_id in sorted(found):
        lock_path = _lock_path(directory, writer_id)
        lock = take(lock_path)
        if lock is not None:
            # Its last segments may have gone between the listing and the lock.
            paths = [path for _, path in sorted(found[writer_id]) if path.exists()]
            segments = deque(Segment(path, frames.count(path), closed=True) for path in paths)
            orphan = Orphan(writer_id, segments, lock_path, lock)
            if segments:
                orphans.append(orphan)
            else:
                orphan.close()
    return orphans


def _lock_path(directory: Path, writer_id: str) -> Path:
    return directory / f"{writer_id}.lock"


def _unlock(fd: int, path: Path, *, keep: bool) -> None:
    if not keep:
        path.unlink(missing_ok=True)
    os.close(fd)


def _flush(fd: int, path: Path) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        _log.warning("journal_not_flushed", segment=str(path), reason=str(error))
    finally:
        os.close(fd)
