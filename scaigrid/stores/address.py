"""Where a Valkey is and who we are to it, read from the URL of the configuration."""

from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from scaigrid.secrets import Secret

_PORT: Final = 6379
_PLAIN: Final = frozenset({"valkey", "redis"})
_SECURE: Final = frozenset({"valkeys", "rediss"})
_FORMS: Final = "valkey://[[user]:password@]host[:6379][/database], the same with valkeys:// for TLS, or unix:///path"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Of one server: a host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = _PORT
    path: str = ""
    secure: bool = False
    username: str | None = None
    password: Secret | None = None
    database: int = 0

    def __str__(self) -> str:
        """For logs: without who we are."""
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")


def read_address(url: str) -> Address:
    """Reads `valkey://`, `valkeys://` (TLS), their older names `redis://` and `rediss://`, and `unix:///path`.

    User and password may be percent-encoded. Raises ValueError, with nothing of the URL in its text.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"must be {_FORMS}") from None
    if parts.scheme == "unix":
        if parts.netloc or not parts.path or parts.query:
            raise ValueError("must be unix:///path, with three strokes")
        return Address(path=unquote(parts.path))
    if parts.scheme not in _PLAIN | _SECURE or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"must be {_FORMS}")
    return Address(
        host=unquote(parts.hostname),
        port=_PORT if port is None else port,
        secure=parts.scheme in _SECURE,
        username=unquote(parts.username) if parts.username else None,
        password=Secret(unquote(parts.password)) if parts.password else None,
        database=_database(parts),
    )


def _database(parts: SplitResult) -> int:
    text = parts.path.removeprefix("/")
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("the path is the number of a database: /0")
    return int(text)
