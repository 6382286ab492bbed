"""`scaigrid serve`: why it does not serve is a sentence and an exit code."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaigrid import serve as served
from scaigrid.__main__ import main
from scaigrid.app import Overrides
from scaigrid.config.schema import Config
from tests.harness.ports import free_port


@pytest.fixture(autouse=True)
def told_as_before() -> Iterator[None]:
    """Whoever serves in this process here hears SIGTERM."""
    told = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, told)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(f"server: {{ port: {free_port()}, data_dir: {tmp_path / 'data'} }}\n")
    return path


def test_what_the_command_line_says_goes_ahead_of_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Config] = []

    def run(path: Path, overrides: Overrides, config: Config) -> None:
        ran.append(config)

    monkeypatch.setattr(served, "_run", run)
    port = free_port()
    assert main(["serve", str(file), "--host", "localhost", "--port", str(port)]) == 0
    assert [(config.server.host, config.server.port) for config in ran] == [("localhost", port)]


def test_a_port_that_is_taken_ends_it_with_1(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", str(file), "--port", str(port)]) == 1
    assert capsys.readouterr().err.startswith(f"scaigrid: server.port: 127.0.0.1:{port} is taken")


def test_words_that_do_not_go_with_the_file_end_it_with_2(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(file), "--port", "0"]) == 2
    assert "--port: 0 is not a port" in capsys.readouterr().err
    assert not (file.parent / "data").exists()
