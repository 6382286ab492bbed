"""`scaigrid reload`: asks the gateway of a data directory, and tells what it said."""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from scaigrid.__main__ import main
from scaigrid.control.plan import Plan, Step
from scaigrid.reloading.attendant import Attendant
from scaigrid.reloading.channel import Channel
from scaigrid.reloading.outcome import Reloaded
from tests.harness.clock import StillClock
from tests.harness.logs import logging_to
from tests.harness.services import Written

STEP = Step(kind="user", id="user_1", name="ann", reason="in use by others")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    path = tmp_path / "c.yaml"
    path.write_text(f"server: {{ data_dir: {tmp_path / 'data'} }}\nusers: 5\n")
    return path


@pytest.fixture(autouse=True)
def no_lines() -> Iterator[None]:
    """The gateway is in this process here, and its log lines are not what the command says."""
    with logging_to(Written()):
        structlog.configure(cache_logger_on_first_use=False)
        yield


@contextmanager
def answering(directory: Path, done: Reloaded) -> Generator[None]:
    """A gateway that says this to whoever asks."""
    channel = Channel(directory)
    channel.open()
    with Attendant(lambda _: done, channel, None, StillClock()):
        yield


@pytest.mark.parametrize(
    ("done", "code"),
    [
        (Reloaded(outcome="applied", plan=Plan(create=(STEP,), unchanged=1)), 0),
        (Reloaded(outcome="unchanged", plan=Plan(unchanged=2)), 0),
        (Reloaded(outcome="refused", plan=Plan(refused=(STEP,))), 1),
        (Reloaded(outcome="failed", errors=("the database is away",)), 1),
        (Reloaded(outcome="invalid", errors=("c.yaml:2: users: expected a mapping",)), 2),
    ],
    ids=lambda value: value.outcome if isinstance(value, Reloaded) else "",
)
def test_the_exit_code_says_what_came_of_it(
    file: Path, done: Reloaded, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(file.parent / "data", done):
        assert main(["reload", str(file), "--json"]) == code
        assert json.loads(capsys.readouterr().out)["outcome"] == done.outcome
        assert main(["reload", str(file)]) == code
    told = capsys.readouterr()
    assert ("The gateway goes on with what it had." in told.err) is bool(code)
    for error in done.errors:
        assert error in told.err


def test_people_are_told_each_step_and_what_waits(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = Reloaded(outcome="applied", plan=Plan(create=(STEP,)), restart_needed=("server.port", "log.level"))
    with answering(file.parent / "data", done):
        assert main(["reload", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "applied: 1 created; 0 unchanged",
        "Waits for the next start of the gateway: server.port, log.level",
    ]


def test_where_no_gateway_runs_it_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reload", str(file)]) == 1
    assert f"no gateway runs on {file.parent / 'data'}" in capsys.readouterr().err


def test_the_directory_may_be_named(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").mkdir()
    with answering(tmp_path / "other", Reloaded(outcome="unchanged", plan=Plan())):
        assert main(["reload", str(tmp_path / "nowhere.yaml"), "--data-dir", str(tmp_path / "other")]) == 0
    assert "nothing to change" in capsys.readouterr().out


def test_a_file_that_does_not_say_where_is_an_error(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("server: { data_dri: x }\n")
    assert main(["reload", str(file)]) == 2
    assert "server.data_dri: unknown key" in capsys.readouterr().err
