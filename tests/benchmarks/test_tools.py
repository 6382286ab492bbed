from pathlib import Path

import pytest

from benchmarks import tools
from benchmarks.__main__ import main
from benchmarks.errors import MissingToolsError


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has nothing installed but a shell."""
    present = {"sh": "/bin/sh"}
    monkeypatch.setattr(tools, "where", present.get)


@pytest.mark.usefixtures("bare_machine")
def test_what_is_missing_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises(MissingToolsError) as raised:
        tools.require("wrk", "nginx", "cc")
    assert str(raised.value) == "not installed: cc, nginx, wrk. Run: apt-get install -y gcc nginx-light wrk"


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize("lane", ["governed", "stream"])
def test_a_lane_on_a_bare_machine_ends_with_2(lane: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([lane]) == 2
    assert "apt-get install -y" in capsys.readouterr().err


def test_what_is_there_is_found() -> None:
    assert tools.require() == {}
    shell = tools.where("sh")
    assert shell is not None
    assert Path(shell).is_file()
    assert tools.where("no-such-program-anywhere") is None
