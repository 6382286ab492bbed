"""`scaigrid check`: says that a file is valid, or every reason why not, and touches nothing."""

from pathlib import Path

import pytest

from scaigrid.__main__ import main


def run(file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(["check", str(file)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_valid_file_is_said_to_be_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"server: {{ data_dir: {tmp_path / 'data'} }}\n")
    assert run(file, capsys) == (0, f"{file}: valid (0 models, 0 keys)\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_every_error_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("users:\n  ann: { tenant: nobody }\nkeys:\n  k: { user: ann }\n")
    code, out, err = run(file, capsys)
    assert (code, out) == (2, "")
    assert [line.split(": ")[:2] for line in err.splitlines()] == [[f"{file}:4", "keys.k"]]
