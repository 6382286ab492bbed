"""The command line: what it prints and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from scaigrid import __version__
from scaigrid.__main__ import main
from tests.harness.checkout import ROOT

DEMO = str(ROOT / "config" / "demo.yaml")


def test_check_says_that_a_file_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", DEMO]) == 0
    assert capsys.readouterr().out == f"{DEMO}: valid (2 models, 1 keys)\n"


def test_check_names_every_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("server:\n  prot: 1\nusers:\n  a: { tenant: 5, x: 1 }\n")
    assert main(["check", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(str(path)).split(" ")[0] for line in lines] == [":2:", ":4:"]
    assert "did you mean `port`" in lines[0]


def test_check_of_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err


def test_serve_refuses_a_faulty_file_before_it_touches_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.yaml"
    path.write_text("nothing: 1\n")
    assert main(["serve", str(path)]) == 2
    assert "bad.yaml:1: nothing: " in capsys.readouterr().err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bad.yaml"]


def test_without_a_command_it_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "serve" in capsys.readouterr().out


def test_the_version_is_the_distribution_s() -> None:
    done = subprocess.run([sys.executable, "-m", "scaigrid", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"scaigrid {__version__}\n"


def test_checking_a_file_imports_no_server_and_no_database() -> None:
    """A check is run by editors and pipelines at every change; it pays for what it needs."""
    code = (
        "import sys; from scaigrid.__main__ import main; main(['check', sys.argv[1]]);"
        "print([name for name in ('litestar', 'sqlalchemy', 'granian', 'alembic', 'httpx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, DEMO], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_asking_what_would_change_imports_no_server_and_no_migrations(tmp_path: Path) -> None:
    """Where there is no database yet it needs no library of one either."""
    (tmp_path / "c.yaml").write_text(f"server: {{ data_dir: {tmp_path / 'data'} }}\n")
    code = (
        "import sys; from scaigrid.__main__ import main; main(['plan', sys.argv[1]]);"
        "print([name for name in ('litestar', 'sqlalchemy', 'granian', 'alembic', 'httpx') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "c.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_who_has_read_enough_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "scaigrid", "manual", "--openapi"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 1


def test_an_intruder_with_one_of_our_names_is_named(tmp_path: Path) -> None:
    """`middlewares` and `adapters` are common words; another distribution may own one of them."""
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "__init__.py").write_text("")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r});"
        "from scaigrid.__main__ import main; sys.exit(main(['check', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the package `adapters` in this environment belongs to" in done.stderr


@pytest.mark.parametrize(
    ("option", "file"),
    [("", "config/scaigrid.yaml"), ("--schema", "config/scaigrid.schema.json"), ("--openapi", "docs/openapi.json")],
)
def test_the_files_that_are_written_from_the_code_are_what_it_prints(
    option: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["manual", *filter(None, [option])]) == 0
    assert capsys.readouterr().out == (ROOT / file).read_text()
