"""What stands between the command and the workers: the port, the data directory, the database."""

import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from scaigrid import serve as subject
from scaigrid.app import Overrides
from scaigrid.clock import SystemClock
from scaigrid.config.schema import Config
from scaigrid.db.migrate import HEAD
from scaigrid.ledger.lock import DataDirLock, DataDirTaken
from scaigrid.serve import CannotServe, serve
from tests.harness.ports import free_port


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(f"server: {{ port: {free_port()}, data_dir: {tmp_path / 'data'} }}\n")
    return path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Stands in for the workers, which the end-to-end tests start for real."""
    calls: list[Config] = []

    def run(path: Path, overrides: Overrides, config: Config) -> None:
        calls.append(config)

    monkeypatch.setattr(subject, "_run", run)
    return calls


def test_the_database_is_up_to_date_and_the_directory_is_owned_before_a_worker_runs(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(path: Path, overrides: Overrides, config: Config) -> None:
        with closing(sqlite3.connect(tmp_path / "data" / "scaigrid.db")) as database:
            assert database.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
        with pytest.raises(DataDirTaken):
            DataDirLock(tmp_path / "data", SystemClock()).acquire()

    monkeypatch.setattr(subject, "_run", run)
    serve(file, Overrides())
    DataDirLock(tmp_path / "data", SystemClock()).acquire()


def test_a_port_that_is_taken_is_refused_although_the_server_shares_ports(file: Path, ran: list[Config]) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotServe, match=f"server.port: 127.0.0.1:{port} is taken"):
            serve(file, Overrides(port=port))
    assert ran == []


def test_an_address_that_is_not_ours_is_refused(file: Path, ran: list[Config]) -> None:
    with pytest.raises(CannotServe, match=r"server\.port: 192\.0\.2\.1:.* cannot be used"):
        serve(file, Overrides(host="192.0.2.1"))


def test_a_name_that_nobody_knows_is_refused(file: Path, ran: list[Config]) -> None:
    with pytest.raises(CannotServe, match=r"server\.host: no-such-host\.invalid"):
        serve(file, Overrides(host="no-such-host.invalid"))


def test_a_second_gateway_on_a_data_directory_is_told_who_has_it(file: Path, tmp_path: Path, ran: list[Config]) -> None:
    with (
        DataDirLock(tmp_path / "data", SystemClock()),
        pytest.raises(DataDirTaken, match="belongs to another gateway: process "),
    ):
        serve(file, Overrides())
    assert ran == []


def test_a_data_directory_that_is_a_file_is_refused(file: Path, tmp_path: Path, ran: list[Config]) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(CannotServe, match=r"server.data_dir: .*data: "):
        serve(file, Overrides())


def test_the_person_is_told_what_serves(file: Path, ran: list[Config], capsys: pytest.CaptureFixture[str]) -> None:
    serve(file, Overrides())
    told = capsys.readouterr()
    assert "no models are declared" in told.err
    assert told.out == ""
    assert len(ran) == 1
