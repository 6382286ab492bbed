"""What an attempt cost, and the usage row that says so."""

import msgspec
import structlog

from scaigrid.adapter import Pipe
from scaigrid.call import Call
from scaigrid.clock import Clock
from scaigrid.config.snapshot import Backend, Model
from scaigrid.counting import counted
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange, Reserved
from scaigrid.ids import new_id
from scaigrid.ledger.records import Outcome, UsageRow, UsageSource
from scaigrid.pricing import MOST_COST, PriceList
from scaigrid.translation import Translation
from scaigrid.types import FREE, Usage

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_BYTES_PER_TOKEN = 4
"""The usual guess for English text. A row that rests on it is marked `estimated`."""
_NO_USAGE = Usage()

_OUTCOMES: dict[Code, Outcome] = {Code.CLIENT_CLOSED: "client_closed", Code.BACKEND_TIMEOUT: "timeout"}


def bill(exchange: Exchange, model: Model, backend: Backend, pipe: Pipe | None, *, complete: bool) -> None:
    """Sets usage, its source, both costs and the overrun on the exchange.

    `complete` says that the provider's answer came to its end, so that the usage it reported is the whole of it.
    Otherwise, and where what it reported cannot be, what passed is counted if it can be, and estimated if not.
    """
    call = exchange.call
    if call is not None and call.operation in FREE:
        # Nothing was made: a size was told, or what is stored and was billed when it was made.
        exchange.usage, exchange.usage_source, exchange.cost, exchange.backend_cost = _NO_USAGE, "none", 0, 0
        return
    usage = _believed(model, backend, pipe)
    if usage is not None and complete:
        exchange.usage_source = "provider"
    else:
        usage, exchange.usage_source = _made_out(call, backend, pipe, usage)
        if exchange.reserved is not None:
            usage = _within(usage, exchange.reserved.tokens)
    exchange.usage = usage
    exchange.cost = model.price.cost(usage) if model.price is not None else 0
    exchange.backend_cost = backend.cost.cost(usage)
    if exchange.reserved is not None:
        _compare(exchange, exchange.reserved, model, backend)


def _believed(model: Model, backend: Backend, pipe: Pipe | None) -> Usage | None:
    """What the provider reported, None where that is nothing, or cannot be: such a thing must not become a bill."""
    usage = pipe.usage if pipe is not None else None
    if usage is None or pipe is None:
        return None
    if not usage.believable or _unpayable(usage, model.price) or _unpayable(usage, backend.cost):
        _log.warning("provider_usage_refused", backend_id=backend.id, usage=msgspec.to_builtins(usage))
        return None
    # Who counts nothing of an answer that said something has not counted.
    return usage if usage != _NO_USAGE or not pipe.output_seen else None


def _unpayable(usage: Usage, price: PriceList | None) -> bool:
    return price is not None and price.cost(usage) >= MOST_COST


def _made_out(
    call: Call | None, backend: Backend, pipe: Pipe | None, reported: Usage | None
) -> tuple[Usage, UsageSource]:
    """Usage by our own count. What the provider said ahead of its end, a part of the whole, is believed."""
    size = len(call.body) if call is not None else 0
    tokens_in, tokens_out = -(-size // _BYTES_PER_TOKEN), pipe.output_seen if pipe is not None else 0
    source: UsageSource = "estimated"
    said = () if pipe is None else pipe.said if isinstance(pipe, Translation) else None
    own = counted(backend.target.model, call, said) if call is not None else None
    if own is not None:
        source = "counted"
        tokens_in, tokens_out = own
    if reported is None:
        return Usage(input=tokens_in, output=tokens_out), source
    if reported.output >= tokens_out:
        return reported, source
    return msgspec.structs.replace(reported, output=tokens_out), source


def _within(usage: Usage, most: int) -> Usage:
    """Our own count is no reason to take more than was reserved: with so many tokens, a guess too high is cut down."""
    over = usage.total - most
    if over <= 0:
        return usage
    output = max(usage.output - over, 0)
    over -= usage.output - output
    reasoning = min(usage.reasoning, output)
    return msgspec.structs.replace(usage, output=output, reasoning=reasoning, input=max(usage.input - over, 0))


def _compare(exchange: Exchange, reserved: Reserved, model: Model, backend: Backend) -> None:
    """Marks what a provider billed beyond the bound that it was sent. It counts, and the next call is refused."""
    if exchange.usage_source != "provider":
        exchange.cost = min(exchange.cost, reserved.cost)
    elif exchange.cost > reserved.cost:
        exchange.overrun = exchange.cost - reserved.cost
        _log.warning(
            "provider_overran",
            backend_id=backend.id,
            model=model.slug,
            request_id=exchange.request_id,
            reserved=reserved.cost,
            cost=exchange.cost,
        )


def usage_row(
    clock: Clock,
    exchange: Exchange,
    attempt: Attempt,
    failure: GatewayError | None,
    *,
    call: Call,
    model: Model,
    served: bool = True,
) -> UsageRow:
    """The ledger's row of one attempt. Only an attempt that reached the client, or that the client left, is billed.

    `served` False: this one did not, whatever another one has that ran at the same time.
    """
    principal, backend = exchange.principal, attempt.backend
    used = exchange.usage if served else None
    # What makes nothing is no request of a budget; so it must be none when budgets are counted from the ledger.
    serving = used is not None and call.operation not in FREE
    usage = used or _NO_USAGE
    now = clock.monotonic()
    return UsageRow(
        id=attempt.id or new_id("usage", clock),
        request_id=exchange.request_id,
        created_at=exchange.started_at,
        partner_id=principal.partner.id,
        tenant_id=principal.tenant.id,
        user_id=principal.user.id,
        key_id=principal.key.id if principal.key is not None else None,
        model=model.slug,
        backend_id=backend.id,
        dialect=call.dialect,
        operation=call.operation,
        stream=call.stream,
        attempt=attempt.number or len(exchange.attempts),
        serving=serving,
        outcome="ok" if failure is None else _OUTCOMES.get(failure.code, "error"),
        error_code=failure.code.value if failure is not None else None,
        tokens_in=usage.input,
        tokens_cache_read=usage.cache_read,
        tokens_cache_write=usage.cache_write,
        tokens_cache_write_1h=usage.cache_write_1h,
        tokens_out=usage.output,
        tokens_reasoning=usage.reasoning,
        usage_source=exchange.usage_source if served else "none",
        cost=exchange.cost if served else 0,
        backend_cost=exchange.backend_cost if served else 0,
        price_version=model.price.version if model.price is not None else "",
        first_byte_us=None if attempt.first_byte is None else int((attempt.first_byte - exchange.started) * 1e6),
        latency_us=int((now - exchange.started) * 1e6),
        tags=call.tags,
        groups=principal.groups,
        tokens_audio_in=usage.audio_input,
        tokens_audio_out=usage.audio_output,
        tokens_image_in=usage.image_input,
        tokens_image_out=usage.image_output,
        images=usage.images,
        milliseconds=usage.milliseconds,
        overrun=exchange.overrun if serving else 0,
        backend_price_version=backend.cost.version,
    )


def begun_row(clock: Clock, exchange: Exchange, attempt: Attempt, *, call: Call, model: Model) -> UsageRow:
    """The row of an attempt under way, as it will stand if nothing else is heard of it: its worker was killed.

    Nobody is billed for it. What the provider has read by then it has worked on, which is put at a guess among what it
    costs the operator; what it went on to make, nobody knows.
    """
    row = usage_row(clock, exchange, attempt, None, call=call, model=model, served=False)
    free = call.operation in FREE
    usage = _NO_USAGE if free else Usage(input=-(-len(call.body) // _BYTES_PER_TOKEN))
    return msgspec.structs.replace(
        row,
        serving=False,
        outcome="interrupted",
        cost=0,
        tokens_in=usage.input,
        usage_source="none" if free else "estimated",
        backend_cost=0 if free else attempt.backend.cost.cost(usage),
    )


def overtaken_row(clock: Clock, exchange: Exchange, attempt: Attempt, *, call: Call, model: Model) -> UsageRow:
    """The row of an attempt that was cut off because another copy of the call answered first.

    Its caller pays for one answer, and this was none. What the provider has read by then is counted if it can be, else
    guessed, and put among what it costs the operator.
    """
    row = usage_row(clock, exchange, attempt, None, call=call, model=model, served=False)
    source: UsageSource = "none"
    usage = _NO_USAGE
    if call.operation not in FREE:
        usage, source = _made_out(call, attempt.backend, None, None)
    return msgspec.structs.replace(
        row,
        outcome="overtaken",
        tokens_in=usage.input,
        usage_source=source,
        backend_cost=attempt.backend.cost.cost(usage),
    )
