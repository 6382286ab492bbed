"""Pauses are drawn below a bound that doubles; retries are a share of the calls, and a few each second."""

import asyncio
import random

import pytest

from scaigrid import client_watch
from scaigrid.errors import Code, GatewayError
from scaigrid.retrying import RetryBudget, pause, pause_before
from scaigrid.stopping import Live
from tests.harness.asgi import Request
from tests.harness.clock import StillClock


def test_a_pause_is_anything_below_a_bound_that_doubles_up_to_two_seconds() -> None:
    draw = random.Random(1)  # noqa: S311 - no secrets
    for turn, bound in enumerate([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0], 1):
        pauses = [pause_before(turn, draw) for _ in range(500)]
        assert 0 <= min(pauses) < 0.05 * bound
        assert 0.95 * bound < max(pauses) <= bound


@pytest.fixture
def request_of_one() -> Request:
    return Request("/v1/inference/chat", body=b"{}")


async def test_a_pause_ends_by_itself(request_of_one: Request) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await pause(0.01, began + 5, request_of_one.receive, Live())
    assert 0.009 <= loop.time() - began < 2


@pytest.mark.parametrize(("ended_by", "code"), [("client", Code.CLIENT_CLOSED), ("gateway", Code.OVERLOADED)])
async def test_a_pause_ends_with_whom_it_is_for(
    request_of_one: Request, ended_by: str, code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_watch, "WATCH_AFTER", 0.0)
    live, loop = Live(), asyncio.get_running_loop()
    await request_of_one.receive()
    loop.call_soon(request_of_one.leave if ended_by == "client" else live.cut)
    with pytest.raises(GatewayError) as caught:
        await pause(60, loop.time() + 100, request_of_one.receive, live)
    assert caught.value.code is code
    assert asyncio.current_task() is not None


def taken(budget: RetryBudget, most: int = 100_000) -> int:
    """How many retries there are, all taken."""
    return next(count for count in range(most) if not budget.take())


def test_a_few_retries_each_second_are_there_whatever_the_calls() -> None:
    clock = StillClock()
    budget = RetryBudget(0, 10, clock)
    assert taken(budget) == 10
    clock.advance(0.5)
    assert taken(budget) == 5
    clock.advance(3600)
    assert taken(budget) == 10


def test_less_than_one_a_second_is_one_now_and_then() -> None:
    clock = StillClock()
    budget = RetryBudget(0, 0.5, clock)
    assert [taken(budget)] == [1]
    clock.advance(1)
    assert taken(budget) == 0
    clock.advance(1)
    assert taken(budget) == 1


def test_with_nothing_allowed_there_are_none() -> None:
    budget = RetryBudget(0, 0, StillClock())
    budget.calls += 1000
    assert taken(budget) == 0


@pytest.mark.parametrize("share", [0.1, 0.2, 1.0])
def test_where_every_call_fails_the_retries_of_a_minute_are_its_share(share: float) -> None:
    """Of 100 calls a second, each of which would be tried again as often as it may."""
    clock = StillClock()
    budget = RetryBudget(share, 0, clock)
    retries = 0
    for _ in range(6000):
        budget.calls += 1
        retries += budget.take()
        clock.advance(0.01)
    assert share * 5900 <= retries <= share * 6000


def test_a_quiet_hour_pays_for_ten_seconds_and_no_more() -> None:
    clock = StillClock()
    budget = RetryBudget(0.2, 0, clock)
    for _ in range(36_000):
        budget.calls += 1
        clock.advance(0.1)
    assert 19 <= taken(budget) <= 20
    clock.advance(0.1)
    for _ in range(10):
        budget.calls += 1
    clock.advance(60)
    assert taken(budget) <= 1


def test_a_retry_that_was_not_made_is_given_back() -> None:
    budget = RetryBudget(0, 1, StillClock())
    assert budget.take()
    budget.give_back()
    assert taken(budget) == 1
