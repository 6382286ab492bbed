"""Which database a configuration means."""

from pathlib import Path

from scaigrid.config.schema import Config, Database, Server
from scaigrid.db.migrate import sqlite_path
from scaigrid.db.url import database_url


def test_without_a_url_it_is_a_file_in_the_data_directory() -> None:
    relative = Config(server=Server(data_dir="./var/data"))
    absolute = Config(server=Server(data_dir="/srv/scaigrid"))
    assert database_url(relative) == "sqlite+aiosqlite:///var/data/scaigrid.db"
    assert database_url(absolute) == "sqlite+aiosqlite:////srv/scaigrid/scaigrid.db"
    assert sqlite_path(database_url(relative)) == Path("var/data/scaigrid.db")
    assert sqlite_path(database_url(absolute)) == Path("/srv/scaigrid/scaigrid.db")


def test_a_url_is_taken_as_it_is() -> None:
    url = "postgresql+asyncpg://ledger@db.example/scaigrid"
    assert database_url(Config(database=Database(url=url))) == url
