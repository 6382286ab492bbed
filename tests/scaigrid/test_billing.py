"""What an attempt costs, by what the provider said or by what passed, and every field of its row."""

import msgspec
import pytest

from scaigrid.billing import bill, usage_row
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange
from scaigrid.ledger.records import UsageRow
from scaigrid.middleware import begin
from scaigrid.types import Usage
from tests.harness.asgi import Request
from tests.harness.lanes import CHAT_URL
from tests.harness.services import MODEL, Parts

PRICES = {"input": 3, "output": 15, "cached_input": 1, "cache_write": 4, "cache_write_1h": 6, "request": "0.001"}
USED = Usage(input=10, cache_read=20, cache_write=30, cache_write_1h=40, output=50, reasoning=7)
COST = 1_000_000 + 10 * 3_000 + 20 * 1_000 + 30 * 4_000 + 40 * 6_000 + 50 * 15_000
BODY = b'{"model": "acme/chat", "messages": [{"role": "user", "content": "Hello?"}], "metadata": {"team": "blue"}}'


class Passed:
    """A pipe that has read `usage`, and from which so many output tokens were guessed."""

    def __init__(self, usage: Usage | None, output_seen: int = 0) -> None:
        self.usage = usage
        self.output_seen = output_seen
        self.ended = True

    def feed(self, chunk: bytes) -> bytes:
        return chunk

    def close(self) -> bytes:
        return b""


class Bill:
    """One exchange with a call, billed."""

    def __init__(self, pipe: Passed | None, *, complete: bool = True, unpriced: bool = False) -> None:
        model = {**MODEL, "prices": PRICES}
        if unpriced:
            del model["prices"]
            model["unpriced"] = "refuse"
        self.parts = Parts(models={"acme/chat": model})
        self.exchange = exchange_of(self.parts)
        bill(self.exchange, self.parts.model, self.parts.snapshot.backends[0], pipe, complete=complete)


def exchange_of(parts: Parts) -> Exchange:
    request = Request(CHAT_URL["openai"])
    exchange, _ = begin(request.scope, request.send, parts.services)
    exchange.principal = parts.principal
    exchange.call = exchange.dialect.decode(CHAT_URL["openai"], BODY)
    exchange.model = parts.model
    return exchange


def test_what_the_provider_counted_is_billed_class_by_class() -> None:
    made = Bill(Passed(USED, output_seen=9_999))
    assert (made.exchange.usage, made.exchange.usage_source) == (USED, "provider")
    assert made.exchange.cost == COST
    assert made.exchange.backend_cost == 100 * 1_000 + 50 * 5_000


def test_a_complete_answer_that_counts_nothing_is_estimated() -> None:
    """Four bytes of the call are a token of input, rounded up; what has passed is the output."""
    made = Bill(Passed(None, output_seen=12))
    assert made.exchange.usage == Usage(input=-(-len(BODY) // 4), output=12)
    assert made.exchange.usage_source == "estimated"


@pytest.mark.parametrize(("seen", "output"), [(80, 80), (50, 50), (3, 50)])
def test_what_was_cut_off_costs_what_was_said_or_what_was_seen_whichever_is_more(seen: int, output: int) -> None:
    made = Bill(Passed(USED, output_seen=seen), complete=False)
    assert made.exchange.usage == msgspec.structs.replace(USED, output=output)
    assert made.exchange.usage_source == "estimated"
    assert made.exchange.cost == COST + (output - 50) * 15_000


def test_a_client_who_left_before_any_answer_pays_for_the_input() -> None:
    made = Bill(None, complete=False)
    assert made.exchange.usage == Usage(input=-(-len(BODY) // 4))
    assert made.exchange.usage_source == "estimated"
    assert made.exchange.cost > 0


def test_a_model_without_a_price_costs_its_user_nothing_and_its_operator_what_it_costs() -> None:
    made = Bill(Passed(USED), unpriced=True)
    assert (made.exchange.cost, made.exchange.backend_cost) == (0, 350_000)


# -- the row ---------------------------------------------------------------------------------------------------------


def row_of(parts: Parts, exchange: Exchange, failure: GatewayError | None = None, *, attempts: int = 1) -> UsageRow:
    exchange.attempts.extend(
        Attempt(backend=parts.snapshot.backends[0], started=parts.clock.monotonic()) for _ in range(attempts)
    )
    attempt = exchange.attempts[-1]
    parts.clock.advance(0.5)
    if failure is None:
        attempt.first_byte = parts.clock.monotonic()
    parts.clock.advance(1.25)
    call = exchange.call
    assert call is not None
    return usage_row(parts.clock, exchange, attempt, failure, call=call, model=parts.model)


def test_the_row_of_an_attempt_that_served() -> None:
    made = Bill(Passed(USED))
    parts, exchange = made.parts, made.exchange
    started_at = parts.clock.now()
    row = row_of(parts, exchange, attempts=2)
    principal = parts.principal
    assert principal.key is not None
    assert row == UsageRow(
        id=row.id,
        request_id=exchange.request_id,
        created_at=started_at,
        partner_id=principal.partner.id,
        tenant_id=principal.tenant.id,
        user_id=principal.user.id,
        key_id=principal.key.id,
        model="acme/chat",
        backend_id=parts.snapshot.backends[0].id,
        dialect="openai",
        operation="chat",
        stream=False,
        attempt=2,
        serving=True,
        outcome="ok",
        error_code=None,
        tokens_in=10,
        tokens_cache_read=20,
        tokens_cache_write=30,
        tokens_cache_write_1h=40,
        tokens_out=50,
        tokens_reasoning=7,
        usage_source="provider",
        cost=COST,
        backend_cost=350_000,
        price_version=row.price_version,
        first_byte_us=500_000,
        latency_us=1_750_000,
        tags={"team": "blue"},
        backend_price_version=parts.snapshot.backends[0].cost.version,
    )
    assert parts.model.price is not None
    assert row.price_version == parts.model.price.version != ""
    assert row.id.startswith("usage_")


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (Code.BACKEND_ERROR, "error"),
        (Code.BACKEND_TIMEOUT, "timeout"),
        (Code.CLIENT_CLOSED, "client_closed"),
        (Code.INTERNAL_ERROR, "error"),
    ],
)
def test_the_row_of_an_attempt_that_failed_costs_nothing(code: Code, outcome: str) -> None:
    parts = Parts()
    row = row_of(parts, exchange_of(parts), GatewayError(code))
    assert (row.outcome, row.error_code, row.serving) == (outcome, code, False)
    assert (row.cost, row.backend_cost, row.usage_source) == (0, 0, "none")
    assert (row.tokens_in, row.tokens_out, row.first_byte_us) == (0, 0, None)


def test_two_rows_of_one_request_have_ids_of_their_own() -> None:
    parts = Parts()
    exchange = exchange_of(parts)
    one, other = row_of(parts, exchange, GatewayError(Code.BACKEND_ERROR)), row_of(parts, exchange)
    assert one.id != other.id
    assert (one.request_id, one.attempt, other.attempt) == (other.request_id, 1, 2)


def test_a_caller_without_a_key_has_none_in_its_row() -> None:
    parts = Parts()
    exchange = exchange_of(parts)
    exchange.principal = parts.snapshot.anonymous
    assert row_of(parts, exchange).key_id is None
