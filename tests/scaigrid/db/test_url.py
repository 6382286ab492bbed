"""Which database a configuration means, and how it is called where people read."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from scaigrid.config.schema import Config, Database, Server
from scaigrid.db.url import database_url, passwords, place, sqlite_path
from scaigrid.secrets import Secret


def configured(url: str) -> Config:
    return Config(database=Database(url=Secret(url)))


def test_without_a_url_it_is_a_file_in_the_data_directory() -> None:
    relative = Config(server=Server(data_dir="./var/data"))
    absolute = Config(server=Server(data_dir="/srv/scaigrid"))
    assert database_url(relative) == "sqlite+aiosqlite:///var/data/scaigrid.db"
    assert database_url(absolute) == "sqlite+aiosqlite:////srv/scaigrid/scaigrid.db"
    assert sqlite_path(database_url(relative)) == Path("var/data/scaigrid.db")
    assert sqlite_path(database_url(absolute)) == Path("/srv/scaigrid/scaigrid.db")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("postgres://u:p%2F@h:5432/d", "postgresql+asyncpg://u:p%2F@h:5432/d"),
        ("postgresql://h/d?sslmode=require", "postgresql+asyncpg://h/d?sslmode=require"),
        ("postgresql+asyncpg://u@h1:1,[::1]:2/d", "postgresql+asyncpg://u@h1:1,[::1]:2/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql+asyncpg:///d?host=/run/postgresql"),
        ("sqlite:///data/x.db", "sqlite+aiosqlite:///data/x.db"),
        ("sqlite+aiosqlite:////srv/x.db", "sqlite+aiosqlite:////srv/x.db"),
    ],
)
def test_a_url_may_be_written_as_other_programs_write_it(written: str, meant: str) -> None:
    assert database_url(configured(written)) == meant


@pytest.mark.parametrize(
    "url",
    [
        "",
        "scaigrid.db",
        "mysql://u:hidden@h/d",
        "postgresql+psycopg://u:hidden@h/d",
        "postgresql://u:hid/den@h/d",
        "postgresql://u:hid?den@h/d",
        "postgresql://u:hid#den@h/d",
        "postgresql://u:hid@den@h/d",
        "postgresql://u:hidden@h:port/d",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///?mode=ro",
    ],
)
def test_another_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="`url` must be postgresql://") as refused:
        configured(url)
    assert "hid" not in str(refused.value)


def test_a_url_shows_nowhere_by_itself() -> None:
    config = configured("postgresql://u:hidden@h/d")
    assert "hidden" not in repr(config)
    with pytest.raises(TypeError):
        msgspec.json.encode(config)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite+aiosqlite:///data/x.db", Path("data/x.db")),
        ("sqlite+aiosqlite:////srv/x.db", Path("/srv/x.db")),
        ("sqlite:///x.db?timeout=1", Path("x.db")),
        ("postgresql+asyncpg://u@h/d", None),
        ("postgresql+asyncpg:///d?host=/run", None),
    ],
)
def test_the_file_of_a_url(url: str, path: Path | None) -> None:
    assert sqlite_path(url) == path


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql+asyncpg://u:hidden@db.example:5432/ledger?sslmode=require", "db.example:5432/ledger"),
        ("postgresql+asyncpg://u:hid/den@h1,h2/d", "h1,h2/d"),
        ("postgresql+asyncpg://h/d?password=hidden", "h/d"),
        ("sqlite+aiosqlite:////srv/x.db?timeout=1", "/srv/x.db"),
    ],
)
def test_the_name_of_a_database_has_no_password(url: str, name: Any) -> None:
    assert place(url) == name


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://u:hidden@h/d", ["hidden"]),
        ("postgresql://u:hid%2Fden@h/d", ["hid%2Fden", "hid/den"]),
        ("postgresql://h/d?user=u&password=hidden", ["hidden"]),
        ("postgresql://u@h/d?sslmode=require", []),
        ("sqlite:///x.db", []),
    ],
)
def test_what_no_log_may_show_is_the_password_in_every_spelling(url: str, found: list[str]) -> None:
    assert passwords(configured(url)) == found


def test_a_file_in_the_data_directory_has_no_password() -> None:
    assert passwords(Config()) == []
