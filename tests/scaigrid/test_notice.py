"""What is said to workers, and when the server that keeps them hears of a signal. Signals are real, processes too."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from scaigrid.notice import Notice, Parting, Word
from tests.harness.eventually import eventually

SOON = 0.05
LONG = 3600.0


def test_a_word_is_heard_by_those_who_were_there_and_by_those_who_come_later() -> None:
    script = """
import os, select
from scaigrid.notice import Word
word = Word()
def child():
    pid = os.fork()
    if pid == 0:
        os._exit(0 if select.select([word], [], [], 20)[0] and word.said else 1)
    return pid
before = child()
assert not word.said
word.say(); word.say()
after = child()
assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in (before, after)] == [0, 0]
assert word.said
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_nothing_is_left_open() -> None:
    word = Word()
    word.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(word.fileno())


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """What a server heard that handles SIGTERM; all handlers are as before in the end."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    got: list[int] = []

    def server(number: int, frame: FrameType | None) -> None:
        got.append(number)

    signal.signal(signal.SIGTERM, server)
    yield got
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def parting(heard: list[int]) -> Iterator[Callable[[float], Notice]]:
    notice = Notice()

    def begin(seconds: float) -> Notice:
        Parting(notice, seconds).listen()
        return notice

    yield begin
    notice.close()


def test_the_workers_are_told_first_and_the_server_when_their_time_is_over(
    heard: list[int], parting: Callable[[float], Notice]
) -> None:
    notice = parting(SOON)
    os.kill(os.getpid(), signal.SIGTERM)
    assert (notice.leaving.said, notice.hurry.said, heard) == (True, False, [])
    eventually(lambda: heard, "the server is told")
    assert not notice.hurry.said


def test_without_such_a_time_both_are_told_at_once(heard: list[int], parting: Callable[[float], Notice]) -> None:
    notice = parting(0)
    os.kill(os.getpid(), signal.SIGTERM)
    assert (notice.leaving.said, notice.hurry.said, len(heard)) == (True, False, 1)


def test_a_person_at_a_terminal_waits_for_no_load_balancer(
    heard: list[int], parting: Callable[[float], Notice]
) -> None:
    notice = parting(LONG)
    os.kill(os.getpid(), signal.SIGINT)
    assert (notice.leaving.said, notice.hurry.said, len(heard)) == (True, False, 1)


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_whoever_says_it_twice_is_in_a_hurry(
    heard: list[int], parting: Callable[[float], Notice], again: signal.Signals
) -> None:
    notice = parting(LONG)
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == []
    os.kill(os.getpid(), again)
    assert (notice.leaving.said, notice.hurry.said, len(heard)) == (True, True, 1)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert select.select([notice.hurry], [], [], 0)[0]


def test_the_server_has_to_listen_first() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    notice = Notice()
    try:
        with pytest.raises(TypeError):
            Parting(notice, 1).listen()
    finally:
        signal.signal(signal.SIGTERM, before)
        notice.close()
