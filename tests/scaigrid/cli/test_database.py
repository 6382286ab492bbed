"""The database of a configuration, for commands."""

import getpass
import os
from argparse import Namespace
from pathlib import Path

import pytest

from scaigrid.cli.command import Failed
from scaigrid.cli.database import actor, asked, is_there, must_be_there, vault
from scaigrid.config.schema import Config
from scaigrid.control.vault import FILE, CannotOpen
from scaigrid.db.migrate import HEAD, current
from scaigrid.errors import Code, GatewayError
from tests.harness.databases import execute
from tests.harness.deployment import configured

CONFIG = Path("c.yaml")


@pytest.fixture
def config(empty_database_url: str) -> Config:
    return configured(database={"url": empty_database_url})


def test_a_database_without_tables_is_not_there_until_somebody_makes_it(
    config: Config, empty_database_url: str
) -> None:
    assert not is_there(config, CONFIG)
    with pytest.raises(Failed, match=r"has no tables: `scaigrid serve c\.yaml` or `scaigrid apply c\.yaml` makes them"):
        must_be_there(config, CONFIG)
    assert current(empty_database_url) is None
    assert is_there(config, CONFIG, make=True)
    assert current(empty_database_url) == HEAD
    assert is_there(config, CONFIG)
    must_be_there(config, CONFIG)


def test_a_database_of_a_later_release_is_not_touched(config: Config, empty_database_url: str) -> None:
    is_there(config, CONFIG, make=True)
    execute(empty_database_url, "UPDATE alembic_version SET version_num = '9999'")
    for make in (False, True):
        with pytest.raises(Failed, match="'9999', which this release does not know"):
            is_there(config, CONFIG, make=make)


def test_what_the_database_does_not_answer_is_told_in_one_line(config: Config) -> None:
    async def fails() -> None:
        raise GatewayError(Code.STORE_UNAVAILABLE) from OSError("gone\n  away")

    with pytest.raises(Failed, match=r"^scaigrid: the database .* cannot be used: gone away$"):
        asked(config, fails())


def test_what_it_answers_is_answered(config: Config) -> None:
    async def answers() -> int:
        return 7

    assert asked(config, answers()) == 7


def test_a_credential_under_another_key_is_told(config: Config) -> None:
    async def fails() -> None:
        raise CannotOpen

    with pytest.raises(Failed, match=r"database\.encryption_key"):
        asked(config, fails())


def test_who_only_looks_makes_no_key(tmp_path: Path) -> None:
    config = configured(server={"data_dir": str(tmp_path / "data")})
    vault(config, look=True)
    assert not (tmp_path / "data").exists()
    vault(config)
    assert (tmp_path / "data" / FILE).exists()


def test_a_key_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    config = configured(server={"data_dir": str(tmp_path / "data")})
    with pytest.raises(Failed, match=r"the encryption key in .*data: "):
        vault(config)


def test_who_did_it_is_the_user_unless_somebody_else_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert actor(Namespace(actor="ann")) == "ann"
    assert actor(Namespace(actor=None)) == getpass.getuser()

    def nobody() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert actor(Namespace(actor=None)) == str(os.getuid())
