"""A slow call and its second copy, over real connections: one answer, one bill, and nothing left running."""

from collections.abc import Iterator
from typing import Any

import pytest

from scaigrid.clock import SystemClock
from tests.end_to_end.conftest import sound
from tests.harness import behaviours
from tests.harness.behaviours import answer, gated, silence, stream
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, LIMITED, PRICES, Lane, chat
from tests.harness.provider import Gate, Provider

AT_ONCE = 0.5
"""Seconds within which a provider has to see that it is left. It takes milliseconds; the rest is for a busy machine."""
USED = (20, 4)


@pytest.fixture(scope="module")
def own_lanes(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lane]]:
    lanes = [Lane(f"hedged{number}", provider) for number in range(8)]
    config: dict[str, Any] = {}
    for lane in lanes:
        lane.declare(config)
        targets = [{"backend": lane.backend(word), "priority": place} for place, word in enumerate(("first", "second"))]
        route = {"targets": targets, "hedge": {"share": 1.0, "after_seconds": 0.2}}
        config["models"][lane.model("hedged")] = {**LIMITED, "route": route}
        config.setdefault("budgets", {})[lane.name] = {
            "scope": "user",
            "of": lane.name,
            "period": "total",
            "cost_limit": 1,
        }
    with sound(Gateway(config, tmp_path_factory.mktemp("hedged"))) as gateway:
        for lane in lanes:
            lane.join(gateway)
        yield lanes


@pytest.fixture
def lane(own_lanes: list[Lane]) -> Iterator[Lane]:
    mine = own_lanes.pop()
    yield mine
    mine.close()


def billed(lane: Lane) -> None:
    """One answer is on the bill, and the operator bears what the other copy cost."""
    rows = {row["outcome"]: row for row in lane.usage(2)}
    ok, lost = rows["ok"], rows["overtaken"]
    assert (ok["tokens_in"], ok["tokens_out"]) == USED
    assert ok["cost"] == 1000 * (USED[0] * PRICES["input"] + USED[1] * PRICES["output"])
    assert (lost["cost"], lost["serving"], lost["error_code"], lost["tokens_out"]) == (0, 0, None, 0)
    assert lost["backend_cost"] > 0
    assert lane.gateway.metrics().value("scaigrid_backend_inflight_requests") == 0


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_the_second_copy_answers_and_the_first_is_left_at_once(lane: Lane, streamed: bool) -> None:
    lane.openai.then(silence)
    lane.second.then(
        stream(*behaviours.openai_frames("It rains.", tokens=USED))
        if streamed
        else answer(behaviours.completion("It rains.", tokens=USED))
    )
    got = lane.client().post(CHAT_URL["openai"], json=chat(lane.model("hedged"), stream=streamed))
    assert "It rains." in got.text
    assert (got.headers["x-scaigrid-backend"], got.headers["x-scaigrid-attempts"]) == (lane.backend("second"), "2")
    assert lane.openai.seen().left.wait(AT_ONCE)
    billed(lane)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_the_first_answers_after_all_and_the_second_copy_is_left_at_once(lane: Lane, streamed: bool) -> None:
    gate = Gate()
    frames = behaviours.openai_frames("It rains.", tokens=USED)
    fine = stream(*frames) if streamed else answer(behaviours.completion("It rains.", tokens=USED))

    lane.openai.then(gated(gate, fine))

    async def opening(conversation: Any) -> None:
        gate.open()
        await conversation.silence()

    lane.second.then(opening)
    got = lane.client().post(CHAT_URL["openai"], json=chat(lane.model("hedged"), stream=streamed))
    assert "It rains." in got.text
    assert got.headers["x-scaigrid-backend"] == lane.backend("first")
    clock = SystemClock()
    answered = clock.monotonic()
    assert lane.second.seen().left.wait(AT_ONCE)
    assert clock.monotonic() - answered < AT_ONCE
    billed(lane)


def test_a_stream_that_runs_is_not_held_up_by_the_copy_that_lost(lane: Lane) -> None:
    """The loser's connection is closed while the winner's answer is still coming."""
    gate = Gate()
    frames = behaviours.openai_frames("It ", "rains.", tokens=USED)
    lane.openai.then(silence)
    lane.second.then(stream(*frames[:2], gate, *frames[2:]))
    with lane.client().stream("POST", CHAT_URL["openai"], json=chat(lane.model("hedged"), stream=True)) as got:
        lines = got.iter_lines()
        assert any("It " in line for line in lines)
        assert lane.openai.seen().left.wait(AT_ONCE)
        gate.open()
        assert any("rains." in line for line in lines)
        for _ in lines:
            pass
    billed(lane)


def test_what_became_of_second_copies_is_counted(lane: Lane) -> None:
    def won() -> float:
        return lane.gateway.metrics().value("scaigrid_hedged_calls_total", outcome="won")

    before = won()
    lane.openai.then(silence)
    lane.second.then(answer(behaviours.completion("It rains.", tokens=USED)))
    lane.client().post(CHAT_URL["native"], json=chat(lane.model("hedged")))
    eventually(lambda: won() == before + 1, "it is counted")
