"""`scaigrid migrate`: what it does, what it says, and how it ends."""

from pathlib import Path

import pytest

from scaigrid.__main__ import main
from scaigrid.db import migrate
from scaigrid.db.migrate import HEAD, REVISIONS, current, upgrade
from scaigrid.db.url import place
from tests.harness.databases import execute
from tests.harness.ports import LOOPBACK, refusing_port


@pytest.fixture
def url(empty_database_url: str) -> str:
    return empty_database_url


@pytest.fixture
def file(tmp_path: Path, url: str) -> str:
    """A configuration of which nothing is right but where its database is: with it, a database can be repaired."""
    path = tmp_path / "gateway.yaml"
    path.write_text(f"database: {{ url: '{url}' }}\nmodels: {{ broken: yes }}\n")
    return str(path)


def test_a_database_without_tables_gets_them_once(file: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = place(url)
    assert main(["migrate", file]) == 0
    assert capsys.readouterr().out == f"the database {name} had no tables of ScaiGrid: it has revision {HEAD} now\n"
    assert main(["migrate", file]) == 0
    assert capsys.readouterr().out == f"the database {name} has revision {HEAD}: there is nothing to do\n"
    assert current(url) == HEAD


def test_a_check_tells_what_would_be_done_and_does_nothing(
    file: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", file, "--check"]) == 1
    assert "has no tables of ScaiGrid: it would be brought to revision" in capsys.readouterr().out
    assert current(url) is None
    with monkeypatch.context() as then:
        then.setattr(migrate, "REVISIONS", REVISIONS[:1])
        then.setattr(migrate, "HEAD", REVISIONS[0])
        upgrade(url)
    assert main(["migrate", file, "--check"]) == 1
    assert f"has revision {REVISIONS[0]}: it would be brought to revision {HEAD}" in capsys.readouterr().out
    assert current(url) == REVISIONS[0]
    assert main(["migrate", file]) == 0
    assert f"had revision {REVISIONS[0]}: it has revision {HEAD} now" in capsys.readouterr().out
    assert main(["migrate", file, "--check"]) == 0


def test_a_database_of_a_newer_release_is_left_alone(file: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    upgrade(url)
    execute(url, "UPDATE alembic_version SET version_num = '9999'")
    assert main(["migrate", file]) == 1
    assert "is at revision '9999', which this release does not know" in capsys.readouterr().err


def test_a_server_that_cannot_be_reached_is_told_on_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.yaml"
    with refusing_port() as port:
        path.write_text(f"database: {{ url: 'postgres://u:hidden@{LOOPBACK}:{port}/d' }}\n")
        assert main(["migrate", str(path)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"scaigrid: the database {LOOPBACK}:{port}/d cannot be opened: ")
    assert told.err.count("\n") == 1
    assert "hidden" not in told.err


def test_a_url_that_is_none_is_a_fault_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("database: { url: 'mysql://u:hidden@h/d' }\n")
    assert main(["migrate", str(path)]) == 2
    told = capsys.readouterr().err
    assert "gateway.yaml:1: database: `url` must be postgresql://" in told
    assert "hidden" not in told
