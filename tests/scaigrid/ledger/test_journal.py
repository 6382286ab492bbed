"""What an acknowledged append is worth: through kill -9, full disks and short writes. Real files, real processes."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from scaigrid.errors import Code, GatewayError
from scaigrid.ledger.frames import End, frame, read
from scaigrid.ledger.journal import Journal, adopt
from scaigrid.ledger.records import Begun, Record, Settling
from tests.harness.checkout import ROOT
from tests.scaigrid.ledger.rows import audit_row, usage_row

APPENDS_UNTIL_KILLED = """
import sys
from pathlib import Path
from scaigrid.ledger.journal import Journal
from tests.scaigrid.ledger.rows import audit_row, usage_row
journal = Journal(Path(sys.argv[1]), "killed", segment_bytes=4000)
number = 0
while True:
    row = usage_row(number) if number % 2 else audit_row(number)
    journal.append(row)
    sys.stdout.buffer.write(row.id.encode() + b"\\n")
    sys.stdout.buffer.flush()
    number += 1
"""
FILLS_ITS_DISK = """
import resource, sys
from pathlib import Path
from scaigrid.errors import GatewayError
from scaigrid.ledger.journal import Journal
from tests.scaigrid.ledger.rows import usage_row
journal = Journal(Path(sys.argv[1]), "full")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
kept, refused = [], []
for number in range(10):
    try:
        journal.append(usage_row(number))
        kept.append(number)
    except GatewayError as error:
        refused.append(error.code)
assert not journal.writable
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append(usage_row(10))
assert journal.writable
kept.append(10)
journal.close()
print(*kept)
print(*refused)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal", "w")
    yield made
    made.close()


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jnl"))


def contents(path: Path) -> tuple[list[Record], End]:
    """Everything that can be read of a segment, and how it ends."""
    records: list[Record] = []
    offset = 0
    while True:
        chunk = read(path, offset, 100)
        records += chunk.records
        offset = chunk.next_offset
        if chunk.end != "more":
            return records, chunk.end


def ids(directory: Path) -> list[str]:
    return [record.id for path in segments(directory) for record in contents(path)[0]]


def run(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def break_writes(monkeypatch: pytest.MonkeyPatch, keep: int, *, truncate: bool = True) -> None:
    """Lets `keep` bytes of the next frame through; a disk that is full does that."""
    write = os.write

    def short(fd: int, data: bytes) -> int:
        if keep:
            return write(fd, data[:keep])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse(_fd: int, _length: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "write", short)
    if not truncate:
        monkeypatch.setattr(os, "ftruncate", refuse)


@pytest.mark.parametrize("after", [1, 50, 400])
def test_every_acknowledged_record_survives_kill_9(tmp_path: Path, after: int) -> None:
    with run(APPENDS_UNTIL_KILLED, tmp_path) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().decode().strip() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        # What was said between the last line that was read and the kill has been said too.
        acknowledged += process.stdout.read().decode().split()
    # The last word may have been cut off; an append may have been done and not yet said.
    whole = [name for name in acknowledged if len(name) == len(usage_row().id)]
    found = ids(tmp_path)
    assert found[: len(whole)] == whole
    assert len(found) - len(whole) in (0, 1)
    assert all(contents(path)[1] == "end" for path in segments(tmp_path))


@pytest.mark.parametrize("spare", [0, 1, 100])
def test_a_full_disk_refuses_and_works_again_once_there_is_room(tmp_path: Path, spare: int) -> None:
    """The limit of a file's size is the kernel's own short write, then its own error."""
    room = sum(len(frame(usage_row(number))) for number in range(4)) + spare
    process = run(FILLS_ITS_DISK, tmp_path, room)
    out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    *_, kept, refused = out.decode().splitlines()
    assert kept == "0 1 2 3 10"
    assert refused.split() == [Code.STORE_UNAVAILABLE] * 6
    (path,) = segments(tmp_path)
    assert contents(path) == ([usage_row(number) for number in (0, 1, 2, 3, 10)], "end")


@pytest.mark.parametrize("keep", [0, 1, 100])
def test_a_refused_append_leaves_nothing_behind(journal: Journal, monkeypatch: pytest.MonkeyPatch, keep: int) -> None:
    journal.append(usage_row(0))
    break_writes(monkeypatch, keep)
    with pytest.raises(GatewayError, match="STORE_UNAVAILABLE") as refused:
        journal.append(usage_row(1))
    monkeypatch.undo()
    assert refused.value.status == 503
    journal.append(usage_row(2))
    (path,) = segments(journal.directory)
    assert contents(path) == ([usage_row(0), usage_row(2)], "end")
    assert journal.segments[0].records == 2


def test_where_the_torn_record_cannot_be_cut_off_nothing_is_appended_behind_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(usage_row(0))
    break_writes(monkeypatch, 100, truncate=False)
    with pytest.raises(GatewayError):
        journal.append(usage_row(1))
    monkeypatch.undo()
    journal.append(usage_row(2))
    first, second = segments(journal.directory)
    assert contents(first) == ([usage_row(0)], "torn")
    assert contents(second) == ([usage_row(2)], "end")
    assert [(segment.records, segment.closed) for segment in journal.segments] == [(1, True), (1, False)]


def test_trouble_is_told_once_and_so_is_its_end(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    with structlog.testing.capture_logs() as logs:
        break_writes(monkeypatch, 0)
        for number in range(3):
            with pytest.raises(GatewayError):
                journal.append(usage_row(number))
        assert not journal.writable
        monkeypatch.undo()
        journal.append(usage_row(3))
        journal.append(usage_row(4))
    assert [line["event"] for line in logs] == ["journal_not_writable", "journal_writable_again"]
    assert logs[0]["reason"] == os.strerror(errno.ENOSPC)


def test_after_trouble_it_is_found_out_ahead_of_a_record_whether_one_can_be_kept(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(usage_row(0))
    with structlog.testing.capture_logs() as logs:
        break_writes(monkeypatch, 0)
        journal.check()
        assert logs == [], "nothing is asked while nothing is wrong"
        with pytest.raises(GatewayError):
            journal.append(usage_row(1))
        for _ in range(2):
            with pytest.raises(GatewayError, match="STORE_UNAVAILABLE"):
                journal.check()
        monkeypatch.undo()
        journal.check()
    assert journal.writable
    assert [line["event"] for line in logs] == ["journal_not_writable", "journal_writable_again"]
    journal.append(usage_row(2))
    (path,) = segments(journal.directory)
    assert contents(path) == ([usage_row(0), usage_row(2)], "end")


def test_where_it_cannot_be_taken_back_what_was_found_out_goes_on_in_another_segment(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:

    def refused(_fd: int, _length: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    break_writes(monkeypatch, 0)
    with pytest.raises(GatewayError):
        journal.append(usage_row(0))
    monkeypatch.undo()
    monkeypatch.setattr(os, "ftruncate", refused)
    with pytest.raises(GatewayError):
        journal.check()
    monkeypatch.undo()
    journal.append(usage_row(1))
    first, second = segments(journal.directory)
    assert contents(first) == ([], "torn")
    assert contents(second) == ([usage_row(1)], "end")


def test_a_segment_that_is_full_is_followed_by_another(tmp_path: Path) -> None:
    size = len(frame(usage_row(0)))
    with structlog.testing.capture_logs() as logs:
        journal = Journal(tmp_path, "w", segment_bytes=3 * size)
        for number in range(8):
            journal.append(usage_row(number))
        journal.close()
    assert [path.name for path in segments(tmp_path)] == [f"w-{number:08d}.jnl" for number in (1, 2, 3)]
    assert [len(contents(path)[0]) for path in segments(tmp_path)] == [3, 3, 2]
    assert ids(tmp_path) == [usage_row(number).id for number in range(8)]
    assert [(segment.records, segment.closed) for segment in journal.segments] == [(3, True), (3, True), (2, True)]
    assert logs == []


def test_where_no_next_segment_can_be_made_the_old_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has run out of descriptors can still record what it does."""
    journal = Journal(tmp_path, "w", segment_bytes=1)
    real = os.open

    def refuse(*_arguments: Any) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", refuse)
    with structlog.testing.capture_logs() as logs:
        for number in range(3):
            journal.append(usage_row(number))
    monkeypatch.setattr(os, "open", real)
    assert [line["event"] for line in logs] == ["journal_not_rolled"]
    journal.append(usage_row(3))
    journal.append(usage_row(4))
    assert [[record.id for record in contents(path)[0]] for path in segments(tmp_path)] == [
        [usage_row(number).id for number in range(4)],
        [usage_row(4).id],
        [],
    ]
    journal.close()


def test_a_segment_is_closed_where_no_thread_can_be_had_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    journal = Journal(tmp_path, "w", segment_bytes=1)
    for number in range(3):
        journal.append(usage_row(number))
    journal.close()
    assert ids(tmp_path) == [usage_row(number).id for number in range(3)]
    assert len(segments(tmp_path)) == 4


def test_a_sealed_journal_takes_no_more(journal: Journal) -> None:
    journal.append(usage_row(0))
    journal.seal()
    with pytest.raises(GatewayError, match="STORE_UNAVAILABLE: The gateway is shutting down"):
        journal.append(usage_row(1))
    assert ids(journal.directory) == [usage_row(0).id]
    assert journal.segments[0].closed


def test_the_one_who_waits_is_called_once(journal: Journal) -> None:
    calls: list[int] = []
    journal.on_append(lambda: calls.append(1))
    assert calls == []
    journal.append(usage_row(0))
    journal.append(usage_row(1))
    assert calls == [1]
    journal.on_append(lambda: calls.append(2))
    journal.append(usage_row(2))
    assert calls == [1, 2]


def test_files_are_for_their_owner_alone(journal: Journal) -> None:
    """They hold who asked what of whom."""
    modes = {path.name: path.stat().st_mode & 0o777 for path in journal.directory.iterdir()}
    assert modes == {"w-00000001.jnl": 0o600, "w.lock": 0o600}
    assert journal.directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["", "a-b", "a/b", "../x", "a.b", "x" * 65])
def test_a_writer_id_is_a_plain_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no writer id"):
        Journal(tmp_path, name)


def test_a_writer_has_one_journal(journal: Journal) -> None:
    with pytest.raises(BlockingIOError, match="in use"):
        Journal(journal.directory, "w")


def test_a_directory_that_cannot_be_written_is_found_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Journal(tmp_path / "file", "w")


def test_a_segment_that_is_there_already_is_never_opened_again(tmp_path: Path) -> None:
    """And the lock is given back, so that the segment can be adopted."""
    (tmp_path / "w-00000001.jnl").write_bytes(frame(usage_row(0)))
    with pytest.raises(FileExistsError):
        Journal(tmp_path, "w")
    (orphan,) = adopt(tmp_path)
    assert orphan.segments[0].records == 1
    orphan.close()


class TestAdopt:
    """Finding what an earlier process left behind."""

    def leave(self, directory: Path, writer_id: str, *records: Record, segment_bytes: int = 1) -> None:
        journal = Journal(directory, writer_id, segment_bytes=segment_bytes)
        for record in records:
            journal.append(record)
        journal.close()

    def test_orphans_come_oldest_first_with_their_segments_in_order(self, tmp_path: Path) -> None:
        self.leave(tmp_path, "w2", usage_row(2))
        self.leave(tmp_path, "w1", *(usage_row(number) for number in range(11)))
        orphans = adopt(tmp_path)
        assert [orphan.writer_id for orphan in orphans] == ["w1", "w2"]
        assert [segment.path for segment in orphans[0].segments] == segments(tmp_path)[:12]
        assert [segment.records for segment in orphans[0].segments] == [1] * 11 + [0]
        assert all(segment.closed for orphan in orphans for segment in orphan.segments)
        for orphan in orphans:
            orphan.close()

    def test_a_journal_that_is_being_written_is_no_orphan(self, journal: Journal) -> None:
        journal.append(usage_row(0))
        assert adopt(journal.directory) == []

    def test_one_of_another_process_is_one_as_soon_as_that_is_gone(self, tmp_path: Path) -> None:
        with run(APPENDS_UNTIL_KILLED, tmp_path) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert adopt(tmp_path) == []
            process.kill()
        (orphan,) = adopt(tmp_path)
        assert orphan.writer_id == "killed"
        assert sum(segment.records for segment in orphan.segments) == len(ids(tmp_path))
        orphan.close()

    def test_an_orphan_is_adopted_once(self, tmp_path: Path) -> None:
        self.leave(tmp_path, "w", usage_row(0))
        (first,) = adopt(tmp_path)
        assert adopt(tmp_path) == []
        first.close()
        (again,) = adopt(tmp_path)
        again.close()

    def test_the_lock_file_goes_with_the_last_segment(self, tmp_path: Path) -> None:
        self.leave(tmp_path, "w", usage_row(0))
        (orphan,) = adopt(tmp_path)
        while orphan.segments:
            orphan.segments.popleft().path.unlink()
        orphan.close()
        assert list(tmp_path.iterdir()) == []

    def test_other_files_are_left_alone(self, tmp_path: Path) -> None:
        names = ["w-1.jnl", "w-00000001.jnl.corrupt", "w-00000001.jnl.rejected", "notes.txt"]
        for name in names:
            (tmp_path / name).touch()
        assert adopt(tmp_path) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)

    def test_a_lock_file_that_was_left_alone_is_removed_unless_it_is_being_made(self, tmp_path: Path) -> None:
        """One is empty between its making and its locking."""
        (tmp_path / "dead.lock").write_text("1\n")
        (tmp_path / "born.lock").touch()
        journal = Journal(tmp_path, "alive")
        assert adopt(tmp_path) == []
        assert sorted(path.name for path in tmp_path.glob("*.lock")) == ["alive.lock", "born.lock"]
        journal.close()

    def test_no_directory_holds_no_orphans(self, tmp_path: Path) -> None:
        assert adopt(tmp_path / "none") == []


def test_a_record_that_cannot_be_written_at_all_changes_nothing(journal: Journal) -> None:
    """Such a number is a fault of ours, not of the disk."""
    with pytest.raises(OverflowError):
        journal.append(usage_row(0, cost=2**70))
    journal.append(audit_row(1))
    assert ids(journal.directory) == [audit_row(1).id]
    assert journal.writable


# -- attempts that are open --------------------------------------------------------------------------------------------


def told_open(path: Path) -> list[str]:
    return [record.row.id if isinstance(record, Begun) else "other" for record in read(path, 0, 100).records]


def test_what_is_open_is_carried_over_into_the_segment_that_is_being_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    for number in range(4):
        journal.append(Begun(usage_row(number)))
    journal.append(usage_row(1))
    journal.append(Settling(usage_row(2), "lease", {}))
    assert journal.roll()
    first, second = journal.segments
    journal.carry_over(second)
    assert told_open(second.path) == [], "nothing that is open is told there yet"
    journal.carry_over(first)
    assert told_open(second.path) == [usage_row(0).id, usage_row(3).id]
    assert second.records == 2
    journal.carry_over(first)
    assert second.records == 2, "once is enough"
    journal.close()


def test_what_ends_after_it_was_carried_over_is_not_carried_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.append(Begun(usage_row(0)))
    journal.roll()
    journal.carry_over(journal.segments[0])
    journal.append(usage_row(0))
    journal.roll()
    journal.carry_over(journal.segments[1])
    assert journal.segments[2].records == 0
    journal.close()


def test_what_cannot_be_carried_over_is_said_to_be_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.append(Begun(usage_row(0)))
    journal.seal()
    with pytest.raises(GatewayError) as caught:
        journal.carry_over(journal.segments[0])
    assert caught.value.code is Code.STORE_UNAVAILABLE
    journal.close()
