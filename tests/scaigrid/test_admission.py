"""One step in, one step out: all that a call takes or nothing, and what it used in the end."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from scaigrid.admission import admit, admits_further_in, conclude
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt, Exchange
from scaigrid.limiter import Limiter, Take
from scaigrid.middleware import begin
from scaigrid.stores import LIMITERS
from scaigrid.types import Usage
from tests.harness.asgi import Request
from tests.harness.lanes import CHAT_URL
from tests.harness.services import MODEL, Parts
from tests.scaigrid.stores.openers import OPENERS, Opener

ZoneInfo("Europe/Amsterdam")
"""Read from the disk here, where no loop runs."""
PURSE = {"scope": "user", "of": "ann", "period": "total"}
LIMITS: Mapping[str, Any] = {
    "users": {"ann": {"limits": {"requests_per_minute": 2}}},
    "budgets": {
        "money": {**PURSE, "cost_limit": "0.001"},
        "words": {**PURSE, "token_limit": 500},
        "calls": {**PURSE, "request_limit": 9},
    },
}
"""In the order of the takes: the windows of key, user, tenant and partner, then the three budgets."""
TAKEN = {"cost": 300_000, "tokens": 100, "requests": 1}
BODY = b'{"model": "acme/chat", "messages": [{"role": "user", "content": "Hello?"}]}'


class Call:
    """One inference call, with everything on its exchange that the links would have put there."""

    def __init__(
        self,
        parts: Parts,
        *,
        dialect: str = "native",
        amounts: Mapping[str, int] = TAKEN,
        limiter: Limiter | None = None,
    ) -> None:
        """`limiter` instead of the one of `parts`."""
        self.parts = parts
        self.services = msgspec.structs.replace(parts.services, limiter=limiter or parts.limiter)
        self.request = Request(CHAT_URL[dialect])
        self.exchange, _ = begin(self.request.scope, self.request.send, self.services, "test")
        self.exchange.principal = parts.principal
        self.exchange.call = self.exchange.dialect.decode(CHAT_URL[dialect], BODY)
        self.exchange.model = parts.model
        self.exchange.takes.extend(parts.principal.windows)
        now = parts.clock.now()
        self.exchange.takes.extend(Take(fund.at(now), amounts[fund.kind]) for fund in parts.principal.funds)

    async def admit(self) -> GatewayError | None:
        try:
            await admit(self.exchange, self.services)
        except GatewayError as error:
            return error
        return None

    async def conclude(self) -> None:
        await conclude(self.exchange, self.services)

    def ask(self) -> None:
        """A provider was asked."""
        backend = self.parts.snapshot.backends[0]
        self.exchange.attempts.append(Attempt(backend=backend, started=self.parts.clock.monotonic()))

    def serve(self) -> None:
        """And answered."""
        self.ask()
        self.exchange.served = True
        self.exchange.usage = Usage(input=30, output=12)
        self.exchange.cost = 270_000


@pytest.fixture
def parts() -> Parts:
    return Parts(**LIMITS)


def names(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


WINDOWS = [(1, 0)] * 4


async def test_everything_is_taken_at_once(parts: Parts) -> None:
    call = Call(parts)
    assert await call.admit() is None
    assert call.exchange.lease is not None
    assert await parts.taken() == [*WINDOWS, (0, 300_000), (0, 100), (0, 1)]
    assert parts.metrics.value("scaigrid_limit_decisions_total", outcome="admitted") == 1


async def test_what_was_used_replaces_what_was_taken(parts: Parts) -> None:
    call = Call(parts)
    await call.admit()
    call.serve()
    await call.conclude()
    assert await parts.taken() == [*WINDOWS, (270_000, 0), (42, 0), (1, 0)]
    assert call.exchange.lease is None


async def test_a_call_that_was_asked_and_not_served_costs_a_request_and_nothing_else(parts: Parts) -> None:
    """The limit on requests is there to protect; the budgets are there to pay."""
    call = Call(parts)
    await call.admit()
    call.ask()
    await call.conclude()
    assert await parts.taken() == [*WINDOWS, (0, 0), (0, 0), (0, 0)]


async def test_a_call_that_no_provider_was_asked_costs_nothing(parts: Parts) -> None:
    call = Call(parts)
    await call.admit()
    await call.conclude()
    assert await parts.taken() == [(0, 0)] * 7


async def test_what_is_no_inference_call_counts_as_a_request(parts: Parts) -> None:
    """The control plane answers by itself, and its calls are limited too."""
    call = Call(parts, amounts={"cost": 0, "tokens": 0, "requests": 1})
    call.exchange.call = None
    await call.admit()
    await call.conclude()
    assert await parts.taken() == [*WINDOWS, (0, 0), (0, 0), (1, 0)]


async def test_to_conclude_twice_is_to_conclude_once(parts: Parts) -> None:
    call = Call(parts)
    await call.admit()
    call.serve()
    await call.conclude()
    await call.conclude()
    assert (await parts.taken())[4:] == [(270_000, 0), (42, 0), (1, 0)]


async def test_a_call_that_was_not_let_in_has_nothing_to_conclude(parts: Parts) -> None:
    call = Call(parts)
    call.serve()
    await call.conclude()
    assert await parts.taken() == [(0, 0)] * 7


async def test_a_limit_that_refuses_names_its_level_and_says_when(parts: Parts) -> None:
    for _ in range(2):
        await Call(parts).admit()
    before = await parts.taken()
    refused = await Call(parts).admit()
    assert refused is not None
    assert (refused.code, refused.level) == (Code.RATE_LIMITED, "user")
    assert refused.message == "The user's limit of 2 requests in 60 s is reached."
    assert refused.retry_after is not None
    assert 1 <= refused.retry_after <= 60
    assert await parts.taken() == before
    assert parts.metrics.value("scaigrid_limit_decisions_total", outcome="limit", level="user") == 1


async def test_after_the_time_that_it_said_there_is_room(parts: Parts) -> None:
    for _ in range(2):
        await Call(parts).admit()
    refused = await Call(parts).admit()
    assert refused is not None
    assert refused.retry_after is not None
    while refused is not None:
        assert refused.retry_after is not None
        parts.clock.advance(refused.retry_after)
        refused = await Call(parts).admit()
    assert parts.clock.monotonic() - 1_000.0 <= 2 * 61


async def test_a_budget_that_refuses_names_its_level_and_not_a_time(parts: Parts) -> None:
    refused = await Call(parts, amounts={**TAKEN, "tokens": 501}).admit()
    assert refused is not None
    assert (refused.code, refused.level, refused.retry_after) == (Code.BUDGET_EXCEEDED, "user", None)
    assert refused.message == (
        "The tokens budget 'words' of the user has no room for this request; it never starts anew."
    )
    assert await parts.taken() == [(0, 0)] * 7
    assert parts.metrics.value("scaigrid_limit_decisions_total", outcome="budget", level="user") == 1


async def test_a_refused_call_has_no_lease(parts: Parts) -> None:
    call = Call(parts, amounts={**TAKEN, "cost": 1_000_001})
    assert await call.admit() is not None
    call.serve()
    await call.conclude()
    assert await parts.taken() == [(0, 0)] * 7


async def test_the_tightest_limit_is_told_in_the_dialect_s_own_headers(parts: Parts) -> None:
    native, openai = Call(parts), Call(parts, dialect="openai")
    await native.admit()
    await openai.admit()
    told = names(native.exchange.response_headers)
    assert (told["x-scaigrid-ratelimit-limit"], told["x-scaigrid-ratelimit-remaining"]) == ("2", "1")
    assert "x-ratelimit-limit-requests" not in told
    assert names(openai.exchange.response_headers)["x-ratelimit-remaining-requests"] == "0"


async def test_a_refusal_tells_them_too(parts: Parts) -> None:
    for _ in range(2):
        await Call(parts).admit()
    call = Call(parts)
    await call.admit()
    assert names(call.exchange.response_headers)["x-scaigrid-ratelimit-remaining"] == "0"


async def test_where_nothing_is_limited_nothing_is_told() -> None:
    none = {"limits": {"requests_per_minute": None}}
    parts = Parts(
        partners={"default": none},
        tenants={"default": none},
        users={"ann": none},
        keys={"ann": {"user": "ann", "sha256": "0" * 64, **none}},
    )
    call = Call(parts)
    assert await call.admit() is None
    assert call.exchange.response_headers == []


async def test_what_was_taken_is_summed_for_the_metrics(parts: Parts) -> None:
    call = Call(parts)
    await call.admit()
    call.serve()
    await call.conclude()
    taken = parts.telemetry.taken
    assert taken["limit", "user", "requests"] == taken["limit", "partner", "requests"] == 1
    assert (taken["budget", "user", "cost"], taken["budget", "user", "tokens"]) == (270_000, 42)


class Layer:
    def __init__(self, app: object = None, *, admits: bool = False) -> None:
        self.app = app
        if admits:
            self.admits = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


async def bare(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    ("app", "found"),
    [
        (bare, False),
        (Layer(bare), False),
        (Layer(bare, admits=True), True),
        (Layer(Layer(Layer(bare, admits=True))), True),
        (Layer(Layer(bare)), False),
    ],
)
def test_a_link_that_takes_is_found_however_far_in(app: Any, found: bool) -> None:
    assert admits_further_in(app) is found


def exchange_without_call(parts: Parts) -> Exchange:
    request = Request("/plain")
    return begin(request.scope, request.send, parts.services, "test")[0]


async def test_a_request_that_takes_nothing_is_let_in(parts: Parts) -> None:
    exchange = exchange_without_call(parts)
    await admit(exchange, parts.services)
    await conclude(exchange, parts.services)
    assert exchange.response_headers == []


# -- what a budget does at its limit ---------------------------------------------------------------------------------


@pytest.fixture(scope="session", params=sorted(LIMITERS))
def opener(request: pytest.FixtureRequest) -> Opener:
    return OPENERS[request.param]


def acting(action: str, **more: Any) -> Parts:
    """A caller without other limits, who has a budget of two requests that does so."""
    none = {"limits": {"requests_per_minute": None}}
    return Parts(
        partners={"default": none},
        tenants={"default": none},
        users={"ann": none},
        keys={"ann": {"user": "ann", "sha256": "0" * 64, **none}},
        budgets={"purse": {**PURSE, "request_limit": 2, "hard_action": action, **more}},
    )


async def served(parts: Parts, limiter: Limiter) -> GatewayError | None:
    """Why a call was refused, where it was not served."""
    call = Call(parts, limiter=limiter)
    refused = await call.admit()
    call.serve()
    await call.conclude()
    return refused


async def spent(parts: Parts, limiter: Limiter) -> tuple[int, int]:
    bucket = parts.snapshot.funds[0].at(parts.clock.now())
    return (await limiter.spent([bucket]))[bucket.key]


async def test_a_budget_that_notifies_refuses_nothing_and_counts_everything(opener: Opener) -> None:
    parts = acting("notify")
    async with opener() as opened:
        assert [await served(parts, opened.limiter) for _ in range(6)] == [None] * 6
        assert await spent(parts, opened.limiter) == (6, 0)


async def test_a_budget_that_notifies_does_not_open_one_that_blocks(opener: Opener) -> None:
    parts = acting("notify", token_limit=100)
    blocking = {"hard": {**PURSE, "request_limit": 1}}
    both = Parts(budgets={"purse": {**PURSE, "request_limit": 0, "hard_action": "notify"}, **blocking})
    async with opener() as opened:
        assert await served(both, opened.limiter) is None
        refused = await served(both, opened.limiter)
        assert refused is not None
        assert "'hard'" in refused.message
    assert parts.snapshot.funds[0].at(0).limit > 2**64


async def test_a_budget_that_throttles_refuses_nothing_below_its_limit(opener: Opener) -> None:
    parts = acting("throttle", throttle_per_minute=1)
    async with opener() as opened:
        assert [await served(parts, opened.limiter) for _ in range(2)] == [None, None]
        throttling = parts.snapshot.funds[0].window
        assert (await opened.limiter.spent([throttling]))[throttling.key] == (0, 0)


async def test_beyond_its_limit_it_lets_so_many_a_minute_pass(opener: Opener) -> None:
    parts = acting("throttle", throttle_per_minute=3)
    async with opener() as opened:
        answers = [await served(parts, opened.limiter) for _ in range(9)]
        assert answers[:5] == [None] * 5
        refused = answers[5]
        assert refused is not None
        assert all(answer is not None for answer in answers[5:])
        assert (refused.code, refused.level) == (Code.RATE_LIMITED, "user")
        assert refused.message == (
            "The budget 'purse' of the user is used up; until its next period it lets 3 requests a minute pass."
        )
        assert refused.retry_after is not None
        assert 1 <= refused.retry_after <= 60
        assert await spent(parts, opened.limiter) == (5, 0)
        opened.clock.advance(62)
        answers = [await served(parts, opened.limiter) for _ in range(5)]
        assert [answer is None for answer in answers] == [True] * 3 + [False] * 2
        assert await spent(parts, opened.limiter) == (8, 0)


async def test_two_limits_of_one_budget_that_throttles_are_one_throttle(opener: Opener) -> None:
    parts = acting("throttle", throttle_per_minute=2, token_limit=42)
    async with opener() as opened:
        answers = [await served(parts, opened.limiter) for _ in range(6)]
        assert [answer is None for answer in answers] == [True] * 2 + [False] * 4


async def test_a_call_that_is_throttled_has_taken_nothing(opener: Opener) -> None:
    parts = acting("throttle", throttle_per_minute=1)
    async with opener() as opened:
        for _ in range(3):
            await served(parts, opened.limiter)
        window = parts.snapshot.funds[0].window
        before = (await spent(parts, opened.limiter), await opened.limiter.spent([window]))
        assert await served(parts, opened.limiter) is not None
        assert (await spent(parts, opened.limiter), await opened.limiter.spent([window])) == before


async def test_a_call_that_was_let_through_and_asked_nobody_gives_its_place_back(opener: Opener) -> None:
    parts = acting("throttle", throttle_per_minute=1, request_limit=0)
    async with opener() as opened:
        for _ in range(3):
            call = Call(parts, limiter=opened.limiter)
            assert await call.admit() is None
            await call.conclude()
        assert await served(parts, opened.limiter) is None
        assert await served(parts, opened.limiter) is not None


async def test_who_throttles_does_not_open_what_blocks(opener: Opener) -> None:
    parts = Parts(
        budgets={
            "slow": {**PURSE, "request_limit": 0, "hard_action": "throttle", "throttle_per_minute": 9},
            "hard": {**PURSE, "request_limit": 1},
        }
    )
    async with opener() as opened:
        assert await served(parts, opened.limiter) is None
        refused = await served(parts, opened.limiter)
        assert refused is not None
        assert (refused.code, "'hard'" in refused.message) == (Code.BUDGET_EXCEEDED, True)


async def test_a_refusal_says_when_the_next_period_begins() -> None:
    budget = {**PURSE, "period": "monthly", "timezone": "Europe/Amsterdam", "request_limit": 0}
    refused = await Call(Parts(budgets={"hard": budget})).admit()
    assert refused is not None
    assert refused.message.endswith("no room for this request; its next period begins at 2027-01-31T23:00:00Z.")


async def test_a_clock_that_is_set_back_over_midnight_loses_nothing_of_either_day(opener: Opener) -> None:
    parts = acting("block", period="daily")
    evening, morning = 1_800_057_600.0 - 1, 1_800_057_600.0 + 1
    async with opener() as opened:
        answers: list[bool] = []
        for wall in (evening, morning, morning, morning, evening, evening, morning):
            parts.clock.wall = wall
            answers.append(await served(parts, opened.limiter) is None)
        assert answers == [True, True, True, False, True, False, False]


async def test_too_many_calls_at_the_same_time_are_a_limit_and_no_budget() -> None:
    parts = Parts(users={"ann": {"limits": {"concurrent_requests": 1}}})
    first, second = Call(parts), Call(parts)
    assert await first.admit() is None
    refused = await second.admit()
    assert refused is not None
    assert (refused.code, refused.level, refused.retry_after) == (Code.RATE_LIMITED, "user", 1)
    assert refused.message == "The user's limit of 1 requests at the same time is reached."
    first.serve()
    await first.conclude()
    assert await second.admit() is None


async def test_a_lease_is_held_for_longer_than_the_call_can_take() -> None:
    """The model's total deadline and two minutes; 15 minutes would be too short for this one."""
    model = {**MODEL, "route": {"targets": [{"backend": "one"}], "deadlines": {"total": 3_600}}}
    parts = Parts(models={"acme/chat": model}, budgets={"hard": {**PURSE, "request_limit": 1}})
    call = Call(parts)
    assert await call.admit() is None
    parts.clock.advance(3_600 + 119)
    assert await Call(parts).admit() is not None
    parts.clock.advance(2)
    assert await Call(parts).admit() is None
