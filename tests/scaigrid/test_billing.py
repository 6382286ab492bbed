"""What an attempt costs, by what the provider said or by what passed, and every field of its row."""

from collections.abc import Sequence

import msgspec
import pytest
import structlog

from scaigrid.adapter import Pipe
from scaigrid.billing import begun_row, bill, overtaken_row, usage_row
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange, Reserved
from scaigrid.ledger.records import UsageRow
from scaigrid.middleware import begin
from scaigrid.translation import Translation
from scaigrid.types import FREE, MOST_TOKENS, Done, Event, Operation, Text, Usage
from tests.harness.asgi import Request
from tests.harness.lanes import CHAT_URL
from tests.harness.services import MODEL, Parts

PRICES = {"input": 3, "output": 15, "cached_input": 1, "cache_write": 4, "cache_write_1h": 6, "request": "0.001"}
USED = Usage(input=10, cache_read=20, cache_write=30, cache_write_1h=40, output=50, reasoning=7)
COST = 1_000_000 + 10 * 3_000 + 20 * 1_000 + 30 * 4_000 + 40 * 6_000 + 50 * 15_000
BODY = b'{"model": "acme/chat", "messages": [{"role": "user", "content": "Hello?"}], "metadata": {"team": "blue"}}'
ESTIMATED = Usage(input=-(-len(BODY) // 4), output=12)
"""Of that call, where twelve tokens have passed."""


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
    exchange, _ = begin(request.scope, request.send, parts.services, "test")
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
    assert row.backend_price_version not in ("", row.price_version)
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


# -- what cannot be ----------------------------------------------------------------------------------------------------

IMPOSSIBLE = {
    "below nothing": Usage(input=-1, output=5),
    "part of it below nothing": Usage(input=5, cache_read=-1, output=5),
    "enormous": Usage(input=5, output=MOST_TOKENS + 1),
    "thought less than nothing": Usage(input=5, output=5, reasoning=-1),
}


@pytest.mark.parametrize("fault", IMPOSSIBLE)
@pytest.mark.parametrize("complete", [True, False], ids=["complete", "cut off"])
def test_a_usage_that_cannot_be_is_refused_and_the_answer_estimated(fault: str, complete: bool) -> None:
    with structlog.testing.capture_logs() as logs:
        made = Bill(Passed(IMPOSSIBLE[fault], output_seen=12), complete=complete)
    assert (made.exchange.usage, made.exchange.usage_source) == (ESTIMATED, "estimated")
    assert made.exchange.cost == 1_000_000 + ESTIMATED.input * 3_000 + 12 * 15_000
    backend = made.parts.snapshot.backends[0]
    assert [(line["event"], line["backend_id"]) for line in logs] == [("provider_usage_refused", backend.id)]


def test_a_usage_that_would_cost_more_than_anybody_can_pay_is_refused_too() -> None:
    parts = Parts(models={"acme/chat": {**MODEL, "prices": {"input": 999_999, "output": 999_999}}})
    exchange = exchange_of(parts)
    pipe = Passed(Usage(input=MOST_TOKENS, output=MOST_TOKENS), output_seen=12)
    bill(exchange, parts.model, parts.snapshot.backends[0], pipe, complete=True)
    assert (exchange.usage, exchange.usage_source) == (ESTIMATED, "estimated")


def test_a_usage_of_nothing_for_an_answer_that_said_something_is_none() -> None:
    made = Bill(Passed(Usage(), output_seen=12))
    assert (made.exchange.usage, made.exchange.usage_source) == (ESTIMATED, "estimated")


def test_a_usage_of_nothing_for_an_answer_of_nothing_is_believed() -> None:
    made = Bill(Passed(Usage()))
    assert (made.exchange.usage, made.exchange.usage_source) == (Usage(), "provider")


def test_the_most_that_is_believed_fits_into_a_row() -> None:
    """2**63 is what a column of the database has room for."""
    made = Bill(Passed(Usage(input=10**9, output=10**9)))
    assert made.exchange.usage_source == "provider"
    assert 0 < made.exchange.cost < 2**63


# -- what was reserved -------------------------------------------------------------------------------------------------


def billed(pipe: Pipe | None, reserved: Reserved, *, complete: bool = True, target: str = "upstream-one") -> Exchange:
    parts = Parts(models={"acme/chat": {**MODEL, "prices": PRICES}})
    exchange = exchange_of(parts)
    exchange.reserved = reserved
    backend = parts.snapshot.backends[0]
    backend = msgspec.structs.replace(backend, target=msgspec.structs.replace(backend.target, model=target))
    bill(exchange, parts.model, backend, pipe, complete=complete)
    return exchange


def test_what_a_provider_bills_beyond_what_was_reserved_is_an_overrun() -> None:
    with structlog.testing.capture_logs() as logs:
        over = billed(Passed(USED), Reserved(10**6, COST - 5))
    assert (over.cost, over.overrun) == (COST, 5)
    (line,) = logs
    assert (line["event"], line["reserved"], line["cost"]) == ("provider_overran", COST - 5, COST)
    assert billed(Passed(USED), Reserved(10**6, COST)).overrun == 0


def test_our_own_guess_never_takes_more_than_was_reserved() -> None:
    guessed = billed(Passed(None, output_seen=10**6), Reserved(100, 1_700_000), complete=False)
    assert guessed.usage is not None
    assert guessed.usage.total == 100
    assert guessed.cost == 1_700_000
    assert guessed.overrun == 0


def test_what_is_cut_down_has_no_more_reasoning_than_output() -> None:
    guessed = billed(Passed(Usage(input=60, output=80, reasoning=70)), Reserved(100, 10**12), complete=False)
    assert guessed.usage == Usage(input=60, output=40, reasoning=40)


def test_a_guess_within_what_was_reserved_is_left_alone() -> None:
    guessed = billed(Passed(None, output_seen=12), Reserved(10**6, 10**12), complete=False)
    assert guessed.usage == ESTIMATED


# -- counted by ourselves ----------------------------------------------------------------------------------------------


def said(*pieces: str, end: bool = True) -> Translation:
    """An answer that is being translated, without a word on usage."""

    class Decoder:
        ended = True

        def feed(self, chunk: bytes) -> Sequence[Event]:
            return [Text(piece) for piece in pieces]

        def close(self) -> Sequence[Event]:
            return [Done("stop")]

    class Silent:
        def render(self, events: Sequence[Event]) -> bytes:
            return b""

        def close(self) -> bytes:
            return b""

    translation = Translation(Decoder(), Silent(), keeps=True)
    translation.feed(b"x")
    if end:
        translation.close()
    return translation


@pytest.mark.parametrize("complete", [True, False], ids=["complete", "cut off"])
def test_a_text_whose_vocabulary_is_known_is_counted(complete: bool) -> None:
    exchange = billed(
        said("hello", " world", end=complete), Reserved(10**6, 10**12), complete=complete, target="gpt-4o"
    )
    # "Hello?" is two tokens; its role is one, and six stand around it.
    assert (exchange.usage, exchange.usage_source) == (Usage(input=9, output=2), "counted")
    assert exchange.cost == 1_000_000 + 9 * 3_000 + 2 * 15_000


def test_the_same_text_of_another_model_is_estimated() -> None:
    exchange = billed(said("hello", " world"), Reserved(10**6, 10**12), target="upstream-one")
    assert exchange.usage_source == "estimated"


def test_a_relay_keeps_no_text_so_that_it_is_estimated() -> None:
    exchange = billed(Passed(None, output_seen=12), Reserved(10**6, 10**12), target="gpt-4o")
    assert (exchange.usage, exchange.usage_source) == (ESTIMATED, "estimated")


@pytest.mark.parametrize("operation", sorted(FREE))
def test_what_makes_nothing_is_no_request_of_a_budget_that_is_counted_from_the_ledger(operation: Operation) -> None:
    parts = Parts()
    exchange = exchange_of(parts)
    assert exchange.call is not None
    exchange.call.operation = operation
    bill(exchange, parts.model, parts.snapshot.backends[0], Passed(USED), complete=True)
    row = row_of(parts, exchange)
    assert (row.serving, row.outcome, row.cost, row.usage_source) == (False, "ok", 0, "none")


# -- the row of what a crash interrupts --------------------------------------------------------------------------------


def test_the_row_of_what_is_under_way_bills_nobody_and_guesses_what_was_read() -> None:
    parts = Parts()
    exchange = exchange_of(parts)
    backend = parts.snapshot.backends[0]
    attempt = Attempt(backend=backend, id="usage_1", started=parts.clock.monotonic())
    exchange.attempts.append(attempt)
    # What the renderer was told already is nobody's bill.
    exchange.cost = 77
    parts.clock.advance(0.25)
    call = exchange.call
    assert call is not None
    row = begun_row(parts.clock, exchange, attempt, call=call, model=parts.model)
    assert (row.id, row.outcome, row.serving, row.cost, row.overrun) == ("usage_1", "interrupted", False, 0, 0)
    assert (row.tokens_in, row.tokens_out, row.usage_source) == (ESTIMATED.input, 0, "estimated")
    assert row.backend_cost == ESTIMATED.input * 1_000
    assert row.latency_us == 250_000
    ended = usage_row(parts.clock, exchange, attempt, None, call=call, model=parts.model)
    assert (ended.id, ended.request_id, ended.created_at) == (row.id, row.request_id, row.created_at)


# -- two copies of a call ----------------------------------------------------------------------------------------------


def test_a_copy_that_was_overtaken_costs_its_caller_nothing_whatever_the_other_one_did() -> None:
    made = Bill(Passed(USED))
    parts, exchange = made.parts, made.exchange
    call, backend = exchange.call, parts.snapshot.backends[0]
    assert call is not None
    attempts = [Attempt(backend=backend, number=number, started=parts.clock.monotonic()) for number in (1, 2)]
    exchange.attempts.extend(attempts)
    lost = overtaken_row(parts.clock, exchange, attempts[0], call=call, model=parts.model)
    assert (lost.attempt, lost.outcome, lost.error_code, lost.serving, lost.cost) == (1, "overtaken", None, False, 0)
    assert (lost.tokens_in, lost.tokens_cache_read, lost.tokens_out) == (ESTIMATED.input, 0, 0)
    assert (lost.usage_source, lost.backend_cost) == ("estimated", ESTIMATED.input * 1_000)
    won = usage_row(parts.clock, exchange, attempts[1], None, call=call, model=parts.model)
    assert (won.attempt, won.outcome, won.serving, won.cost) == (2, "ok", True, COST)
    broken = GatewayError(Code.BACKEND_ERROR)
    failed = usage_row(parts.clock, exchange, attempts[0], broken, call=call, model=parts.model, served=False)
    assert (failed.serving, failed.cost, failed.backend_cost, failed.usage_source) == (False, 0, 0, "none")
