"""A token is asked for when it is needed, once at a time, and anew before it ends."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.adapter import UpstreamRequest
from scaigrid.credentials.scheme import NoToken
from scaigrid.credentials.tokens import AGAIN, EARLY, Granted, Tokens, granted, with_bearer
from scaigrid.errors import Code, GatewayError
from tests.harness.clock import StillClock


class Desk:
    """Who gives out tokens: numbered ones, as long as it is open."""

    def __init__(self, seconds: float = 3600.0) -> None:
        self.asked = 0
        self.seconds = seconds
        self.open = True
        self.gate: asyncio.Event | None = None

    async def __call__(self) -> Granted:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if not self.open:
            raise NoToken("it answered 500")
        return Granted(f"token-{self.asked}", self.seconds)


async def turns() -> None:
    """Lets what is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def refused(ask: Callable[[], Awaitable[str]]) -> Code:
    with pytest.raises(GatewayError) as caught:
        await ask()
    return caught.value.code


async def test_another_token_is_asked_for_a_minute_before_the_end_and_nobody_waits_for_it() -> None:
    desk, clock = Desk(), StillClock()
    tokens = Tokens(desk, clock)
    assert await tokens.current() == "token-1"
    clock.advance(3600 - EARLY - 1)
    assert (await tokens.current(), desk.asked) == ("token-1", 1)
    clock.advance(1)
    desk.gate = asyncio.Event()
    assert await tokens.current() == "token-1"
    desk.gate.set()
    await turns()
    assert (await tokens.current(), desk.asked) == ("token-2", 2)


async def test_after_its_end_another_token_is_waited_for() -> None:
    desk, clock = Desk(), StillClock()
    tokens = Tokens(desk, clock)
    await tokens.current()
    clock.advance(3600)
    assert await tokens.current() == "token-2"


async def test_a_token_of_a_moment_is_still_good_for_something() -> None:
    desk, clock = Desk(seconds=20), StillClock()
    tokens = Tokens(desk, clock)
    await tokens.current()
    clock.advance(9)
    assert await tokens.current() == "token-1"
    clock.advance(1)
    await tokens.current()
    await turns()
    assert await tokens.current() == "token-2"


async def test_everybody_waits_for_one_answer() -> None:
    desk, clock = Desk(), StillClock()
    desk.gate = asyncio.Event()
    tokens = Tokens(desk, clock)
    waiting = [asyncio.create_task(tokens.current()) for _ in range(20)]
    await asyncio.sleep(0)
    desk.gate.set()
    assert set(await asyncio.gather(*waiting)) == {"token-1"}
    assert desk.asked == 1


async def test_whoever_leaves_takes_the_answer_from_nobody() -> None:
    desk, clock = Desk(), StillClock()
    desk.gate = asyncio.Event()
    tokens = Tokens(desk, clock)
    first, second = asyncio.create_task(tokens.current()), asyncio.create_task(tokens.current())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    desk.gate.set()
    assert await second == "token-1"
    assert first.cancelled()
    assert desk.asked == 1


async def test_a_failure_is_told_to_all_and_stands_for_a_moment() -> None:
    desk, clock = Desk(), StillClock()
    desk.open = False
    tokens = Tokens(desk, clock)
    codes = await asyncio.gather(*(refused(tokens.current) for _ in range(5)))
    assert (set(codes), desk.asked) == ({Code.BACKEND_ERROR}, 1)
    assert (await refused(tokens.current), desk.asked) == (Code.BACKEND_ERROR, 1)
    desk.open = True
    clock.advance(AGAIN)
    assert await tokens.current() == "token-2"


async def test_a_token_that_cannot_be_renewed_is_used_to_its_end() -> None:
    desk, clock = Desk(), StillClock()
    tokens = Tokens(desk, clock)
    await tokens.current()
    desk.open = False
    clock.advance(3600 - EARLY)
    assert await tokens.current() == "token-1"
    await turns()
    assert await tokens.current() == "token-1"
    clock.advance(EARLY)
    assert await refused(tokens.current) is Code.BACKEND_ERROR


def test_the_token_is_the_only_authorization() -> None:
    request = UpstreamRequest("GET", "https://x", (("Authorization", "Bearer old"), ("accept", "*/*")), b"")
    assert with_bearer(request, "new").headers == (("accept", "*/*"), ("authorization", "Bearer new"))


def test_what_a_desk_answers_is_read() -> None:
    assert granted(200, b'{"access_token":"t","expires_in":60,"token_type":"Bearer"}') == Granted("t", 60.0)
    assert granted(200, b'{"access_token":"t","expires_in":"60"}') == Granted("t", 60.0)
    assert granted(200, b'{"access_token":"t"}') == Granted("t", 300.0)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, b'{"error":"invalid_grant","error_description":"secret"}', "it answered 400 (invalid_grant)"),
        (400, b'{"error":"Secret: sk-1"}', "it answered 400"),
        (500, b"<html>", "it answered 500"),
        (200, b"<html>", "its answer is no token"),
        (200, b'{"access_token":"a b"}', "its answer is no token"),
        (200, b'{"access_token":"a\\r\\nx: y"}', "its answer is no token"),
        (200, b'{"access_token":"t","expires_in":"soon"}', "its answer is no token"),
        (200, b'{"access_token":"t","expires_in":"nan"}', "its answer is no token"),
        (200, b'{"access_token":"t","expires_in":-1}', "its answer is no token"),
    ],
)
def test_what_is_no_token_is_none(status: int, body: bytes, told: str) -> None:
    with pytest.raises(NoToken) as caught:
        granted(status, body)
    assert str(caught.value) == told


@given(status=st.sampled_from([200, 400]), body=st.binary(max_size=64))
@settings(max_examples=100, deadline=None)
def test_no_answer_is_a_crash(status: int, body: bytes) -> None:
    with pytest.raises(NoToken):
        granted(status, body)
