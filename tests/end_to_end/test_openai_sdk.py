"""An unpatched OpenAI client works by changing `base_url` and `api_key`, whichever provider answers."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import openai
import pytest
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionFunctionToolParam

from tests.harness import behaviours
from tests.harness.behaviours import answer, stream
from tests.harness.lanes import Lane
from tests.harness.provider import Behaviour, Endpoint, Gate

WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


class Speaks(NamedTuple):
    """One provider's protocol: how the same answers are said in it."""

    model: str

    def endpoint(self, lane: Lane) -> Endpoint:
        return lane.anthropic if self.model == "anthropic" else lane.openai

    def plain(self, text: str | None, **more: Any) -> Behaviour:
        make = behaviours.anthropic_message if self.model == "anthropic" else behaviours.completion
        return answer(make(text, **more))

    def frames(self, *texts: str, **more: Any) -> list[bytes]:
        make = behaviours.anthropic_frames if self.model == "anthropic" else behaviours.openai_frames
        return make(*texts, **more)

    def tool(self, name: str, given: dict[str, Any]) -> Behaviour:
        if self.model == "anthropic":
            return self.plain(None, tool_uses=[behaviours.tool_use(name, given)], stop="tool_use")
        calls = [behaviours.tool_call(name, json.dumps(given))]
        return self.plain(None, tool_calls=calls, finish="tool_calls")

    def tool_frames(self, name: str, pieces: Sequence[str]) -> list[bytes]:
        if self.model == "anthropic":
            return behaviours.anthropic_tool_frames(name, pieces)
        return behaviours.openai_tool_frames(name, pieces)

    def failure(self, message: str) -> Any:
        if self.model == "anthropic":
            return behaviours.anthropic_error("invalid_request_error", message)
        return behaviours.openai_error(message)


@pytest.fixture(params=["openai", "anthropic"])
def speaks(request: pytest.FixtureRequest) -> Speaks:
    return Speaks(request.param)


def test_a_chat_is_answered(lane: Lane, speaks: Speaks) -> None:
    speaks.endpoint(lane).then(speaks.plain("It rains.", tokens=(11, 4)))
    got = lane.sdk().chat.completions.create(
        model=lane.model(speaks.model), messages=[{"role": "user", "content": "How is the weather?"}]
    )
    assert got.model == lane.model(speaks.model)
    assert got.choices[0].message.content == "It rains."
    assert got.choices[0].finish_reason == "stop"
    assert got.usage is not None
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (11, 4, 15)


async def test_a_chat_is_answered_to_the_asynchronous_client(lane: Lane, speaks: Speaks) -> None:
    speaks.endpoint(lane).then(speaks.plain("It rains."))
    async with lane.async_sdk() as client:
        got = await client.chat.completions.create(
            model=lane.model(speaks.model), messages=[{"role": "user", "content": "How is the weather?"}]
        )
    assert got.choices[0].message.content == "It rains."


def test_a_stream_is_answered_as_it_comes(lane: Lane, speaks: Speaks) -> None:
    """The provider sends the second piece only once the client has the first, so a collected stream never ends."""
    gate = Gate()
    frames = speaks.frames("It ", "rains.", tokens=(11, 4))
    second = next(place for place, frame in enumerate(frames) if b"rains." in frame)
    speaks.endpoint(lane).then(stream(*frames[:second], gate, *frames[second:]))
    got = lane.sdk().chat.completions.create(
        model=lane.model(speaks.model),
        messages=[{"role": "user", "content": "How is the weather?"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    texts: list[str] = []
    finished: list[str] = []
    usage: CompletionUsage | None = None
    for chunk in got:
        assert chunk.model == lane.model(speaks.model)
        for choice in chunk.choices:
            if choice.delta.content:
                texts.append(choice.delta.content)
                gate.open()
            if choice.finish_reason:
                finished.append(choice.finish_reason)
        usage = chunk.usage or usage
    assert (texts, finished) == (["It ", "rains."], ["stop"])
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (11, 4)


async def test_a_stream_is_answered_to_the_asynchronous_client(lane: Lane, speaks: Speaks) -> None:
    gate = Gate()
    frames = speaks.frames("It ", "rains.")
    second = next(place for place, frame in enumerate(frames) if b"rains." in frame)
    speaks.endpoint(lane).then(stream(*frames[:second], gate, *frames[second:]))
    texts: list[str] = []
    async with lane.async_sdk() as client:
        got = await client.chat.completions.create(
            model=lane.model(speaks.model), messages=[{"role": "user", "content": "How is it?"}], stream=True
        )
        async for chunk in got:
            assert chunk.usage is None
            texts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
            if texts:
                gate.open()
    assert texts == ["It ", "rains."]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_stream_may_be_cut_anywhere(lane: Lane, speaks: Speaks, size: int) -> None:
    whole = b"".join(speaks.frames("Ün", "ïcode ", "and “more”.", tokens=(11, 4)))
    speaks.endpoint(lane).then(stream(*[whole[at : at + size] for at in range(0, len(whole), size)]))
    got = lane.sdk().chat.completions.create(
        model=lane.model(speaks.model), messages=[{"role": "user", "content": "Say it."}], stream=True
    )
    assert "".join(c.delta.content or "" for chunk in got for c in chunk.choices) == "Ünïcode and “more”."


def test_a_tool_is_called_and_its_result_taken(lane: Lane, speaks: Speaks) -> None:
    endpoint = speaks.endpoint(lane).then(
        speaks.tool("weather", {"place": "Delft"}), speaks.plain("It rains in Delft.")
    )
    client = lane.sdk()
    messages: list[Any] = [{"role": "user", "content": "How is the weather in Delft?"}]
    model = lane.model(speaks.model)
    first = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER], tool_choice="required")
    assert first.choices[0].finish_reason == "tool_calls"
    (call,) = first.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"place": "Delft"})
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    second = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content == "It rains in Delft."
    asked, answered = endpoint.seen().json, endpoint.seen().json
    assert "Delft" in json.dumps(asked["messages"])
    assert call.id in json.dumps(answered["messages"])
    assert len(asked["tools"]) == 1


def test_a_streamed_tool_call_comes_in_pieces(lane: Lane, speaks: Speaks) -> None:
    speaks.endpoint(lane).then(stream(*speaks.tool_frames("weather", ['{"pla', 'ce": "De', 'lft"}'])))
    got = lane.sdk().chat.completions.create(
        model=lane.model(speaks.model),
        messages=[{"role": "user", "content": "How is the weather in Delft?"}],
        tools=[WEATHER],
        stream=True,
    )
    names: list[str] = []
    pieces: list[str] = []
    finished: list[str] = []
    for chunk in got:
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                assert call.index == 0
                assert call.function is not None
                names += [call.function.name] if call.function.name else []
                pieces += [call.function.arguments] if call.function.arguments else []
            finished += [choice.finish_reason] if choice.finish_reason else []
    assert (names, "".join(pieces), finished) == (["weather"], '{"place": "Delft"}', ["tool_calls"])
    assert len(pieces) == 3


def test_a_refusal_of_the_provider_is_an_error_of_the_sdk(lane: Lane, speaks: Speaks) -> None:
    speaks.endpoint(lane).then(answer(speaks.failure("temperature: must be at most 1"), status=400))
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        lane.sdk().chat.completions.create(
            model=lane.model(speaks.model), messages=[{"role": "user", "content": "Hello"}], temperature=1.5
        )
    assert caught.value.code == "VALIDATION_ERROR"
    assert "temperature" in caught.value.message
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req_")


def test_a_failure_in_a_stream_is_an_error_of_the_sdk(lane: Lane, speaks: Speaks) -> None:
    """What was streamed until then was handed on; the SDK takes a stream that merely stops for a success."""
    frames = speaks.frames("It ", "rains.")
    second = next(place for place, frame in enumerate(frames) if b"rains." in frame)
    speaks.endpoint(lane).then(stream(*frames[:second], behaviours.Then.CLOSE))
    got = lane.sdk().chat.completions.create(
        model=lane.model(speaks.model), messages=[{"role": "user", "content": "How is it?"}], stream=True
    )
    texts: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        texts.extend(choice.delta.content or "" for chunk in got for choice in chunk.choices)
    assert caught.value.code == "BACKEND_ERROR"
    assert "It " in texts


def test_embeddings_are_answered(lane: Lane) -> None:
    lane.openai.then(answer(behaviours.embeddings([0.5, -0.25], [1.0, 0.0])))
    got = lane.sdk().embeddings.create(model=lane.model("embed"), input=["one", "two"], encoding_format="float")
    assert [one.embedding for one in got.data] == [[0.5, -0.25], [1.0, 0.0]]
    assert (got.model, got.usage.prompt_tokens) == (lane.model("embed"), 5)
    assert lane.openai.seen().json["input"] == ["one", "two"]


def test_embeddings_are_decoded_from_what_the_sdk_asks_for_by_itself(lane: Lane) -> None:
    """Without a word about it, the SDK asks for base64 and unpacks that."""
    body = behaviours.embeddings([])
    body["data"][0]["embedding"] = "AAAAPwAAgL4="
    lane.openai.then(answer(body))
    got = lane.sdk().embeddings.create(model=lane.model("embed"), input="one")
    assert got.data[0].embedding == [0.5, -0.25]
    assert lane.openai.seen().json["encoding_format"] == "base64"


def test_models_are_listed_and_retrieved(lane: Lane) -> None:
    listed = {model.id: model for model in lane.sdk().models.list()}
    assert lane.model("openai") in listed
    assert lane.model("disabled") not in listed
    one = lane.sdk().models.retrieve(lane.model("openai"))
    assert (one.id, one.object, one.owned_by) == (lane.model("openai"), "model", lane.name)
    with pytest.raises(openai.NotFoundError) as caught:
        lane.sdk().models.retrieve("nobody/knows")
    assert caught.value.code == "MODEL_NOT_FOUND"


def test_the_sdk_itself_retries_what_may_go_better_and_nothing_else(lane: Lane) -> None:
    lane.openai.then(answer({}, status=503), answer(behaviours.completion("At last.")))
    got = lane.sdk(retries=1).chat.completions.create(
        model=lane.model("openai"), messages=[{"role": "user", "content": "Hello"}]
    )
    assert got.choices[0].message.content == "At last."
    lane.openai.then(answer(b"{}"))
    with pytest.raises(openai.InternalServerError) as caught:
        lane.sdk(retries=2).chat.completions.create(
            model=lane.model("openai"), messages=[{"role": "user", "content": "Hello"}]
        )
    assert caught.value.code == "UPSTREAM_SHAPE_MISMATCH"
    assert caught.value.response.headers["x-should-retry"] == "false"
