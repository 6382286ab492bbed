import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from middlewares.budget import Budget, BudgetConfig
from middlewares.errors import Errors, ErrorsConfig
from middlewares.rate_limit import RateLimit, RateLimitConfig
from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange
from tests.harness.asgi import Request
from tests.harness.services import KEY, Parts
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
