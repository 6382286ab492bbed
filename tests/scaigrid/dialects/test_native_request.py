import json
from typing import Any

import msgspec
import pytest

from scaigrid import provider_state
from scaigrid.dialects.native import Native
from scaigrid.errors import Detail, GatewayError
from scaigrid.types import (
    AudioPart,
    CalledTool,
    Chat,
    Embed,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    ReasoningPart,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)

DIALECT = Native()
USER = {"role": "user", "content": "Hi"}


def chat(*messages: dict[str, Any], **more: Any) -> Chat:
    call = DIALECT.decode(
        "/v1/inference/chat", json.dumps({"model": "m", "messages": messages or [USER], **more}).encode()
    )
    made = call.canonical()
    assert isinstance(made, Chat)
    return made


def refused(*messages: dict[str, Any], **more: Any) -> tuple[tuple[str, str], ...]:
    with pytest.raises(GatewayError) as caught:
        chat(*messages, **more)
    return tuple((detail.field, detail.message) for detail in caught.value.details)


def test_a_call_that_says_everything() -> None:
    parts = (ReasoningPart(text="I think", signature="s", provider="anthropic"),)
    made = chat(
        {"role": "system", "content": [{"type": "text", "text": "Be kind.", "cache": True}], "name": "s"},
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "name": "eva",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image", "url": "https://x/y.png", "detail": "low"},
                {"type": "image", "data": "AAAA", "media_type": "image/png"},
                {"type": "audio", "data": "BBBB", "format": "wav"},
                {"type": "file", "file_id": "file-1"},
                {"type": "file", "url": "http://x/y.pdf"},
                {"type": "file", "data": "CCCC", "media_type": "application/pdf", "filename": "a.pdf"},
            ],
        },
        {
            "role": "assistant",
            "content": "",
            "reasoning": "I think",
            "provider_state": provider_state.encode(parts),
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "broken", "error": True, "name": "f"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I won't"}], "name": "bot"},
        {"role": "assistant", "refusal": "no", "reasoning": "hm"},
        max_tokens=100,
        temperature=2,
        top_p=1,
        stop=["END", "STOP"],
        seed=7,
        n=2,
        tools=[{"type": "function", "function": {"name": "f"}}],
        tool_choice="required",
        parallel_tool_calls=True,
        response_format={"type": "json_object"},
        reasoning={"budget_tokens": 2048},
        logprobs=True,
        top_logprobs=0,
        presence_penalty=-2,
        frequency_penalty=2,
        user="u",
        provider_options={"anthropic": {"top_k": 5}},
    )
    assert made == Chat(
        messages=(
            Message(role="system", content=(TextPart("Be kind.", cache="5m"),), name="s"),
            Message(role="developer", content=(TextPart("Be brief."),)),
            Message(
                role="user",
                name="eva",
                content=(
                    TextPart("Look:"),
                    ImagePart(url="https://x/y.png", detail="low"),
                    ImagePart(data="AAAA", media_type="image/png"),
                    AudioPart(data="BBBB", format="wav"),
                    FilePart(file_id="file-1"),
                    FilePart(url="http://x/y.pdf"),
                    FilePart(data="CCCC", media_type="application/pdf", filename="a.pdf"),
                ),
            ),
            Message(role="assistant", reasoning=parts, tool_calls=(CalledTool("call_1", "f", "{}"),)),
            Message(role="tool", tool_call_id="call_1", content=(TextPart("broken"),), tool_error=True, name="f"),
            Message(role="assistant", content=(RefusalPart("I won't"),), name="bot"),
            Message(role="assistant", content=(RefusalPart("no"),), reasoning=(ReasoningPart(text="hm"),)),
        ),
        max_tokens=100,
        temperature=2.0,
        top_p=1.0,
        stop=("END", "STOP"),
        seed=7,
        n=2,
        tools=(Tool(name="f"),),
        tool_choice=ToolChoice(mode="required"),
        parallel_tool_calls=True,
        response_format=ResponseFormat(kind="json_object"),
        reasoning=ReasoningRequest(budget_tokens=2048),
        logprobs=True,
        top_logprobs=0,
        presence_penalty=-2.0,
        frequency_penalty=2.0,
        user="u",
        provider_options={"anthropic": {"top_k": 5}},
    )


def test_a_call_that_says_nothing_leaves_everything_to_the_provider() -> None:
    names = ("temperature", "tools", "stop", "reasoning", "n", "stream", "metadata", "provider_options", "logprobs")
    assert chat(**dict.fromkeys(names)) == Chat(messages=(Message(role="user", content=(TextPart("Hi"),)),))


def test_reasoning_by_effort() -> None:
    assert chat(reasoning={"effort": "xhigh"}).reasoning == ReasoningRequest(effort="xhigh")


def part(**fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": [fields]}


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    (part(type="image"), "messages[0].content[0]", "must have exactly one of url and data"),
    (
        part(type="image", url="https://x", data="A", media_type="image/png"),
        "messages[0].content[0]",
        "must have exactly one of url and data",
    ),
    (
        part(type="image", url="data:image/png;base64,A"),
        "messages[0].content[0].url",
        "must begin with https://, http://, s3:// or gs://; content goes into data",
    ),
    (part(type="image", data="A"), "messages[0].content[0].media_type", "is required beside data"),
    (
        part(type="image", url="https://x", detail="huge"),
        "messages[0].content[0].detail",
        'must be one of "auto", "high", "low"',
    ),
    (part(type="file"), "messages[0].content[0]", "must have exactly one of file_id, url and data"),
    (part(type="file", data="A"), "messages[0].content[0].media_type", "is required beside data"),
    (part(type="audio", data="A"), "messages[0].content[0].format", "is required"),
    (
        part(type="video"),
        "messages[0].content[0].type",
        'must be one of "text", "image", "audio", "file", "json", "refusal"',
    ),
    (
        part(type="refusal", refusal="x"),
        "messages[0].content[0].type",
        "this part cannot stand in a user message",
    ),
    (part(type="text", text="x", cache_control={}), "messages[0].content[0].cache_control", "is not a known field"),
    ({"role": "assistant"}, "messages[0].content", "is required where there are no tool calls"),
    (
        {"role": "assistant", "content": "x", "provider_state": "x"},
        "messages[0].provider_state",
        "is not what an answer of this gateway gave",
    ),
    ({"role": "user", "content": "x", "cache": True}, "messages[0].cache", "is not a known field"),
    ({"role": "tool", "content": "x"}, "messages[0].tool_call_id", "is required"),
    (
        {"role": "function", "content": "x", "name": "f"},
        "messages[0].role",
        'must be one of "system", "developer", "user", "assistant", "tool"',
    ),
]


@pytest.mark.parametrize(("message", "field", "text"), FAULTS, ids=range(len(FAULTS)))
def test_faults_of_messages_name_their_place(message: dict[str, Any], field: str, text: str) -> None:
    assert refused(message) == ((field, text),)


@pytest.mark.parametrize(
    "given",
    [{}, {"effort": "low", "budget_tokens": 1}, {"effort": None, "budget_tokens": None}],
    ids=range(3),
)
def test_reasoning_is_asked_for_in_one_way(given: dict[str, Any]) -> None:
    assert refused(reasoning=given) == (("reasoning", "must have exactly one of effort and budget_tokens"),)


def test_faults_of_several_messages_come_together() -> None:
    found = refused({"role": "assistant"}, part(type="image"), reasoning={})
    assert [field for field, _ in found] == ["messages[0].content", "messages[1].content[0]", "reasoning"]


def test_a_tool_may_answer_in_json() -> None:
    made = chat(
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "json", "value": {"b": [1, None]}, "cache": "1h"}]}
    )
    assert made.messages[0].content == (JsonPart(value=msgspec.Raw(b'{"b":[1,null]}'), cache="1h"),)
    assert refused({"role": "user", "content": [{"type": "json", "value": 1}]}) == (
        ("messages[0].content[0].type", "this part cannot stand in a user message"),
    )


def test_prompts_are_cached_for_as_long_as_was_asked() -> None:
    made = chat(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a", "cache": "1h"},
                {"type": "image", "url": "https://x", "cache": True},
                {"type": "file", "file_id": "f", "cache": "5m", "citations": True},
                {"type": "text", "text": "b", "cache": False},
            ],
        },
        tools=[
            {"type": "function", "function": {"name": "f"}, "cache": True},
            {"type": "function", "function": {"name": "g"}},
        ],
    )
    assert made.messages[0].content == (
        TextPart("a", cache="1h"),
        ImagePart(url="https://x", cache="5m"),
        FilePart(file_id="f", cache="5m", citations=True),
        TextPart("b"),
    )
    assert made.tools == (Tool(name="f", cache="5m"), Tool(name="g"))


def test_sampling_and_summaries_of_reasoning() -> None:
    made = chat(top_k=5, reasoning={"effort": "max", "summary": "concise"})
    assert (made.top_k, made.reasoning) == (5, ReasoningRequest(effort="max", summary="concise"))


def test_an_answer_with_its_sources_can_be_sent_back() -> None:
    made = chat({"role": "assistant", "content": "Blue.", "citations": [{"url": "https://x"}]})
    assert made.messages == (Message(role="assistant", content=(TextPart("Blue."),)),)


def test_embeddings_say_what_they_are_for() -> None:
    body = b'{"model":"m","input":"a","purpose":"search_query","provider_options":{"cohere":{"truncate":"END"}}}'
    assert DIALECT.decode("/v1/inference/embed", body).canonical() == Embed(
        input=("a",), purpose="search_query", provider_options={"cohere": {"truncate": "END"}}
    )


def test_embeddings_of_one_text_or_several() -> None:
    one = DIALECT.decode("/v1/inference/embed", b'{"model":"m","input":"a"}').canonical()
    more = DIALECT.decode(
        "/v1/inference/embed", b'{"model":"m","input":["a","b"],"dimensions":8,"user":"u"}'
    ).canonical()
    assert one == Embed(input=("a",))
    assert more == Embed(input=("a", "b"), dimensions=8, user="u")


def test_details_are_those_of_the_error() -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.decode("/v1/inference/embed", b'{"model":"m","input":[1]}')
    assert caught.value.details == (Detail("input[0]", "must be a string"),)
