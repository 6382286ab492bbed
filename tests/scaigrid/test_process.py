"""A worker goes with its parent, however the parent goes: three real processes, of which the test is the first."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scaigrid.process import die_with_parent
from tests.harness.eventually import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel has to know prctl(2)")

CHILD = """
import os, signal, sys
from scaigrid.process import die_with_parent
die_with_parent({parent})
print(os.getpid(), flush=True)
signal.pause()
"""
SPAWNS = """
import signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
signal.pause()
"""
FORKS = """
import multiprocessing, os, signal
from scaigrid.process import die_with_parent
def work():
    die_with_parent()
    print(os.getpid(), flush=True)
    signal.pause()
multiprocessing.get_context("fork").Process(target=work).start()
signal.pause()
"""
ORPHANED = """
import os, signal, sys, time
from scaigrid.process import die_with_parent
mother = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == mother:
    time.sleep(0.001)
print(os.getpid(), flush=True)
die_with_parent(mother)
print("still here", flush=True)
"""


def gone(pid: int) -> bool:
    """No such process, or one that is dead and only waits to be asked for its status."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-c", SPAWNS, CHILD.format(parent="")],
        [sys.executable, "-c", SPAWNS, CHILD.format(parent="os.getppid()")],
        [sys.executable, "-c", FORKS],
    ],
    ids=["spawned", "spawned, told its parent", "forked by multiprocessing"],
)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_is_gone_once_its_parent_is_killed(command: list[str], how: signal.Signals) -> None:
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.send_signal(how)
        parent.wait()
        eventually(lambda: gone(child), "the child is gone")


def test_a_child_whose_parent_died_before_it_could_ask_goes_too() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHANED], capture_output=True, text=True, check=True)
    pid, *rest = done.stdout.split()
    assert rest == []
    eventually(lambda: gone(int(pid)), "the child is gone")


def test_elsewhere_than_on_linux_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    # A parent that is not ours would mean death where it were looked at.
    die_with_parent(os.getpid())


def test_a_fork_ends_when_it_is_told_to_however_young_it_is_and_its_parent_goes_on_as_it_did() -> None:
    script = """
import os, signal
from scaigrid.process import mortal_from_birth
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(os.getpid()))
mortal_from_birth()
for _ in range(50):
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
os.kill(os.getpid(), signal.SIGTERM)
assert heard == [os.getpid()]
print("done")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.returncode) == ("done\n", 0), ended.stderr


def test_a_process_may_open_as_many_files_as_it_needs_and_as_the_system_allows() -> None:
    script = """
import resource
from scaigrid.process import enough_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 256))
told = [enough_files(32), enough_files(128), enough_files(9999)]
print(told, resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.returncode) == ("[64, 128, 256] (256, 256)\n", 0), ended.stderr
