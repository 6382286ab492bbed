"""A question and an answer over a Unix socket that belongs to one user."""

import os
import select
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scaigrid.reloading import channel as subject
from scaigrid.reloading.channel import MAX_PATH, NAME, Channel, NobodyAnswers, ask
from tests.harness.eventually import PATIENCE


def answered(directory: Path, answer: bytes = b"answer", question: bytes = b"question") -> tuple[bytes, bytes]:
    """What the gateway is asked, and what it is understood to say."""
    channel = Channel(directory)
    channel.open()
    try:
        with ThreadPoolExecutor(1) as pool:
            got = pool.submit(ask, directory, question, seconds=PATIENCE)
            assert channel.listener is not None
            assert select.select([channel.listener], [], [], PATIENCE)[0]
            asked = channel.take()
            assert asked is not None
            asked.answer(answer)
            return asked.text, got.result(PATIENCE)
    finally:
        channel.close()


def test_a_question_is_answered(tmp_path: Path) -> None:
    assert answered(tmp_path) == (b"question", b"answer")


def test_a_long_answer_comes_whole(tmp_path: Path) -> None:
    assert answered(tmp_path, b"x" * 5_000_000)[1] == b"x" * 5_000_000


def test_a_directory_may_lie_as_deep_as_it_likes(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    assert len(os.fsencode(deep / NAME)) > MAX_PATH
    assert answered(deep) == (b"question", b"answer")


def test_where_the_system_cannot_reach_so_deep_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(OSError, match=r"choose a shorter server\.data_dir"):
        Channel(deep).open()
    with pytest.raises(NobodyAnswers, match=r"choose a shorter server\.data_dir"):
        ask(deep, b"question", seconds=1)


def test_nobody_else_may_come_in(tmp_path: Path) -> None:
    channel = Channel(tmp_path)
    before = os.umask(0o022)
    try:
        channel.open()
        assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
        assert os.umask(0o022) == 0o022, "the process has its own mask again"
    finally:
        channel.close()
        os.umask(before)


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    channel = Channel(tmp_path)
    channel.open()
    channel.close()
    channel.close()
    assert list(tmp_path.iterdir()) == []
    assert channel.listener is None


def test_what_a_killed_gateway_left_is_in_nobody_s_way(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / NAME))
    with pytest.raises(NobodyAnswers, match="no gateway runs on"):
        ask(tmp_path, b"question", seconds=1)
    assert answered(tmp_path) == (b"question", b"answer")


@pytest.mark.parametrize("name", [".", "nothing", "file/below"])
def test_where_no_gateway_runs_it_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NobodyAnswers, match="no gateway runs on"):
        ask(tmp_path / name, b"question", seconds=1)


def test_a_gateway_that_ends_gives_no_answer(tmp_path: Path) -> None:
    channel = Channel(tmp_path)
    channel.open()
    with ThreadPoolExecutor(1) as pool:
        got = pool.submit(ask, tmp_path, b"question", seconds=PATIENCE)
        assert channel.listener is not None
        select.select([channel.listener], [], [], PATIENCE)
        channel.close()
        with pytest.raises(NobodyAnswers):
            got.result(PATIENCE)


def test_who_says_nothing_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_QUESTION_SECONDS", 0.01)
    channel = Channel(tmp_path)
    channel.open()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(tmp_path / NAME))
        assert channel.take() is None
        silent.settimeout(PATIENCE)
        assert silent.recv(1) == b""
    channel.close()


def test_who_says_too_much_is_not_listened_to(tmp_path: Path) -> None:
    channel = Channel(tmp_path)
    channel.open()
    with socket.socket(socket.AF_UNIX) as chatty:
        chatty.connect(str(tmp_path / NAME))
        chatty.sendall(b"x" * 10_000)
        assert channel.take() is None
    channel.close()


def test_where_nobody_came_there_is_no_question(tmp_path: Path) -> None:
    channel = Channel(tmp_path)
    assert channel.take() is None
    channel.open()
    assert channel.take() is None
    channel.close()


def test_who_left_gets_no_answer_and_that_is_all(tmp_path: Path) -> None:
    channel = Channel(tmp_path)
    channel.open()
    with socket.socket(socket.AF_UNIX) as impatient:
        impatient.connect(str(tmp_path / NAME))
        impatient.sendall(b"question\n")
    asked = channel.take()
    assert asked is not None
    asked.answer(b"x" * 1_000_000)
    channel.close()
