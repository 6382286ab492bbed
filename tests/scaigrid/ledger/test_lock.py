"""One gateway a data directory: who is refused, by whom, and when the directory is free again."""

import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from scaigrid.ledger.lock import NAME, DataDirLock, DataDirTaken, take
from tests.harness.clock import StillClock
from tests.harness.eventually import eventually

HOLDER = """
import os, signal, subprocess, sys
from pathlib import Path
from scaigrid.clock import SystemClock
from scaigrid.ledger.lock import DataDirLock
lock = DataDirLock(Path(sys.argv[1]), SystemClock())
lock.acquire()
match sys.argv[2]:
    case "fork":
        # A worker: it has the lock's descriptor from its parent.
        child = os.fork()
        if child == 0:
            signal.pause()
    case "exec":
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], close_fds=False).pid
    case _:
        child = 0
print(child, flush=True)
signal.pause()
"""


@contextmanager
def holder(directory: Path, how: str = "alone") -> Generator[tuple[subprocess.Popen[str], int], None, None]:
    """Another process that holds the lock, and its child (0: none)."""
    command = [sys.executable, "-c", HOLDER, str(directory), how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process, child
    finally:
        process.kill()
        process.wait()
        if child:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.stdout.close()


def lock(directory: Path) -> DataDirLock:
    return DataDirLock(directory, StillClock())


def free(directory: Path) -> bool:
    try:
        with lock(directory):
            return True
    except DataDirTaken:
        return False


def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "data"
    with lock(directory):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_the_file_says_who_holds_it(tmp_path: Path) -> None:
    with lock(tmp_path):
        assert json.loads((tmp_path / NAME).read_text()) == {
            "pid": os.getpid(),
            "host": platform.node(),
            "started": "2027-01-15T08:00:00.000000Z",
        }


def test_a_second_gateway_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with holder(tmp_path) as (first, _), pytest.raises(DataDirTaken, match=f"process {first.pid} on ") as refused:
        lock(tmp_path).acquire()
    assert (refused.value.pid, refused.value.host) == (first.pid, platform.node())
    assert str(tmp_path) in str(refused.value)
    assert refused.value.started is not None
    assert refused.value.started in str(refused.value)


def test_the_refusal_does_not_change_what_the_file_says(tmp_path: Path) -> None:
    with lock(tmp_path):
        before = (tmp_path / NAME).read_bytes()
        assert not free(tmp_path)
        assert (tmp_path / NAME).read_bytes() == before


@pytest.mark.parametrize("text", [b"", b"{", b'{"pid": "x"}'], ids=["empty", "half", "wrong"])
def test_a_holder_that_has_not_yet_said_who_it_is_is_refused_for_all_the_same(tmp_path: Path, text: bytes) -> None:
    with lock(tmp_path):
        (tmp_path / NAME).write_bytes(text)
        with pytest.raises(DataDirTaken, match="a process that is starting") as refused:
            lock(tmp_path).acquire()
    assert refused.value.pid is None


def test_a_longer_text_of_an_earlier_holder_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"pid": 1, "host": "' + "h" * 500 + '"}')
    with lock(tmp_path):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()


def test_a_released_directory_is_free_at_once(tmp_path: Path) -> None:
    with lock(tmp_path):
        assert not free(tmp_path)
    assert free(tmp_path)


def test_releasing_twice_does_no_harm(tmp_path: Path) -> None:
    mine = lock(tmp_path)
    mine.acquire()
    mine.release()
    mine.release()
    assert free(tmp_path)


def test_a_directory_whose_holder_is_killed_is_free(tmp_path: Path) -> None:
    with holder(tmp_path) as (process, _):
        assert not free(tmp_path)
        process.kill()
        process.wait()
        assert free(tmp_path)


def test_a_forked_worker_keeps_the_directory_until_it_is_gone_too(tmp_path: Path) -> None:
    with holder(tmp_path, "fork") as (process, child):
        process.kill()
        process.wait()
        assert not free(tmp_path)
        os.kill(child, signal.SIGKILL)
        eventually(lambda: free(tmp_path), "the directory is free")


def test_a_program_that_was_executed_does_not_keep_it(tmp_path: Path) -> None:
    with holder(tmp_path, "exec") as (process, _):
        process.kill()
        process.wait()
        assert free(tmp_path)


def test_a_file_that_cannot_be_made_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        lock(tmp_path / "file").acquire()


def test_a_lock_file_that_its_holder_removes_is_not_locked_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever locks a removed file would hold a lock that nobody else can see."""
    path = tmp_path / "w.lock"
    opens = 0
    real = os.open

    def opening(file: Path, flags: int, mode: int = 0o777) -> int:
        nonlocal opens
        fd = real(file, flags, mode)
        opens += 1
        if opens == 1:
            path.unlink()
        return fd

    monkeypatch.setattr(os, "open", opening)
    fd = take(path)
    monkeypatch.undo()
    assert fd is not None
    assert opens == 2
    assert take(path) is None
    os.close(fd)
