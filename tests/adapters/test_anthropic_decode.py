import json
from typing import Any

import pytest

from adapters.anthropic_decode import MessageStream, whole_message
from adapters.events import Streamed, Whole
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Citation, Done, Event, FinishReason, Reasoning, Start, Text, ToolCall, Usage
from tests.adapters.calls import decode, until_failure


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\n".encode() + b"data: " + json.dumps({"type": kind, **fields}).encode() + b"\n\n"


def begin(**usage: Any) -> bytes:
    return event("message_start", message={"id": "msg_1", "content": [], "usage": usage} if usage else {"id": "msg_1"})


def block(kind: str, index: int = 0, **fields: Any) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **fields})


def delta(kind: str, index: int = 0, **fields: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def stop(index: int = 0) -> bytes:
    return event("content_block_stop", index=index)


def end(reason: str | None = "end_turn", **usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": reason}, usage=usage) + event("message_stop")


def streamed(*events: bytes) -> list[Event]:
    return decode(Streamed(MessageStream()), events)


def broken(*events: bytes) -> Code:
    """Why the last event is refused, before the answer could end."""
    decoder = Streamed(MessageStream())
    for one in events[:-1]:
        assert not any(isinstance(found, Done) for found in decoder.feed(one))
    with pytest.raises(GatewayError) as caught:
        decoder.feed(events[-1])
    return caught.value.code


def plain(content: Any, reason: Any = "end_turn", **more: Any) -> list[Event]:
    body = {"id": "msg_1", "type": "message", "content": content, "stop_reason": reason, **more}
    return decode(Whole(whole_message), [json.dumps(body).encode()])


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_every_stop_reason_has_a_meaning(said: str, meant: FinishReason) -> None:
    assert streamed(begin(), end(said))[-1] == Done(meant)
    assert plain([], said)[-1] == Done(meant)


# -- usage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"input_tokens": 5, "output_tokens": 7}, Usage(input=5, output=7)),
        (
            {"input_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 4, "output_tokens": 7},
            Usage(input=5, cache_read=3, cache_write=4, output=7),
        ),
        (
            {
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            },
            Usage(cache_write=10, cache_write_1h=20),
        ),
        # More for an hour than at all.
        (
            {"cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
            Usage(cache_write_1h=5),
        ),
        (
            {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 9}, "service_tier": "standard"},
            Usage(output=7, reasoning=7),
        ),
        ({"input_tokens": -5, "output_tokens": 1e30, "cache_creation": None}, Usage(input=-5, output=2**53)),
    ],
)
def test_classes_are_disjoint(said: dict[str, Any], meant: Usage) -> None:
    assert plain([], usage=said)[1] == meant
    assert streamed(begin(**said), end())[1] == meant
    assert streamed(begin(input_tokens=0), end(**said))[2] == meant


def test_the_end_of_a_stream_corrects_its_beginning_where_it_says_anything() -> None:
    first = {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1}
    told = streamed(begin(**first), end(input_tokens=50, output_tokens=9, cache_read_input_tokens=None))
    assert told[1:-1] == [
        Usage(input=5, cache_read=3, output=1),
        Usage(input=50, cache_read=3, output=9),
    ]


def test_the_input_is_known_before_the_first_word() -> None:
    found, _ = until_failure(Streamed(MessageStream()), [begin(input_tokens=5, output_tokens=1)])
    assert found == [Start("msg_1"), Usage(input=5, output=1)]


def test_without_usage_there_is_none() -> None:
    bare = event("message_delta", delta={"stop_reason": "end_turn"}) + event("message_stop")
    assert streamed(begin(), bare) == plain([]) == plain([], usage=None) == [Start("msg_1"), Done("stop")]


@pytest.mark.parametrize("said", [5, [], {"cache_creation": 5}])
def test_usage_of_the_wrong_type_is_a_broken_format(said: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        plain([], usage=said)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
    tail = event("message_delta", delta={"stop_reason": "end_turn"}, usage=said)
    assert broken(begin(), tail) is Code.UPSTREAM_SHAPE_MISMATCH


# -- blocks ----------------------------------------------------------------------------------------------------------


def test_text_may_begin_with_its_block() -> None:
    events = [
        begin(),
        block("text", text="a"),
        delta("text_delta", text="b"),
        delta("text_delta", text=""),
        stop(),
        end(),
    ]
    assert streamed(*events)[1:-1] == [Text("a"), Text("b"), Usage()]


def test_thinking_is_closed_by_its_signature() -> None:
    wanted = [Reasoning("a", provider="anthropic"), Reasoning(signature="st", provider="anthropic")]
    thoughts = [
        [block("thinking", thinking="a", signature=""), delta("signature_delta", signature="st")],
        [block("thinking", thinking="a", signature="st")],
        [
            block("thinking"),
            delta("thinking_delta", thinking="a"),
            delta("signature_delta", signature="s"),
            delta("signature_delta", signature="t"),
        ],
    ]
    for events in thoughts:
        assert streamed(begin(), *events, stop(), end())[1:3] == wanted
    assert plain([{"type": "thinking", "thinking": "a", "signature": "st"}])[1] == Reasoning(
        "a", "st", provider="anthropic"
    )


def test_thinking_that_is_not_shown_still_has_its_signature() -> None:
    """What newer models do unless they are asked to show it."""
    events = [
        begin(),
        block("thinking", thinking="", signature=""),
        delta("signature_delta", signature="s"),
        stop(),
        end(),
    ]
    assert streamed(*events)[1] == Reasoning(signature="s", provider="anthropic")


def test_thinking_without_a_signature_closes_nothing() -> None:
    assert streamed(begin(), block("thinking", thinking="a"), stop(), end())[1:-1] == [
        Reasoning("a", provider="anthropic"),
        Usage(),
    ]


def test_redacted_thinking_has_data() -> None:
    wanted = Reasoning(redacted="r", provider="anthropic")
    assert streamed(begin(), block("redacted_thinking", data="r"), stop(), end())[1] == wanted
    assert plain([{"type": "redacted_thinking", "data": "r"}])[1] == wanted
    assert broken(begin(), block("redacted_thinking")) is Code.UPSTREAM_SHAPE_MISMATCH


@pytest.mark.parametrize("given", [{"input": {}}, {"input": None}, {}])
def test_a_tool_without_input_has_an_empty_object(given: dict[str, Any]) -> None:
    start = block("tool_use", id="t", name="f", **given)
    wanted = [ToolCall(0, "t", "f"), ToolCall(0, arguments="{}")]
    assert streamed(begin(), start, stop(), end("tool_use"))[1:3] == wanted
    assert streamed(begin(), start, delta("input_json_delta", partial_json=""), stop(), end("tool_use"))[1:3] == wanted
    assert plain([{"type": "tool_use", "id": "t", "name": "f", **given}])[1] == ToolCall(0, "t", "f", "{}")


def test_input_that_comes_at_once_is_told_at_the_end_of_its_block() -> None:
    start = block("tool_use", id="t", name="f", input={"a": "é"})
    assert streamed(begin(), start, stop(), end("tool_use"))[1:3] == [
        ToolCall(0, "t", "f"),
        ToolCall(0, arguments='{"a":"é"}'),
    ]


def test_tools_are_numbered_among_themselves_and_may_interleave() -> None:
    events = [
        begin(),
        block("text", 0),
        block("tool_use", 3, id="t", name="f"),
        block("tool_use", 5, id="u", name="g"),
        delta("input_json_delta", 5, partial_json="[5]"),
        delta("input_json_delta", 3, partial_json="[3]"),
        stop(5),
        stop(3),
        stop(0),
        end("tool_use"),
    ]
    assert streamed(*events)[1:-2] == [
        ToolCall(0, "t", "f"),
        ToolCall(1, "u", "g"),
        ToolCall(1, arguments="[5]"),
        ToolCall(0, arguments="[3]"),
    ]


@pytest.mark.parametrize(
    "given", [{"id": "t"}, {"name": "f"}, {"id": "", "name": "f"}, {"id": "t", "name": "f", "input": []}]
)
def test_a_tool_that_is_no_call_is_a_broken_format(given: dict[str, Any]) -> None:
    assert broken(begin(), block("tool_use", **given)) is Code.UPSTREAM_SHAPE_MISMATCH


# -- what is new, and what is wrong ----------------------------------------------------------------------------------


def test_what_is_new_is_passed_over() -> None:
    new = [
        event("ping"),
        event("brand_new", index="x", delta=5, content_block=[], usage=7, message="m"),
        block("brand_new", 9, text=5, id=[], input="x"),
        delta("brand_new_delta", 9, text={}),
        delta("text_delta", 9, text="of a block that is not read"),
        stop(9),
    ]
    thinking = [block("thinking", 1), delta("brand_new_delta", 1), delta("signature_delta", 1, signature="s"), stop(1)]
    told = streamed(event("ping"), begin(), *new, *thinking, block("text", 2, text="a"), stop(2), *new[:1], end())
    assert told[1:-2] == [Reasoning(signature="s", provider="anthropic"), Text("a")]


def test_a_new_delta_within_text_or_arguments_is_a_hole_in_them() -> None:
    for start in (block("text"), block("tool_use", id="t", name="f")):
        assert broken(begin(), start, delta("brand_new_delta", text="x")) is Code.UPSTREAM_SHAPE_MISMATCH


def test_citations_name_the_text_that_rests_on_them() -> None:
    """They are told with the end of their block: only then is it known how far its text goes."""
    paper = {"type": "char_location", "cited_text": "q", "document_index": 1, "document_title": "T", "file_id": None}
    page = {"type": "web_search_result_location", "url": "https://x", "title": "W", "cited_text": "p"}
    found = [
        Citation(document=1, title="T", quote="q", start=3, end=5),
        Citation(url="https://x", title="W", quote="p", start=3, end=5),
    ]
    told = streamed(
        *(begin(), block("text", text="On "), stop()),
        *(block("text", 1, text="", citations=[paper]), delta("text_delta", 1, text="ti")),
        *(delta("citations_delta", 1, citation=page), stop(1), end()),
    )
    assert told[1:-2] == [Text("On "), Text("ti"), *found]
    assert plain([{"type": "text", "text": "On "}, {"type": "text", "text": "ti", "citations": [paper, page]}])[
        1:-1
    ] == [
        Text("On "),
        Text("ti"),
        *found,
    ]


def test_a_citation_that_is_none_is_broken() -> None:
    assert broken(begin(), block("text"), delta("citations_delta"), stop()) is Code.UPSTREAM_SHAPE_MISMATCH
    with pytest.raises(GatewayError):
        plain([{"type": "text", "text": "a", "citations": [5]}])


def test_the_stop_that_the_model_met_is_told() -> None:
    assert plain([], "stop_sequence", stop_sequence="END")[-1] == Done("stop", stop_sequence="END")
    last = event("message_delta", delta={"stop_reason": "stop_sequence", "stop_sequence": "END"}, usage={})
    assert streamed(begin(), last, event("message_stop"))[-1] == Done("stop", stop_sequence="END")


@pytest.mark.parametrize(
    "events",
    [
        [block("text")],
        [delta("text_delta", text="a")],
        [end()],
        [begin(), begin()],
        [event("message_start")],
        [event("message_start", message=5)],
        [begin(), delta("text_delta", text="a")],
        [begin(), stop()],
        [begin(), block("text"), block("text")],
        [begin(), block("text"), stop(), stop()],
        [begin(), block("text"), stop(), block("text")],
        [begin(), block("text"), stop(), delta("text_delta", text="a")],
        [begin(), event("content_block_start", content_block={"type": "text"})],
        [begin(), event("content_block_start", index="0", content_block={"type": "text"})],
        [begin(), event("content_block_start", index=0)],
        [begin(), event("content_block_start", index=0, content_block={})],
        [begin(), block("text", text=5)],
        [begin(), block("text"), event("content_block_delta", index=0)],
        [begin(), block("text"), delta("text_delta", text=5)],
        [begin(), event("message_delta")],
        [begin(), event("message_stop")],
        [begin(), block("text"), end()],
        [begin(), block("tool_use", id="t", name="f"), delta("input_json_delta", partial_json='{"a'), end("tool_use")],
        [begin(), end(None)],
        [begin(), b"data: {}\n\n"],
        [begin(), b'data: {"type":5}\n\n'],
        [begin(), b"data: [DONE]\n\n"],
        [begin(), b"event: error\ndata: {}\n\n"],
    ],
)
def test_a_stream_out_of_order_is_a_broken_format(events: list[bytes]) -> None:
    assert broken(*events) is Code.UPSTREAM_SHAPE_MISMATCH


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("overloaded_error", Code.BACKEND_ERROR),
        ("api_error", Code.BACKEND_ERROR),
        ("rate_limit_error", Code.BACKEND_RATE_LIMITED),
        ("timeout_error", Code.BACKEND_TIMEOUT),
        ("invalid_request_error", Code.VALIDATION_ERROR),
    ],
)
def test_a_failure_inside_an_answer_is_that_failure(kind: str, code: Code) -> None:
    error = event("error", error={"type": kind, "message": "x"})
    assert broken(error) is broken(begin(), block("text", text="a"), error) is code
    _, failure = until_failure(Streamed(MessageStream()), [error.split(b"data: ")[1]])
    assert failure is not None
    assert failure.code is code
    with pytest.raises(GatewayError) as caught:
        decode(Whole(whole_message), [error.split(b"data: ")[1]])
    assert caught.value.code is code


NO_ANSWERS: list[Any] = [
    (None, "end_turn"),
    ({}, "end_turn"),
    ([5], "end_turn"),
    ([{}], "end_turn"),
    ([{"type": "text", "text": 5}], "end_turn"),
    ([{"type": "redacted_thinking"}], "end_turn"),
    ([{"type": "tool_use", "name": "f"}], "tool_use"),
    ([], None),
    ([], 5),
]


@pytest.mark.parametrize(("content", "reason"), NO_ANSWERS)
def test_a_plain_answer_that_is_none_is_a_broken_format(content: Any, reason: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        plain(content, reason)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_an_error_without_an_error_is_a_broken_format() -> None:
    with pytest.raises(GatewayError) as caught:
        plain([], error="x")
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
