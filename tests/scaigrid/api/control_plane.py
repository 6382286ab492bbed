"""The control plane by itself: its routes inside the edge links, over a configuration and a ledger in memory.

Requests are raw ASGI calls: nothing listens, and the whole answer is there when the call returns.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from litestar import Litestar

from adapters import ADAPTERS
from middlewares.errors import Errors, ErrorsConfig
from middlewares.request_id import RequestId, RequestIdConfig
from middlewares.tenancy import Tenancy, TenancyConfig
from scaigrid.api import Routes, UsageReader, routes
from scaigrid.api.faults import surface
from scaigrid.asgi import ASGIApp, Message
from scaigrid.config import schema
from scaigrid.config.compile import compile_snapshot
from scaigrid.config.snapshot import Current
from scaigrid.dialects import DIALECTS
from scaigrid.health import Health
from scaigrid.ledger.reading import Position, UsageFilter
from scaigrid.ledger.records import Record, UsageRow
from scaigrid.log import LineSink
from scaigrid.middleware import Services
from scaigrid.stores.memory import MemoryLimiter
from scaigrid.telemetry import Telemetry
from tests.harness.clock import StillClock


def key(name: str) -> str:
    """The key of that name: what its user sends."""
    return f"sgk_{name}_{'0' * 32}"


def key_digest(name: str) -> bytes:
    """How the snapshot knows that key."""
    return hashlib.sha256(key(name).encode()).digest()


def declared(name: str, user: str, **more: Any) -> schema.Key:
    """An entry of the section `keys`."""
    return schema.Key(user=user, sha256=key_digest(name).hex(), **more)


def model(*backends: str, **more: Any) -> schema.Model:
    """An entry of the section `models`, free of charge where no prices are given."""
    if "prices" not in more and "unpriced" not in more:
        more["unpriced"] = "free"
    targets = tuple(schema.RouteTarget(backend=backend) for backend in backends or ("one",))
    return schema.Model(route=schema.Route(targets=targets), **more)


def config(**sections: Any) -> schema.Config:
    """A configuration with two backends, and by default one user, `ada`, with one key, `ada`."""
    given: dict[str, Any] = {
        "users": {"ada": schema.User()},
        "keys": {"ada": declared("ada", "ada")},
        "providers": {"sim": schema.Provider(type="simulator")},
        "backends": {
            "one": schema.Backend(provider="sim", model="m"),
            "two": schema.Backend(provider="sim", model="m"),
        },
    }
    return schema.Config(**{**given, **sections})


class Empty:
    """A ledger without rows, that nothing is written to."""

    async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
        return ()

    def append(self, record: Record) -> None:
        raise AssertionError(record)


class Checks:
    """Readiness as the test wants it."""

    def __init__(self, found: Mapping[str, str]) -> None:
        self.found = found

    async def checks(self) -> Mapping[str, str]:
        return self.found


class Answer(msgspec.Struct, frozen=True):
    """One whole answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        """The code of an enveloped error."""
        return str(self.json["error"]["code"])

    @property
    def details(self) -> dict[str, str]:
        """The details of an enveloped error, by field."""
        return {detail["field"]: detail["message"] for detail in self.json["error"].get("details", ())}


class ControlPlane:
    """One application, and what it was made from."""

    def __init__(
        self,
        configured: schema.Config | None = None,
        reader: UsageReader | None = None,
        checks: Mapping[str, str] | None = None,
    ) -> None:
        self.config = configured or config()
        self.clock = StillClock()
        self.readiness = Checks({"ledger": "ok"} if checks is None else checks)
        telemetry = Telemetry()
        self.services = Services(
            clock=self.clock,
            current=Current(compile_snapshot(self.config, ADAPTERS)),
            dialects=DIALECTS,
            limiter=MemoryLimiter(self.clock),
            health=Health(telemetry),
            recorder=Empty(),
            telemetry=telemetry,
            lines=LineSink(1),
        )
        self.routes: Routes = routes(self.services, reader or Empty(), self.readiness, self.config)
        self.litestar = Litestar(
            route_handlers=[*self.routes.governed, *self.routes.open],
            exception_handlers={Exception: surface},
            openapi_config=None,
            logging_config=None,
        )
        app = Tenancy(cast(ASGIApp, self.litestar), TenancyConfig(), self.services)
        self._app = RequestId(Errors(app, ErrorsConfig(), self.services), RequestIdConfig(), self.services)

    async def get(self, target: str, who: str | None = "ada", *, method: str = "GET") -> Answer:
        """The answer to a request for `target`, a path with its query, by the holder of the key `who`."""
        path, _, query = target.partition("?")
        headers = [] if who is None else [(b"authorization", b"Bearer " + key(who).encode())]
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8000),
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, *bodies = sent
        named = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], named, b"".join(message.get("body", b"") for message in bodies))
