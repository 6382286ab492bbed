import json
import re
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.openai_responses_decode import decoder, size
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    Citation,
    Counted,
    Done,
    Event,
    FinishReason,
    Reasoning,
    Refusal,
    Start,
    Text,
    ToolCall,
    Usage,
)
from tests.adapters.calls import byte_by_byte, decode, until_failure

USAGE: Final[dict[str, Any]] = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 10},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 120,
}
USED: Final = Usage(input=26, cache_read=64, cache_write=10, output=20, reasoning=12)


def answer(*output: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "created_at": 7, "status": status, "output": output, **more}


def plain(*output: dict[str, Any], **more: Any) -> list[Event]:
    return decode(decoder("openai", stream=False), [json.dumps(answer(*output, **more)).encode()])


def event(kind: str, **more: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **more}).encode())


CREATED: Final = event("response.created", response=answer(status="in_progress"))


def completed(status: str = "completed", **more: Any) -> bytes:
    return event(f"response.{status}", response=answer(status=status, **more))


def streamed(*events: bytes) -> list[Event]:
    return decode(decoder("openai", stream=True), [CREATED, *events])


def message(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": said, **more}


def test_an_answer_is_told_item_by_item() -> None:
    page = {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 2}
    assert plain(
        {"type": "reasoning", "id": "rs_1", "summary": [{"text": "Hm."}, {"text": "So."}], "encrypted_content": "enc"},
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}},
        message(text("Look: ")),
        message(text("ab", annotations=[page])),
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call", "call_id": "call_2", "name": "g", "arguments": ""},
        usage=USAGE,
    ) == [
        Start("resp_1", 7),
        Reasoning("Hm.", provider="openai"),
        Reasoning("\n\nSo.", provider="openai"),
        Reasoning(signature="enc", provider="openai", id="rs_1"),
        Text("Look: "),
        Text("ab"),
        Citation(url="https://x", title="X", start=6, end=8),
        ToolCall(0, "call_1", "f", '{"a":1}'),
        ToolCall(1, "call_2", "g", ""),
        ToolCall(1, arguments="{}"),
        USED,
        Done("tool_calls"),
    ]


def test_a_stream_says_piece_by_piece_what_its_items_repeat() -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "f"}
    assert streamed(
        event("response.output_item.added", output_index=0, item={"type": "reasoning", "id": "rs_1", "summary": []}),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="H"),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="m."),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="So."),
        event(
            "response.output_item.done",
            output_index=0,
            item={
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"text": "Hm."}, {"text": "So."}],
                "encrypted_content": "enc",
            },
        ),
        event("response.output_item.added", output_index=1, item=message()),
        event("response.content_part.added", output_index=1, content_index=0, part=text("")),
        event("response.output_text.delta", output_index=1, content_index=0, delta="a"),
        event("response.output_text.delta", output_index=1, content_index=0, delta="b", logprobs=[]),
        event(
            "response.output_text.annotation.added",
            output_index=1,
            content_index=0,
            annotation={"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 2},
        ),
        event("response.output_text.done", output_index=1, content_index=0, text="ab"),
        event("response.output_item.done", output_index=1, item=message(text("ab"))),
        event("response.output_item.added", output_index=2, item={**call, "arguments": ""}),
        event("response.function_call_arguments.delta", output_index=2, delta='{"a"'),
        event("response.function_call_arguments.delta", output_index=2, delta=":1}"),
        event("response.output_item.done", output_index=2, item={**call, "arguments": '{"a":1}'}),
        completed(usage=USAGE),
    ) == [
        Start("resp_1", 7),
        Reasoning("H", provider="openai"),
        Reasoning("m.", provider="openai"),
        Reasoning("\n\nSo.", provider="openai"),
        Reasoning(signature="enc", provider="openai", id="rs_1"),
        Text("a"),
        Text("b"),
        Citation(url="https://x", title="X", start=0, end=2),
        ToolCall(0, "call_1", "f", ""),
        ToolCall(0, arguments='{"a"'),
        ToolCall(0, arguments=":1}"),
        USED,
        Done("tool_calls"),
    ]


def test_an_item_that_comes_whole_is_told_whole() -> None:
    """Some who took the protocol over send no pieces of some items."""
    done = "response.output_item.done"
    assert streamed(
        event(done, output_index=0, item={"type": "reasoning", "id": "rs_1", "content": [{"text": "Hm."}]}),
        event(done, output_index=1, item=message(text("a"))),
        event(done, output_index=2, item={"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}),
        completed(),
    )[1:] == [
        Reasoning("Hm.", provider="openai"),
        Text("a"),
        ToolCall(0, "c", "f", "{}"),
        Done("tool_calls"),
    ]


def test_a_summary_and_a_text_of_the_same_thoughts_are_not_both_told() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"text": "Short."}], "content": [{"text": "Long."}]}
    assert plain(thought, message(text("a")))[1:3] == [Reasoning("Short.", provider="openai"), Text("a")]
    assert streamed(
        event("response.reasoning_text.delta", output_index=0, content_index=0, delta="Long."),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="Short."),
        event("response.output_item.done", output_index=0, item=thought),
        completed(),
    )[1:] == [Reasoning("Long.", provider="openai"), Done("stop")]


def test_a_refusal_is_one() -> None:
    assert plain(message({"type": "refusal", "refusal": "No."}))[1:] == [Refusal("No."), Done("stop")]
    told = streamed(event("response.refusal.delta", output_index=0, content_index=0, delta="No."), completed())
    assert told[1:] == [Refusal("No."), Done("stop")]


@pytest.mark.parametrize(
    ("why", "meant"),
    [
        ("max_output_tokens", "length"),
        ("content_filter", "content_filter"),
        ("max_messages", "length"),
        (None, "length"),
    ],
)
def test_an_answer_that_stopped_early_says_why(why: str | None, meant: FinishReason) -> None:
    details = None if why is None else {"reason": why}
    assert plain(message(text("a")), status="incomplete", incomplete_details=details)[-1] == Done(meant)
    assert streamed(completed("incomplete", incomplete_details=details))[-1] == Done(meant)


def test_log_probabilities_have_the_shape_of_chat_completions() -> None:
    one = {"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1.0}]}
    wanted = {
        "content": [
            {
                "token": "a",
                "logprob": -0.5,
                "bytes": None,
                "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": None}],
            }
        ],
        "refusal": None,
    }
    for told in (
        plain(message(text("a", logprobs=[one])))[1],
        streamed(event("response.output_text.delta", delta="a", logprobs=[one]), completed())[1],
    ):
        assert isinstance(told, Text)
        assert told.logprobs is not None
        assert json.loads(bytes(told.logprobs)) == wanted


@pytest.mark.parametrize(
    ("code", "meant"),
    [("server_error", Code.BACKEND_ERROR), ("rate_limit_exceeded", Code.BACKEND_RATE_LIMITED)],
)
def test_a_failure_is_told_wherever_it_stands(code: str, meant: Code) -> None:
    error = {"code": code, "message": "Sorry."}
    ahead = event("response.output_text.delta", delta="a")
    for chunks in (
        [json.dumps(answer(status="failed", error=error)).encode()],
        [json.dumps({"error": error}).encode()],
    ):
        events, failure = until_failure(decoder("openai", stream=False), chunks)
        assert (events, failure and failure.code) == ([], meant)
    for last in (
        event("response.failed", response=answer(status="failed", error=error)),
        event("error", **error),
        event("error", error=error),
    ):
        events, failure = until_failure(decoder("openai", stream=True), [CREATED, ahead + last])
        assert (events, failure and failure.code) == ([Start("resp_1", 7), Text("a")], meant)
    _, failure = until_failure(decoder("openai", stream=True), [json.dumps({"error": error}).encode()])
    assert failure is not None
    assert failure.code is meant


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_an_answer_that_failed_without_a_word_is_a_failure(status: str) -> None:
    with pytest.raises(GatewayError) as caught:
        plain(status=status)
    assert caught.value.code is Code.BACKEND_ERROR
    with pytest.raises(GatewayError) as caught:
        streamed(completed(status))
    assert caught.value.code is Code.BACKEND_ERROR


@pytest.mark.parametrize(
    "body",
    [
        answer(status="queued"),
        answer({"type": "function_call", "call_id": "c"}),
        {"id": "resp_1", "status": "completed"},
        {"output": {}},
    ],
)
def test_what_is_no_answer_is_a_broken_format(body: object) -> None:
    with pytest.raises(GatewayError) as caught:
        decode(decoder("openai", stream=False), [json.dumps(body).encode()])
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


@pytest.mark.parametrize(
    "last",
    [
        b"",
        b"data: [DONE]\n\n",
        event("response.function_call_arguments.delta", output_index=5, delta="{}"),
        event("response.completed"),
    ],
)
def test_a_stream_without_its_end_is_a_broken_format(last: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        streamed(event("response.output_text.delta", delta="a"), last)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


SMALL: Final = b"".join(
    [
        CREATED,
        b": comment\n\n",
        event("response.output_text.delta", output_index=0, delta="ü"),
        event(
            "response.output_item.added", output_index=1, item={"type": "function_call", "call_id": "c", "name": "f"}
        ),
        event("response.function_call_arguments.delta", output_index=1, delta="{}"),
        completed(usage={"input_tokens": 1, "output_tokens": 1}),
    ]
)


def test_a_stream_says_the_same_however_it_is_cut() -> None:
    def told(*chunks: bytes) -> list[Event]:
        return decode(decoder("openai", stream=True), chunks)

    whole = told(SMALL)
    assert told(*byte_by_byte(SMALL)) == whole
    assert told(SMALL + b"data: rubbish\n\n") == whole
    assert told(SMALL.replace(b"\n", b"\r\n")) == whole
    for place in range(len(SMALL) + 1):
        assert told(SMALL[:place], SMALL[place:]) == whole, place


def test_a_stream_that_is_cut_short_never_looks_complete() -> None:
    end = re.search(rb"event: response.completed", SMALL)
    assert end is not None
    for place in range(len(SMALL.rstrip())):
        events, failure = until_failure(decoder("openai", stream=True), [SMALL[:place]])
        assert failure is not None, place
        assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH
        assert not any(isinstance(one, Done) for one in events)


def test_a_size_is_a_number_of_tokens() -> None:
    assert size(b'{"object":"response.input_tokens","input_tokens":11}') == (Counted(11),)
    for body, code in (
        (b'{"object":"response.input_tokens"}', Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"input_tokens":"many"}', Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"error":{"code":"rate_limit_exceeded","message":"Slow down."}}', Code.BACKEND_RATE_LIMITED),
    ):
        with pytest.raises(GatewayError) as caught:
            size(body)
        assert caught.value.code is code


WORDS: Final = st.sampled_from(
    ["type", "response", "output", "item", "delta", "status", "error", "usage", "content", "text", "summary", "name"]
)
KINDS: Final = st.sampled_from(
    [
        "response.created",
        "response.completed",
        "response.output_item.added",
        "response.output_item.done",
        "response.function_call_arguments.delta",
        "function_call",
        "message",
        "reasoning",
        "error",
    ]
)
JSON: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5) | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=20,
)


@given(objects=st.lists(JSON, max_size=4), rubbish=st.binary(max_size=60), stream=st.booleans())
@settings(max_examples=150, deadline=None)
def test_anything_at_all_ends_in_events_or_in_a_gateway_error(
    objects: list[object], rubbish: bytes, stream: bool
) -> None:
    texts = [json.dumps(one).encode() for one in objects]
    body = b"".join(b"data: " + one + b"\n\n" for one in texts) if stream else b"".join(texts)
    until_failure(decoder("openai", stream=stream), [body + rubbish])
