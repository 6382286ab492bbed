import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bedrock_decode import counted, whole_answer
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Citation, Counted, Done, Event, Reasoning, Start, Text, ToolCall, Usage


def plain(*content: Any, reason: Any = "end_turn", **more: Any) -> list[Event]:
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason, **more}
    return list(whole_answer(json.dumps(body).encode()))


def test_blocks_are_told_in_their_order() -> None:
    found = plain(
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "cg=="}},
        {"text": "Yes"},
        {"text": ""},
        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}},
        {"toolUse": {"toolUseId": "t2", "name": "g", "input": {}}},
        reason="tool_use",
        usage={"inputTokens": 3, "outputTokens": 4},
    )
    assert found == [
        Start(""),
        Reasoning("Hm.", "s", provider="bedrock"),
        Reasoning(redacted="cg==", provider="bedrock"),
        Text("Yes"),
        ToolCall(0, "t1", "f", '{"a":1}'),
        ToolCall(1, "t2", "g", "{}"),
        Usage(input=3, output=4),
        Done("tool_calls"),
    ]


def test_what_the_providers_own_tools_did_and_blocks_that_are_new_are_passed_over() -> None:
    found = plain(
        {"toolUse": {"toolUseId": "t1", "name": "nova_code_interpreter", "input": {}, "type": "server_tool_use"}},
        {"toolResult": {"toolUseId": "t1", "content": [{"json": {}}], "status": "success"}},
        {"somethingNew": [1]},
        {"toolUse": {"toolUseId": "t2", "name": "f", "input": {}, "type": "tool_use"}},
        {"reasoningContent": {}},
    )
    assert found == [Start(""), ToolCall(0, "t2", "f", "{}"), Done("stop")]


def test_a_citation_bounds_the_text_that_it_belongs_to() -> None:
    source = {"title": "T", "location": {"documentChar": {"documentIndex": 0}}}
    found = plain(
        {"text": "Well: "},
        {"citationsContent": {"content": [{"text": "so"}, {"text": "!"}], "citations": [source, source]}},
        {"text": " End."},
    )
    cite = Citation(title="T", document=0, start=6, end=9)
    assert found == [Start(""), Text("Well: "), Text("so"), Text("!"), cite, cite, Text(" End."), Done("stop")]


def test_the_models_own_fields_tell_the_stop_sequence() -> None:
    fields = {"stop_sequence": "END"}
    assert plain(reason="stop_sequence", additionalModelResponseFields=fields)[-1] == Done("stop", stop_sequence="END")
    assert plain(reason="max_tokens", additionalModelResponseFields="test")[-1] == Done("length")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"output":{},"stopReason":"end_turn"}',
        b'{"output":{"message":{}},"stopReason":"end_turn"}',
        b'{"output":{"message":{"content":[]}}}',
        b'{"output":{"message":{"content":[{"text":1}]}},"stopReason":"end_turn"}',
        b'{"output":{"message":{"content":[{"toolUse":1}]}},"stopReason":"end_turn"}',
        b'{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"f","input":[]}}]}},"stopReason":"x"}',
    ],
)
def test_anything_else_breaks_the_format(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        whole_answer(body)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_a_failure_inside_an_answer_is_told() -> None:
    with pytest.raises(GatewayError) as caught:
        whole_answer(b'{"__type":"ThrottlingException","message":"Slow down."}')
    assert caught.value.code is Code.BACKEND_RATE_LIMITED


def test_a_count_is_a_number() -> None:
    assert counted(b'{"inputTokens":11}') == (Counted(11),)
    for body in (b"{}", b'{"inputTokens":-1}', b'{"inputTokens":"1"}', b'{"inputTokens":null}', b""):
        with pytest.raises(GatewayError) as caught:
            counted(body)
        assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


_NAMES = ["text", "toolUse", "reasoningContent", "reasoningText", "citationsContent", "citations", "content", "input"]
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(content=st.lists(_JSON, max_size=3), body=st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_answer_at_all_ends_in_events_or_in_a_gateway_error(content: list[Any], body: bytes) -> None:
    with contextlib.suppress(GatewayError):
        plain(*content)
    with contextlib.suppress(GatewayError):
        whole_answer(body)
