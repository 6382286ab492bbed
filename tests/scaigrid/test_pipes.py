"""Which pipe an answer goes through, and what is read beside it."""

import asyncio

import pytest

from scaigrid import pipes
from scaigrid.call import Call
from scaigrid.config.snapshot import Model
from scaigrid.pipes import error_body, linger, opened
from scaigrid.translation import Translation
from scaigrid.upstream.port import UpstreamFailure
from tests.harness.upstream import Planned
from tests.scaigrid.scene import ANTHROPIC, SERVED, STREAM, Scene


def pipe_of(scene: Scene) -> object:
    exchange = scene.exchange
    call, model = exchange.call, exchange.model
    assert isinstance(call, Call)
    assert isinstance(model, Model)
    return opened(exchange, call, model, exchange.candidates[0], scene.parts.services.names)


@pytest.mark.parametrize(
    ("dialect", "provider", "translates"),
    [("openai", "openai", False), ("openai", "anthropic", True), ("native", "openai", True)],
)
async def test_bytes_pass_where_both_speak_the_same(dialect: str, provider: str, translates: bool) -> None:
    pipe = pipe_of(Scene(dialect=dialect, providers=(provider,)))
    assert isinstance(pipe, Translation) is translates


async def test_the_cost_that_an_answer_tells_is_its_own_and_not_yet_the_call_s() -> None:
    scene = Scene(dialect="native", providers=("anthropic",))
    pipe = pipe_of(scene)
    assert isinstance(pipe, Translation)
    answer = pipe.feed(ANTHROPIC) + pipe.close()
    assert b'"cost":"0.000072"' in answer
    assert (SERVED, scene.exchange.cost) == (72_000, 0)


async def test_an_error_whose_body_breaks_off_is_one_without_a_body() -> None:
    assert await error_body(Planned(b'{"error"', UpstreamFailure("reset"))) == b""
    assert await error_body(Planned(b"{}")) == b"{}"


async def test_the_end_of_a_whole_stream_is_awaited_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "LINGER", 0.01)
    pipe = opened_after(STREAM)
    await linger(Planned(b"\n", asyncio.Event()), pipe)
    ending = Planned(b"\n", b"\n")
    await linger(ending, pipe)
    ending.close()
    assert ending.left == 0


async def test_a_stream_that_is_not_whole_is_not_waited_for() -> None:
    await linger(Planned(asyncio.Event()), opened_after(STREAM[:1]))
    await linger(Planned(asyncio.Event()), None)


def opened_after(frames: list[bytes]) -> Translation:
    pipe = pipe_of(Scene(dialect="native", asked={"stream": True}))
    assert isinstance(pipe, Translation)
    pipe.feed(b"".join(frames))
    return pipe
