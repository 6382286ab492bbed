from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from scaigrid.dialects import anthropic_answers as answers
from scaigrid.dialects.anthropic_pieces import Frame, Pieces, is_object, put_together
from scaigrid.dialects.anthropic_thinking import parts
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Citation, Event, Reasoning, ReasoningPart, Refusal, Text, ToolCall
from tests.harness.answers import Answered

WEB = answers.AnthropicWebCitation(url="https://x.example/", title="T", cited_text="q")


def frames(*events: Event) -> list[Frame]:
    pieces = Pieces(Answered())
    return [*[frame for event in events for frame in pieces.frames(event)], *pieces.end()]


def short(found: Iterable[Frame]) -> list[str]:
    """`+n type`, `n piece` and `-n`, with what a piece adds."""
    told: list[str] = []
    for frame in found:
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(frame))
        match frame:
            case answers.BlockStart():
                told.append(f"+{frame.index} {plain['content_block']['type']}")
            case answers.BlockDelta():
                told.append(f"{frame.index} {next(value for key, value in plain['delta'].items() if key != 'type')}")
            case answers.BlockStop():
                told.append(f"-{frame.index}")
    return told


def in_order(found: Iterable[Frame]) -> None:
    """Blocks follow each other: one begins, grows and ends before the next begins."""
    current = -1
    begun = False
    for frame in found:
        match frame:
            case answers.BlockStart(index=index):
                assert (begun, index) == (False, current + 1)
                begun, current = True, index
            case answers.BlockDelta(index=index):
                assert (begun, index) == (True, current)
            case answers.BlockStop(index=index):
                assert (begun, index) == (True, current)
                begun = False
    assert not begun


def test_text_and_thinking_and_calls_are_blocks_of_their_own() -> None:
    found = frames(
        Reasoning("Hm", provider="anthropic"),
        Reasoning(".", provider="anthropic"),
        Reasoning(signature="sig", provider="anthropic"),
        Text("Let "),
        Text(""),
        Text("me."),
        ToolCall(0, "t", "f", '{"a":'),
        ToolCall(0, arguments="1}"),
    )
    assert short(found) == [
        *("+0 thinking", "0 Hm", "0 .", "0 sig", "-0"),
        *("+1 text", "1 Let ", "1 me.", "-1"),
        *("+2 tool_use", '2 {"a":', "2 1}", "-2"),
    ]


def test_nothing_makes_no_block() -> None:
    assert frames() == []
    assert frames(Text(""), Refusal(""), Reasoning("", provider="x")) == []


def test_other_choices_are_passed_over() -> None:
    assert frames(Text("a", index=1), ToolCall(0, "t", "f", "{}", index=1), Reasoning("a", index=1)) == []


def test_a_refusal_is_a_text() -> None:
    pieces = Pieces(Answered())
    assert short(pieces.frames(Refusal("No."))) == ["+0 text", "0 No."]
    assert pieces.refused


# -- reasoning -------------------------------------------------------------------------------------------------------


def test_thinking_that_only_its_provider_reads_is_told_at_once() -> None:
    signed = Reasoning(signature="sig", provider="anthropic")
    found = frames(Reasoning("Hm"), signed, Reasoning(redacted="enc", provider="anthropic"), Text("a"))
    assert short(found) == ["+0 thinking", "0 Hm", "0 sig", "-0", "+1 redacted_thinking", "-1", "+2 text", "2 a", "-2"]


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        (
            [Reasoning("Hm", provider="openai"), Reasoning(redacted="enc", provider="openai", id="rs_1")],
            ReasoningPart(text="Hm", redacted="enc", provider="openai", id="rs_1"),
        ),
        ([Reasoning(redacted="enc", provider="openai")], ReasoningPart(redacted="enc", provider="openai")),
        (
            [Reasoning("Hm", provider="bedrock"), Reasoning(signature="sig")],
            ReasoningPart(text="Hm", signature="sig", provider="bedrock"),
        ),
        (
            [Reasoning(signature="sig", provider="google", signs="call", call_id="c")],
            ReasoningPart(signature="sig", provider="google", signs="call", call_id="c"),
        ),
        ([Reasoning("Hm", provider="custom")], ReasoningPart(text="Hm")),
        (
            [Reasoning("Hm", provider="anthropic"), Reasoning(redacted="enc", provider="anthropic")],
            ReasoningPart(text="Hm", redacted="enc", provider="anthropic"),
        ),
    ],
)
def test_what_another_provider_wants_back_is_a_thinking_block(events: list[Event], wanted: ReasoningPart) -> None:
    (block,) = put_together(frames(*events))
    assert isinstance(block, answers.AnsweredThinking)
    assert parts(block.thinking, block.signature, "x", []) == (wanted,)


def test_a_signature_of_something_else_does_not_sign_the_thinking_ahead_of_it() -> None:
    found = frames(
        Reasoning("Hm", provider="google"),
        Text("a"),
        Reasoning(signature="sig", provider="google", signs="text"),
        Text("b"),
    )
    assert [name for name in short(found) if name[0] == "+"] == ["+0 thinking", "+1 text", "+2 thinking", "+3 text"]


# -- citations -------------------------------------------------------------------------------------------------------


def test_citations_belong_to_the_text_ahead_of_them() -> None:
    cited = Citation(url="https://x.example/", title="T", quote="q", start=0, end=2)
    blocks = put_together(frames(Text("ab"), cited, cited, Text("cd")))
    assert blocks == (answers.AnsweredText(text="ab", citations=(WEB, WEB)), answers.AnsweredText(text="cd"))


def test_a_citation_of_no_text_gets_an_empty_one() -> None:
    paper = Citation(document=1, title="T", quote="q", file_id="f")
    meant = answers.AnthropicDocumentCitation(cited_text="q", document_index=1, document_title="T", file_id="f")
    call = ToolCall(0, "t", "f", "{}")
    assert put_together(frames(call, paper))[1] == answers.AnsweredText(text="", citations=(meant,))


# -- tool calls ------------------------------------------------------------------------------------------------------


def called(*events: Event) -> list[tuple[str, str, Any]]:
    found = frames(*events)
    in_order(found)
    blocks = put_together(found)
    assert all(isinstance(block, answers.AnsweredToolUse) for block in blocks)
    return [
        (block.id, block.name, msgspec.json.decode(block.input))
        for block in blocks
        if isinstance(block, answers.AnsweredToolUse)
    ]


def test_calls_that_follow_each_other_are_told_as_they_come() -> None:
    pieces = Pieces(Answered())
    assert short(pieces.frames(ToolCall(0, "a", "f", '{"x":'))) == ["+0 tool_use", '0 {"x":']
    assert short(pieces.frames(ToolCall(0, arguments="1}"))) == ["0 1}"]
    assert short(pieces.frames(ToolCall(1, "b", "g"))) == ["-0", "+1 tool_use"]
    assert short(pieces.frames(ToolCall(1, arguments="{}"))) == ["1 {}"]
    assert short(pieces.end()) == ["-1"]


def test_calls_that_come_side_by_side_are_told_one_after_the_other() -> None:
    events = [
        ToolCall(0, "a", "f"),
        ToolCall(1, "b", "g"),
        ToolCall(2, "c", "h", "{}"),
        ToolCall(1, arguments='{"y":'),
        ToolCall(0, arguments='{"x":'),
        ToolCall(0, arguments="1}"),
        ToolCall(1, arguments="2}"),
    ]
    assert called(*events) == [("a", "f", {"x": 1}), ("b", "g", {"y": 2}), ("c", "h", {})]


def test_a_call_without_arguments_lets_others_wait_for_the_end_only() -> None:
    assert called(ToolCall(0, "a", "f"), ToolCall(1, "b", "g", '{"y":2}')) == [("a", "f", {}), ("b", "g", {"y": 2})]


def test_text_ends_the_calls_ahead_of_it() -> None:
    found = frames(ToolCall(0, "a", "f"), ToolCall(1, "b", "g", "{}"), Text("x"))
    in_order(found)
    assert short(found) == ["+0 tool_use", "-0", "+1 tool_use", "1 {}", "-1", "+2 text", "2 x", "-2"]


def test_a_call_that_goes_on_after_its_end_is_a_broken_answer() -> None:
    pieces = Pieces(Answered())
    list(pieces.frames(ToolCall(0, "a", "f", "{}")))
    list(pieces.frames(Text("x")))
    assert list(pieces.frames(ToolCall(0, arguments=" "))) == []
    with pytest.raises(GatewayError) as caught:
        list(pieces.frames(ToolCall(0, arguments="x")))
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_the_signature_of_a_call_waits_for_its_end() -> None:
    """It may come while calls are still side by side, and ends none of them."""
    signed = Reasoning(signature="sig", provider="google", signs="call", call_id="a")
    found = frames(
        ToolCall(0, "a", "f", '{"x":'),
        ToolCall(1, "b", "g", "{"),
        signed,
        ToolCall(0, "", "", "1}"),
        ToolCall(1, "", "", "}"),
    )
    in_order(found)
    first, second, thought = put_together(found)
    assert isinstance(first, answers.AnsweredToolUse)
    assert isinstance(second, answers.AnsweredToolUse)
    assert (bytes(first.input), bytes(second.input)) == (b'{"x":1}', b"{}")
    assert isinstance(thought, answers.AnsweredThinking)
    wanted = ReasoningPart(signature="sig", provider="google", signs="call", call_id="a")
    assert parts(thought.thinking, thought.signature, "", []) == (wanted,)


def test_a_call_without_an_id_gets_one() -> None:
    (first, second) = called(ToolCall(3, "", "f", "{}"), ToolCall(5, "", "g", "{}"))
    assert first[0] != second[0]
    assert first[0].startswith("call_")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("", {}),
        (" ", {}),
        ('{"a": 1.0}', {"a": 1.0}),
        ('{"a": ', {"INVALID_JSON": '{"a": '}),
        ("[1]", {"INVALID_JSON": "[1]"}),
    ],
)
def test_input_is_an_object_whatever_the_model_wrote(arguments: str, wanted: Any) -> None:
    assert called(ToolCall(0, "a", "f", arguments)) == [("a", "f", wanted)]


def test_numbers_stay_as_the_model_wrote_them() -> None:
    (block,) = put_together(frames(ToolCall(0, "a", "f", '{"a": 1.50}')))
    assert isinstance(block, answers.AnsweredToolUse)
    assert bytes(block.input) == b'{"a": 1.50}'


def test_what_is_nested_too_deep_is_no_object() -> None:
    assert is_object('{"a":{}}')
    assert not is_object('{"a":' * 100_000)
