"""The configuration that a command is about: whole, or as much as says where its database is."""

from pathlib import Path

import pytest

from scaigrid.app import Unfit
from scaigrid.cli.command import WRONG, Failed
from scaigrid.cli.configured import settings, told, whole


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.yaml"


def test_the_whole_file_is_judged(file: Path) -> None:
    file.write_text("users: { ann: { tenant: nobody } }\n")
    with pytest.raises(Failed, match="there is no tenant 'nobody'") as caught:
        whole(file)
    assert caught.value.code == WRONG


def test_settings_are_read_whatever_else_is_wrong(file: Path) -> None:
    file.write_text("server: { data_dir: ./here, port: 9001 }\nusers: 5\nmodels: { a: { api_key: '${MISSING}' } }\n")
    found = settings(file)
    assert (found.server.data_dir, found.server.port, found.users) == ("./here", 9001, {})


def test_what_is_wrong_with_the_settings_is_told(file: Path) -> None:
    file.write_text("server: { dta_dir: x }\n")
    with pytest.raises(Failed, match=r"c\.yaml:1: server\.dta_dir: unknown key") as caught:
        settings(file)
    assert caught.value.code == WRONG


def test_a_file_that_is_not_there_is_told(file: Path) -> None:
    for read in (whole, settings):
        with pytest.raises(Failed, match="cannot be read"):
            read(file)


def test_words_of_the_command_line_are_told_as_well() -> None:
    with pytest.raises(Failed, match="--port") as caught, told():
        raise Unfit("--port: 0 is not a port")
    assert caught.value.code == WRONG
