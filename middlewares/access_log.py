"""One JSON line and the metrics for each request, whatever became of it."""

import msgspec

from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.config.strict import Strict
from scaigrid.errors import told
from scaigrid.exchange import Attempt, Exchange
from scaigrid.middleware import Services, begin
from scaigrid.secrets import masked
from scaigrid.timestamps import iso

_UNKNOWN = "unknown"
_NONE = "none"
_LONGEST_METHOD = 16
_LONGEST_PATH = 256

_encode = msgspec.json.Encoder().encode


class AccessLogConfig(Strict):
    """What the line holds."""

    enabled: bool = True
    """Write a line for each request. The metrics are kept either way."""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request. Durations are in milliseconds, `cost` in nano-units."""

    timestamp: str
    level: str
    event: str
    request_id: str
    method: str
    path: str
    status: int
    duration_ms: float
    first_byte_ms: float | None = None
    overhead_ms: float | None = None
    client: str | None = None
    tenant: str | None = None
    user: str | None = None
    key: str | None = None
    model: str | None = None
    backend: str | None = None
    attempts: int = 0
    stream: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    usage_source: str = "none"
    cost: int = 0
    bytes: int = 0
    code: str | None = None
    repeats: str | None = None
    """The id of the request whose answer was given again."""
    tried: tuple[str, ...] = ()
    """With more than one attempt: each backend and what became of it: `ok`, `overtaken`, or the code of its failure."""


class AccessLog:
    def __init__(self, app: ASGIApp, config: AccessLogConfig, services: Services) -> None:
        self.app = app
        self._services = services
        self._lines = services.lines if config.enabled else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services, "access_log")
        try:
            await self.app(scope, receive, send)
        except BaseException as raised:
            exchange.error = told(raised)
            raise
        finally:
            self._note(exchange, scope)

    def _note(self, exchange: Exchange, scope: Scope) -> None:
        now = self._services.clock.monotonic()
        status = exchange.ended_with(exchange.error)
        seconds = now - exchange.started
        overhead = None
        if exchange.first_byte is not None:
            # A wait in a queue is timed by another clock, a coarser one.
            overhead = max(exchange.first_byte - exchange.started - exchange.upstream_seconds, 0.0)
        self._measure(exchange, status, seconds, overhead)
        if self._lines is not None:
            self._lines.write(_encode(_line(exchange, scope, status, seconds, overhead)))

    def _measure(self, exchange: Exchange, status: int, seconds: float, overhead: float | None) -> None:
        meters = self._services.telemetry
        call, model = exchange.call, exchange.model
        slug = model.slug if model is not None else _NONE if call is None else _UNKNOWN
        meters.answered(slug, status, exchange.dialect.name)
        if call is None or model is None:
            return
        if (heard := exchange.heard) is not None:
            meters.took(slug, heard.backend.id, seconds)
        if overhead is not None:
            meters.overhead_all.observe(overhead)
        if call.stream and exchange.first_byte is not None:
            meters.first_token_after(slug, exchange.first_byte - exchange.started)
        usage = exchange.usage
        if usage is not None:
            meters.used(slug, exchange.principal.tenant.id, usage.total_input, usage.total_output)


def _line(exchange: Exchange, scope: Scope, status: int, seconds: float, overhead: float | None) -> Line:
    principal = exchange.principal if exchange.authenticated else None
    call, usage, attempts, heard = exchange.call, exchange.usage, exchange.attempts, exchange.heard
    client = scope.get("client")
    failed = status >= 500 or (exchange.error is not None and exchange.error.status >= 500)
    return Line(
        timestamp=iso(exchange.started_at),
        level="error" if failed else "info",
        event="request",
        request_id=exchange.request_id,
        # Any word will do for a method, of any length.
        method=masked(exchange.method[:_LONGEST_METHOD]),
        path=masked(exchange.path[:_LONGEST_PATH]),
        status=status,
        duration_ms=round(seconds * 1000, 3),
        first_byte_ms=_ms(None if exchange.first_byte is None else exchange.first_byte - exchange.started),
        overhead_ms=_ms(overhead),
        client=client[0] if client else None,
        tenant=principal.tenant.name if principal else None,
        user=principal.user.name if principal else None,
        key=principal.key.name if principal and principal.key else None,
        model=exchange.model.slug if exchange.model else masked(call.model[:_LONGEST_PATH]) if call else None,
        backend=heard.backend.name if heard else None,
        attempts=len(attempts),
        stream=call.stream if call else False,
        tokens_in=usage.total_input if usage else 0,
        tokens_out=usage.total_output if usage else 0,
        usage_source=exchange.usage_source,
        cost=exchange.cost,
        bytes=exchange.bytes_sent,
        code=exchange.error.code.value if exchange.error else None,
        repeats=exchange.repeats,
        tried=tuple(f"{one.backend.name}: {_became(one)}" for one in attempts) if len(attempts) > 1 else (),
    )


def _became(attempt: Attempt) -> str:
    if attempt.overtaken:
        return "overtaken"
    return "ok" if attempt.error is None else attempt.error.code


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
