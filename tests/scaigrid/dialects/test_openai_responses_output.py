from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given

from scaigrid import provider_state
from scaigrid.dialects import openai_responses_answers as shapes
from scaigrid.dialects.openai_responses_output import Output, stem
from scaigrid.dialects.openai_responses_request import STATE
from scaigrid.errors import Code, GatewayError
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
)
from tests.harness.answers import Answered, answers

HEX = "0123456789abcdef0123456789abcdef"


def told(*events: Event, finish: bool = True) -> tuple[Output, list[shapes.ResponseEvent]]:
    output = Output(Answered())
    given = [*events, Done("stop")] if finish else list(events)
    return output, [*output.add(given), *output.end()]


def items(*events: Event) -> list[dict[str, Any]]:
    return shown(told(*events)[0])


def shown(output: Output) -> list[dict[str, Any]]:
    """The items as a client reads them."""
    return msgspec.json.decode(msgspec.json.encode(output.items()), type=list[dict[str, Any]])


def kinds(events: Sequence[shapes.ResponseEvent]) -> list[str]:
    return [str(event.__struct_config__.tag).removeprefix("response.") for event in events]


def test_a_text_is_a_message_that_opens_grows_and_closes() -> None:
    output, events = told(Start("x", 7), Text("It "), Text("rains."), Usage(input=3))
    assert kinds(events) == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert [event.sequence_number for event in events] == list(range(2, 9))
    (message,) = shown(output)
    assert (message["type"], message["status"], message["id"]) == ("message", "completed", f"msg_{HEX}0")
    assert message["content"][0]["text"] == "It rains."
    assert (output.start, output.usage) == (Start("x", 7), Usage(input=3))


def test_nothing_is_told_ahead_of_the_first_content() -> None:
    """Until then the call can still go to another backend."""
    assert (
        Output(Answered()).add([Start("x"), Usage(input=3), Text(""), Reasoning(""), Refusal(""), Done("stop")]) == []
    )


def test_reasoning_a_message_and_calls_are_items_in_their_order() -> None:
    found = items(
        Reasoning("Hm.", provider="anthropic"),
        Reasoning(signature="c2ln", provider="anthropic"),
        Text("Wait."),
        ToolCall(3, "call_1", "rain", '{"a"'),
        ToolCall(7, "call_2", "wind", "{}"),
        ToolCall(3, arguments=":1}"),
    )
    assert [one["type"] for one in found] == ["reasoning", "message", "function_call", "function_call"]
    assert [(one["name"], one["call_id"], one["arguments"]) for one in found[2:]] == [
        ("rain", "call_1", '{"a":1}'),
        ("wind", "call_2", "{}"),
    ]
    state = provider_state.encode([ReasoningPart(text="Hm.", signature="c2ln", provider="anthropic")])
    assert found[0] == {
        "type": "reasoning",
        "id": f"rs_{HEX}0",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": f"{STATE}{state}",
    }


def test_a_call_without_an_id_gets_one_that_stays_the_same() -> None:
    (first,) = items(ToolCall(0, "", "rain", "{}"))
    assert first["call_id"].startswith("call_")
    assert items(ToolCall(0, "", "rain", "{}")) == [first]


def test_text_behind_a_call_is_another_message() -> None:
    found = items(Text("A"), ToolCall(0, "call_1", "f"), Text("B"))
    assert [one["type"] for one in found] == ["message", "function_call", "message"]


def test_a_refusal_is_a_part_of_its_own() -> None:
    output, events = told(Text("A"), Refusal("No."))
    (message,) = shown(output)
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert kinds(events)[-4:] == ["refusal.delta", "refusal.done", "content_part.done", "output_item.done"]


def test_openais_own_reasoning_keeps_its_name_and_its_seal() -> None:
    found = items(Reasoning("Hm.", provider="openai", id="rs_own"), Reasoning(signature="gAAA", id="rs_own"))
    assert (found[0]["id"], found[0]["encrypted_content"]) == ("rs_own", "gAAA")


def test_a_name_that_comes_too_late_for_the_item_is_kept_with_the_seal() -> None:
    found = items(Reasoning("Hm.", provider="openai"), Reasoning(signature="gAAA", id="rs_own"))
    part = ReasoningPart(text="Hm.", signature="gAAA", provider="openai", id="rs_own")
    assert found[0]["encrypted_content"] == f"{STATE}{provider_state.encode([part])}"


def test_no_two_items_have_one_name_though_the_provider_gives_it_twice() -> None:
    twice: list[Event] = [Reasoning(signature=seal, provider="openai", id="rs_own") for seal in ("gAAA", "gBBB")]
    first, second = items(*twice)
    assert (first["id"], first["encrypted_content"]) == ("rs_own", "gAAA")
    part = ReasoningPart(signature="gBBB", provider="openai", id="rs_own")
    assert (second["id"], second["encrypted_content"]) == (f"rs_{HEX}1", f"{STATE}{provider_state.encode([part])}")


def test_a_signature_behind_the_text_seals_all_of_the_reasoning() -> None:
    """In an item of its own: the first one was closed by the text."""
    found = items(Reasoning("Hm.", provider="x"), Text("Wait."), Reasoning(signature="c2ln"))
    assert [one["type"] for one in found] == ["reasoning", "message", "reasoning"]
    assert "encrypted_content" not in found[0]
    part = ReasoningPart(text="Hm.", signature="c2ln", provider="x")
    assert found[2]["encrypted_content"] == f"{STATE}{provider_state.encode([part])}"
    assert found[2]["summary"] == []


def test_signatures_of_something_else_stand_in_one_item_at_the_end() -> None:
    events: list[Event] = [
        Text("Wait."),
        Reasoning(signature="dA==", provider="google", signs="text"),
        ToolCall(0, "call_1", "f", "{}"),
        Reasoning(signature="Yw==", provider="google", signs="call", call_id="call_1"),
    ]
    found = items(*events)
    parts = [
        ReasoningPart(signature="dA==", provider="google", signs="text"),
        ReasoningPart(signature="Yw==", provider="google", signs="call", call_id="call_1"),
    ]
    assert found[-1]["encrypted_content"] == f"{STATE}{provider_state.encode(parts)}"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_what_is_open_when_an_answer_is_cut_short_is_incomplete(reason: Any) -> None:
    output, _ = told(Reasoning("Hm."), Text("It"), ToolCall(0, "c", "f"), Text("rai"), Done(reason), finish=False)
    assert output.status == "incomplete"
    found = shown(output)
    assert [one.get("status") for one in found] == [None, "completed", "incomplete", "incomplete"]


def test_citations_belong_to_the_text_that_they_are_of() -> None:
    found = items(
        Citation(url="https://a.example", title="A", start=0, end=2),
        Text("It rains."),
        Citation(url="https://b.example", start=3, end=99),
        Citation(document=1, title="b.pdf", quote="rain"),
        ToolCall(0, "c", "f"),
        Text("Still."),
        Citation(url="https://c.example"),
        Citation(url="https://d.example", start=9, end=12),
    )
    assert found[0]["content"][0]["annotations"] == [
        {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "https://a.example", "title": "A"},
        {"type": "url_citation", "start_index": 3, "end_index": 9, "url": "https://b.example", "title": ""},
        {"type": "file_citation", "file_id": "", "filename": "b.pdf", "index": 1},
    ]
    assert [(one["start_index"], one["end_index"]) for one in found[2]["content"][0]["annotations"]] == [(0, 6), (0, 3)]


def test_log_probabilities_go_with_their_piece_and_with_the_whole() -> None:
    pieces = [msgspec.Raw(b'{"content":[{"token":"%b","logprob":-0.5}]}' % token) for token in (b"It", b"rains")]
    output, events = told(Text("It", logprobs=pieces[0]), Text(" rains", logprobs=pieces[1]))
    deltas = [event for event in events if isinstance(event, shapes.ResponseTextDelta)]
    assert [len(delta.logprobs) for delta in deltas] == [1, 1]
    (message,) = shown(output)
    assert [one["token"] for one in message["content"][0]["logprobs"]] == ["It", "rains"]
    with pytest.raises(GatewayError) as caught:
        told(Text("It", logprobs=msgspec.Raw(b'{"content":7}')))
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_an_answer_without_an_end_is_none() -> None:
    with pytest.raises(GatewayError) as caught:
        told(Text("It"), finish=False)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


@pytest.mark.parametrize(("request_id", "expected"), [(f"req_{HEX}", HEX), ("of-this:call", "ofthiscall")])
def test_ids_are_made_of_the_request_s(request_id: str, expected: str) -> None:
    assert stem(Answered(request_id=request_id)) == expected


@given(answers())
def test_each_item_is_added_once_done_once_and_is_in_the_end_what_it_was_when_done(events: list[Event]) -> None:
    only = [event for event in events if getattr(event, "index", 0) == 0]
    output, told_events = told(*only, finish=False)
    added = [event for event in told_events if isinstance(event, shapes.ResponseItemAdded)]
    done = {event.output_index: event.item for event in told_events if isinstance(event, shapes.ResponseItemDone)}
    assert [event.output_index for event in added] == list(range(len(added)))
    assert tuple(done[place] for place in sorted(done)) == output.items()
    assert [event.item.id for event in added] == [item.id for item in output.items()]
    assert [event.sequence_number for event in told_events] == list(range(2, 2 + len(told_events)))
