import base64
from typing import Any

import msgspec
import pytest

from scaigrid.dialects.anthropic_blocks import Blocks, cached
from scaigrid.dialects.anthropic_shapes import AnthropicCacheControl, AnthropicMessage
from scaigrid.types import CalledTool, FilePart, ImagePart, Message, Part, ReasoningPart, TextPart


def read(role: str, content: Any, blocks: Blocks | None = None) -> list[Message]:
    message = msgspec.convert({"role": role, "content": content}, AnthropicMessage)
    return (blocks or Blocks(())).messages(message, "messages[3]")


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_a_text_is_one_message(role: Any) -> None:
    for content in ("Hi", [{"type": "text", "text": "Hi"}]):
        assert read(role, content) == [Message(role=role, content=(TextPart("Hi"),))]


TEXT = base64.b64encode("Ünïcode".encode()).decode()


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, [TextPart("a", cache="5m")]),
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, [TextPart("a", "1h")]),
        ({"type": "text", "text": "a", "citations": [{"type": "char_location"}]}, [TextPart("a")]),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aWk="}},
            [ImagePart(data="aWk=", media_type="image/png")],
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "u"}, "cache_control": {"type": "ephemeral"}},
            [ImagePart(url="u", cache="5m")],
        ),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0"},
                "title": "T",
                "citations": {"enabled": True},
                "cache_control": {"type": "ephemeral", "ttl": "1h"},
            },
            [FilePart(data="JVBERi0", media_type="application/pdf", filename="T", citations=True, cache="1h")],
        ),
        ({"type": "document", "source": {"type": "url", "url": "u"}}, [FilePart(url="u")]),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, [FilePart(file_id="f")]),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Ünïcode"}},
            [FilePart(data=TEXT, media_type="text/plain")],
        ),
        (
            {"type": "document", "source": {"type": "content", "content": "Ünïcode"}},
            [FilePart(data=TEXT, media_type="text/plain")],
        ),
        (
            {
                "type": "document",
                "source": {
                    "type": "content",
                    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                },
                "citations": {"enabled": False},
            },
            [FilePart(data=base64.b64encode(b"a\nb").decode(), media_type="text/plain")],
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "u"}, "context": "It is old."},
            [TextPart("It is old."), FilePart(url="u")],
        ),
    ],
)
def test_what_a_user_shows(block: dict[str, Any], parts: list[Part]) -> None:
    """Alone, and within what a tool answered."""
    assert read("user", [block]) == [Message(role="user", content=tuple(parts))]
    result = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    assert read("user", [result]) == [Message(role="tool", content=tuple(parts), tool_call_id="t")]


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "source.file_id"),
        (
            {
                "type": "document",
                "source": {"type": "content", "content": [{"type": "image", "source": {"type": "url", "url": "u"}}]},
            },
            "source.content",
        ),
    ],
)
def test_what_only_anthropic_understands_is_named(block: dict[str, Any], field: str) -> None:
    blocks = Blocks(["seen"])
    assert read("user", [block], blocks) == []
    assert blocks.unknown == ["seen", f"messages[3].content[0].{field}"]


def test_what_tools_answered_stands_in_messages_of_its_own_in_order() -> None:
    content: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {"type": "tool_result", "tool_use_id": "b", "is_error": True},
        {"type": "text", "text": "And now?"},
        {"type": "text", "text": "Well?"},
        {"type": "tool_result", "tool_use_id": "c", "content": [], "is_error": False},
    ]
    assert read("user", content) == [
        Message(role="tool", content=(TextPart("1"),), tool_call_id="a"),
        Message(role="tool", tool_call_id="b", tool_error=True),
        Message(role="user", content=(TextPart("And now?"), TextPart("Well?"))),
        Message(role="tool", tool_call_id="c"),
    ]


def test_a_mark_on_a_tools_result_is_one_on_its_last_part() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "x"}] * 2, **mark}
    assert read("user", [result])[0].content == (TextPart("x"), TextPart("x", cache="5m"))
    assert read("user", [{"type": "tool_result", "tool_use_id": "a", **mark}])[0].content == ()


def test_an_answer_comes_back_with_its_thinking_and_its_calls() -> None:
    content: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "enc"},
        {"type": "text", "text": ""},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1.0, "b": ["ü"]}},
        {"type": "tool_use", "id": "u", "name": "g", "input": {}, "cache_control": {"type": "ephemeral"}},
    ]
    assert read("assistant", content) == [
        Message(
            role="assistant",
            content=(TextPart("Let me look."),),
            reasoning=(
                ReasoningPart(text="Hm.", signature="sig", provider="anthropic"),
                ReasoningPart(redacted="enc", provider="anthropic"),
            ),
            tool_calls=(CalledTool("t", "f", '{"a":1.0,"b":["ü"]}'), CalledTool("u", "g", "{}")),
        )
    ]


def test_an_answer_that_says_nothing_is_none() -> None:
    assert read("assistant", [{"type": "thinking", "thinking": ""}]) == []


def test_half_a_character_is_a_fault_where_bytes_are_due() -> None:
    blocks = Blocks(())
    half = "\ud800"
    read("assistant", [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": half}}], blocks)
    read("user", [{"type": "document", "source": {"type": "text", "data": half}}], blocks)
    assert [fault.field for fault in blocks.faults] == [
        "messages[3].content[0].input",
        "messages[3].content[0].source.data",
    ]


def test_a_mark_without_a_time_is_for_five_minutes() -> None:
    assert cached(None) is None
    assert cached(AnthropicCacheControl(type="ephemeral")) == "5m"
    assert cached(AnthropicCacheControl(type="ephemeral", ttl="1h")) == "1h"
