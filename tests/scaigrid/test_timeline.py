"""What is kept of a request: every step with its time, and no word of the caller's but the model's name."""

from msgspec.structs import replace

from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange, Reserved
from scaigrid.limiter import Take
from scaigrid.timeline import Held, Timeline, read, timeline, timeline_row
from scaigrid.types import Usage
from tests.harness.services import KEY, MODEL, Parts
from tests.scaigrid.calls import COST, WINDOW, opened, served


def kept(parts: Parts, exchange: Exchange, error: GatewayError | None = None) -> Timeline:
    """As it is read again."""
    return read(timeline_row(exchange, error, parts.clock))


def test_every_step_has_its_time_and_every_attempt_its_reason() -> None:
    parts = Parts()
    told = kept(parts, served(parts))
    assert told.links == (("request_id", 0), ("budget", 31_250))
    assert [(one.name, one.because, one.status, one.code, one.failure) for one in told.attempts] == [
        ("one", "first", 429, "BACKEND_RATE_LIMITED", "rate_limited"),
        ("two", "failover", 200, None, None),
    ]
    times = [(one.waited, one.started, one.first_byte, one.ended) for one in told.attempts]
    assert times == [(0, 62_500, None, 125_000), (125_000, 250_000, 375_000, 750_000)]
    assert (told.first_byte, told.upstream, told.own) == (375_000, 187_500, 187_500)
    assert (told.settled, told.ended) == (875_000, 1_000_000)
    assert (told.model, told.served, told.stream, told.outcome, told.status) == (
        "acme/chat",
        "acme/chat",
        True,
        "ok",
        200,
    )
    one, two = parts.snapshot.backends
    assert told.candidates == ((one.id, "one"), (two.id, "two"))
    assert told.skipped == ((two.id, "two", "breaker open for 3.0 s"),)
    assert (told.usage, told.cost, told.backend_cost, told.bytes) == (Usage(input=8, output=6), 1_234, 77, 321)


def test_who_was_left_out_of_the_route_of_a_model_that_stood_in_is_known_too() -> None:
    parts = Parts()
    exchange = served(parts)
    model = exchange.model
    assert model is not None
    (first, *_), *_ = model.route.tiers
    three = replace(first, backend=replace(first.backend, id="backend_3", name="three"))
    exchange.attempts[-1].model = replace(model, slug="other", route=replace(model.route, tiers=((three,),)))
    exchange.skipped = {"three": "no room"}
    assert kept(parts, exchange).skipped == (("backend_3", "three", "no room"),)


def test_of_each_limit_and_budget_it_says_what_was_taken_and_what_was_kept() -> None:
    parts = Parts()
    told = kept(parts, served(parts))
    assert told.reserved == Reserved(900, 5_000)
    assert [(one.kind, one.name, one.fund, one.reserved, one.settled) for one in told.held] == [
        ("requests", "", False, 1, 1),
        ("tokens", "", False, 900, 14),
        ("concurrency", "", True, 1, 0),
        ("cost", "monthly", True, 5_000, 1_234),
    ]


def test_what_no_provider_was_asked_for_is_given_back_whole() -> None:
    parts = Parts()
    refused = opened(parts)
    refused.takes = [Take(WINDOW, 1), Take(COST, 5_000)]
    told = kept(parts, refused, GatewayError(Code.BUDGET_EXCEEDED, level="tenant"))
    assert told.held == (
        Held("user", "requests", "", False, 60.0, 1, 0),
        Held("tenant", "cost", "monthly", True, 60.0, 5_000, 0),
    )
    assert (told.outcome, told.status, told.code, told.level) == ("error", 429, "BUDGET_EXCEEDED", "tenant")
    assert (told.served, told.attempts, told.usage) == (None, (), None)


def test_the_document_has_no_word_of_the_caller_and_no_secret() -> None:
    parts = Parts()
    made = opened(parts, f"no such {KEY}", metadata={"team": "hush"})
    row = timeline_row(made, GatewayError(Code.MODEL_NOT_FOUND), parts.clock)
    for text in ("my secret words", "hush", KEY):
        assert text not in row.document
    assert read(row).model == "no such sgk_***"


def test_the_row_says_whose_it_is_and_has_an_id_of_its_own() -> None:
    parts = Parts()
    made = served(parts)
    row, other = (timeline_row(made, None, parts.clock) for _ in range(2))
    who = parts.principal
    assert (row.partner_id, row.tenant_id, row.user_id) == (who.partner.id, who.tenant.id, who.user.id)
    assert who.key is not None
    assert (row.key_id, row.request_id, row.created_at) == (who.key.id, "req_1", made.started_at)
    assert row.id != other.id


def test_another_model_that_answered_is_named() -> None:
    parts = Parts(models={"acme/chat": MODEL, "acme/long": MODEL})
    made = served(parts)
    made.attempts[1].model = made.model = parts.snapshot.models["acme/long"]
    made.attempts[1].because = "fallback"
    told = kept(parts, made)
    assert (told.model, told.served) == ("acme/chat", "acme/long")
    assert [one.model for one in told.attempts] == [None, "acme/long"]


def test_a_copy_that_was_overtaken_is_not_the_one_that_served() -> None:
    parts = Parts(models={"acme/chat": MODEL, "acme/long": MODEL})
    made = served(parts)
    made.attempts[1].overtaken, made.attempts[1].model = True, parts.snapshot.models["acme/long"]
    told = kept(parts, made)
    assert (told.served, [one.overtaken for one in told.attempts]) == ("acme/chat", [False, True])


def test_what_nobody_could_read_is_told_by_its_path() -> None:
    parts = Parts()
    made = opened(parts)
    made.call = made.model = None
    told = timeline(made, GatewayError(Code.VALIDATION_ERROR), parts.clock.monotonic())
    assert (told.surface, told.operation, told.model, told.status) == ("/v1/inference/chat", "chat", "", 422)


def test_who_left_and_who_waited_too_long_are_told_apart() -> None:
    parts = Parts()
    made = served(parts)
    for code, outcome in ((Code.CLIENT_CLOSED, "client_closed"), (Code.BACKEND_TIMEOUT, "timeout")):
        told = kept(parts, made, GatewayError(code))
        assert (told.outcome, told.code, told.status) == (outcome, code, 200)
