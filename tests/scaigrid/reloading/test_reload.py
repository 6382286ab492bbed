"""A file is read again: what is right with it is applied, what is wrong changes nothing."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scaigrid.app import Overrides, load_config
from scaigrid.reloading import reload as subject
from scaigrid.reloading.outcome import Reloaded
from scaigrid.reloading.reload import Reload, applied_by_another, read

PLAN: dict[str, Any] = {"create": [], "change": [], "delete": [], "refused": [], "unchanged": 3}


class Applying:
    """Notes what it is asked to apply."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, str]] = []

    def __call__(self, path: Path, actor: str) -> Reloaded:
        self.asked.append((path, actor))
        return Reloaded(outcome="applied")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    write(path)
    return path


def write(path: Path, **sections: Any) -> None:
    path.write_text(json.dumps({"server": {"data_dir": str(path.parent / "data")}, **sections}))


def test_a_valid_file_is_applied_and_what_needs_a_restart_is_named(file: Path) -> None:
    applying = Applying()
    reload = Reload(file, Overrides(), load_config(file), applying)
    write(file, users={"ann": {}}, log={"level": "debug"})
    assert reload("watch") == Reloaded(outcome="applied", restart_needed=("log.level",))
    assert applying.asked == [(file, "watch")]


def test_what_the_command_line_said_still_holds(file: Path) -> None:
    overrides = Overrides(port=9001)
    reload = Reload(file, overrides, load_config(file, overrides), Applying())
    assert reload("reload").restart_needed == ()


def test_a_wrong_file_is_told_and_not_applied(file: Path) -> None:
    applying = Applying()
    reload = Reload(file, Overrides(), load_config(file), applying)
    write(file, users={"ann": {"tenant": "nobody"}}, budgets=5)
    done = reload("reload")
    assert done.outcome == "invalid"
    assert all(error.startswith(f"{file}:1: ") for error in done.errors)
    assert len(done.errors) >= 1
    assert applying.asked == []


def test_another_process_applies_it(file: Path) -> None:
    write(file, users={"ann": {}})
    done = applied_by_another(file, "watch")
    assert done.outcome == "applied"
    assert done.plan is not None
    assert [step.name for step in done.plan.create] == ["default", "default", "ann"]
    assert applied_by_another(file, "watch").outcome == "unchanged"


def test_it_does_so_where_this_one_stands(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths and the environment are those of the gateway."""
    file.write_text("server:\n  data_dir: ${DIRECTORY}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIRECTORY", "./here")
    assert applied_by_another(Path("c.yaml"), "watch").outcome == "applied"
    assert (tmp_path / "here" / "scaigrid.db").exists()


def test_a_process_that_does_not_end_is_a_failure(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "SECONDS", 0.0)
    done = applied_by_another(file, "watch")
    assert done.outcome == "failed"
    assert "timed out" in done.errors[0]


def test_a_process_that_does_not_begin_is_a_failure(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "run", refused)
    done = applied_by_another(file, "watch")
    assert (done.outcome, done.errors) == ("failed", ("[Errno 11] Resource temporarily unavailable",))


@pytest.mark.parametrize(
    ("code", "out", "err", "outcome"),
    [
        (0, json.dumps({**PLAN, "applied": True, "seq": 4}), "", "applied"),
        (0, json.dumps({**PLAN, "applied": True, "seq": None}), "", "unchanged"),
        (1, json.dumps({**PLAN, "applied": False}), "", "refused"),
        (1, "", "scaigrid: the database is gone\n", "failed"),
        (2, "", "c.yaml:1: users: no\n", "invalid"),
        (-9, "", "", "failed"),
        (0, "no object", "", "failed"),
    ],
)
def test_what_a_command_says_is_understood(code: int, out: str, err: str, outcome: str) -> None:
    done = read(code, out, err)
    assert done.outcome == outcome
    assert (done.plan is None) == (outcome in ("failed", "invalid"))
    assert bool(done.errors) == (outcome in ("failed", "invalid"))


def test_of_many_words_the_last_ones_are_kept() -> None:
    assert read(1, "", "\n".join(map(str, range(100)))).errors == tuple(map(str, range(80, 100)))
