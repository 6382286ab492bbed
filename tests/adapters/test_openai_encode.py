from typing import Any

import pytest

from adapters.openai_encode import chat, embed
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    AudioPart,
    CalledTool,
    Chat,
    Embed,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    Role,
    TextPart,
    ToolChoice,
)
from tests.adapters.calls import user


def said(asked: Chat, *, stream: bool = False) -> dict[str, Any]:
    return chat(asked, "openai", "m", "max_completion_tokens", stream=stream)


def message(**fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = said(Chat(messages=(Message(**fields),)))["messages"][0]
    return made


def part(one: Part, role: Role = "user") -> dict[str, Any]:
    made: dict[str, Any] = message(role=role, content=(TextPart("x"), one))["content"][1]
    return made


def test_the_messages_come_last_and_what_was_not_said_is_not_said() -> None:
    assert list(said(Chat(messages=(user("Hi"),)))) == ["model", "messages"]
    whole = Chat(
        messages=(user("Hi"),), max_tokens=5, temperature=0.0, stop=("a",), user="u", parallel_tool_calls=False
    )
    assert list(said(whole, stream=True)) == [
        "model",
        "max_completion_tokens",
        "temperature",
        "stop",
        "user",
        "stream",
        "stream_options",
        "parallel_tool_calls",
        "messages",
    ]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (ToolChoice(), "auto"),
        (ToolChoice(mode="none"), "none"),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="required", name="f"), {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_every_choice_of_tools_has_its_word(choice: ToolChoice, wanted: object) -> None:
    assert said(Chat(messages=(), tool_choice=choice))["tool_choice"] == wanted


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (ResponseFormat(), {"type": "text"}),
        (ResponseFormat(kind="json_object"), {"type": "json_object"}),
        (
            ResponseFormat(kind="json_schema", schema={"type": "object"}),
            {"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}},
        ),
        (
            ResponseFormat(kind="json_schema", name="n", description="d", schema={}, strict=False),
            {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {}, "strict": False}},
        ),
    ],
)
def test_every_response_format_has_its_shape(asked: ResponseFormat, wanted: object) -> None:
    assert said(Chat(messages=(), response_format=asked))["response_format"] == wanted


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh"])
def test_effort_is_said_and_a_budget_cannot_be(effort: Any) -> None:
    assert said(Chat(messages=(), reasoning=ReasoningRequest(effort=effort)))["reasoning_effort"] == effort
    with pytest.raises(GatewayError) as caught:
        said(Chat(messages=(), reasoning=ReasoningRequest(budget_tokens=2000)))
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    assert [one.field for one in caught.value.details] == ["reasoning.budget_tokens"]


def test_text_alone_is_a_text() -> None:
    assert message(role="user", content=(TextPart("a"),)) == {"role": "user", "content": "a"}
    assert message(role="system", content=(TextPart("a"), TextPart("b"))) == {
        "role": "system",
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
    }


def test_nothing_is_nothing_where_tools_were_called_and_an_empty_text_elsewhere() -> None:
    call = CalledTool("a", "f", "{}")
    assert message(role="assistant", tool_calls=(call,)) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    assert message(role="assistant") == {"role": "assistant", "content": ""}
    assert message(role="user") == {"role": "user", "content": ""}


def test_a_name_belongs_to_those_who_speak() -> None:
    assert message(role="user", name="ann", content=(TextPart("a"),))["name"] == "ann"
    assert message(role="tool", name="f", tool_call_id="a", content=(TextPart("a"),)) == {
        "role": "tool",
        "tool_call_id": "a",
        "content": "a",
    }


def test_hints_without_a_counterpart_are_left_out() -> None:
    plain = message(role="assistant", content=(TextPart("a"),))
    thought = ReasoningPart(text="Hm.", signature="s", provider="anthropic")
    assert message(role="assistant", content=(TextPart("a", cache=True),), reasoning=(thought,)) == plain
    failed = message(role="tool", tool_call_id="a", content=(TextPart("x"),), tool_error=True)
    assert failed == message(role="tool", tool_call_id="a", content=(TextPart("x"),))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (ImagePart(url="https://x/a.png"), {"type": "image_url", "image_url": {"url": "https://x/a.png"}}),
        (
            ImagePart(data="AA==", media_type="image/webp", detail="low"),
            {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AA==", "detail": "low"}},
        ),
        (
            AudioPart(data="AA==", format="mp3"),
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
        ),
        (FilePart(file_id="file-1"), {"type": "file", "file": {"file_id": "file-1"}}),
        (
            FilePart(data="AA==", media_type="application/pdf", filename="a.pdf"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        ),
    ],
)
def test_every_part_of_a_users_message_has_its_shape(given: Part, wanted: dict[str, Any]) -> None:
    assert part(given) == wanted


def test_a_refusal_stays_one() -> None:
    assert part(RefusalPart("No."), "assistant") == {"type": "refusal", "refusal": "No."}


@pytest.mark.parametrize("role", ["system", "developer", "assistant", "tool"])
@pytest.mark.parametrize("given", [ImagePart(url="https://x"), AudioPart(data="", format="wav"), FilePart(file_id="f")])
def test_only_users_show_pictures_sound_and_files(role: Role, given: Part) -> None:
    with pytest.raises(GatewayError) as caught:
        part(given, role)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    assert [one.field for one in caught.value.details] == ["messages[0].content[1]"]


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        (FilePart(url="https://x/a.pdf"), Code.UNSUPPORTED_BY_MODEL, "messages[0].content[1].url"),
        (FilePart(data="AA=="), Code.VALIDATION_ERROR, "messages[0].content[1].media_type"),
        (ImagePart(data="AA=="), Code.VALIDATION_ERROR, "messages[0].content[1].media_type"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(given: Part, code: Code, field: str) -> None:
    with pytest.raises(GatewayError) as caught:
        part(given)
    assert caught.value.code is code
    assert [one.field for one in caught.value.details] == [field]


def test_embeddings_say_what_was_asked() -> None:
    assert embed(Embed(input=("a",)), "m") == {"model": "m", "input": ("a",)}
    assert list(embed(Embed(input=((1, 2),), dimensions=8, encoding="base64", user="u"), "m").items()) == [
        ("model", "m"),
        ("encoding_format", "base64"),
        ("dimensions", 8),
        ("user", "u"),
        ("input", ((1, 2),)),
    ]
