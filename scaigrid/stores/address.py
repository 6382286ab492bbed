"""Where a Valkey is and who we are to it, read from the URL of the configuration.

One server, one that sentinels know (https://valkey.io/topics/sentinel/), or the nodes of a cluster
(https://valkey.io/topics/cluster-spec/).
"""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from scaigrid.secrets import Secret

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_PLAIN: Final = frozenset({"valkey", "redis"})
_SECURE: Final = frozenset({"valkeys", "rediss"})
_ASKED: Final = frozenset({"sentinel_user", "sentinel_password"})
_FORMS: Final = "valkey://[[user]:password@]host[:6379][/database], the same with valkeys:// for TLS, or unix:///path"
_SENTINEL_FORM: Final = "valkey+sentinel://[[user]:password@]host[:26379][,host...]/NAME[/database]"
_CLUSTER_FORM: Final = "valkey+cluster://[[user]:password@]host[:6379][,host...]"
_ANY_FORM: Final = f"{_FORMS}, {_SENTINEL_FORM} or {_CLUSTER_FORM}"
_NUMBER: Final = "the path is the number of a database: /0"
_UNWRITTEN: Final = re.compile(r"[^@]*://[^@]*[/?#][^@]*@", re.DOTALL)
"""A password with a sign in it that means something else in a URL."""


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

    def at(self, host: str, port: int) -> "Address":
        """Another server, to which we are the same."""
        return msgspec.structs.replace(self, host=host, port=port)


class Sentinels(msgspec.Struct, frozen=True, kw_only=True):
    """Of those who know which server is the primary called `name`; `server` is any such server, but for where it is."""

    sentinels: tuple[Address, ...]
    name: str
    server: Address

    @property
    def database(self) -> int:
        return self.server.database

    @property
    def secure(self) -> bool:
        return self.server.secure

    def __str__(self) -> str:
        """For logs, and the same in whatever order they are named."""
        return f"{_named(self.sentinels)}/{self.name}"


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Of some nodes of a cluster; the others are learned from them. A cluster has one database."""

    nodes: tuple[Address, ...]

    @property
    def database(self) -> int:
        return 0

    @property
    def secure(self) -> bool:
        return self.nodes[0].secure

    def __str__(self) -> str:
        """For logs, and the same in whatever order they are named."""
        return _named(self.nodes)


Place: TypeAlias = Address | Sentinels | Cluster


def _named(servers: Iterable[Address]) -> str:
    return ",".join(sorted(map(str, servers)))


def read_address(url: str) -> Place:
    """Reads `valkey://`, `valkeys://` (TLS), their older names `redis://` and `rediss://`, and `unix:///path`.

    The first four with `+sentinel` or `+cluster` have several hosts. User and password may be percent-encoded. Raises
    ValueError, with nothing of the URL in its text.
    """
    try:
        return _place(url)
    except ValueError as error:
        if _UNWRITTEN.match(url):
            raise ValueError(f"{error}; each of / ? # @ in a password as its code (%2F %3F %23 %40)") from None
        raise


def _place(url: str) -> Place:
    scheme, _, kind = url.partition("://")[0].partition("+")
    if kind == "sentinel":
        return _sentinels(url, scheme)
    if kind == "cluster":
        return _cluster(url, scheme)
    return _server(url)


def _server(url: str) -> Address:
    known = url.partition("://")[0] in _PLAIN | _SECURE and "," not in url
    form = _FORMS if known else _ANY_FORM
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"must be {form}") from None
    if parts.scheme == "unix":
        if parts.netloc or not parts.path or parts.query:
            raise ValueError("must be unix:///path, with three strokes")
        return Address(path=unquote(parts.path))
    host = parts.hostname
    # Several hosts are those of sentinels, or of a cluster.
    if parts.scheme not in _PLAIN | _SECURE or not host or "," in host or parts.query or parts.fragment:
        raise ValueError(f"must be {form}")
    return Address(
        host=unquote(host),
        port=_PORT if port is None else port,
        secure=parts.scheme in _SECURE,
        username=unquote(parts.username) if parts.username else None,
        password=Secret(unquote(parts.password)) if parts.password else None,
        database=_database(parts.path.removeprefix("/")),
    )


def _sentinels(url: str, scheme: str) -> Sentinels:
    server, hosts, path, query = _many(url, scheme, _SENTINEL_FORM)
    name, _, database = path.partition("/")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    # A key that is given twice would be read as somebody did not mean it
    if not name or not _ASKED.issuperset(asked) or len(asked) != len(query.split("&")) * bool(query):
        raise ValueError(f"must be {_SENTINEL_FORM}, and behind a ? nothing but sentinel_user and sentinel_password")
    user, password = asked.get("sentinel_user"), asked.get("sentinel_password")
    if user and not password:
        raise ValueError("a sentinel_user has a sentinel_password")
    us = Address(secure=server.secure, username=user or None, password=Secret(password) if password else None)
    return Sentinels(
        sentinels=tuple(us.at(*_host(each, _SENTINEL_PORT, _SENTINEL_FORM)) for each in hosts),
        name=unquote(name),
        server=msgspec.structs.replace(server, database=_database(database)),
    )


def _cluster(url: str, scheme: str) -> Cluster:
    server, hosts, path, query = _many(url, scheme, _CLUSTER_FORM)
    if path or query:
        raise ValueError(f"must be {_CLUSTER_FORM}: a cluster has one database")
    return Cluster(nodes=tuple(server.at(*_host(each, _PORT, _CLUSTER_FORM)) for each in hosts))


def _many(url: str, scheme: str, form: str) -> tuple[Address, list[str], str, str]:
    """Who we are to the servers, the hosts, the path and the query."""
    # Cut by hand: some releases of the standard library refuse several hosts of which one is an IPv6 address.
    rest, _, query = url.partition("://")[2].partition("?")
    place, _, path = rest.partition("/")
    us, _, hosts = place.rpartition("@")
    if scheme not in _PLAIN | _SECURE or "#" in url:
        raise ValueError(f"must be {form}")
    user, _, password = us.partition(":")
    server = Address(
        secure=scheme in _SECURE,
        username=unquote(user) or None,
        password=Secret(unquote(password)) if password else None,
    )
    return server, hosts.split(","), path, query


def _host(text: str, port: int, form: str) -> tuple[str, int]:
    try:
        parts: SplitResult = urlsplit(f"//{text}")
        given = parts.port
    except ValueError:
        raise ValueError(f"must be {form}") from None
    if not parts.hostname or parts.path or parts.query or parts.netloc != text:
        raise ValueError(f"must be {form}")
    return unquote(parts.hostname), port if given is None else given


def _database(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(_NUMBER)
    return int(text)
