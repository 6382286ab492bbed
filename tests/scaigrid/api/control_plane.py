"""The control plane by itself: its routes inside the edge links, over a configuration and a ledger in memory.

Requests are raw ASGI calls: nothing listens, and the whole answer is there when the call returns.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal, Self, cast

import msgspec
from litestar import Litestar

from adapters import ADAPTERS
from middlewares.audit import Audit, AuditConfig
from middlewares.errors import Errors, ErrorsConfig
from middlewares.request_id import RequestId, RequestIdConfig
from middlewares.tenancy import Tenancy, TenancyConfig
from scaigrid.api import Sources, UsageReader, routes
from scaigrid.api.faults import surface
from scaigrid.asgi import ASGIApp, Message, Receive, Scope, Send
from scaigrid.config import entities, routing, schema
from scaigrid.config.identity import Identity, Issuer
from scaigrid.config.snapshot import Current, Principal, Snapshot
from scaigrid.control.apply import apply
from scaigrid.control.codec import Codec
from scaigrid.control.compile import compile_snapshot, compile_state
from scaigrid.control.declared import resources_of
from scaigrid.control.follower import Control
from scaigrid.control.state import State
from scaigrid.control.store import ControlStore
from scaigrid.control.vault import Vault
from scaigrid.credentials.fetching import Fetching
from scaigrid.credentials.signers import Signers
from scaigrid.db.engine import create_engine
from scaigrid.dialects import DIALECTS
from scaigrid.health import Health
from scaigrid.identity import NO_ISSUER, Claims, TokenVerifier
from scaigrid.ledger.audit_queries import AuditLog
from scaigrid.ledger.reading import Grouping, Position, Rank, Total, UsageFilter
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.store import LedgerStore
from scaigrid.ledger.timeline_queries import Timelines
from scaigrid.log import LineSink
from scaigrid.middleware import Services
from scaigrid.secrets import Secret
from scaigrid.stores.memory import MemoryLimiter
from scaigrid.telemetry import Telemetry
from scaigrid.upstream.http1 import Http1Upstream
from scaigrid.upstream.port import Upstream
from scaigrid.upstream.simulator import SimulatorUpstream
from tests.harness.clock import StillClock
from tests.harness.services import Kept


def key(name: str) -> str:
    """The key of that name: what its user sends."""
    return f"sgk_{name}_{'0' * 32}"


def key_digest(name: str) -> bytes:
    """How the snapshot knows that key."""
    return hashlib.sha256(key(name).encode()).digest()


def declared(name: str, user: str, **more: Any) -> entities.Key:
    """An entry of the section `keys`."""
    return entities.Key(user=user, sha256=key_digest(name).hex(), **more)


def model(*backends: str, **more: Any) -> entities.Model:
    """An entry of the section `models`, free of charge where no prices are given."""
    if "prices" not in more and "unpriced" not in more:
        more["unpriced"] = "free"
    targets = tuple(routing.RouteTarget(backend=backend) for backend in backends or ("one",))
    return entities.Model(route=routing.Route(targets=targets), **more)


def config(**sections: Any) -> schema.Config:
    """A configuration with two backends, and by default one user, `ada`, with one key, `ada`."""
    given: dict[str, Any] = {
        "users": {"ada": entities.User()},
        "keys": {"ada": declared("ada", "ada")},
        "providers": {"sim": entities.Provider(type="simulator")},
        "backends": {
            "one": entities.Backend(provider="sim", model="m"),
            "two": entities.Backend(provider="sim", model="m"),
        },
    }
    return schema.Config(**{**given, **sections})


TOKEN = "head.claims.signature"
"""Of a form that is taken for a token."""


class Vouched:
    """A verifier that has found every token to be good, and to say this of who is `42` at the issuer `corp`."""

    def __init__(self, **claims: Any) -> None:
        self._claims = Claims(issuer="corp", subject="42", expires_at=1e12, **claims)

    async def verify(self, token: bytes) -> Claims:
        return self._claims

    async def aclose(self) -> None:
        """Nothing runs."""


def corporation(users: Literal["declared", "any"], **more: Any) -> Identity:
    """A section `identity` with the issuer `corp`, which lets in these users."""
    issuer = Issuer(issuer="https://id.example.com", audience=("gateway",), users=users, **more)
    return Identity(issuers={"corp": issuer})


class Empty:
    """A ledger without rows."""

    async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
        return ()

    async def totals(
        self, wanted: UsageFilter, by: Grouping, *, limit: int | None, after: Rank | None
    ) -> Sequence[Total]:
        return ()


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


_SOURCES: ContextVar[Sources] = ContextVar("sources")


@cache
def application() -> Litestar:
    """Litestar takes a tenth of a second for all the routes, and so is made once, for whoever asks."""
    api = routes(_SOURCES.get)
    return Litestar(
        route_handlers=[*api.governed, *api.open],
        exception_handlers={Exception: surface},
        openapi_config=None,
        logging_config=None,
    )


class ControlPlane:
    """One control plane, and what it was made from."""

    def __init__(
        self,
        configured: schema.Config | None = None,
        reader: UsageReader | None = None,
        checks: Mapping[str, str] | None = None,
        url: str = "sqlite+aiosqlite:///nowhere.db",
        identity: TokenVerifier = NO_ISSUER,
    ) -> None:
        """`url`: of a migrated database, for those who call `open`."""
        self.config = configured or config()
        self.clock = StillClock()
        self.readiness = Checks({"ledger": "ok"} if checks is None else checks)
        self.kept = Kept()
        telemetry = Telemetry()
        self.services = Services(
            clock=self.clock,
            current=Current(compile_snapshot(self.config, ADAPTERS)),
            dialects=DIALECTS,
            limiter=MemoryLimiter(self.clock),
            health=Health(telemetry),
            recorder=self.kept,
            telemetry=telemetry,
            lines=LineSink(1),
            identity=identity,
            open_paths=self.config.health.open_paths,
            seen=self._seen,
        )
        self.upstreams: Mapping[str, Upstream] = {"http": Http1Upstream(), "simulator": SimulatorUpstream()}
        self.signers = Signers(self.clock, Fetching(self.upstreams["http"]))
        self.engine = create_engine(url)
        self.vault = Vault([Secret("the key of a test, long enough for it")])
        self.store = ControlStore(self.engine, Codec(self.vault), self.clock)
        self.control = Control(self.store, self._compiled, self.services.current, self.clock, self._adopt)
        self.sources = Sources(
            self.services,
            reader=reader or Empty(),
            timelines=Timelines(self.engine),
            audit_log=AuditLog(self.engine),
            ready=self.readiness,
            config=self.config,
            control=self.control,
            adapters=ADAPTERS,
            upstreams=self.upstreams,
            signers=self.signers,
        )
        self.serve(self.answering)

    async def answering(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application by itself, with what this control plane was made from."""
        told = _SOURCES.set(self.sources)
        try:
            await cast(ASGIApp, application())(scope, receive, send)
        finally:
            _SOURCES.reset(told)

    def serve(self, app: ASGIApp) -> None:
        """Has the edge links stand around `app` from now on."""
        app = Tenancy(app, TenancyConfig(), self.services)
        app = Audit(app, AuditConfig(), self.services)
        self._app = RequestId(Errors(app, ErrorsConfig(), self.services), RequestIdConfig(), self.services)

    async def open(self) -> Self:
        """Puts what the configuration declares into the database, and follows it."""
        async with self.store.change(None) as change:
            await apply(
                change,
                resources_of(self.config),
                self.vault,
                self.store.codec,
                adapters=ADAPTERS,
                source="test",
                actor="test",
            )
        await self.control.open()
        return self

    async def settle(self) -> None:
        """Takes what was recorded so far into the database, as the ledger's writer does."""
        records, self.kept.records = self.kept.records, []
        await LedgerStore(self.engine).insert("worker_of_the_test", records)

    async def close(self) -> None:
        for upstream in self.upstreams.values():
            await upstream.aclose()
        await self.engine.dispose()

    def _compiled(self, state: State) -> Snapshot:
        return compile_state(state, self.config, ADAPTERS, self.signers)

    def _seen(self, principal: Principal) -> None:
        self.control.seen(principal)

    async def _adopt(self, _snapshot: Snapshot) -> None:
        """No counters to bring up to date."""

    async def get(
        self, target: str, who: str | None = "ada", *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer to a request for `target`, a path with its query, by the holder of the key `who`."""
        return await self.ask(method, target, who=who, headers=headers)

    async def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        who: str | None = "ada",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to any request; `body` is sent as JSON, bytes as they are. `token` stands in for the key `who`."""
        path, _, query = target.partition("?")
        bearer = token or (None if who is None else key(who))
        sent_headers = [] if bearer is None else [(b"authorization", b"Bearer " + bearer.encode())]
        if body is not None:
            sent_headers.append((b"content-type", b"application/json"))
        given = {name.lower(): value for name, value in (headers or {}).items()}
        sent_headers = [pair for pair in sent_headers if pair[0].decode() not in given]
        sent_headers += [(name.encode(), value.encode()) for name, value in given.items()]
        content = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body, enc_hook=str)
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
            "headers": sent_headers,
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8000),
        }
        sent: list[Message] = []

        read = asyncio.Event()

        async def receive() -> Message:
            if read.is_set():
                # Nobody leaves before the answer is there.
                await asyncio.Event().wait()
            read.set()
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, *bodies = sent
        named = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], named, b"".join(message.get("body", b"") for message in bodies))
