"""`.ci/pythons.py`: which Pythons are promised and tried, and what is an error. Nothing here serves."""

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.harness.checkout import ROOT, script

pythons = script("pythons")


def test_what_is_promised_begins_with_what_is_required_and_has_no_gap() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    promised = pythons.promised(text)
    first, last = (int(version.removeprefix("3.")) for version in (promised[0], promised[-1]))
    assert promised == [f"3.{minor}" for minor in range(first, last + 1)]
    assert tomllib.loads(text)["project"]["requires-python"] == f">={promised[0]}"
    assert f"\nPython {promised[0]} to {promised[-1]}. " in (ROOT / "README.md").read_text()


def test_no_interpreter_is_found_for_a_python_that_there_is_not() -> None:
    assert pythons.found("3.999") is None


def test_one_python_that_fails_fails_all_and_each_is_tried(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    smoke = tmp_path / "smoke.py"
    monkeypatch.setattr(pythons, "SMOKE", smoke)
    smoke.write_text("")
    assert pythons.main([sys.executable]) == 0
    smoke.write_text("import sys; sys.exit(1)")
    assert pythons.main([sys.executable, str(tmp_path / "none")]) == 1
    last = capfd.readouterr().out.splitlines()[-2:]
    assert last == [f"pythons: {sys.executable}: FAILED", f"pythons: {tmp_path / 'none'}: FAILED"]


def test_a_promised_python_that_is_missing_is_told_and_all_missing_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: Sequence[object], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(pythons.subprocess, "run", run)
    monkeypatch.setattr(pythons, "found", {"3.12": "/python3.12"}.get)
    assert pythons.main([]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "pythons: 3.12: fine" in told
    assert "pythons: 3.14: not on this machine, so not tried" in told

    def none(_: str) -> None:
        return None

    monkeypatch.setattr(pythons, "found", none)
    assert pythons.main([]) == 1
