import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.cohere_decode import ChatStream, whole_chat
from adapters.events import Streamed, Whole
from scaigrid.errors import Code
from scaigrid.types import Done, Event, FinishReason, Reasoning, Start, Text, ToolCall, Usage
from tests.adapters.calls import decode, until_failure

PROVIDER = "cohere"


def event(kind: str, index: Any = None, **fields: Any) -> bytes:
    place = {} if index is None else {"index": index}
    return b"data: " + json.dumps({"type": kind, **place, **fields}).encode() + b"\n\n"


def said(kind: str, index: Any = None, **message: Any) -> bytes:
    return event(kind, index, delta={"message": message})


BEGIN = event("message-start", id="c1", delta={"message": {"role": "assistant", "content": []}})


def end(reason: Any = "COMPLETE", **delta: Any) -> bytes:
    return event("message-end", delta={"finish_reason": reason, **delta})


def streamed(*events: bytes) -> list[Event]:
    return decode(Streamed(ChatStream()), events)


def broken(*events: bytes) -> Code:
    """Why it is refused; no end may have been told by then."""
    found, failure = until_failure(Streamed(ChatStream()), events)
    assert failure is not None
    assert not any(isinstance(one, Done) for one in found)
    return failure.code


def plain(message: Any = None, reason: Any = "COMPLETE", **more: Any) -> list[Event]:
    told: Any = {"content": []} if message is None else message
    body: dict[str, Any] = {"id": "c1", "finish_reason": reason, "message": told, **more}
    return decode(Whole(whole_chat), [json.dumps(body).encode()])


def refused(body: Any) -> Code:
    _, failure = until_failure(Whole(whole_chat), [json.dumps(body).encode()])
    assert failure is not None
    return failure.code


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("ERROR_TOXIC", "content_filter"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_every_finish_reason_has_a_meaning(word: str, meant: FinishReason) -> None:
    assert streamed(BEGIN, end(word))[-1] == plain(reason=word)[-1] == Done(meant)


def test_who_calls_tools_stops_for_them() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    assert plain({"tool_calls": [call]})[-1] == Done("tool_calls")
    assert streamed(BEGIN, said("tool-call-start", 0, tool_calls=call), end())[-1] == Done("tool_calls")


@pytest.mark.parametrize(("word", "code"), [("ERROR", Code.BACKEND_ERROR), ("TIMEOUT", Code.BACKEND_TIMEOUT)])
def test_an_answer_that_broke_off_is_a_failure(word: str, code: Code) -> None:
    assert broken(BEGIN, end(word)) is refused({"finish_reason": word, "message": {"content": []}}) is code
    assert broken(BEGIN, end("COMPLETE", error="It broke.")) is Code.BACKEND_ERROR


def test_an_error_in_place_of_an_answer_is_that_error() -> None:
    body = {"id": "x", "message": "internal error"}
    assert refused(body) is Code.BACKEND_ERROR
    text = json.dumps(body).encode()
    assert broken(text) is broken(b"data: " + text + b"\n\n") is Code.BACKEND_ERROR
    assert broken(BEGIN, b"event: error\ndata: " + text + b"\n\n") is Code.BACKEND_ERROR


def test_content_is_text_and_thoughts() -> None:
    wanted = [Reasoning("Hm.", provider=PROVIDER), Text("a")]
    assert plain({"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "a"}]})[1:-1] == wanted
    events = [
        BEGIN,
        said("content-start", 0, content={"type": "thinking", "thinking": ""}),
        said("content-delta", 0, content={"thinking": "Hm."}),
        event("content-end", 0),
        said("content-start", 1, content={"type": "text", "text": "a"}),
        event("content-end", 1),
        end(),
    ]
    assert streamed(*events)[1:-1] == wanted
    assert plain({"content": "a"})[1:-1] == [Text("a")]


def test_a_plan_is_reasoning_that_is_signed_as_one() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    found = plain({"tool_plan": "Look.", "tool_calls": [call]}, "TOOL_CALL")
    assert found[1:-1] == [Reasoning("Look.", "tool_plan", provider=PROVIDER), ToolCall(0, "a", "now", "{}")]
    plan = said("tool-plan-delta", tool_plan="Look.")
    start = said("tool-call-start", 0, tool_calls=call)
    wanted = [Reasoning("Look.", provider=PROVIDER), Reasoning(signature="tool_plan", provider=PROVIDER)]
    assert streamed(BEGIN, plan, start, event("tool-call-end", 0), end("TOOL_CALL"))[1:-1] == [
        *wanted,
        ToolCall(0, "a", "now", "{}"),
    ]
    assert streamed(BEGIN, plan, end())[1:-1] == wanted


def test_thoughts_ahead_of_a_plan_are_a_part_of_their_own() -> None:
    wanted = [
        Reasoning("Hm.", provider=PROVIDER),
        Reasoning(signature="thinking", provider=PROVIDER),
        Reasoning("Look.", "tool_plan", provider=PROVIDER),
    ]
    assert plain({"content": [{"type": "thinking", "thinking": "Hm."}], "tool_plan": "Look."})[1:-1] == wanted
    events = [
        BEGIN,
        said("content-start", 0, content={"type": "thinking", "thinking": "Hm."}),
        said("tool-plan-delta", tool_plan="Lo"),
        said("tool-plan-delta", tool_plan="ok."),
        end(),
    ]
    assert streamed(*events)[2:-1] == [
        wanted[1],
        Reasoning("Lo", provider=PROVIDER),
        Reasoning("ok.", provider=PROVIDER),
        Reasoning(signature="tool_plan", provider=PROVIDER),
    ]


def test_tools_are_numbered_among_themselves_and_may_interleave() -> None:
    def start(index: int, name: str) -> bytes:
        return said("tool-call-start", index, tool_calls={"id": name, "function": {"name": name, "arguments": ""}})

    def piece(index: int, arguments: str) -> bytes:
        return said("tool-call-delta", index, tool_calls={"function": {"arguments": arguments}})

    events = [BEGIN, start(3, "f"), start(5, "g"), piece(5, '{"a":'), piece(3, "{}"), piece(5, "1}"), piece(5, "")]
    ends = [event("tool-call-end", 3), event("tool-call-end", 5), start(6, "h"), end("TOOL_CALL")]
    assert streamed(*events, *ends)[1:-1] == [
        ToolCall(0, "f", "f"),
        ToolCall(1, "g", "g"),
        ToolCall(1, arguments='{"a":'),
        ToolCall(0, arguments="{}"),
        ToolCall(1, arguments="1}"),
        ToolCall(2, "h", "h"),
        ToolCall(2, arguments="{}"),
    ]


def test_the_usage_of_a_stream_comes_with_its_end() -> None:
    usage = {"tokens": {"input_tokens": 9, "output_tokens": 2}}
    assert streamed(BEGIN, end(usage=usage))[1:] == [Usage(input=9, output=2), Done("stop")]
    assert plain(usage=usage)[1:] == [Usage(input=9, output=2), Done("stop")]


def test_without_usage_there_is_none() -> None:
    assert streamed(BEGIN, end()) == plain() == [Start("c1"), Done("stop")]


def test_what_is_new_is_passed_over() -> None:
    new = [event("brand-new", delta=5, logprobs=5), event("debug", prompt="x")]
    assert streamed(*new, BEGIN, *new, end()) == [Start("c1"), Done("stop")]


def test_a_new_kind_of_content_is_a_hole_in_the_answer() -> None:
    assert broken(BEGIN, said("content-start", 0, content={"type": "brand_new"})) is Code.UPSTREAM_SHAPE_MISMATCH
    body = {"finish_reason": "COMPLETE", "message": {"content": [{"type": "brand_new"}]}}
    assert refused(body) is Code.UPSTREAM_SHAPE_MISMATCH


@pytest.mark.parametrize(
    "events",
    [
        [said("content-start", 0, content={"type": "text", "text": ""})],
        [end()],
        [BEGIN, BEGIN],
        [BEGIN],
        [BEGIN, said("content-delta", 0, content={"text": "a"})],
        [BEGIN, event("content-end", 0)],
        [BEGIN, said("content-start", content={"type": "text"})],
        [BEGIN, said("content-start", 0, content={"type": "text"}), said("content-start", 0, content={"type": "text"})],
        [BEGIN, said("content-start", 0, content=5)],
        [BEGIN, said("content-start", 0, content={"type": "text", "text": 5})],
        [BEGIN, event("content-start", "0")],
        [BEGIN, said("tool-call-start", 0, tool_calls={"id": "a"})],
        [BEGIN, said("tool-call-start", 0, tool_calls={"function": {"name": "f"}})],
        [BEGIN, said("tool-call-delta", 0, tool_calls={"function": {"arguments": "{}"}})],
        [BEGIN, event("tool-call-end", 0)],
        [BEGIN, event("message-end")],
        [BEGIN, end(None)],
        [BEGIN, end(5)],
        [BEGIN, event("content-start", 0, delta=5)],
        [BEGIN, b"data: {}\n\n"],
        [BEGIN, b'data: {"type":5}\n\n'],
        [BEGIN, b"data: [DONE]\n\n"],
    ],
)
def test_a_stream_out_of_order_is_a_broken_format(events: list[bytes]) -> None:
    assert broken(*events) is Code.UPSTREAM_SHAPE_MISMATCH


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"finish_reason": "COMPLETE"},
        {"message": {"content": []}},
        {"finish_reason": 5, "message": {"content": []}},
        {"finish_reason": "COMPLETE", "message": {"content": [5]}},
        {"finish_reason": "COMPLETE", "message": {"tool_calls": [{"id": "a"}]}},
        {"finish_reason": "COMPLETE", "message": {"content": []}, "usage": 5},
    ],
)
def test_a_plain_answer_that_is_none_is_a_broken_format(body: Any) -> None:
    assert refused(body) is Code.UPSTREAM_SHAPE_MISMATCH


WORDS = ["type", "index", "delta", "message", "content", "text", "tool_calls", "function", "name", "finish_reason"]
TYPES = ["message-start", "content-start", "content-delta", "tool-call-start", "citation-start", "message-end", "text"]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.floats() | st.sampled_from(TYPES),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(JSON, max_size=4))
def test_any_json_at_all_ends_in_events_or_in_a_gateway_error(objects: list[Any]) -> None:
    texts = [json.dumps(one).encode() for one in objects]
    until_failure(Streamed(ChatStream()), [BEGIN, *[b"data: " + text + b"\n\n" for text in texts]])
    until_failure(Whole(whole_chat), texts)
