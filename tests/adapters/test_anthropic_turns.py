from typing import Any

import msgspec
import pytest

from adapters.anthropic_turns import marked
from adapters.anthropic_turns import turns as made_of
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    AudioPart,
    CalledTool,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
)
from tests.adapters.calls import user


def read(*messages: Message) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The system prompt and the turns, as the provider reads them."""
    system, turns_ = made_of(messages)
    return msgspec.json.decode(msgspec.json.encode(system)), msgspec.json.decode(msgspec.json.encode(turns_))


def turns(*messages: Message) -> list[dict[str, Any]]:
    return read(*messages)[1]


def block(part: Part) -> dict[str, Any]:
    made: dict[str, Any] = turns(Message(role="user", content=(TextPart("x"), part)))[0]["content"][1]
    return made


def refused(*messages: Message) -> tuple[Code, list[str]]:
    with pytest.raises(GatewayError) as caught:
        read(*messages)
    return caught.value.code, [one.field for one in caught.value.details]


def text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_system_and_developer_are_gathered_from_wherever_they_stood() -> None:
    messages = (
        Message(role="system", content=(TextPart("a", cache="5m"), TextPart("b"))),
        user("Hi"),
        Message(role="developer", content=(TextPart("c"),)),
        user("Ho"),
    )
    system, made = read(*messages)
    assert system == [{**text("a"), "cache_control": {"type": "ephemeral"}}, text("b"), text("c")]
    assert made == [{"role": "user", "content": [text("Hi"), text("Ho")]}]


def test_neighbours_of_one_role_are_one_turn() -> None:
    assert turns(
        user("a"),
        Message(role="assistant", content=(TextPart("b"),)),
        Message(role="assistant", tool_calls=(CalledTool("t", "f", '{"x": 1.50}'),)),
        Message(role="tool", tool_call_id="t", content=(TextPart("c"),)),
        user("d"),
    ) == [
        {"role": "user", "content": [text("a")]},
        {
            "role": "assistant",
            "content": [text("b"), {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1.5}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t", "content": [text("c")]}, text("d")],
        },
    ]


def test_what_is_empty_is_not_said() -> None:
    """The API refuses a text without a character, and a turn without a block."""
    assert turns(
        Message(role="user", content=(TextPart(""), TextPart("a"))),
        Message(role="assistant", content=(TextPart(""),)),
        Message(role="assistant", content=()),
        user("b"),
    ) == [{"role": "user", "content": [text("a"), text("b")]}]
    _, _, result = turns(
        user("a"),
        Message(role="assistant", tool_calls=(CalledTool("t", "f", ""),)),
        Message(role="tool", tool_call_id="t", content=(TextPart(""),), tool_error=True),
    )
    assert result["content"] == [{"type": "tool_result", "tool_use_id": "t", "is_error": True}]


@pytest.mark.parametrize(
    ("arguments", "wanted"), [("", {}), (" ", {}), ("{}", {}), ('{ "a": [1, "é"] }', {"a": [1, "é"]})]
)
def test_arguments_are_an_object(arguments: str, wanted: object) -> None:
    _, turn = turns(user("a"), Message(role="assistant", tool_calls=(CalledTool("t", "f", arguments),)))
    assert turn["content"][0]["input"] == wanted


@pytest.mark.parametrize("arguments", ["[]", "1", "{", "null", '"x"', '{"a":"\ud83d"}', '{"a":' + "[" * 99_999])
def test_arguments_that_are_no_object_are_the_callers_fault(arguments: str) -> None:
    message = Message(role="assistant", tool_calls=(CalledTool("t", "f", "{}"), CalledTool("u", "f", arguments)))
    wanted = (Code.VALIDATION_ERROR, ["messages[0].tool_calls[1].arguments"])
    assert refused(message) == wanted


def test_ids_of_other_providers_fit_and_still_meet() -> None:
    _, call, result = turns(
        user("a"),
        Message(role="assistant", tool_calls=(CalledTool("functions.f:0", "f", "{}"),)),
        Message(role="tool", tool_call_id="functions.f:0"),
    )
    assert call["content"][0]["id"] == result["content"][0]["tool_use_id"] == "functions_f_0"


def test_a_name_cannot_be_said_but_for_a_tools() -> None:
    message = Message(role="user", name="ann", content=(TextPart("a"),))
    assert refused(user("x"), message) == (Code.UNSUPPORTED_BY_MODEL, ["messages[1].name"])
    assert turns(Message(role="tool", name="f", tool_call_id="t"))[0]["content"][0]["tool_use_id"] == "t"


PDF = "JVBERi0xLjQK"


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        (TextPart("a", cache="5m"), {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}),
        (
            ImagePart(url="https://x/a.png", detail="high"),
            {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
        ),
        (
            ImagePart(data="AA==", media_type="image/webp"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "AA=="}},
        ),
        (
            FilePart(data=PDF, media_type="application/pdf", filename="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
            },
        ),
        (
            FilePart(data=PDF),
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        ),
        (
            FilePart(url="https://x/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
        ),
        (FilePart(file_id="file_1"), {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        (
            FilePart(data="w6k=", media_type="text/markdown"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
        ),
        (
            FilePart(data=PDF, citations=True, cache="1h"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "citations": {"enabled": True},
                "cache_control": {"type": "ephemeral", "ttl": "1h"},
            },
        ),
        (
            ImagePart(url="https://x/a.png", cache="5m"),
            {
                "type": "image",
                "source": {"type": "url", "url": "https://x/a.png"},
                "cache_control": {"type": "ephemeral"},
            },
        ),
        (
            JsonPart(value=msgspec.Raw(b'{"a": 1.50}'), cache="5m"),
            {"type": "text", "text": '{"a": 1.50}', "cache_control": {"type": "ephemeral"}},
        ),
        (
            FilePart(data="e30=", media_type="application/json"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "{}"}},
        ),
    ],
)
def test_every_part_has_its_block(part: Part, wanted: dict[str, Any]) -> None:
    assert block(part) == wanted
    result = turns(Message(role="tool", tool_call_id="t", content=(part,)))[0]["content"][0]
    assert result["content"] == [wanted]


@pytest.mark.parametrize(
    ("part", "code", "field"),
    [
        (AudioPart(data="AA==", format="wav"), Code.UNSUPPORTED_BY_MODEL, ""),
        (FilePart(data="AA==", media_type="application/zip"), Code.UNSUPPORTED_BY_MODEL, ".media_type"),
        (FilePart(data="AA=="), Code.UNSUPPORTED_BY_MODEL, ".media_type"),
        (FilePart(data="!", media_type="text/plain"), Code.VALIDATION_ERROR, ".data"),
        (FilePart(data="/w==", media_type="text/plain"), Code.VALIDATION_ERROR, ".data"),
        (ImagePart(data="AA=="), Code.VALIDATION_ERROR, ".media_type"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(part: Part, code: Code, field: str) -> None:
    assert refused(Message(role="user", content=(TextPart("x"), part))) == (code, [f"messages[0].content[1]{field}"])


def test_a_refusal_was_what_the_assistant_said() -> None:
    assert turns(Message(role="assistant", content=(RefusalPart("No."),)))[0]["content"] == [text("No.")]


@pytest.mark.parametrize("part", [ImagePart(url="https://x"), FilePart(file_id="f")])
@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_only_users_and_tools_show_something(part: Part, role: Any) -> None:
    assert refused(Message(role=role, content=(part,))) == (Code.UNSUPPORTED_BY_MODEL, ["messages[0].content[0]"])


def test_a_mark_says_how_long() -> None:
    assert marked({}, None) == {}
    assert marked({}, "5m") == {"cache_control": {"type": "ephemeral"}}
    assert marked({}, "1h") == {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def test_a_signature_of_something_else_is_no_thought() -> None:
    parts = (
        ReasoningPart(signature="s", provider="anthropic", signs="text"),
        ReasoningPart(text="Hm.", signature="s", provider="bedrock"),
    )
    message = Message(role="assistant", content=(TextPart("a"),), reasoning=parts)
    assert turns(message) == [{"role": "assistant", "content": [text("a")]}]
