import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bedrock_stream import ConverseStream, Frames
from adapters.events import Streamed
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Citation, Done, Event, Reasoning, Start, Text, ToolCall, Usage
from tests.adapters.calls import byte_by_byte, decode, until_failure
from tests.harness.eventstreams import event, exception, message, texts


def made(kind: str, **fields: Any) -> bytes:
    return event(kind, json.dumps({**fields, "p": "abcdef"}).encode())


BEGIN = made("messageStart", role="assistant")


def start(index: int = 0, **what: Any) -> bytes:
    return made("contentBlockStart", contentBlockIndex=index, start=what)


def delta(index: int = 0, **what: Any) -> bytes:
    return made("contentBlockDelta", contentBlockIndex=index, delta=what)


def stop(index: int = 0) -> bytes:
    return made("contentBlockStop", contentBlockIndex=index)


def end(reason: str = "end_turn", usage: Any = None, **more: Any) -> bytes:
    last = made("metadata", metrics={"latencyMs": 1}, **({} if usage is None else {"usage": usage}))
    return made("messageStop", stopReason=reason, **more) + last


def decoder() -> Streamed:
    return Streamed(ConverseStream(), Frames())


def streamed(*messages: bytes) -> list[Event]:
    return decode(decoder(), messages)


def broken(*messages: bytes) -> Code:
    """Why the last message is refused, before the answer could end."""
    reading = decoder()
    for one in messages[:-1]:
        assert not any(isinstance(found, Done) for found in reading.feed(one))
    with pytest.raises(GatewayError) as caught:
        reading.feed(messages[-1])
    return caught.value.code


EVERYTHING = b"".join(
    [
        BEGIN,
        delta(reasoningContent={"text": "H"}),
        delta(reasoningContent={"text": "m."}),
        delta(reasoningContent={"signature": "si"}),
        delta(reasoningContent={"signature": "g"}),
        stop(),
        delta(1, reasoningContent={"redactedContent": "cg=="}),
        stop(1),
        delta(2, text="Yes "),
        delta(2, text="é"),
        stop(2),
        start(3, toolUse={"toolUseId": "t1", "name": "f", "type": "tool_use"}),
        delta(3, toolUse={"input": '{"a"'}),
        delta(3, toolUse={"input": ":1}"}),
        stop(3),
        start(4, toolUse={"toolUseId": "t2", "name": "g"}),
        stop(4),
        end("tool_use", {"inputTokens": 5, "outputTokens": 7, "cacheReadInputTokens": 2}),
    ]
)
SAID = [
    Start(""),
    Reasoning("H", provider="bedrock"),
    Reasoning("m.", provider="bedrock"),
    Reasoning(signature="sig", provider="bedrock"),
    Reasoning(redacted="cg==", provider="bedrock"),
    Text("Yes "),
    Text("é"),
    ToolCall(0, "t1", "f"),
    ToolCall(0, arguments='{"a"'),
    ToolCall(0, arguments=":1}"),
    ToolCall(1, "t2", "g"),
    ToolCall(1, arguments="{}"),
    Usage(input=5, cache_read=2, output=7),
    Done("tool_calls"),
]


def test_a_stream_says_everything_in_its_order() -> None:
    assert streamed(EVERYTHING) == SAID


def test_a_stream_says_the_same_wherever_it_is_cut() -> None:
    assert streamed(*byte_by_byte(EVERYTHING)) == SAID
    for place in range(len(EVERYTHING) + 1):
        assert streamed(EVERYTHING[:place], EVERYTHING[place:]) == SAID, place


def test_what_follows_the_end_does_not_matter() -> None:
    for trailing in (b"rubbish that is no message", BEGIN, exception("throttlingException", b"{}"), b"\x00"):
        assert streamed(EVERYTHING + trailing) == SAID
        assert streamed(EVERYTHING, trailing) == SAID
        assert streamed(*byte_by_byte(EVERYTHING + trailing)) == SAID


def test_a_stream_that_is_cut_short_never_looks_complete() -> None:
    for place in range(len(EVERYTHING)):
        found, failure = until_failure(decoder(), [EVERYTHING[:place]])
        assert failure is not None, place
        assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH
        assert not any(isinstance(one, Done) for one in found)


def test_what_comes_ahead_of_damage_comes_out_however_it_was_cut() -> None:
    damaged = bytearray(EVERYTHING)
    damaged[-5] ^= 1
    whole, failure = until_failure(decoder(), [bytes(damaged)])
    single, again = until_failure(decoder(), byte_by_byte(bytes(damaged)))
    assert whole == single == SAID[:-2]
    assert failure is not None
    assert again is not None
    assert failure.code is again.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_usage_may_be_missing_and_the_end_may_not() -> None:
    assert streamed(BEGIN, end()) == [Start(""), Done("stop")]
    _, failure = until_failure(decoder(), [BEGIN, made("messageStop", stopReason="end_turn")])
    assert failure is not None
    assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_the_models_own_fields_tell_the_stop_sequence() -> None:
    last = end("stop_sequence", additionalModelResponseFields={"stop_sequence": "END"})
    assert streamed(BEGIN, last)[-1] == Done("stop", stop_sequence="END")


def test_a_citation_bounds_its_block_and_comes_behind_it() -> None:
    source = {"title": "T", "sourceContent": [{"text": "q"}], "location": {"documentPage": {"documentIndex": 1}}}
    found = streamed(
        BEGIN,
        delta(text="Well: "),
        stop(),
        delta(1, citation=source),
        delta(1, text="so"),
        delta(1, text="."),
        stop(1),
        end(),
    )
    cite = Citation(title="T", quote="q", document=1, start=6, end=9)
    assert found == [Start(""), Text("Well: "), Text("so"), Text("."), cite, Done("stop")]


def test_a_model_may_reason_and_write_in_one_block() -> None:
    thought = [delta(reasoningContent={"text": "Hm."}), delta(reasoningContent={"signature": "s"})]
    assert streamed(BEGIN, *thought, delta(text="Yes"), stop(), end()) == [
        Start(""),
        Reasoning("Hm.", provider="bedrock"),
        Text("Yes"),
        Reasoning(signature="s", provider="bedrock"),
        Done("stop"),
    ]


def test_redacted_reasoning_in_pieces_is_put_together() -> None:
    pieces = [base64.b64encode(one).decode() for one in (b"a", b"bc")]
    deltas = [delta(reasoningContent={"redactedContent": piece}) for piece in pieces]
    assert streamed(BEGIN, *deltas, stop(), end())[1] == Reasoning(redacted="YWJj", provider="bedrock")
    rubbish = delta(reasoningContent={"redactedContent": "?"})
    assert broken(BEGIN, *deltas, rubbish, stop()) is Code.UPSTREAM_SHAPE_MISMATCH


def test_what_the_providers_own_tools_did_and_what_is_new_is_passed_over() -> None:
    found = streamed(
        event("initial-response", b"{}"),
        BEGIN,
        start(toolUse={"toolUseId": "t1", "name": "nova_code_interpreter", "type": "server_tool_use"}),
        delta(toolUse={"input": "{}"}),
        stop(),
        start(1, toolResult={"toolUseId": "t1", "status": "success"}),
        delta(1, toolResult=[{"json": {}}]),
        stop(1),
        event("somethingNew", b"[1]"),
        event("somethingEmpty", b""),
        start(2, somethingNew={}),
        delta(2, text=1),
        stop(2),
        delta(3, somethingNew={}),
        delta(3, text=1),
        stop(3),
        start(4),
        delta(4, text="Yes"),
        stop(4),
        stop(5),
        end(),
    )
    assert found == [Start(""), Text("Yes"), Done("stop")]


TOOL = start(toolUse={"toolUseId": "t", "name": "f"})


@pytest.mark.parametrize(
    "messages",
    [
        [stop()],
        [end()],
        [BEGIN, BEGIN],
        [BEGIN, made("metadata")],
        [BEGIN, made("messageStop")],
        [BEGIN, delta(text="a"), made("messageStop", stopReason="end_turn")],
        [BEGIN, made("messageStop", stopReason="end_turn"), delta(text="a")],
        [BEGIN, TOOL, TOOL],
        [BEGIN, TOOL, stop(), TOOL],
        [BEGIN, TOOL, stop(), stop()],
        [BEGIN, TOOL, stop(), delta(toolUse={"input": "{}"})],
        [BEGIN, TOOL, delta(text="a")],
        [BEGIN, TOOL, delta(somethingNew="a")],
        [BEGIN, delta(toolUse={"input": "{}"})],
        [BEGIN, delta(text="a"), delta(toolUse={"input": "{}"})],
        [BEGIN, delta(text="a"), delta(somethingNew="a")],
        [BEGIN, delta(reasoningContent={"text": "a"}), delta(toolUse={"input": "{}"})],
        [BEGIN, delta(text=1)],
        [BEGIN, start(toolUse={"name": "f"})],
        [BEGIN, made("contentBlockDelta", delta={"text": "a"})],
        [BEGIN, made("contentBlockDelta", contentBlockIndex=0)],
        [BEGIN, event("contentBlockStop", b"rubbish")],
        [message(texts({":message-type": "somethingNew"}), b"{}")],
        [message(b"", b"{}")],
    ],
)
def test_a_stream_out_of_order_is_broken(messages: list[bytes]) -> None:
    assert broken(*messages) is Code.UPSTREAM_SHAPE_MISMATCH


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (exception("throttlingException", b'{"message":"Slow down."}'), Code.BACKEND_RATE_LIMITED),
        (exception("validationException", b'{"message":"Input is too long."}'), Code.CONTEXT_TOO_LONG),
        (exception("modelStreamErrorException", b""), Code.BACKEND_ERROR),
        (message(texts({":message-type": "error", ":error-code": "InternalFailure"}), b""), Code.BACKEND_ERROR),
        (message(texts({":message-type": "exception"}), b""), Code.BACKEND_ERROR),
    ],
)
def test_a_failure_in_a_stream_is_told_as_one(failure: bytes, code: Code) -> None:
    assert broken(failure) is code
    assert broken(BEGIN, delta(text="a"), failure) is code
    found, again = until_failure(decoder(), [BEGIN + delta(text="a") + failure])
    assert found == [Start(""), Text("a")]
    assert again is not None
    assert again.code is code


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>Bad gateway</html>", b'{"message":"no"}', b"data: {}\n\n"])
def test_what_is_no_event_stream_is_a_broken_format(body: bytes) -> None:
    found, failure = until_failure(decoder(), [body])
    assert found == []
    assert failure is not None
    assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_an_error_in_place_of_a_stream_is_told_and_does_not_fill_the_memory() -> None:
    body = b'{"__type":"ThrottlingException","message":"Slow down."}'
    for chunks in ([body], byte_by_byte(body)):
        found, failure = until_failure(decoder(), chunks)
        assert found == []
        assert failure is not None
        assert failure.code is Code.BACKEND_RATE_LIMITED
    frames = Frames()
    for _ in range(100):
        assert frames.feed(b"{" * 1000) == ()
    assert len(frames.close()) == 64 * 1024


_KINDS = ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]
_NAMES = ["contentBlockIndex", "start", "delta", "text", "toolUse", "input", "reasoningContent", "stopReason", "usage"]
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(-1, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=5),
    max_leaves=8,
)


@given(said=st.lists(st.tuples(st.sampled_from(_KINDS), _JSON), max_size=8), raw=st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_messages_at_all_end_in_events_or_in_a_gateway_error(said: list[tuple[str, Any]], raw: bytes) -> None:
    stream = b"".join(event(kind, json.dumps(payload).encode()) for kind, payload in said)
    until_failure(decoder(), [stream, raw])
