"""The thread that answers `scaigrid reload` and looks at the file."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from scaigrid.control.plan import Plan, Step
from scaigrid.reloading.attendant import AGAIN_SECONDS, Attendant
from scaigrid.reloading.channel import Channel, ask
from scaigrid.reloading.outcome import Reloaded
from scaigrid.reloading.watch import Watch, sign_of
from tests.harness.clock import StillClock
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.logs import logging_to
from tests.harness.services import Written

STEP = Step(kind="user", id="user_1", name="ann", reason="in use")


class Reloading:
    """Does what the test wants it to."""

    def __init__(self) -> None:
        self.causes: list[str] = []
        self.outcome = Reloaded(outcome="applied", plan=Plan(create=(STEP,)))
        self.raises: Exception | None = None

    def __call__(self, cause: str) -> Reloaded:
        self.causes.append(cause)
        if self.raises is not None:
            raise self.raises
        return self.outcome


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text("one")
    return path


@pytest.fixture
def lines() -> Iterator[Written]:
    written = Written()
    with logging_to(written):
        structlog.configure(cache_logger_on_first_use=False)
        yield written


@pytest.fixture
def reloading() -> Reloading:
    return Reloading()


def attendant(reloading: Reloading, file: Path, clock: StillClock, *, watched: bool = True) -> Attendant:
    channel = Channel(file.parent)
    channel.open()
    return Attendant(reloading, channel, Watch(file, sign_of(file)) if watched else None, clock)


def looking(reloading: Reloading, file: Path, clock: StillClock) -> Attendant:
    """One whose thread does not run: the test looks when it wants to."""
    return Attendant(reloading, Channel(file.parent), Watch(file, sign_of(file)), clock)


def asked(file: Path, question: bytes = b"reload") -> Reloaded:
    return msgspec.json.decode(ask(file.parent, question, seconds=PATIENCE), type=Reloaded)


def test_who_asks_is_answered_and_a_line_is_written(file: Path, reloading: Reloading, lines: Written) -> None:
    with attendant(reloading, file, StillClock()):
        assert asked(file) == reloading.outcome
        assert asked(file) == reloading.outcome
    assert reloading.causes == ["reload", "reload"]
    line: dict[str, Any] = lines.lines[0]
    assert {name: line[name] for name in ("event", "level", "cause", "outcome", "created")} == {
        "event": "config_reloaded",
        "level": "info",
        "cause": "reload",
        "outcome": "applied",
        "created": 1,
    }


def test_a_change_of_the_file_is_applied_by_itself(file: Path, reloading: Reloading, lines: Written) -> None:
    with attendant(reloading, file, StillClock()):
        file.write_text("two, and longer")
        eventually(lambda: reloading.causes, "the change was seen")
    assert reloading.causes == ["watch"]
    assert [line["cause"] for line in lines.lines] == ["watch"]


def test_a_file_that_is_not_watched_may_change(file: Path, reloading: Reloading, lines: Written) -> None:
    with attendant(reloading, file, StillClock(), watched=False) as one:
        file.write_text("two, and longer")
        one.look()
        one.look()
        assert asked(file).in_force
    assert reloading.causes == ["reload"]


def test_what_was_asked_for_is_not_done_again_for_the_change(file: Path, reloading: Reloading, lines: Written) -> None:
    one = looking(reloading, file, StillClock())
    file.write_text("two, and longer")
    one.reload("reload")
    for _ in range(3):
        one.look()
    assert reloading.causes == ["reload"]


def test_what_is_wrong_with_a_file_is_told_and_not_tried_again(
    file: Path, reloading: Reloading, lines: Written
) -> None:
    reloading.outcome = Reloaded(outcome="invalid", errors=tuple(f"c.yaml:{n}: wrong" for n in range(100)))
    one = looking(reloading, file, StillClock())
    file.write_text("two, and longer")
    for _ in range(5):
        one.look()
    assert reloading.causes == ["watch"]
    (line,) = lines.lines
    assert (line["event"], line["level"], len(line["errors"])) == ("config_not_reloaded", "warning", 20)


def test_a_refused_plan_is_told_with_its_reasons(file: Path, reloading: Reloading, lines: Written) -> None:
    reloading.outcome = Reloaded(outcome="refused", plan=Plan(refused=(STEP,)), restart_needed=("log.level",))
    with attendant(reloading, file, StillClock()):
        assert asked(file) == reloading.outcome
    (line,) = lines.lines
    assert line["refused"] == ["user ann: in use"]
    assert line["restart_needed"] == ["log.level"]


def test_what_nobody_is_to_blame_for_is_tried_again(file: Path, reloading: Reloading, lines: Written) -> None:
    """The database was away, say: the change must not be forgotten."""
    reloading.outcome = Reloaded(outcome="failed", errors=("the database is away",))
    clock = StillClock()
    one = looking(reloading, file, clock)
    file.write_text("two, and longer")
    for _ in range(5):
        one.look()
    assert reloading.causes == ["watch"]
    clock.advance(AGAIN_SECONDS)
    reloading.outcome = Reloaded(outcome="applied", plan=Plan())
    for _ in range(5):
        one.look()
    assert reloading.causes == ["watch", "watch"]


def test_whatever_happens_it_goes_on(file: Path, reloading: Reloading, lines: Written) -> None:
    reloading.raises = RuntimeError("nobody foresaw this")
    with attendant(reloading, file, StillClock()):
        file.write_text("two, and longer")
        eventually(lambda: lines.raw, "the failure was told")
        reloading.raises = None
        assert asked(file).in_force
    assert lines.lines[0]["errors"] == ["RuntimeError: nobody foresaw this"]


def test_another_question_is_answered_too(file: Path, reloading: Reloading, lines: Written) -> None:
    with attendant(reloading, file, StillClock()):
        assert asked(file, b"restart") == Reloaded(outcome="failed", errors=("not a question that I know",))
    assert reloading.causes == []


def descriptors() -> int:
    directory = Path("/proc/self/fd")
    return len(list(directory.iterdir())) if directory.exists() else 0


def test_it_ends_with_its_block_and_leaves_nothing(file: Path, reloading: Reloading) -> None:
    threads, before = threading.active_count(), descriptors()
    with attendant(reloading, file, StillClock()):
        assert threading.active_count() == threads + 1
    assert (threading.active_count(), descriptors()) == (threads, before)
    assert [path.name for path in file.parent.iterdir()] == ["c.yaml"]


def test_where_there_is_no_socket_the_file_is_watched(file: Path, reloading: Reloading, lines: Written) -> None:
    with Attendant(reloading, Channel(file.parent), Watch(file, sign_of(file)), StillClock()):
        file.write_text("two, and longer")
        eventually(lambda: reloading.causes, "the change was seen")


def test_what_came_of_it_is_counted_whatever_it_was(file: Path, reloading: Reloading, lines: Written) -> None:
    counts: list[str] = []
    looking = Attendant(reloading, Channel(file.parent), None, StillClock(), counts.append)
    looking.reload("reload")
    reloading.outcome = Reloaded(outcome="invalid", errors=("no",))
    looking.reload("reload")
    reloading.raises = RuntimeError("unforeseen")
    with pytest.raises(RuntimeError):
        looking.reload("reload")
    assert counts == ["applied", "invalid", "failed"]
