"""The port of a link of the chain: a plain ASGI class with a typed configuration, and the services that it may use."""

from collections.abc import Callable, Sequence
from typing import Generic, Literal, Protocol, TypeVar

import msgspec

from scaigrid.asgi import ASGIApp, Receive, Scope, Send, header
from scaigrid.clock import Clock
from scaigrid.config.snapshot import Current, Principal
from scaigrid.config.strict import Strict
from scaigrid.dialect import Dialect
from scaigrid.exchange import KEY, Exchange, attach
from scaigrid.gates import Gates
from scaigrid.health import Health
from scaigrid.held import Names
from scaigrid.idempotency import Repeats
from scaigrid.identity import NO_ISSUER, TokenVerifier
from scaigrid.ids import accepted, new_id
from scaigrid.ledger.records import Recorder
from scaigrid.limiter import Limiter
from scaigrid.log import LineSink
from scaigrid.stopping import Live
from scaigrid.telemetry import Telemetry


def unnoticed(_: Principal) -> None:
    """Nobody wants to know when a key was last used."""


class Services(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What the composition root hands to every link."""

    clock: Clock
    current: Current
    dialects: Sequence[Dialect]
    """Ordered by prefix, longest first; the last one speaks for every path that no other owns."""
    limiter: Limiter
    health: Health
    recorder: Recorder
    telemetry: Telemetry
    lines: LineSink
    identity: TokenVerifier = NO_ISSUER
    """Who verifies tokens; keys are in the snapshot."""
    open_paths: frozenset[str] = frozenset()
    """What the configuration has callers ask for without a key, besides what is open to everybody."""
    seen: Callable[[Principal], None] = unnoticed
    """Told of each caller who is let in, on the way of every request: it notes the time, and nothing else."""
    names: Names = msgspec.field(default_factory=Names.passing)
    """Makes and reads the names of what providers keep for callers."""
    repeats: Repeats | None = None
    """Knows the calls that were made with an `Idempotency-Key`; None where nobody does, and it means nothing."""
    gates: Gates = msgspec.field(default_factory=lambda: Gates(Telemetry()))
    """How many calls each backend has at the same time, and who waits for a turn."""
    live: Live = msgspec.field(default_factory=Live)
    """The calls that are under way, and whether the worker stops."""

    def dialect_of(self, path: str) -> Dialect:
        """Who speaks for a path."""
        return speaker(self.dialects, path)


def speaker(dialects: Sequence[Dialect], path: str) -> Dialect:
    """The first of the dialects, longest prefix first, that the path lies under; the last one where there is none."""
    for dialect in dialects:
        prefix = dialect.prefix
        if path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == "/"):
            return dialect
    return dialects[-1]


class Middleware(Protocol):
    """An ASGI application around another one; both request state and stream state live in the exchange, never here."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


ConfigT = TypeVar("ConfigT", bound=Strict)


class Link(msgspec.Struct, Generic[ConfigT], frozen=True, eq=False):
    """One row of the chain: its name in the YAML, where it stands, what makes it and what configures it."""

    name: str
    place: Literal["edge", "call"]
    """`edge` links stand around the whole application, `call` links around the inference surfaces."""
    make: Callable[[ASGIApp, ConfigT, Services], Middleware]
    config: type[ConfigT]
    """Its YAML section. A link that may be turned off has a field `enabled` in it."""


def begin(scope: Scope, send: Send, services: Services, link: str) -> tuple[Exchange, Send]:
    """The exchange of an HTTP request, opened where no link further out has done so. Notes when `link` was reached."""
    clock = services.clock
    exchange: Exchange | None = scope.get(KEY)
    if exchange is not None:
        exchange.marks.append((link, clock.monotonic()))
        return exchange, send
    snapshot = services.current.snapshot
    path: str = scope["path"]
    started = clock.monotonic()
    exchange = Exchange(
        request_id=accepted(header(scope, b"x-request-id")) or new_id("req", clock),
        method=scope["method"],
        path=path,
        dialect=services.dialect_of(path),
        snapshot=snapshot,
        principal=snapshot.anonymous,
        started=started,
        started_at=clock.now(),
    )
    exchange.marks.append((link, started))
    return exchange, attach(scope, exchange, send)
