"""Where the database is."""

from pathlib import Path

from scaigrid.config.schema import Config

FILE = "scaigrid.db"


def database_url(config: Config) -> str:
    """The configured URL, or that of a SQLite file in the data directory."""
    return config.database.url or f"sqlite+aiosqlite:///{Path(config.server.data_dir) / FILE}"
