import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from middlewares.budget import Budget, BudgetConfig
from middlewares.errors import Errors, ErrorsConfig
from middlewares.rate_limit import RateLimit, RateLimitConfig
from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange, exchange_of
from scaigrid.middleware import begin
from scaigrid.types import Usage
from tests.harness.asgi import Request
from tests.harness.services import KEY, MODEL, Parts
from tests.middlewares.bare import CHAT, Bare, called, identified, knowing

LEVELS = ["key", "user", "tenant", "partner"]


def limited(**limits: int | None) -> Parts:
    """A caller with these request limits a minute at the levels named, and 1,000 at every other."""
    given: Mapping[str, Mapping[str, Any]] = {
        level: {"limits": {"requests_per_minute": limits.get(level, 1_000)}} for level in LEVELS
    }
    return Parts(
        partners={"default": given["partner"]},
        tenants={"default": given["tenant"]},
        users={"ann": given["user"]},
        keys={"ann": {"user": "ann", "key": KEY, **given["key"]}},
    )


def linked(parts: Parts, app: ASGIApp | None = None, *, enabled: bool = True) -> ASGIApp:
    return identified(RateLimit(app or Bare().app, RateLimitConfig(enabled=enabled), parts.services), parts)


def answering(parts: Parts, app: ASGIApp | None = None) -> ASGIApp:
    """The same with its refusals answered."""
    return Errors(linked(parts, app), ErrorsConfig(), parts.services)


async def refused(parts: Parts, app: ASGIApp) -> GatewayError:
    before = await parts.taken()
    with pytest.raises(GatewayError) as caught:
        await Request().through(app)
    assert await parts.taken() == before, "a refused request costs nothing at any level"
    return caught.value


async def counts(parts: Parts) -> list[int]:
    """What was taken in the last minute of each level's limit, narrowest level first."""
    return [spent for spent, _ in await parts.taken()]


# -- alone -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
async def test_each_level_lets_in_exactly_its_limit_and_is_named(level: str) -> None:
    parts = limited(**{level: 3})
    app = linked(parts)
    for _ in range(3):
        assert (await Request().through(app)).status == 202
    error = await refused(parts, app)
    assert (error.code, error.level) == (Code.RATE_LIMITED, level)
    assert f"the {level}'s limit of 3 requests in 60 s".lower() in error.message.lower()
    assert await counts(parts) == [3, 3, 3, 3]


async def test_the_tightest_limit_wins() -> None:
    parts = limited(key=9, tenant=2)
    app = linked(parts)
    for _ in range(2):
        await Request().through(app)
    assert (await refused(parts, app)).level == "tenant"


async def test_of_many_at_once_exactly_the_limit_gets_in() -> None:
    parts = limited(user=5)
    bare = Bare()
    app = answering(parts, bare.app)
    requests = [Request("/stream") for _ in range(20)]
    running = [request.start(app) for request in requests]
    bare.open()
    for task in running:
        await task
    assert sorted(request.status for request in requests) == [200] * 5 + [429] * 15


async def test_room_comes_back_with_time() -> None:
    parts = limited(key=1)
    app = linked(parts)
    await Request().through(app)
    parts.clock.advance(30)
    assert (await refused(parts, app)).code is Code.RATE_LIMITED
    parts.clock.advance(32)
    assert (await Request().through(app)).status == 202


async def test_no_limit_is_no_limit_and_no_header() -> None:
    parts = limited(**dict.fromkeys(LEVELS))
    request = await Request().through(linked(parts))
    assert request.status == 202
    assert not [name for name, _ in request.headers if "ratelimit" in name]


@pytest.mark.parametrize("level", LEVELS)
async def test_zero_refuses_everything(level: str) -> None:
    parts = limited(**{level: 0})
    assert (await refused(parts, linked(parts))).level == level


async def test_off_limits_nobody() -> None:
    parts = limited(key=0)
    request = await Request().through(linked(parts, enabled=False))
    assert request.status == 202
    assert await counts(parts) == [0, 0, 0, 0]


async def test_without_a_key_the_limits_of_the_implicit_user_hold() -> None:
    parts = limited(tenant=1)
    app = RateLimit(Bare().app, RateLimitConfig(), parts.services)
    await Request().through(app)
    with pytest.raises(GatewayError) as caught:
        await Request().through(app)
    assert caught.value.level == "tenant"


# -- what the client is told -----------------------------------------------------------------------------------------


async def test_every_answer_says_what_is_left_of_the_tightest_limit() -> None:
    parts = limited(key=10, user=3)
    app = answering(parts)
    told: list[tuple[int, list[str | None]]] = []
    for _ in range(4):
        request = await Request("/plain").through(app)
        headers = [request.header(f"x-scaigrid-ratelimit-{word}") for word in ("limit", "remaining")]
        told.append((request.status, headers))
    assert told == [(202, ["3", "2"]), (202, ["3", "1"]), (202, ["3", "0"]), (429, ["3", "0"])]


async def test_a_client_of_the_openai_dialect_is_told_in_its_own_words_too() -> None:
    parts = limited(key=10)
    request = await Request("/oai/v1/do").through(answering(parts))
    assert request.header("x-ratelimit-limit-requests") == "10"
    assert request.header("x-ratelimit-remaining-requests") == "9"
    reset = int(request.header("x-scaigrid-ratelimit-reset") or "0")
    assert 60 <= reset <= 62
    assert request.header("x-ratelimit-reset-requests") == f"1m{reset - 60}s"


async def test_a_refusal_says_when_to_come_back_and_that_is_soon_enough() -> None:
    parts = limited(key=2)
    app = answering(parts)
    await Request().through(app)
    parts.clock.advance(20)
    await Request().through(app)
    request = await Request("/v1/do").through(app)
    assert (request.status, request.code, request.json["error"]["level"]) == (429, "RATE_LIMITED", "key")
    retry = int(request.header("retry-after") or "0")
    assert request.json["error"]["retry_after"] == retry
    assert request.header("x-should-retry") is None, "an SDK may wait and try again"
    parts.clock.advance(retry)
    assert (await Request().through(app)).status == 202


@pytest.mark.parametrize("waited", [0.0, 61.9])
async def test_the_wait_is_at_least_a_second_and_at_most_a_minute(waited: float) -> None:
    parts = limited(key=1)
    app = linked(parts)
    await Request().through(app)
    parts.clock.advance(waited)
    if waited:
        await Request().through(app)
    retry = (await refused(parts, app)).retry_after
    assert retry is not None
    assert 1 <= retry <= 60


# -- what was taken --------------------------------------------------------------------------------------------------


async def test_a_request_counts_however_it_ends() -> None:
    parts = limited()

    async def fails(*_: object) -> None:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await Request().through(linked(parts, fails))
    assert await counts(parts) == [2, 2, 2, 2]
    assert parts.limiter.leases == 0


async def test_a_call_that_no_provider_was_asked_for_is_given_back() -> None:
    parts = limited()
    await Request(CHAT).through(linked(parts, Bare(knowing(called)).app))
    assert await counts(parts) == [0, 0, 0, 0]
    assert parts.limiter.leases == 0


async def test_a_call_that_a_provider_was_asked_for_counts() -> None:
    parts = limited()

    def fill(found: Exchange) -> None:
        called(found).attempts.append(Attempt(backend=parts.snapshot.backends[0], started=0))

    await Request(CHAT).through(linked(parts, Bare(knowing(fill)).app))
    assert await counts(parts) == [1, 1, 1, 1]


async def test_what_a_cancelled_request_took_is_concluded() -> None:
    parts = limited()
    request = Request("/stream")
    running = request.start(linked(parts))
    await request.got(1)
    assert parts.limiter.leases == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert parts.limiter.leases == 0


# -- tokens ----------------------------------------------------------------------------------------------------------


def words(level: str = "user", /, **limits: Any) -> Parts:
    """The holder of the first key, with these limits at one level, and none on requests at any."""
    given: dict[str, dict[str, Any]] = {one: {"requests_per_minute": None} for one in LEVELS}
    given.setdefault("model", {})
    given[level] |= limits
    return Parts(
        partners={"default": {"limits": given["partner"]}},
        tenants={"default": {"limits": given["tenant"]}},
        users={"ann": {"limits": given["user"]}},
        keys={"ann": {"user": "ann", "key": KEY, "limits": given["key"]}},
        models={"acme/chat": {**MODEL, "limits": given["model"]}},
    )


def answered(**usage: int) -> Callable[[Exchange], None]:
    """What the forwarder leaves behind: a call of 10 output tokens at the most, served with this usage."""

    def fill(found: Exchange) -> None:
        found.attempts.append(Attempt(backend=found.snapshot.backends[0], started=0))
        found.served = True
        found.usage = Usage(**usage)

    return fill


def calling(parts: Parts, fill: Callable[[Exchange], object] = lambda _: None, **fields: Any) -> ASGIApp:
    """A call with these fields through the link, then `fill`; refusals are answered."""
    inner = RateLimit(Bare(knowing(fill)).app, RateLimitConfig(), parts.services)

    async def taken_in(scope: Scope, receive: Receive, send: Send) -> None:
        found, send = begin(scope, send, parts.services, "test")
        called(found, **{"max_tokens": 10, **fields})
        await inner(scope, receive, send)

    return Errors(identified(taken_in, parts), ErrorsConfig(), parts.services)


WORST = len(b'{"model": "acme/chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 10}') + 1024 + 10
"""Of such a call: a token for each byte, what providers add, and its answer."""


@pytest.mark.parametrize("level", [*LEVELS, "model"])
async def test_a_token_limit_takes_the_worst_case_and_is_corrected_to_what_was_used(level: str) -> None:
    parts = words(level, tokens_per_minute=WORST + 50)
    seen: list[list[tuple[int, int]]] = []

    async def during(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await parts.taken())
        found = exchange_of(scope)
        assert found is not None
        answered(input=30, output=12)(found)
        await Bare().app(scope, receive, send)

    inner = RateLimit(during, RateLimitConfig(), parts.services)

    async def taken_in(scope: Scope, receive: Receive, send: Send) -> None:
        found, send = begin(scope, send, parts.services, "test")
        called(found, max_tokens=10)
        await inner(scope, receive, send)

    app = Errors(identified(taken_in, parts), ErrorsConfig(), parts.services)
    assert (await Request(CHAT).through(app)).status == 200
    assert (seen, await parts.taken()) == ([[(WORST, 0)]], [(42, 0)])
    assert (await Request(CHAT).through(app)).status == 200
    refused_ = await Request("/v1/inference/chat").through(app)
    assert (refused_.status, refused_.json["error"]["level"]) == (429, level)
    assert await parts.taken() == [(84, 0)]
    assert 1 <= refused_.json["error"]["retry_after"] <= 60


async def test_a_call_that_nobody_was_asked_for_takes_no_tokens() -> None:
    parts = words(tokens_per_day=WORST)
    await Request(CHAT).through(calling(parts))
    assert await parts.taken() == [(0, 0)]


async def test_an_attempt_that_failed_costs_no_tokens() -> None:
    parts = words(tokens_per_day=WORST)

    def fill(found: Exchange) -> None:
        found.attempts.append(Attempt(backend=found.snapshot.backends[0], started=0))

    await Request(CHAT).through(calling(parts, fill))
    assert await parts.taken() == [(0, 0)]


async def test_tokens_are_taken_of_all_levels_or_of_none() -> None:
    parts = Parts(
        keys={"ann": {"user": "ann", "key": KEY, "limits": {"tokens_per_minute": 10_000}}},
        models={"acme/chat": {**MODEL, "limits": {"tokens_per_day": 100}}},
    )
    refused_ = await Request("/v1/inference/chat").through(calling(parts))
    assert (refused_.status, refused_.json["error"]["level"]) == (429, "model")
    assert {spent for spent, _ in await parts.taken()} == {0}


async def test_a_call_larger_than_the_whole_limit_is_told_so_and_not_to_come_back() -> None:
    parts = words(tokens_per_minute=WORST - 1)
    request = await Request("/v1/inference/chat").through(calling(parts))
    error = request.json["error"]
    assert (request.status, error["code"]) == (429, "RATE_LIMITED")
    assert error["message"] == (
        f"The user's limit is {WORST - 1} tokens in 60 s, and this request may use {WORST}: lower max_tokens, or send "
        "less."
    )
    assert "retry_after" not in error
    assert (request.header("retry-after"), request.header("x-should-retry")) == (None, "false")
    assert (await Request(CHAT).through(calling(parts, max_tokens=9))).status == 200


@pytest.mark.parametrize("kind", ["requests_per_minute", "requests_per_day", "tokens_per_day", "concurrent_requests"])
async def test_zero_of_any_kind_refuses_every_call_and_nobody_is_told_to_wait(kind: str) -> None:
    parts = words("user", **{kind: 0})
    request = await Request("/v1/inference/chat").through(calling(parts))
    assert (request.status, request.code) == (429, "RATE_LIMITED")
    assert (request.header("retry-after"), request.header("x-should-retry")) == (None, "false")


async def test_what_takes_no_tokens_passes_a_limit_that_has_none_left() -> None:
    parts = words(tokens_per_minute=0)
    assert (await Request("/v1/do").through(linked(parts))).status == 200


async def test_a_day_is_a_day_and_a_minute_a_minute() -> None:
    parts = words(requests_per_minute=2, requests_per_day=3)
    app = answering(parts)

    async def passed() -> int:
        return [(await Request().through(app)).status for _ in range(4)].count(202)

    assert await passed() == 2
    parts.clock.advance(62)
    assert await passed() == 1
    parts.clock.advance(86_400 - 62 - 60)
    assert await passed() == 0
    parts.clock.advance(86_400 / 60 + 62)
    assert await passed() == 2


async def test_a_time_of_day_that_is_set_back_changes_nothing_and_a_clock_that_goes_back_stands_still() -> None:
    parts = words(requests_per_minute=1)
    app = answering(parts)
    await Request().through(app)
    parts.clock.wall -= 3_600
    assert (await Request().through(app)).status == 429
    parts.clock.running -= 30
    assert (await Request().through(app)).status == 429
    parts.clock.advance(62)
    assert (await Request().through(app)).status == 202


# -- at the same time ------------------------------------------------------------------------------------------------


async def test_so_many_at_the_same_time_and_the_next_when_one_is_over() -> None:
    parts = words(concurrent_requests=2)
    app = answering(parts)
    bare = Bare()
    held = answering(parts, bare.app)
    first, second = Request("/stream"), Request("/stream")
    running = [first.start(held), second.start(held)]
    for request in (first, second):
        await request.got(1)
    third = await Request("/v1/do").through(app)
    assert (third.status, third.code, third.json["error"]["level"]) == (429, "RATE_LIMITED", "user")
    assert "at the same time" in third.json["error"]["message"]
    assert third.header("retry-after") == "1"
    bare.open()
    for task in running:
        await task
    assert (await Request().through(app)).status == 202
    assert await parts.taken() == [(0, 0)]
    assert parts.metrics.value("scaigrid_limit_decisions_total", outcome="limit", level="user") == 1


async def test_one_that_fails_or_is_cancelled_is_over_too() -> None:
    parts = words(concurrent_requests=1)

    async def fails(*_: object) -> None:
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await Request().through(linked(parts, fails))
    request = Request("/stream")
    running = request.start(linked(parts))
    await request.got(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await Request().through(linked(parts))).status == 202


# -- models ----------------------------------------------------------------------------------------------------------


async def test_a_models_limit_is_of_all_its_callers_and_of_its_calls_alone() -> None:
    parts = words("model", requests_per_day=1)
    await Request(CHAT).through(calling(parts, answered(input=1)))
    refused_ = await Request("/v1/inference/chat").through(calling(parts))
    assert refused_.json["error"]["level"] == "model"
    assert "The model's limit of 1 requests in 86400 s" in refused_.json["error"]["message"]
    assert (await Request("/v1/do").through(answering(parts))).status == 200


@pytest.mark.parametrize(
    "bounds", [{"hidden": frozenset({"acme/chat"})}, {"models": frozenset({"acme/other"})}], ids=["hidden", "confined"]
)
async def test_who_may_not_use_a_model_takes_nothing_of_it_and_learns_nothing(bounds: dict[str, Any]) -> None:
    parts = words("model", requests_per_day=0, tokens_per_day=0)
    stranger = msgspec.structs.replace(parts.principal, **bounds)

    async def taken_in(scope: Scope, receive: Receive, send: Send) -> None:
        found, send = begin(scope, send, parts.services, "test")
        called(found)
        await RateLimit(Bare().app, RateLimitConfig(), parts.services)(scope, receive, send)

    assert (await Request(CHAT).through(identified(taken_in, parts, stranger))).status == 200
    assert await parts.taken() == [(0, 0), (0, 0)]


# -- headers of tokens -----------------------------------------------------------------------------------------------


async def test_what_is_left_of_tokens_is_told_after_what_the_call_takes_of_the_tightest() -> None:
    parts = words(requests_per_minute=9, tokens_per_minute=WORST + 100, tokens_per_day=WORST + 7)
    native = await Request("/v1/inference/chat").through(calling(parts))
    assert native.header("x-scaigrid-ratelimit-limit") == "9"
    assert native.header("x-scaigrid-ratelimit-limit-tokens") == str(WORST + 7)
    assert native.header("x-scaigrid-ratelimit-remaining-tokens") == "7"
    assert 86_400 <= int(native.header("x-scaigrid-ratelimit-reset-tokens") or "0") <= 86_400 + 86_400 / 60 + 1
    openai = await Request(CHAT).through(calling(parts))
    assert openai.header("x-ratelimit-remaining-requests") == "8"
    assert openai.header("x-ratelimit-remaining-tokens") == "7"


# -- with budget further in ------------------------------------------------------------------------------------------


class Between:
    """A link of somebody else's, that keeps what it stands around where every ASGI class does."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize("enabled", [False, True])
async def test_the_innermost_of_the_two_takes_and_it_takes_once(between: bool, enabled: bool) -> None:
    parts = limited()
    inner: ASGIApp = Budget(Bare().app, BudgetConfig(enabled=enabled), parts.services)
    request = await Request().through(linked(parts, Between(inner) if between else inner))
    assert await counts(parts) == [1, 1, 1, 1]
    assert len([name for name, _ in request.headers if name == "x-scaigrid-ratelimit-limit"]) == 1
    assert parts.limiter.leases == 0


async def test_a_limit_refuses_there_too_and_the_application_is_not_reached() -> None:
    parts = limited(user=0)

    async def never(*_: object) -> None:
        raise AssertionError("nobody gets in")

    app = linked(parts, Budget(never, BudgetConfig(), parts.services))
    assert (await refused(parts, app)).level == "user"


# -- the metrics -----------------------------------------------------------------------------------------------------


async def test_what_was_decided_and_taken_is_counted() -> None:
    parts = limited(key=2)
    app = answering(parts)
    for _ in range(3):
        await Request().through(app)
    metrics = parts.metrics
    assert metrics.value("scaigrid_limit_decisions_total", outcome="admitted") == 2
    assert metrics.value("scaigrid_limit_decisions_total", outcome="limit", level="key") == 1
    assert metrics.value("scaigrid_taken_total", of="limit", level="tenant", kind="requests") == 2
