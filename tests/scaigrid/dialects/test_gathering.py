import json

import msgspec
import pytest

from scaigrid import provider_state
from scaigrid.dialects.gathering import Gathered, Thoughts, created, tool_call_id, tool_calls
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    Citation,
    Counted,
    Done,
    Event,
    Ranked,
    Reasoning,
    ReasoningPart,
    Refusal,
    Start,
    Text,
    ToolCall,
    Usage,
    Vector,
)
from tests.harness.answers import Answered


def gathered(*events: Event) -> Gathered:
    made = Gathered()
    for event in events:
        made.add([event])
    return made


# -- thoughts --------------------------------------------------------------------------------------------------------


def parts(*events: Reasoning) -> tuple[ReasoningPart, ...]:
    thoughts = Thoughts()
    for event in events:
        thoughts.add(event)
    return thoughts.parts()


def test_a_signature_closes_the_block_that_it_signs() -> None:
    assert parts(
        Reasoning(text="I ", provider="anthropic"),
        Reasoning(text="think"),
        Reasoning(signature="s1"),
        Reasoning(redacted="r", provider="anthropic"),
        Reasoning(text="so"),
        Reasoning(text=".", signature="s2"),
    ) == (
        ReasoningPart(text="I think", signature="s1", provider="anthropic"),
        ReasoningPart(redacted="r", provider="anthropic"),
        ReasoningPart(text="so.", signature="s2", provider="anthropic"),
    )


def test_what_nobody_signed_is_a_part_of_its_own() -> None:
    assert parts(Reasoning(text="a"), Reasoning(text="b")) == (ReasoningPart(text="ab"),)
    assert parts(Reasoning(text="a", signature="s"), Reasoning(text="b"))[1] == ReasoningPart(text="b")
    assert parts(Reasoning(text="")) == ()
    assert parts() == ()


def test_a_signature_of_something_else_takes_no_thought_with_it() -> None:
    assert parts(
        Reasoning(text="Hm.", provider="google"),
        Reasoning(signature="s1", provider="google", signs="call", call_id="c"),
        Reasoning(signature="s2", provider="google", signs="text"),
    ) == (
        ReasoningPart(text="Hm.", provider="google"),
        ReasoningPart(signature="s1", provider="google", signs="call", call_id="c"),
        ReasoningPart(signature="s2", provider="google", signs="text"),
    )


def test_a_thought_keeps_the_name_that_its_provider_gave_it() -> None:
    assert parts(Reasoning(text="Hm.", provider="openai"), Reasoning(signature="s", id="rs_1", provider="openai")) == (
        ReasoningPart(text="Hm.", signature="s", provider="openai", id="rs_1"),
    )


# -- whole answers ---------------------------------------------------------------------------------------------------


def test_what_is_beside_the_text_is_gathered_too() -> None:
    made = gathered(
        Text("a"),
        Citation(url="https://x", start=0, end=1),
        Done("stop", stop_sequence="END"),
        Ranked(1, 0.5),
        Counted(7),
    )
    ((_, choice, _),) = made.ended()
    assert choice.citations == [Citation(url="https://x", start=0, end=1)]
    assert (choice.stop_sequence, made.ranked, made.counted) == ("END", [Ranked(1, 0.5)], 7)


def test_choices_come_in_their_order_whatever_came_first() -> None:
    made = gathered(Text("b", 1), Text("a", 0), Done("length", 1), Text("c", 1), Done("stop", 0))
    assert [(index, choice.content, finish) for index, choice, finish in made.ended()] == [
        (0, "a", "stop"),
        (1, "bc", "length"),
    ]


def test_a_choice_that_said_nothing_has_no_content() -> None:
    ((_, choice, _),) = gathered(Done("stop")).ended()
    assert (choice.content, choice.refusal, choice.reasoning, choice.provider_state) == (None, None, "", None)
    ((_, empty, _),) = gathered(Text(""), Refusal(""), Done("stop")).ended()
    assert (empty.content, empty.refusal) == ("", "")


def test_a_choice_without_an_end_is_the_providers_fault() -> None:
    with pytest.raises(GatewayError) as caught:
        gathered(Text("a"), Text("b", 1), Done("stop")).ended()
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_tool_calls_keep_the_order_in_which_they_began() -> None:
    made = gathered(
        ToolCall(3, id="c", name="f", arguments="{"),
        ToolCall(1, id="b", name="g"),
        ToolCall(3, arguments="}"),
        Done("tool_calls"),
    )
    ((index, choice, _),) = made.ended()
    calls = tool_calls(choice, index, Answered())
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("c", "f", "{}"),
        ("b", "g", ""),
    ]


def test_a_tool_call_without_an_id_is_given_one() -> None:
    ((index, choice, _),) = gathered(ToolCall(0, name="f"), Done("tool_calls")).ended()
    (call,) = tool_calls(choice, index, Answered())
    assert call.id == "call_89abcdef0123456789abcdef_0_0"
    longest = tool_call_id(Answered(request_id="a.b:c" * 25), 127, 99)
    assert len(longest) <= 40
    assert longest.replace("_", "").isalnum()


def test_the_providers_state_is_that_of_all_parts() -> None:
    ((_, choice, _),) = gathered(Reasoning(text="a", signature="s"), Reasoning(text="b"), Done("stop")).ended()
    assert choice.reasoning == "ab"
    assert choice.provider_state == provider_state.encode(
        [ReasoningPart(text="a", signature="s"), ReasoningPart(text="b")]
    )


def test_usage_is_the_last_that_was_said() -> None:
    assert gathered(Usage(input=1), Usage(input=2)).usage == Usage(input=2)
    assert gathered().usage is None


def test_vectors_come_in_the_order_of_the_input() -> None:
    made = gathered(Vector(1, msgspec.Raw(b"[2]")), Vector(0, msgspec.Raw(b"[1]")))
    assert [vector.index for vector in made.in_order()] == [0, 1]


# -- log probabilities -----------------------------------------------------------------------------------------------


def log_probs(*pieces: bytes) -> bytes | None:
    ((_, choice, _),) = gathered(*(Text("x", 0, msgspec.Raw(piece)) for piece in pieces), Done("stop")).ended()
    found = choice.log_probs
    return None if found is None else bytes(found)


def test_log_probabilities_of_all_pieces_are_put_together() -> None:
    assert log_probs() is None
    assert log_probs(b'{ "content": [{"token": "a"}] }') == b'{ "content": [{"token": "a"}] }'
    merged = log_probs(
        b'{"content":[{"token":"a","logprob":-0.10}]}',
        b'{"content":null,"refusal":[{"token":"n"}]}',
        b'{"content":[{"token":"b"},{"token":"c"}],"refusal":null}',
    )
    assert merged is not None
    assert b"-0.10" in merged
    assert json.loads(merged) == {
        "content": [{"token": "a", "logprob": -0.1}, {"token": "b"}, {"token": "c"}],
        "refusal": [{"token": "n"}],
    }


def test_log_probabilities_that_are_none_are_the_providers_fault() -> None:
    with pytest.raises(GatewayError) as caught:
        log_probs(b'{"content":[]}', b"[]")
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_an_answer_is_as_old_as_the_provider_says_or_as_the_request() -> None:
    assert created(Start("x", 5), Answered(started_at=7.9)) == 5
    assert created(Start("x"), Answered(started_at=7.9)) == 7
    assert created(None, Answered(started_at=7.9)) == 7
