import json
from typing import Any

import msgspec
import pytest

from adapters import endpoints
from adapters.openai_responses_encode import chat, size
from adapters.wire import encoded
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    AudioPart,
    CalledTool,
    Chat,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    Part,
    ReasoningPart,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)
from tests.adapters.calls import user


def said(asked: Chat, *, model: str = "gpt-5", stream: bool = False) -> dict[str, Any]:
    """As it goes over the wire."""
    body: dict[str, Any] = json.loads(encoded(chat(asked, endpoints.OPENAI, model, stream=stream)))
    return body


def items(*messages: Message) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = said(Chat(messages=messages))["input"]
    return found


def refused(asked: Chat) -> list[str]:
    with pytest.raises(GatewayError) as caught:
        said(asked)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    return [one.field for one in caught.value.details]


def test_nothing_is_stored_and_reasoning_comes_encrypted_instead() -> None:
    assert said(Chat(messages=(user("Hi"),))) == {
        "model": "gpt-5",
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "input": [{"role": "user", "content": "Hi"}],
    }


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4.1", "ft:gpt-4o:x", "chatgpt-4o-latest", "gpt-5.2-chat-latest"])
def test_models_that_do_not_reason_are_not_asked_for_it(model: str) -> None:
    assert "include" not in said(Chat(messages=()), model=model)


def test_all_that_can_be_said_is_said_and_the_conversation_comes_last() -> None:
    asked = Chat(
        messages=(user("Hi"),),
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        logprobs=True,
        top_logprobs=2,
        user="u",
        reasoning=ReasoningRequest(effort="max", summary="auto"),
        parallel_tool_calls=False,
        tool_choice=ToolChoice(name="f"),
        tools=(Tool(name="f", description="d", parameters={"type": "object"}, strict=True), Tool(name="g")),
        response_format=ResponseFormat(kind="json_schema", name="n", schema={}, strict=True),
        provider_options={"openai": {"truncation": "auto", "tools": [{"type": "web_search"}]}},
    )
    assert list(said(asked, stream=True).items()) == [
        ("model", "gpt-5"),
        ("max_output_tokens", 9),
        ("temperature", 0.5),
        ("top_p", 0.9),
        ("top_logprobs", 2),
        ("user", "u"),
        ("reasoning", {"effort": "max", "summary": "auto"}),
        ("include", ["reasoning.encrypted_content", "message.output_text.logprobs"]),
        ("store", False),
        ("stream", True),
        ("text", {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}}),
        ("parallel_tool_calls", False),
        ("tool_choice", {"type": "function", "name": "f"}),
        (
            "tools",
            [
                {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
                {"type": "function", "name": "g", "parameters": {"type": "object", "properties": {}}, "strict": False},
                {"type": "web_search"},
            ],
        ),
        ("truncation", "auto"),
        ("input", [{"role": "user", "content": "Hi"}]),
    ]


def test_formats_without_a_schema_and_choices_without_a_name_have_their_word() -> None:
    assert said(Chat(messages=(), response_format=ResponseFormat()))["text"] == {"format": {"type": "text"}}
    json_object = ResponseFormat(kind="json_object")
    assert said(Chat(messages=(), response_format=json_object))["text"] == {"format": {"type": "json_object"}}
    assert said(Chat(messages=(), tool_choice=ToolChoice(mode="required")))["tool_choice"] == "required"


def test_what_has_no_word_is_refused_by_name() -> None:
    asked = Chat(
        messages=(),
        n=2,
        stop=("a",),
        seed=1,
        top_k=1,
        presence_penalty=0.5,
        frequency_penalty=0.0,
    )
    assert refused(asked) == ["n", "stop", "seed", "top_k", "presence_penalty"]
    assert refused(Chat(messages=(msgspec.structs.replace(user("Hi"), name="ann"),))) == ["messages[0].name"]


@pytest.mark.parametrize("field", ["input", "store", "previous_response_id", "instructions", "max_output_tokens"])
def test_what_is_governed_is_no_option(field: str) -> None:
    with pytest.raises(GatewayError) as caught:
        said(Chat(messages=(), provider_options={"openai": {field: "mine"}}))
    assert caught.value.code is Code.VALIDATION_ERROR


def test_every_role_has_its_items() -> None:
    thought = ReasoningPart(text="Hm.", signature="enc", id="rs_1", provider="openai")
    assert items(
        Message(role="system", content=(TextPart("a"),)),
        Message(role="developer", content=(TextPart("b"),)),
        Message(
            role="assistant",
            content=(TextPart("c"),),
            reasoning=(thought, msgspec.structs.replace(thought, text="")),
            tool_calls=(CalledTool("call_1", "f", "{}"),),
        ),
        Message(role="tool", tool_call_id="call_1", content=(JsonPart(value=msgspec.Raw(b'{"d":1}')),)),
        Message(role="assistant", content=(TextPart("e"), RefusalPart("No."))),
        Message(role="user"),
    ) == [
        {"role": "system", "content": "a"},
        {"role": "developer", "content": "b"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "enc"},
        {"type": "reasoning", "summary": [], "encrypted_content": "enc"},
        {"role": "assistant", "content": "c"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": '{"d":1}'},
        {
            "role": "assistant",
            "content": [{"type": "output_text", "text": "e"}, {"type": "refusal", "refusal": "No."}],
        },
        {"role": "user", "content": ""},
    ]


def test_an_assistant_that_only_called_tools_has_said_nothing() -> None:
    assert [one["type"] for one in items(Message(role="assistant", tool_calls=(CalledTool("a", "f", ""),)))] == [
        "function_call"
    ]


@pytest.mark.parametrize(
    "thought",
    [
        ReasoningPart(text="Hm.", provider="openai"),
        ReasoningPart(text="Hm.", signature="s", provider="anthropic"),
        ReasoningPart(signature="s", signs="text", provider="openai"),
    ],
)
def test_reasoning_that_openai_did_not_encrypt_is_left_out(thought: ReasoningPart) -> None:
    assert items(Message(role="assistant", content=(TextPart("a"),), reasoning=(thought,))) == [
        {"role": "assistant", "content": "a"}
    ]


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        (ImagePart(url="https://x", detail="low"), {"type": "input_image", "image_url": "https://x", "detail": "low"}),
        (
            ImagePart(data="AA==", media_type="image/png"),
            {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
        ),
        (FilePart(file_id="f"), {"type": "input_file", "file_id": "f"}),
        (FilePart(url="https://x/a.pdf"), {"type": "input_file", "file_url": "https://x/a.pdf"}),
        (
            FilePart(data="AA==", media_type="application/pdf", filename="a.pdf"),
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
        ),
        (JsonPart(value=msgspec.Raw(b"1")), {"type": "input_text", "text": "1"}),
    ],
)
def test_users_and_tools_show_pictures_and_files(part: Part, wanted: dict[str, Any]) -> None:
    both = (TextPart("x"), part)
    first = {"type": "input_text", "text": "x"}
    assert items(Message(role="user", content=both))[0]["content"] == [first, wanted]
    assert items(Message(role="tool", tool_call_id="a", content=both))[0]["output"] == [first, wanted]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (Message(role="user", content=(AudioPart(data="", format="wav"),)), "messages[0].content[0]"),
        (Message(role="system", content=(TextPart("a"), ImagePart(url="u"))), "messages[0].content[1]"),
        (Message(role="assistant", content=(ImagePart(url="u"),)), "messages[0].content[0]"),
        (Message(role="user", content=(FilePart(file_id="f", citations=True),)), "messages[0].content[0].citations"),
    ],
)
def test_parts_without_a_word_are_refused_by_name(message: Message, field: str) -> None:
    assert refused(Chat(messages=(message,))) == [field]


def test_a_size_is_asked_for_what_is_counted_alone() -> None:
    asked = Chat(
        messages=(user("Hi"),),
        max_tokens=9,
        temperature=0.5,
        stop=("a",),
        n=2,
        tools=(Tool(name="f"),),
        reasoning=ReasoningRequest(budget_tokens=2000),
        provider_options={"openai": {"service_tier": "flex", "truncation": "auto"}},
    )
    assert size(asked, endpoints.OPENAI, "gpt-5") == {
        "model": "gpt-5",
        "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
        ],
        "reasoning": {"effort": "low"},
        "truncation": "auto",
        "input": [{"role": "user", "content": "Hi"}],
    }


def test_the_next_turn_begins_with_the_bytes_of_the_last() -> None:
    first = encoded(chat(Chat(messages=(user("Hi"),)), endpoints.OPENAI, "m", stream=True))
    more = Chat(messages=(user("Hi"), Message(role="assistant", content=(TextPart("Yes."),)), user("More.")))
    assert encoded(chat(more, endpoints.OPENAI, "m", stream=True)).startswith(first.removesuffix(b"]}"))
