import os
import select
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import children, tools
from benchmarks.children import Child, await_answer, await_line, free_port, running
from benchmarks.errors import RigError

pytestmark = pytest.mark.skipif(tools.where("setpriv") is None, reason="no setpriv")

PARENT = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("child", child.pid, flush=True)
child.wait()
"""


@contextmanager
def python(program: str, folder: Path) -> Generator[Child]:
    with running("trial", [sys.executable, "-c", program], core=core(), folder=folder) as child:
        yield child


def core() -> int:
    return min(os.sched_getaffinity(0))


def test_what_a_child_says_is_heard_and_where_it_runs_is_kept(tmp_path: Path) -> None:
    program = "import os, signal; print('noise'); print('cores', os.sched_getaffinity(0), flush=True); signal.pause()"
    with python(program, tmp_path) as child:
        assert await_line(child, "cores ", seconds=30) == str({core()})


def test_a_child_that_ends_early_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    program = "import sys; print('no such luck', file=sys.stderr); sys.exit(3)"
    with python(program, tmp_path) as child, pytest.raises(RigError, match=r"(?s)trial ended with 3:.*no such luck"):
        await_line(child, "ready", seconds=30)


def test_a_server_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    with python("raise SystemExit(4)", tmp_path) as child, pytest.raises(RigError, match="ended with 4"):
        await_answer(child, free_port(), "/", seconds=30)


def test_nothing_outlives_the_rig_not_even_what_ignores_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_STOP_SECONDS", 0.05)
    with python(PARENT, tmp_path) as child:
        grandchild = os.pidfd_open(int(await_line(child, "child ", seconds=30)))
        assert not has_ended(grandchild, seconds=0)
    assert child.process.poll() is not None
    assert has_ended(grandchild, seconds=30)
    os.close(grandchild)


def has_ended(pidfd: int, seconds: float) -> bool:
    """Waits for it that long (pidfd_open(2): readable once the process has ended)."""
    return bool(select.select([pidfd], [], [], seconds)[0])
