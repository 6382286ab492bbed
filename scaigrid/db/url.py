"""Where the database is: which one a configuration means, and how it is called where people read."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from scaigrid.config.schema import Config

FILE = "scaigrid.db"

_SPELLINGS = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
}
"""What other programs call it, and what SQLAlchemy does: the driver has to be one that does not block."""


def database_url(config: Config) -> str:
    """The configured URL, or that of a SQLite file in the data directory. It may hold a password."""
    if config.database.url is None:
        return f"sqlite+aiosqlite:///{Path(config.server.data_dir) / FILE}"
    scheme, separator, rest = config.database.url.reveal().partition("://")
    return f"{_SPELLINGS.get(scheme, scheme)}{separator}{rest}"


def passwords(config: Config) -> Sequence[str]:
    """What of the configured URL must stand in no log: its password, as it is written there and as it is."""
    url = "" if config.database.url is None else config.database.url.reveal()
    user_and_password = url.partition("://")[2].rpartition("@")[0]
    written = [user_and_password.partition(":")[2], *re.findall(r"[?&]password=([^&]*)", url)]
    return [text for password in written if password for text in dict.fromkeys((password, unquote(password)))]


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL, relative ones to the working directory; None for the URL of a server."""
    scheme, _, rest = url.partition(":///")
    return Path(rest.partition("?")[0]) if scheme in {"sqlite", "sqlite+aiosqlite"} else None


def place(url: str) -> str:
    """The file, or host and database: a name to be printed, without user and password."""
    path = sqlite_path(url)
    return url.partition("://")[2].rpartition("@")[2].partition("?")[0] if path is None else str(path)
