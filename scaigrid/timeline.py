"""What became of one request, step by step, as it is kept: made once, when the request is over.

It is made for every call, so it is cheap: times are whole microseconds since the request came, what is not so is left
out, and the JSON that is made of it is never looked into on its way to the database. It holds no word of the caller's
but the name of the model.
"""

from typing import NamedTuple

import msgspec

from scaigrid.admission import USED, of_budget
from scaigrid.clock import Clock
from scaigrid.config.routing import FailureClass
from scaigrid.errors import Code, GatewayError, Level
from scaigrid.exchange import Attempt, Because, Exchange, Reserved
from scaigrid.ids import new_id
from scaigrid.ledger.records import Outcome, TimelineRow, UsageSource
from scaigrid.limiter import Kind
from scaigrid.secrets import masked
from scaigrid.types import Usage

_LONGEST = 256
_OUTCOMES: dict[Code, Outcome] = {Code.CLIENT_CLOSED: "client_closed", Code.BACKEND_TIMEOUT: "timeout"}
_NOTHING = ""
_MICRO = 1e6

_encode = msgspec.json.Encoder().encode


class Tried(msgspec.Struct, frozen=True, array_like=True):
    """One call to one backend. Times are microseconds since the request came."""

    id: str
    """Of its row in the ledger."""
    backend: str
    """Its id, and then its name."""
    name: str
    model: str | None
    """The frontend model, where that is another one than was asked for."""
    because: Because
    waited: int
    started: int
    first_byte: int | None
    ended: int | None
    """None: when the request was over, nobody had heard of its end."""
    status: int | None
    """What the provider answered."""
    code: str | None
    failure: FailureClass | None
    overtaken: bool
    """Another copy of the call answered first."""


class Held(NamedTuple):
    """What one limit or budget was asked for, and what the call came to in the end."""

    level: Level
    kind: Kind
    name: str
    """Of the budget; empty for a limit."""
    fund: bool
    period: float
    """Seconds of a limit's window."""
    reserved: int
    settled: int


class Timeline(msgspec.Struct, frozen=True, array_like=True):
    """The document of a `TimelineRow`. Times are microseconds since the request came, money is in nano-units.

    It is kept as an array: what comes later stands at the end, with a default.
    """

    dialect: str
    surface: str
    """Which of the dialect's shapes the body has, `openai/chat`; the path, where nobody could read it."""
    operation: str
    model: str
    """As the caller named it; empty where nobody could read it."""
    served: str | None
    """The frontend model that answered."""
    stream: bool
    outcome: Outcome
    status: int
    code: str | None
    level: Level | None
    """Whose limit or budget refused it."""
    links: tuple[tuple[str, int], ...]
    candidates: tuple[tuple[str, str], ...]
    """Id and name of each backend, in the order of trying."""
    skipped: tuple[tuple[str, str, str], ...]
    """Id, name and reason."""
    attempts: tuple[Tried, ...]
    first_byte: int | None
    upstream: int
    own: int
    settled: int | None
    ended: int
    usage: Usage | None
    usage_source: UsageSource
    cost: int
    backend_cost: int
    overrun: int
    reserved: Reserved | None
    held: tuple[Held, ...]
    bytes: int
    repeats: str | None


_decode = msgspec.json.Decoder(Timeline).decode


def timeline_row(exchange: Exchange, error: GatewayError | None, clock: Clock) -> TimelineRow:
    """The row of a request that is over; `error` is how it failed, if it did."""
    principal = exchange.principal
    return TimelineRow(
        id=new_id("timeline", clock),
        request_id=exchange.request_id,
        created_at=exchange.started_at,
        partner_id=principal.partner.id,
        tenant_id=principal.tenant.id,
        user_id=principal.user.id,
        key_id=None if principal.key is None else principal.key.id,
        document=_encode(timeline(exchange, error, clock.monotonic())).decode(),
    )


def read(row: TimelineRow) -> Timeline:
    """What a row says."""
    return _decode(row.document)


def timeline(exchange: Exchange, error: GatewayError | None, now: float) -> Timeline:
    """What is known of a request at its end, `now` in monotonic seconds."""
    began, call, model = exchange.started, exchange.call, exchange.model
    first_byte, settled, upstream = exchange.first_byte, exchange.settled, exchange.upstream_seconds
    asked = _NOTHING if call is None else call.model
    own = (now if first_byte is None else first_byte) - began - upstream
    # By place and not by name: that takes a tenth of the time.
    return Timeline(
        exchange.dialect.name,
        exchange.path[:_LONGEST] if call is None else call.surface,
        exchange.dialect.operations.get(exchange.path, _NOTHING) if call is None else call.operation,
        # A model that there is has a name that somebody configured; any other text is the caller's.
        asked if model is not None and asked == model.slug else masked(asked[:_LONGEST]),
        _served(exchange) if exchange.served else None,
        call is not None and call.stream,
        "ok" if error is None else _OUTCOMES.get(error.code, "error"),
        exchange.ended_with(error),
        None if error is None else error.code.value,
        None if error is None else error.level,
        tuple([(name, int((at - began) * _MICRO)) for name, at in exchange.marks]),
        tuple([(backend.id, backend.name) for backend in exchange.candidates]),
        _skipped(exchange, asked) if exchange.skipped else (),
        tuple([_tried(attempt, began, asked) for attempt in exchange.attempts]),
        None if first_byte is None else int((first_byte - began) * _MICRO),
        int(upstream * _MICRO),
        int(own * _MICRO) if own > 0 else 0,
        None if settled is None else int((settled - began) * _MICRO),
        int((now - began) * _MICRO),
        exchange.usage,
        exchange.usage_source,
        exchange.cost,
        exchange.backend_cost,
        exchange.overrun,
        exchange.reserved,
        _held(exchange) if exchange.takes else (),
        exchange.bytes_sent,
        exchange.repeats,
    )


def _served(exchange: Exchange) -> str | None:
    attempt = exchange.heard
    model = None if attempt is None else attempt.model or exchange.model
    return None if model is None else model.slug


def _tried(attempt: Attempt, began: float, asked: str) -> Tried:
    backend, model, first_byte, ended = attempt.backend, attempt.model, attempt.first_byte, attempt.ended
    return Tried(
        attempt.id,
        backend.id,
        backend.name,
        None if model is None or model.slug == asked else model.slug,
        attempt.because,
        int(attempt.waited * _MICRO),
        int((attempt.started - began) * _MICRO),
        None if first_byte is None else int((first_byte - began) * _MICRO),
        int((ended - began) * _MICRO) if ended else None,
        attempt.status,
        # Who was overtaken was cut off by us: no error of anybody's.
        None if attempt.error is None or attempt.overtaken else attempt.error.code.value,
        attempt.failure,
        attempt.overtaken,
    )


def _skipped(exchange: Exchange, asked: str) -> tuple[tuple[str, str, str], ...]:
    # Where another model stood in, some were left out of its route.
    models = (exchange.snapshot.models.get(asked), *(attempt.model for attempt in exchange.attempts))
    tiers = [tier for model in models if model is not None for tier in model.route.tiers]
    ids = {one.backend.name: one.backend.id for tier in tiers for one in tier}
    return tuple([(ids.get(name, _NOTHING), name, reason) for name, reason in exchange.skipped.items()])


def _held(exchange: Exchange) -> tuple[Held, ...]:
    # What a call that no provider was asked for took is given back: see `admission.conclude`.
    made = bool(exchange.attempts) and exchange.settled is not None
    held: list[Held] = []
    for take in exchange.takes:
        bucket = take.bucket
        kind, settled = bucket.kind, 0
        if made and kind != "concurrency":
            counts = kind == "tokens" or of_budget(bucket)
            settled = USED[kind](exchange) if counts else take.amount
        held.append(Held(bucket.level, kind, bucket.name, bucket.fund, bucket.period, take.amount, settled))
    return tuple(held)
