"""What a caller is told of one request: the shapes of the answer, made from a timeline or else from usage rows."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from scaigrid.config.routing import FailureClass
from scaigrid.config.schema import Config
from scaigrid.config.snapshot import Principal, Snapshot
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.errors import Code, Level
from scaigrid.exchange import Because
from scaigrid.ledger.records import Outcome, TimelineRow, UsageRow, UsageSource
from scaigrid.ledger.rerate import usage_of
from scaigrid.limiter import Kind
from scaigrid.pricing import to_decimal
from scaigrid.timeline import Held, Timeline, Tried
from scaigrid.timestamps import iso
from scaigrid.types import Usage


class RequestLink(AnswerShape, kw_only=True):
    """One link of the chain, on the way down."""

    name: str
    reached_ms: float
    """Since the request came."""
    took_ms: float | None
    """Until the next link was reached, or of the last one the first attempt; null where the request went no further."""


class RequestBackend(AnswerShape, kw_only=True):
    """A backend that could answer."""

    backend_id: str
    backend: str | UnsetType = UNSET
    """Its name, where callers are told it: as it was at the time; where usage rows alone know of it, as it is now."""


class SkippedBackend(RequestBackend, kw_only=True):
    """A backend that was left out."""

    reason: str


class RequestAttempt(RequestBackend, kw_only=True):
    """One call to one backend. Times are milliseconds since the request came; null where nobody knows."""

    id: str
    """Of its usage row."""
    model: str
    """The frontend model that it was asked for."""
    because: Annotated[Because, OPEN] | None
    """`first`: it came first; `failover`: another one had failed; `retry`: it had failed itself; `hedge`: another one
    was slow; `fallback`: the model asked for could not answer."""
    waited_ms: float | None
    """Ahead of it: a pause between two attempts, or until the backend had room."""
    started_ms: float | None
    first_byte_ms: float | None
    ended_ms: float | None
    provider_status: int | None
    """The HTTP status that the provider answered; null where nothing came."""
    outcome: Annotated[Literal["served", "failed", "overtaken", "interrupted", "unknown"], OPEN]
    """`overtaken`: another copy of the call answered first, and this one was cut off. `interrupted`: the gateway was
    killed meanwhile."""
    error_code: str | None
    failure: Annotated[FailureClass, OPEN] | None
    """How it failed, where another backend might do better."""


class RequestTokens(AnswerShape, kw_only=True):
    """What the attempt that served has used."""

    input: int
    """All input tokens, cached and written ones, sound and images included."""
    output: int
    """All output tokens, reasoning included."""
    cached_input: int
    cache_write: int
    reasoning: int


class RequestHold(AnswerShape, kw_only=True):
    """What one limit or budget was asked for, and what was kept of it in the end. Decimal strings, in its own units."""

    type: Annotated[Literal["limit", "budget"], OPEN]
    level: Annotated[Level, OPEN]
    kind: Annotated[Kind, OPEN]
    name: str | None
    """Of the budget."""
    period_seconds: float | None
    """Of the limit's window; null for budgets and for requests at the same time."""
    reserved: str
    """The most that the call could use."""
    settled: str
    """What it used; 0 where it was given back."""


class RequestReservation(AnswerShape, kw_only=True):
    """The most that a call can use if its provider keeps to its bound."""

    tokens: int
    cost: str


class RequestTimeline(AnswerShape, kw_only=True):
    """What became of a request. Times are milliseconds since it came, money is in decimal strings."""

    request_id: str
    source: Annotated[Literal["timeline", "usage"], OPEN]
    """`usage`: there is no timeline, and this is what the usage rows know: attempts, without the steps between."""
    created_at: str
    """ISO 8601, UTC."""
    partner_id: str
    tenant_id: str
    user_id: str
    key_id: str | None
    tenant: str | UnsetType = UNSET
    """Its name, as it is now, where it is your own; likewise of the user and of the key."""
    user: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    dialect: str
    """In which the caller spoke."""
    surface: str | None
    """Which of the dialect's calls it was, `openai/chat`; the path, where the body could not be read."""
    operation: str
    model: str
    """The model that was asked for; empty where the body could not be read."""
    served_model: str | None
    """The model that answered; null where none did."""
    stream: bool
    outcome: Annotated[Outcome, OPEN]
    status: int | None
    """The HTTP status that the caller was answered. A stream that broke off had begun with 200."""
    error_code: str | None
    level: Annotated[Level, OPEN] | None
    """Whose limit or budget refused it."""
    client_left: bool
    """The caller did not wait for the end."""
    repeats: str | None
    """The id of the request whose answer was given again: see `Idempotency-Key`. It was not made anew."""
    first_byte_ms: float | None
    """When the caller was sent the first byte of a backend's answer."""
    upstream_ms: float | None
    """Spent waiting for providers, up to that."""
    overhead_ms: float | None
    """What is left of the time up to that: the gateway's own."""
    settled_ms: float | None
    """When limits and budgets were settled, or given back what was taken."""
    duration_ms: float | None
    bytes_sent: int | None
    links: Sequence[RequestLink]
    candidates: Sequence[RequestBackend]
    """In the order of trying."""
    skipped: Sequence[SkippedBackend]
    attempts: Sequence[RequestAttempt]
    limits: Sequence[RequestHold]
    reserved: RequestReservation | None
    """Null where no limit and no budget asked for it."""
    tokens: RequestTokens | None
    usage_source: Annotated[UsageSource, OPEN]
    cost: str
    """What the caller is charged."""
    overrun: str
    """The part of it that was not reserved."""
    backend_cost: str | UnsetType = UNSET
    """What providers charge. Only with the permission `accounting:view_all`."""


def is_told_names(principal: Principal, config: Config) -> bool:
    """Whether a caller is told what backends are called: everybody where answers say it, and the operator."""
    return config.forwarder.expose_backend or principal.may("accounting:view_all")


class Telling:
    """What one caller is told of requests."""

    def __init__(self, principal: Principal, config: Config, snapshot: Snapshot) -> None:
        self._costs = principal.may("accounting:view_all")
        self._names = is_told_names(principal, config)
        self._snapshot = snapshot
        self._own = {one.id: one.name for one in (principal.tenant, principal.user, principal.key) if one is not None}

    def whole(self, row: TimelineRow, told: Timeline) -> RequestTimeline:
        """A timeline as it was kept."""
        reserved = told.reserved
        return RequestTimeline(
            request_id=row.request_id,
            source="timeline",
            created_at=iso(row.created_at),
            partner_id=row.partner_id,
            tenant_id=row.tenant_id,
            user_id=row.user_id,
            key_id=row.key_id,
            tenant=self._own.get(row.tenant_id, UNSET),
            user=self._own.get(row.user_id, UNSET),
            key=self._own.get(row.key_id or "", UNSET),
            dialect=told.dialect,
            surface=told.surface,
            operation=told.operation,
            model=told.model,
            served_model=told.served,
            stream=told.stream,
            outcome=told.outcome,
            status=told.status,
            error_code=told.code,
            level=told.level,
            client_left=told.code == Code.CLIENT_CLOSED,
            repeats=told.repeats,
            first_byte_ms=_ms(told.first_byte),
            upstream_ms=_ms(told.upstream),
            overhead_ms=_ms(told.own),
            settled_ms=_ms(told.settled),
            duration_ms=_ms(told.ended),
            bytes_sent=told.bytes,
            links=_links(told),
            candidates=[RequestBackend(backend_id=id_, backend=self._name(name)) for id_, name in told.candidates],
            skipped=[
                SkippedBackend(backend_id=id_, backend=self._name(name), reason=reason)
                for id_, name, reason in told.skipped
            ],
            attempts=[self._attempt(told, one) for one in told.attempts],
            limits=[_hold(one) for one in told.held],
            reserved=None
            if reserved is None
            else RequestReservation(tokens=reserved.tokens, cost=to_decimal(reserved.cost)),
            tokens=None if told.usage is None else _tokens(told.usage),
            usage_source=told.usage_source,
            cost=to_decimal(told.cost),
            overrun=to_decimal(told.overrun),
            backend_cost=to_decimal(told.backend_cost) if self._costs else UNSET,
        )

    def of_usage(self, rows: Sequence[UsageRow]) -> RequestTimeline:
        """What the usage rows of a request know, where nothing else was kept."""
        served = next((row for row in rows if row.serving), None)
        last = served or rows[-1]
        return RequestTimeline(
            request_id=last.request_id,
            source="usage",
            created_at=iso(last.created_at),
            partner_id=last.partner_id,
            tenant_id=last.tenant_id,
            user_id=last.user_id,
            key_id=last.key_id,
            tenant=self._own.get(last.tenant_id, UNSET),
            user=self._own.get(last.user_id, UNSET),
            key=self._own.get(last.key_id or "", UNSET),
            dialect=last.dialect,
            surface=None,
            operation=last.operation,
            model=rows[0].model,
            served_model=None if served is None else served.model,
            stream=last.stream,
            outcome=last.outcome,
            status=None,
            error_code=last.error_code,
            level=None,
            client_left=last.outcome == "client_closed",
            repeats=None,
            first_byte_ms=_ms(last.first_byte_us),
            upstream_ms=None,
            overhead_ms=None,
            settled_ms=None,
            duration_ms=None,
            bytes_sent=None,
            links=(),
            candidates=(),
            skipped=(),
            attempts=[self._of_row(row) for row in rows],
            limits=(),
            reserved=None,
            tokens=None if served is None else _tokens(usage_of(served)),
            usage_source=last.usage_source,
            cost=to_decimal(sum(row.cost for row in rows)),
            overrun=to_decimal(sum(row.overrun for row in rows)),
            backend_cost=to_decimal(sum(row.backend_cost for row in rows)) if self._costs else UNSET,
        )

    def _attempt(self, told: Timeline, one: Tried) -> RequestAttempt:
        return RequestAttempt(
            backend_id=one.backend,
            backend=self._name(one.name),
            id=one.id,
            model=one.model or told.model,
            because=one.because,
            waited_ms=_ms(one.waited),
            started_ms=_ms(one.started),
            first_byte_ms=_ms(one.first_byte),
            ended_ms=_ms(one.ended),
            provider_status=one.status,
            outcome=_outcome(one),
            error_code=one.code,
            failure=one.failure,
        )

    def _of_row(self, row: UsageRow) -> RequestAttempt:
        names = {backend.id: backend.name for backend in self._snapshot.backends}
        kind: dict[Outcome, Literal["served", "interrupted", "overtaken"]] = {
            "ok": "served",
            "interrupted": "interrupted",
            "overtaken": "overtaken",
        }
        return RequestAttempt(
            backend_id=row.backend_id,
            backend=self._name(names.get(row.backend_id, "")),
            id=row.id,
            model=row.model,
            because=None,
            waited_ms=None,
            started_ms=None,
            first_byte_ms=_ms(row.first_byte_us),
            ended_ms=_ms(row.latency_us) if row.outcome != "interrupted" else None,
            provider_status=None,
            outcome=kind.get(row.outcome, "failed"),
            error_code=row.error_code,
            failure=None,
        )

    def _name(self, name: str) -> str | UnsetType:
        return name if self._names and name else UNSET


def _outcome(one: Tried) -> Literal["served", "failed", "overtaken", "unknown"]:
    if one.overtaken:
        return "overtaken"
    if one.ended is None:
        return "unknown"
    return "served" if one.code is None else "failed"


def _links(told: Timeline) -> list[RequestLink]:
    started = told.attempts[0].started if told.attempts else None
    ends: list[int | None] = [after for (_, _), (_, after) in pairwise(told.links)]
    return [
        RequestLink(name=name, reached_ms=at / 1000, took_ms=None if end is None else (end - at) / 1000)
        for (name, at), end in zip(told.links, [*ends, started], strict=False)
    ]


def _hold(held: Held) -> RequestHold:
    money = held.kind == "cost"
    budget = held.name != ""
    return RequestHold(
        type="budget" if budget else "limit",
        level=held.level,
        kind=held.kind,
        name=held.name or None,
        period_seconds=None if held.fund else held.period,
        reserved=to_decimal(held.reserved) if money else str(held.reserved),
        settled=to_decimal(held.settled) if money else str(held.settled),
    )


def _tokens(usage: Usage) -> RequestTokens:
    return RequestTokens(
        input=usage.total_input,
        output=usage.total_output,
        cached_input=usage.cache_read,
        cache_write=usage.cache_write + usage.cache_write_1h,
        reasoning=usage.reasoning,
    )


def _ms(micro: int | None) -> float | None:
    return None if micro is None else micro / 1000
