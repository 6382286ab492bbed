"""A provider that thinks for long does not leave its client without a byte, and unpatched SDKs do not mind."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import anthropic
import httpx
import openai
import pytest

from tests.end_to_end.conftest import sound
from tests.harness import behaviours, responses
from tests.harness.behaviours import answer, gated, stream
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, Lane, chat
from tests.harness.provider import Endpoint, Gate, Provider

SECONDS = 0.15
HELLO = "Hello?"
COMMENT = b": keep-alive\n\n"
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


@pytest.fixture(scope="module")
def own_lanes(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lane]]:
    lanes = [Lane(f"silent{number}", provider) for number in range(24)]
    config: dict[str, Any] = {"forwarder": {"keep_alive_seconds": SECONDS}}
    for lane in lanes:
        lane.declare(config)
    with sound(Gateway(config, tmp_path_factory.mktemp("silent"))) as gateway:
        for lane in lanes:
            lane.join(gateway)
        yield lanes


@pytest.fixture
def lane(own_lanes: list[Lane]) -> Iterator[Lane]:
    mine = own_lanes.pop()
    yield mine
    mine.close()


class Surface(NamedTuple):
    """A way to ask for a stream by an SDK: who answers, what it says, and how the text is read."""

    model: str
    frames: list[bytes]
    ask: Callable[[Lane, str], Any]
    """Returns as soon as the head of the answer has come."""
    text: Callable[[Any], str]
    failed: type[Exception]

    def endpoint(self, lane: Lane) -> Endpoint:
        return lane.anthropic if self.model == "anthropic" else lane.openai


def _messages(lane: Lane, model: str) -> Any:
    client: Any = lane.anthropic_sdk()
    return client.messages.create(
        model=model, max_tokens=100, messages=[{"role": "user", "content": HELLO}], stream=True
    )


def _chat(lane: Lane, model: str) -> Any:
    client: Any = lane.sdk()
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": HELLO}], stream=True)


def _responses(lane: Lane, model: str) -> Any:
    client: Any = lane.sdk()
    return client.responses.create(model=model, input=HELLO, stream=True)


def _of_chat(got: Any) -> str:
    return "".join(one.choices[0].delta.content or "" for one in got if one.choices)


def _of_responses(got: Any) -> str:
    return "".join(one.delta for one in got if one.type == "response.output_text.delta")


def _of_messages(got: Any) -> str:
    return "".join(one.delta.text for one in got if one.type == "content_block_delta")


SURFACES = {
    "openai": Surface(
        "two",
        behaviours.openai_frames("It ", "rains."),
        _chat,
        _of_chat,
        openai.APIError,
    ),
    "responses": Surface(
        "two",
        responses.frames("It ", "rains."),
        _responses,
        _of_responses,
        openai.APIError,
    ),
    "anthropic": Surface(
        "anthropic",
        behaviours.anthropic_frames("It ", "rains."),
        _messages,
        _of_messages,
        anthropic.APIError,
    ),
    "anthropic over OpenAI": Surface(
        "two",
        behaviours.openai_frames("It ", "rains."),
        _messages,
        _of_messages,
        anthropic.APIError,
    ),
}


@pytest.mark.parametrize("name", SURFACES)
def test_an_sdk_has_the_head_while_the_provider_is_silent_and_then_the_whole_answer(lane: Lane, name: str) -> None:
    surface, gate = SURFACES[name], Gate()
    surface.endpoint(lane).then(gated(gate, stream(*surface.frames)))
    got = surface.ask(lane, lane.model(surface.model))
    assert not surface.endpoint(lane).seen().left.is_set()
    gate.open()
    assert surface.text(got) == "It rains."
    (row,) = lane.usage(1)
    assert (row["outcome"], row["tokens_in"], row["tokens_out"]) == ("ok", 9, 3)
    assert row["first_byte_us"] > SECONDS * 1e6, "the first byte is one of content"


@pytest.mark.parametrize("name", SURFACES)
def test_a_failure_after_that_is_raised_by_the_sdk(lane: Lane, name: str) -> None:
    surface, gate = SURFACES[name], Gate()
    surface.endpoint(lane).then(gated(gate, answer({}, status=500)))
    if surface.model == "two":
        lane.second.then(answer({}, status=500))
    got = surface.ask(lane, lane.model(surface.model))
    gate.open()
    with pytest.raises(surface.failed) as caught:
        surface.text(got)
    assert "BACKEND_ERROR" in str(getattr(caught.value, "body", "")) + str(caught.value)
    rows = lane.usage(2 if surface.model == "two" else 1)
    assert {(row["outcome"], row["serving"], row["cost"]) for row in rows} == {("error", 0, 0)}


@pytest.mark.parametrize("name", ["openai", "responses", "anthropic over OpenAI"])
def test_another_backend_may_still_answer(lane: Lane, name: str) -> None:
    surface, gate = SURFACES[name], Gate()
    lane.openai.then(gated(gate, answer({}, status=503)))
    lane.second.then(stream(*surface.frames))
    got = surface.ask(lane, lane.model("two"))
    gate.open()
    assert surface.text(got) == "It rains."
    assert [row["serving"] for row in lane.usage(2)] == [0, 1]


@pytest.mark.parametrize(
    ("path", "frame"), [*[(path, COMMENT) for path in CHAT_URL.values()], ("/anthropic/v1/messages", PING)]
)
def test_what_is_said_stands_between_frames_and_goes_on_in_the_middle(lane: Lane, path: str, frame: bytes) -> None:
    frames, gate = behaviours.openai_frames("It ", "rains."), Gate()
    lane.openai.then(stream(*frames[:2], gate, *frames[2:]))
    body = chat(lane.model("openai"), stream=True, max_tokens=100)
    with lane.client().stream("POST", path, json=body) as got:
        read = b""
        for piece in got.iter_bytes():
            read += piece
            if read.count(frame) >= 2:
                gate.open()
    before, *between, after = read.split(frame)
    assert all(part.endswith(b"\n\n") for part in (before, *between) if part)
    assert (b"It " in before, b"rains." in after) == (True, True)


def test_a_plain_call_is_told_nothing_before_its_answer(lane: Lane) -> None:
    lane.openai.then(answer({}, status=500))
    gate = Gate()
    lane.second.then(gated(gate, answer({}, status=500)))
    with lane.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post(CHAT_URL["openai"], json=chat(lane.model("two")), timeout=4 * SECONDS)
    gate.open()


def test_a_repeat_is_given_the_answer_without_what_kept_it_alive(lane: Lane) -> None:
    frames, gate = behaviours.openai_frames("It rains."), Gate()
    lane.openai.then(gated(gate, stream(*frames)))
    ask: dict[str, Any] = {"json": chat(lane.model("openai"), stream=True), "headers": {"idempotency-key": lane.name}}
    with lane.client().stream("POST", CHAT_URL["openai"], **ask) as got:
        gate.open()
        first = got.read()
    again = lane.client().post(CHAT_URL["openai"], **ask)
    assert again.headers["idempotent-replayed"] == "true"
    assert first.startswith(COMMENT)
    assert again.content == first.replace(COMMENT, b"")
    assert len(lane.openai.requests) == 1
