"""An unpatched Anthropic client works by changing `base_url` and `api_key`, whichever provider answers."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam

from tests.harness import behaviours
from tests.harness.behaviours import answer, stream
from tests.harness.lanes import Lane, http_client
from tests.harness.provider import Behaviour, Endpoint, Gate

WEATHER: ToolParam = {
    "name": "weather",
    "description": "The weather at a place.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
HELLO: list[MessageParam] = [{"role": "user", "content": "How is the weather?"}]


class Speaks(NamedTuple):
    """One provider's protocol: how the same answers are said in it."""

    model: str

    @property
    def own(self) -> bool:
        return self.model == "anthropic"

    def endpoint(self, lane: Lane) -> Endpoint:
        return lane.anthropic if self.own else lane.openai

    def plain(self, text: str | None, **more: Any) -> Behaviour:
        make = behaviours.anthropic_message if self.own else behaviours.completion
        return answer(make(text, **more))

    def frames(self, *texts: str, **more: Any) -> list[bytes]:
        make = behaviours.anthropic_frames if self.own else behaviours.openai_frames
        return make(*texts, **more)

    def tool(self, name: str, given: dict[str, Any]) -> Behaviour:
        if self.own:
            return self.plain(None, tool_uses=[behaviours.tool_use(name, given)], stop="tool_use")
        calls = [behaviours.tool_call(name, json.dumps(given))]
        return self.plain(None, tool_calls=calls, finish="tool_calls")

    def tool_frames(self, name: str, pieces: Sequence[str]) -> list[bytes]:
        make = behaviours.anthropic_tool_frames if self.own else behaviours.openai_tool_frames
        return make(name, pieces)

    def failure(self, message: str) -> Any:
        if self.own:
            return behaviours.anthropic_error("invalid_request_error", message)
        return behaviours.openai_error(message)


@pytest.fixture(params=["anthropic", "openai"])
def speaks(request: pytest.FixtureRequest) -> Speaks:
    return Speaks(request.param)


def said(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


# -- messages --------------------------------------------------------------------------------------------------------


def test_a_message_is_answered(lane: Lane, speaks: Speaks) -> None:
    speaks.endpoint(lane).then(speaks.plain("It rains.", tokens=(11, 4)))
    got = lane.anthropic_sdk().messages.create(model=lane.model(speaks.model), max_tokens=50, messages=HELLO)
    assert (got.model, got.type, got.role, got.stop_reason) == (
        lane.model(speaks.model),
        "message",
        "assistant",
        "end_turn",
    )
    assert said(got) == "It rains."
    assert (got.usage.input_tokens, got.usage.output_tokens) == (11, 4)
    (row,) = lane.usage(1)
    assert (row["tokens_in"], row["tokens_out"], row["usage_source"]) == (11, 4, "provider")


def test_the_id_of_a_request_is_where_the_sdk_looks_for_it(lane: Lane) -> None:
    lane.anthropic.then(answer(behaviours.anthropic_message("Yes.")))
    create = lane.anthropic_sdk().messages.with_raw_response.create
    got = create(model=lane.model("anthropic"), max_tokens=50, messages=HELLO)
    assert (got.request_id or "").startswith("req_")
    assert got.request_id == got.headers["x-request-id"]


async def test_a_message_is_answered_to_the_asynchronous_client(lane: Lane, speaks: Speaks) -> None:
    frames = speaks.frames("It ", "rains.")
    speaks.endpoint(lane).then(speaks.plain("It rains."), stream(*frames))
    async with lane.async_anthropic_sdk() as client:
        model = lane.model(speaks.model)
        got = await client.messages.create(model=model, max_tokens=50, messages=HELLO)
        assert said(got) == "It rains."
        async with client.messages.stream(model=model, max_tokens=50, messages=HELLO) as streaming:
            texts = [text async for text in streaming.text_stream]
    assert texts == ["It ", "rains."]


def test_a_stream_is_answered_as_it_comes(lane: Lane, speaks: Speaks) -> None:
    """The provider sends the second piece only once the client has the first, so a collected stream never ends."""
    gate = Gate()
    frames = speaks.frames("It ", "rains.", tokens=(11, 4))
    second = next(place for place, frame in enumerate(frames) if b"rains." in frame)
    speaks.endpoint(lane).then(stream(*frames[:second], gate, *frames[second:]))
    texts: list[str] = []
    asked = lane.anthropic_sdk().messages.stream(model=lane.model(speaks.model), max_tokens=50, messages=HELLO)
    with asked as streaming:
        for text in streaming.text_stream:
            texts.append(text)
            gate.open()
        message = streaming.get_final_message()
    assert texts == ["It ", "rains."]
    assert (said(message), message.stop_reason, message.model) == ("It rains.", "end_turn", lane.model(speaks.model))
    assert (message.usage.input_tokens, message.usage.output_tokens) == (11, 4)


def test_the_events_come_in_their_order(lane: Lane, speaks: Speaks) -> None:
    speaks.endpoint(lane).then(stream(*speaks.frames("It ", "rains.")))
    got = lane.anthropic_sdk().messages.create(
        model=lane.model(speaks.model), max_tokens=50, messages=HELLO, stream=True
    )
    assert [one.type for one in got] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_stream_may_be_cut_anywhere(lane: Lane, speaks: Speaks, size: int) -> None:
    whole = b"".join(speaks.frames("Ün", "ïcode ", "and “more”.", tokens=(11, 4)))
    speaks.endpoint(lane).then(stream(*[whole[at : at + size] for at in range(0, len(whole), size)]))
    asked = lane.anthropic_sdk().messages.stream(model=lane.model(speaks.model), max_tokens=50, messages=HELLO)
    with asked as streaming:
        assert "".join(streaming.text_stream) == "Ünïcode and “more”."


# -- what a call may hold --------------------------------------------------------------------------------------------


def test_a_tool_is_called_and_its_result_taken(lane: Lane, speaks: Speaks) -> None:
    endpoint = speaks.endpoint(lane).then(
        speaks.tool("weather", {"place": "Delft"}), speaks.plain("It rains in Delft.")
    )
    client, model = lane.anthropic_sdk(), lane.model(speaks.model)
    first = client.messages.create(
        model=model, max_tokens=50, messages=HELLO, tools=[WEATHER], tool_choice={"type": "any"}
    )
    assert first.stop_reason == "tool_use"
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("weather", {"place": "Delft"})
    result: MessageParam = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "rain"}]}],
    }
    turns: list[MessageParam] = [*HELLO, {"role": "assistant", "content": first.content}, result]
    second = client.messages.create(model=model, max_tokens=50, messages=turns, tools=[WEATHER])
    assert said(second) == "It rains in Delft."
    asked, answered = endpoint.seen().json, endpoint.seen().json
    assert len(asked["tools"]) == 1
    assert call.id in json.dumps(answered["messages"])
    assert "rain" in json.dumps(answered["messages"])


def test_a_streamed_tool_call_comes_in_pieces(lane: Lane, speaks: Speaks) -> None:
    speaks.endpoint(lane).then(stream(*speaks.tool_frames("weather", ['{"pla', 'ce": "De', 'lft"}'])))
    asked = lane.anthropic_sdk().messages.stream(
        model=lane.model(speaks.model), max_tokens=50, messages=HELLO, tools=[WEATHER]
    )
    with asked as streaming:
        pieces = [one.partial_json for one in streaming if one.type == "input_json"]
        message = streaming.get_final_message()
    assert [piece for piece in pieces if piece] == ['{"pla', 'ce": "De', 'lft"}']
    (call,) = message.content
    assert call.type == "tool_use"
    assert (call.name, call.input, message.stop_reason) == ("weather", {"place": "Delft"}, "tool_use")


def test_parallel_calls_are_blocks_one_after_the_other(lane: Lane) -> None:
    """Even where their pieces come mixed."""
    start = [
        {"index": place, "id": f"call_{place}", "type": "function", "function": {"name": "weather", "arguments": ""}}
        for place in (0, 1)
    ]
    pieces = [(1, '{"place":'), (0, '{"place":'), (0, '"Delft"}'), (1, '"Bern"}')]
    lane.openai.then(
        stream(
            behaviours.openai_chunk({"role": "assistant", "content": None, "tool_calls": start}),
            *[
                behaviours.openai_chunk({"tool_calls": [{"index": place, "function": {"arguments": piece}}]})
                for place, piece in pieces
            ],
            behaviours.openai_chunk({}, finish="tool_calls"),
            behaviours.OPENAI_DONE,
        )
    )
    asked = lane.anthropic_sdk().messages.stream(
        model=lane.model("openai"), max_tokens=50, messages=HELLO, tools=[WEATHER]
    )
    with asked as streaming:
        message = streaming.get_final_message()
    assert [(block.id, block.input) for block in message.content if block.type == "tool_use"] == [
        ("call_0", {"place": "Delft"}),
        ("call_1", {"place": "Bern"}),
    ]


IMAGE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}


def test_images_and_documents_are_shown(lane: Lane, speaks: Speaks) -> None:
    endpoint = speaks.endpoint(lane).then(speaks.plain("A cat."))
    content: Any = [
        {"type": "image", "source": IMAGE, "cache_control": {"type": "ephemeral"}},
        {"type": "document", "source": PDF, "title": "a.pdf"},
        {"type": "text", "text": "What is it?"},
    ]
    got = lane.anthropic_sdk().messages.create(
        model=lane.model(speaks.model), max_tokens=50, messages=[{"role": "user", "content": content}]
    )
    assert said(got) == "A cat."
    (sent,) = [turn for turn in endpoint.seen().json["messages"] if turn["role"] == "user"]
    if speaks.own:
        assert sent["content"] == content
    else:
        assert [part["type"] for part in sent["content"]] == ["image_url", "file", "text"]
        assert sent["content"][0]["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="


def test_thinking_goes_back_to_who_thought_it(lane: Lane) -> None:
    signed = {"type": "thinking", "thinking": "Rain, I think.", "signature": "EqQB"}
    told = behaviours.anthropic_message("It rains.")
    endpoint = lane.anthropic.then(
        answer({**told, "content": [signed, *told["content"]]}), answer(behaviours.anthropic_message("Yes."))
    )
    client, model = lane.anthropic_sdk(), lane.model("anthropic")
    first = client.messages.create(
        model=model,
        max_tokens=5000,
        messages=HELLO,
        thinking={"type": "enabled", "budget_tokens": 1024},
    )
    assert [block.type for block in first.content] == ["thinking", "text"]
    turns: list[MessageParam] = [
        *HELLO,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": "Sure?"},
    ]
    client.messages.create(model=model, max_tokens=5000, messages=turns)
    assert endpoint.seen().json["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert endpoint.seen().json["messages"][1]["content"][0] == signed


def test_reasoning_of_another_provider_is_thinking(lane: Lane) -> None:
    frames = [
        behaviours.openai_chunk({"role": "assistant", "reasoning_content": "Rain, "}),
        behaviours.openai_chunk({"reasoning_content": "I think."}),
        *behaviours.openai_frames("It rains."),
    ]
    endpoint = lane.openai.then(stream(*frames), answer(behaviours.completion("Yes.")))
    client, model = lane.anthropic_sdk(), lane.model("openai")
    asked = client.messages.stream(model=model, max_tokens=50, messages=HELLO)
    with asked as streaming:
        first = streaming.get_final_message()
    thought, text = first.content
    assert (thought.type, text.type) == ("thinking", "text")
    assert thought.type == "thinking"
    assert thought.thinking == "Rain, I think."
    turns: list[MessageParam] = [
        *HELLO,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": "Sure?"},
    ]
    assert said(client.messages.create(model=model, max_tokens=50, messages=turns)) == "Yes."
    endpoint.seen()
    assert [turn["role"] for turn in endpoint.seen().json["messages"]] == ["user", "assistant", "user"]


def test_what_the_sdk_says_about_versions_and_betas_reaches_anthropic(lane: Lane) -> None:
    endpoint = lane.anthropic.then(answer(behaviours.anthropic_message("Yes.")))
    lane.anthropic_sdk().beta.messages.create(
        model=lane.model("anthropic"),
        max_tokens=50,
        messages=[{"role": "user", "content": "Hi"}],
        betas=["b-1", "b-2"],
        extra_query={"beta": "true"},
        extra_headers={"anthropic-version": "2023-06-01"},
    )
    seen = endpoint.seen()
    assert seen.path.endswith("/v1/messages?beta=true")
    assert (seen.header("anthropic-beta"), seen.header("anthropic-version")) == ("b-1,b-2", "2023-06-01")
    assert (seen.header("x-api-key"), seen.header("authorization")) == (lane.provider_key, None)


def test_bytes_reach_anthropic_but_for_the_name_of_the_model(lane: Lane) -> None:
    """And the key may come in Anthropic's own header."""
    endpoint = lane.anthropic.then(answer(behaviours.anthropic_message("Yes.")))
    body = b'{"model": "%b", "messages":[{"role":"user","content":"H\\u00fc"}],"max_tokens":50 ,"brand_new":1.50}'
    headers = {"x-api-key": lane.key, "content-type": "application/json"}
    with http_client(lane.gateway) as client:
        got = client.post("/anthropic/v1/messages", content=body % lane.model("anthropic").encode(), headers=headers)
    assert (got.status_code, got.json()["model"]) == (200, lane.model("anthropic"))
    assert endpoint.seen().body == body % b"upstream-model"


def test_tokens_are_counted_by_anthropic_and_cost_nothing(lane: Lane) -> None:
    endpoint = lane.anthropic.then(answer({"input_tokens": 42}))
    got = lane.anthropic_sdk().messages.count_tokens(model=lane.model("anthropic"), messages=HELLO, tools=[WEATHER])
    assert got.input_tokens == 42
    seen = endpoint.seen()
    assert seen.path.endswith("/v1/messages/count_tokens")
    assert set(seen.json) == {"model", "messages", "tools"}


def test_tokens_are_counted_by_another_provider_too(lane: Lane) -> None:
    endpoint = lane.openai.then(answer({"object": "response.input_tokens", "input_tokens": 17}))
    got = lane.anthropic_sdk().messages.count_tokens(model=lane.model("openai"), messages=HELLO)
    assert got.input_tokens == 17
    assert "How is the weather?" in endpoint.seen().body.decode()


# -- failures --------------------------------------------------------------------------------------------------------


def test_a_refusal_of_the_provider_is_an_error_of_the_sdk(lane: Lane, speaks: Speaks) -> None:
    speaks.endpoint(lane).then(answer(speaks.failure("top_p: must be at most 1"), status=400))
    with pytest.raises(anthropic.UnprocessableEntityError) as caught:
        lane.anthropic_sdk().messages.create(
            model=lane.model(speaks.model), max_tokens=50, messages=HELLO, extra_body={"top_p": 1.5}
        )
    assert "top_p" in caught.value.message
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req_")
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"], body["error"]["code"]) == (
        "error",
        "invalid_request_error",
        "VALIDATION_ERROR",
    )


def test_what_another_provider_cannot_do_is_refused_by_name(lane: Lane) -> None:
    with pytest.raises(anthropic.UnprocessableEntityError) as caught:
        lane.anthropic_sdk().messages.create(
            model=lane.model("openai"),
            max_tokens=50,
            messages=HELLO,
            tools=[{"type": "web_search_20250305", "name": "web_search"}],
        )
    assert "tools[0].type" in caught.value.message


@pytest.mark.parametrize(
    ("key", "model", "error"),
    [("sgk_" + "x" * 40, "openai", anthropic.AuthenticationError), (None, "nowhere", anthropic.NotFoundError)],
)
def test_refusals_of_the_gateway_are_the_sdks_own_errors(
    lane: Lane, key: str | None, model: str, error: type[anthropic.APIStatusError]
) -> None:
    client = lane.anthropic_sdk()
    client.api_key = key or client.api_key
    with pytest.raises(error):
        client.messages.create(model=lane.model(model), max_tokens=50, messages=HELLO)


def test_a_failure_in_a_stream_is_an_error_of_the_sdk(lane: Lane, speaks: Speaks) -> None:
    """What was streamed until then was handed on."""
    frames = speaks.frames("It ", "rains.")
    second = next(place for place, frame in enumerate(frames) if b"rains." in frame)
    speaks.endpoint(lane).then(stream(*frames[:second], behaviours.Then.CLOSE))
    texts: list[str] = []
    asked = lane.anthropic_sdk().messages.stream(model=lane.model(speaks.model), max_tokens=50, messages=HELLO)
    with pytest.raises(anthropic.APIError) as caught, asked as streaming:
        texts.extend(streaming.text_stream)
    assert texts == ["It "]
    body: Any = caught.value.body
    assert body["error"]["code"] == "BACKEND_ERROR"


def test_a_stream_that_fails_before_it_says_anything_is_answered_by_another_backend(lane: Lane) -> None:
    lane.openai.then(stream(behaviours.data(behaviours.openai_error("Later.", kind="server_error"))))
    lane.anthropic.then(stream(*behaviours.anthropic_frames("It ", "rains.")))
    asked = lane.anthropic_sdk().messages.stream(model=lane.model("mixed"), max_tokens=50, messages=HELLO)
    with asked as streaming:
        assert "".join(streaming.text_stream) == "It rains."


def test_the_sdk_itself_retries_what_may_go_better_and_nothing_else(lane: Lane) -> None:
    lane.anthropic.then(
        answer(behaviours.anthropic_error("overloaded_error", "Later."), status=529),
        answer(behaviours.anthropic_message("At last.")),
    )
    client, model = lane.anthropic_sdk(retries=1), lane.model("anthropic")
    assert said(client.messages.create(model=model, max_tokens=50, messages=HELLO)) == "At last."
    lane.anthropic.then(answer(b"{}"))
    with pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.create(model=model, max_tokens=50, messages=HELLO)
    assert caught.value.response.headers["x-should-retry"] == "false"


# -- models ----------------------------------------------------------------------------------------------------------


def test_models_are_listed_and_retrieved(lane: Lane) -> None:
    client = lane.anthropic_sdk()
    listed = {model.id: model for model in client.models.list(limit=2)}
    assert lane.model("anthropic") in listed
    assert lane.model("disabled") not in listed
    one = client.models.retrieve(lane.model("anthropic"))
    assert (one.id, one.type, one.max_tokens) == (lane.model("anthropic"), "model", 1_000)
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("nobody/knows")
