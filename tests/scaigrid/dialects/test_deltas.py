from hypothesis import given, settings
from msgspec import UNSET, Raw

from scaigrid import provider_state
from scaigrid.dialects.deltas import Deltas
from scaigrid.dialects.openai_shapes import ChatCompletionDelta
from scaigrid.dialects.shapes import ChoiceDelta, ChunkChoice, FunctionDelta, ToolCallDelta
from scaigrid.types import (
    Citation,
    Done,
    Event,
    Reasoning,
    ReasoningPart,
    Refusal,
    Start,
    Text,
    ToolCall,
    Usage,
    Vector,
)
from tests.harness.answers import Answered, answers


def uncited(citation: Citation) -> ChoiceDelta | None:
    """A dialect without a word for sources."""
    return None


def deltas(*events: Event) -> list[ChunkChoice]:
    return Deltas(ChoiceDelta, Answered(), uncited).choices(events)


def test_the_role_comes_once_and_the_end_once() -> None:
    assert deltas(Start("x"), Text("a"), Text("b"), Done("stop"), Done("length"), Text("c")) == [
        ChunkChoice(index=0, delta=ChoiceDelta(role="assistant", content="a")),
        ChunkChoice(index=0, delta=ChoiceDelta(content="b")),
        ChunkChoice(index=0, delta=ChoiceDelta(), finish_reason="stop"),
    ]


def test_nothing_is_shown_before_there_is_something_to_show() -> None:
    """Until then the call can still go to another backend."""
    assert deltas(Start("x", 5), Usage(input=3), Reasoning(signature="s"), Vector(0, Raw(b"[]"))) == []


def test_each_choice_has_its_own_beginning_and_end() -> None:
    assert deltas(Text("a", 1), Refusal("b", 0), Done("stop", 1), Done("content_filter", 0)) == [
        ChunkChoice(index=1, delta=ChoiceDelta(role="assistant", content="a")),
        ChunkChoice(index=0, delta=ChoiceDelta(role="assistant", refusal="b")),
        ChunkChoice(index=1, delta=ChoiceDelta(), finish_reason="stop"),
        ChunkChoice(index=0, delta=ChoiceDelta(), finish_reason="content_filter"),
    ]


def test_tool_calls_are_numbered_from_0_whatever_the_provider_counts() -> None:
    def piece(number: int, name: str, arguments: str) -> ToolCallDelta:
        function = FunctionDelta(name=name, arguments=arguments)
        return ToolCallDelta(index=number, id=f"call_{name}", type="function", function=function)

    more = ToolCallDelta(index=0, function=FunctionDelta(arguments="}"))
    assert deltas(
        ToolCall(4, "call_f", "f", "{"), ToolCall(9, "call_g", "g"), ToolCall(4, arguments="}"), Done("tool_calls")
    ) == [
        ChunkChoice(index=0, delta=ChoiceDelta(role="assistant", content=None, tool_calls=(piece(0, "f", "{"),))),
        ChunkChoice(index=0, delta=ChoiceDelta(tool_calls=(piece(1, "g", ""),))),
        ChunkChoice(index=0, delta=ChoiceDelta(tool_calls=(more,))),
        ChunkChoice(index=0, delta=ChoiceDelta(), finish_reason="tool_calls"),
    ]


def test_a_tool_call_without_an_id_is_given_one() -> None:
    (choice,) = deltas(ToolCall(0, name="f", index=2))
    assert choice.delta.tool_calls
    assert choice.delta.tool_calls[0].id == "call_89abcdef0123456789abcdef_2_0"


def test_what_the_provider_needs_back_comes_with_the_end() -> None:
    first, second, last = deltas(
        Reasoning(text="I "), Reasoning(text="think", signature="s", provider="anthropic"), Done("stop")
    )
    state = provider_state.encode([ReasoningPart(text="I think", signature="s", provider="anthropic")])
    assert (first.delta, second.delta) == (
        ChoiceDelta(role="assistant", reasoning="I "),
        ChoiceDelta(reasoning="think"),
    )
    assert (last.delta, last.finish_reason) == (ChoiceDelta(provider_state=state or UNSET), "stop")


def test_log_probabilities_go_with_their_piece() -> None:
    with_them, without = deltas(Text("a", 0, Raw(b"{}")), Text("b"))
    assert bytes(with_them.logprobs or b"") == b"{}"
    assert without.logprobs is UNSET


def test_the_delta_is_of_the_dialects_own_shape() -> None:
    (choice,) = Deltas(ChatCompletionDelta, Answered(), uncited).choices([Text("a")])
    assert type(choice.delta) is ChatCompletionDelta


def test_start_and_usage_are_kept_for_the_frames() -> None:
    made = Deltas(ChoiceDelta, Answered(), uncited)
    made.choices([Start("x", 5), Usage(input=1)])
    made.choices([Usage(input=2)])
    assert (made.start, made.usage) == (Start("x", 5), Usage(input=2))


@settings(deadline=None)
@given(answers())
def test_every_choice_of_any_answer_begins_and_ends_once(events: list[Event]) -> None:
    found = deltas(*events)
    for index in {choice.index for choice in found}:
        own = [choice for choice in found if choice.index == index]
        assert [choice.delta.role == "assistant" for choice in own] == [True] + [False] * (len(own) - 1)
        assert [choice.finish_reason is not None for choice in own] == [False] * (len(own) - 1) + [True]
