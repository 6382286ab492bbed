"""What an attempt cost, and the usage row that says so."""

from scaigrid.adapter import Pipe
from scaigrid.call import Call
from scaigrid.clock import Clock
from scaigrid.config.snapshot import Backend, Model
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange
from scaigrid.ids import new_id
from scaigrid.ledger.records import Outcome, UsageRow
from scaigrid.types import FREE, Usage

_BYTES_PER_TOKEN = 4
"""The usual guess for English text. A row that rests on it is marked `estimated`."""
_NO_USAGE = Usage()

_OUTCOMES: dict[Code, Outcome] = {Code.CLIENT_CLOSED: "client_closed", Code.BACKEND_TIMEOUT: "timeout"}


def bill(exchange: Exchange, model: Model, backend: Backend, pipe: Pipe | None, *, complete: bool) -> None:
    """Sets usage, its source and both costs on the exchange.

    `complete` says that the provider's answer came to its end, so that the usage it reported is the whole of it.
    Otherwise what is missing is estimated from the bytes that passed.
    """
    if exchange.call is not None and exchange.call.operation in FREE:
        # Nothing was made: a size was told, or what is stored and was billed when it was made.
        exchange.usage, exchange.usage_source, exchange.cost, exchange.backend_cost = _NO_USAGE, "none", 0, 0
        return
    usage = pipe.usage if pipe is not None else None
    if usage is not None and complete:
        exchange.usage_source = "provider"
    else:
        usage = _estimate(exchange, usage, pipe.output_seen if pipe is not None else 0)
        exchange.usage_source = "estimated"
    exchange.usage = usage
    exchange.cost = model.price.cost(usage) if model.price is not None else 0
    exchange.backend_cost = backend.cost.cost(usage)


def _estimate(exchange: Exchange, reported: Usage | None, output_seen: int) -> Usage:
    if reported is None:
        call = exchange.call
        size = len(call.body) if call is not None else 0
        return Usage(input=-(-size // _BYTES_PER_TOKEN), output=output_seen)
    if reported.output >= output_seen:
        return reported
    return Usage(
        input=reported.input,
        cache_read=reported.cache_read,
        cache_write=reported.cache_write,
        cache_write_1h=reported.cache_write_1h,
        output=output_seen,
        reasoning=reported.reasoning,
    )


def usage_row(
    clock: Clock, exchange: Exchange, attempt: Attempt, failure: GatewayError | None, *, call: Call, model: Model
) -> UsageRow:
    """The ledger's row of one attempt. Only an attempt that reached the client, or that the client left, is billed."""
    principal, backend = exchange.principal, attempt.backend
    serving = exchange.usage is not None
    usage = exchange.usage or _NO_USAGE
    now = clock.monotonic()
    return UsageRow(
        id=new_id("usage", clock),
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
        attempt=len(exchange.attempts),
        serving=serving,
        outcome="ok" if failure is None else _OUTCOMES.get(failure.code, "error"),
        error_code=failure.code.value if failure is not None else None,
        tokens_in=usage.input,
        tokens_cache_read=usage.cache_read,
        tokens_cache_write=usage.cache_write,
        tokens_cache_write_1h=usage.cache_write_1h,
        tokens_out=usage.output,
        tokens_reasoning=usage.reasoning,
        usage_source=exchange.usage_source,
        cost=exchange.cost,
        backend_cost=exchange.backend_cost,
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
