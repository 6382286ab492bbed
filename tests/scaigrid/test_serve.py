"""What stands between the command and the workers: the port, the data directory, the database."""

import asyncio
import json
import os
import pickle
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scaigrid import serve as subject
from scaigrid.app import Overrides, load_config, worker_app
from scaigrid.clock import SystemClock
from scaigrid.config.schema import Config
from scaigrid.control import documents as docs
from scaigrid.control import once
from scaigrid.control.vault import FILE as KEY_FILE
from scaigrid.control.vault import Vault, own_key
from scaigrid.db import migrate
from scaigrid.db.migrate import HEAD, REVISIONS
from scaigrid.ids import declared_id
from scaigrid.ledger.lock import DataDirLock, DataDirTaken
from scaigrid.notice import Notice
from scaigrid.reloading.channel import NAME as SOCKET
from scaigrid.reloading.channel import ask
from scaigrid.serve import CannotServe, Worker, serve
from tests.harness.deployment import deployment, made
from tests.harness.eventually import PATIENCE
from tests.harness.logs import logging_to
from tests.harness.ports import free_port, refusing_port
from tests.harness.services import Written


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Whoever serves in this process here points its log at standard output, and hears SIGTERM."""
    told = signal.getsignal(signal.SIGTERM)
    with logging_to(Written()):
        yield
    signal.signal(signal.SIGTERM, told)


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


def test_whoever_is_told_to_stop_while_it_starts_stops_and_lets_go_of_the_directory(
    file: Path, tmp_path: Path, ran: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the first process of a container it would not hear it, were the system's own handler there."""

    def told(config: Config, path: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subject, "_migrate", told)
    with pytest.raises(SystemExit) as caught:
        serve(file, Overrides())
    assert (caught.value.code, ran) == (0, [])
    lock = DataDirLock(tmp_path / "data", SystemClock())
    lock.acquire()
    lock.release()


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


def test_an_older_database_is_refused_with_the_command_to_run(
    file: Path, tmp_path: Path, ran: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'data' / 'scaigrid.db'}"
    with monkeypatch.context() as then:
        then.setattr(migrate, "REVISIONS", REVISIONS[:1])
        then.setattr(migrate, "HEAD", REVISIONS[0])
        migrate.upgrade(url)
    with pytest.raises(CannotServe, match=f"needs '{HEAD}': make a backup, then run `scaigrid migrate {file}`"):
        serve(file, Overrides())
    assert ran == []
    migrate.upgrade(url)
    serve(file, Overrides())
    assert len(ran) == 1


def test_a_newer_database_is_refused(file: Path, tmp_path: Path, ran: list[Config]) -> None:
    serve(file, Overrides())
    ran.clear()
    with closing(sqlite3.connect(tmp_path / "data" / "scaigrid.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CannotServe, match="'9999', which this release does not know"):
        serve(file, Overrides())
    assert ran == []


def test_a_database_that_cannot_be_reached_is_refused_without_its_password(file: Path, ran: list[Config]) -> None:
    with refusing_port() as port:
        database = f"database: {{ url: 'postgresql://u:hidden@127.0.0.1:{port}/d', encryption_key: {'k' * 32} }}\n"
        file.write_text(file.read_text() + database)
        with pytest.raises(CannotServe, match=f"the database 127.0.0.1:{port}/d cannot be opened") as refused:
            serve(file, Overrides())
    assert "hidden" not in str(refused.value)
    assert ran == []


# -- the file and the database ---------------------------------------------------------------------------------------


def write(file: Path, **sections: Any) -> None:
    """The same gateway with other sections."""
    server = {"port": free_port(), "data_dir": str(file.parent / "data")}
    file.write_text(json.dumps({"server": server, **sections}))


def history(file: Path) -> list[tuple[int, str, str]]:
    with closing(sqlite3.connect(file.parent / "data" / "scaigrid.db")) as database:
        found: list[tuple[int, str, str]] = database.execute("SELECT seq, source, actor FROM applied").fetchall()
        return found


def test_the_file_is_applied_before_a_worker_runs(
    file: Path, ran: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    write(file, users={"ann": {}})
    serve(file, Overrides())
    assert history(file) == [(1, str(file), "serve")]
    assert capsys.readouterr().err.endswith("applied  3 created, 0 changed, 0 deleted: entry 1 of the history\n")
    write(file, users={"bob": {}})
    serve(file, Overrides())
    assert capsys.readouterr().err.endswith("applied  1 created, 0 changed, 1 deleted: entry 2 of the history\n")
    assert len(ran) == 2


def test_a_start_that_changes_nothing_leaves_no_entry_and_asks_the_database_one_thing(
    file: Path, ran: list[Config], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(file, Overrides())
    capsys.readouterr()

    def planned(*_: object, **__: object) -> None:
        raise AssertionError("there is nothing to plan")

    monkeypatch.setattr(once, "put_in_force", planned)
    serve(file, Overrides())
    assert len(history(file)) == 1
    assert "applied" not in capsys.readouterr().err


def test_what_may_not_be_applied_is_not_served_and_every_reason_is_told(file: Path, ran: list[Config]) -> None:
    write(file, tenants={"acme": {}, "other": {}, "default": {}})
    serve(file, Overrides())
    theirs = [
        made(docs.User(name=f"of-{name}", tenant_id=declared_id("tenant", name)), "user") for name in ("acme", "other")
    ]

    async def put() -> None:
        url = f"sqlite+aiosqlite:///{file.parent / 'data' / 'scaigrid.db'}"
        async with deployment(url, Vault([own_key(file.parent / "data")])) as plane:
            await plane.put(*theirs)

    asyncio.run(put())
    write(file)
    with pytest.raises(CannotServe) as caught:
        serve(file, Overrides())
    told = str(caught.value).splitlines()
    assert told[0] == f"the database cannot be brought to what {file} declares:"
    assert sorted(line.split(" (")[0] + line.rpartition(": ")[2].split(" (")[0] for line in told[1:]) == [
        "tenant acmein use by user of-acme",
        "tenant otherin use by user of-other",
    ]
    assert len(ran) == 1
    DataDirLock(file.parent / "data", SystemClock()).acquire()


def test_credentials_under_another_key_are_not_served(file: Path, ran: list[Config]) -> None:
    provider = {"providers": {"up": {"type": "openai", "api_key": "pk"}}}
    write(file, **provider, database={"encryption_key": "o" * 32})
    serve(file, Overrides())
    write(file, **provider, database={"encryption_key": "n" * 32})
    with pytest.raises(CannotServe, match=r"database\.previous_encryption_keys"):
        serve(file, Overrides())
    write(file, **provider, database={"encryption_key": "n" * 32, "previous_encryption_keys": ["o" * 32]})
    serve(file, Overrides())
    write(file, **provider, database={"encryption_key": "n" * 32})
    serve(file, Overrides())
    assert len(history(file)) == 1, "the same was declared all along"


def test_a_key_file_that_cannot_be_read_is_told(file: Path, ran: list[Config]) -> None:
    (file.parent / "data" / KEY_FILE).mkdir(parents=True)
    with pytest.raises(CannotServe, match=r"server\.data_dir: .*data: "):
        serve(file, Overrides())


def test_while_it_serves_there_is_somebody_to_ask(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def run(path: Path, overrides: Overrides, config: Config) -> None:
        asked.append(ask(Path(config.server.data_dir), b"what?", seconds=PATIENCE))

    monkeypatch.setattr(subject, "_run", run)
    serve(file, Overrides())
    assert b"not a question" in asked[0]
    assert not (file.parent / "data" / SOCKET).exists()


def test_where_there_can_be_no_socket_it_serves_all_the_same(
    file: Path, ran: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    (file.parent / "data" / SOCKET).mkdir(parents=True)
    serve(file, Overrides())
    assert "`scaigrid reload` will find nobody" in capsys.readouterr().err
    assert len(ran) == 1


def test_a_worker_serves_what_its_parent_was_started_with(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[Config, Notice | None]] = []
    monkeypatch.setattr(subject, "die_with_parent", lambda: None)

    def building(config: Config, notice: Notice | None) -> None:
        built.append((config, notice))

    monkeypatch.setattr(subject, "build", building)
    notice = Notice()
    config = load_config(file)
    file.write_text("broken: 1\n")
    Worker(file, Overrides(), config, notice)()
    notice.close()
    assert built == [(config, notice)]


def test_a_worker_that_is_spawned_is_sent_no_credential(file: Path) -> None:
    write(file, providers={"up": {"type": "openai", "api_key": "pk-not-to-be-seen"}})
    notice = Notice()
    sent = pickle.dumps(Worker(file, Overrides(port=9001), load_config(file), notice))
    notice.close()
    assert b"pk-not-to-be-seen" not in sent
    loader = pickle.loads(sent)  # noqa: S301 - made here
    assert (loader.func, loader.args) == (worker_app, (file, Overrides(port=9001)))
