import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.dialects.anthropic import Anthropic
from scaigrid.dialects.anthropic_render import anthropic_usage
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Counted, Done, Event, Reasoning, Refusal, Start, Text, ToolCall, Usage
from tests.harness.answers import Answered

DIALECT = Anthropic()
FULL: list[Event] = [
    Start("msg_1"),
    Usage(input=5, cache_read=3, cache_write=2, cache_write_1h=1),
    Reasoning("Hm.", provider="anthropic"),
    Reasoning(signature="c2ln", provider="anthropic"),
    Text("Hé"),
    Text("llo"),
    ToolCall(1, "toolu_1", "f", '{"a":'),
    ToolCall(1, arguments="1}"),
    Usage(input=5, cache_read=3, cache_write=2, cache_write_1h=1, output=7, reasoning=4),
    Done("tool_calls"),
]
INPUT = (
    '"input_tokens":5,"cache_creation_input_tokens":3,"cache_read_input_tokens":3,'
    '"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":1}'
)


def render(events: Sequence[Event], **body: Any) -> bytes:
    asked: dict[str, Any] = {"model": "scailabs/x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    call = DIALECT.decode("/anthropic/v1/messages", json.dumps(asked | body).encode())
    renderer = DIALECT.renderer(call, Answered())
    return b"".join([*(renderer.render([event]) for event in events), renderer.close()])


def plain(*events: Event) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render(events))
    return found


def streamed(*events: Event) -> list[dict[str, Any]]:
    """The data of each event, whose name has to be its type."""
    found: list[dict[str, Any]] = []
    for frame in render(events, stream=True).decode().split("\n\n")[:-1]:
        name, data = frame.split("\n")
        read = json.loads(data.removeprefix("data: "))
        assert name == f"event: {read['type']}"
        found.append(read)
    return found


def test_a_stream_looks_like_this() -> None:
    start = '{"type":"message_start","message":{"type":"message","id":"msg_1","role":"assistant","model":"scailabs/x",'
    expected = [
        f'{start}"content":[],"stop_reason":null,"stop_sequence":null,"usage":{{{INPUT},"output_tokens":0}}}}}}',
        '{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}',
        '{"type":"ping"}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}',
        '{"type":"content_block_stop","index":0}',
        '{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}',
        '{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hé"}}',
        '{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"llo"}}',
        '{"type":"content_block_stop","index":1}',
        (
            '{"type":"content_block_start","index":2,"content_block":'
            '{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}'
        ),
        '{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\\"a\\":"}}',
        '{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"1}"}}',
        '{"type":"content_block_stop","index":2}',
        (
            '{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},'
            f'"usage":{{{INPUT},"output_tokens":7,"output_tokens_details":{{"thinking_tokens":4}}}}}}'
        ),
        '{"type":"message_stop"}',
    ]
    names = [json.loads(data)["type"] for data in expected]
    text = "".join(f"event: {name}\ndata: {data}\n\n" for name, data in zip(names, expected, strict=True))
    assert render(FULL, stream=True).decode() == text


def test_a_plain_answer_looks_like_this() -> None:
    assert plain(*FULL) == {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "model": "scailabs/x",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "text", "text": "Héllo"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 3,
            "cache_read_input_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 1},
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 4},
        },
    }


def test_nothing_goes_out_before_the_first_content() -> None:
    """Until then the call can still go to another backend."""
    call = DIALECT.decode(
        "/anthropic/v1/messages",
        b'{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":""}]}',
    )
    renderer = DIALECT.renderer(call, Answered())
    assert renderer.render([Start("msg_1"), Usage(input=1), Text(""), Reasoning("")]) == b""
    assert renderer.render([Text("a")]).startswith(b"event: message_start\n")
    assert renderer.render([Done("stop")]).startswith(b"event: content_block_stop\n")
    assert renderer.close().startswith(b"event: message_delta\n")


def test_an_answer_that_says_nothing_begins_and_ends() -> None:
    assert [one["type"] for one in streamed(Done("stop"))] == ["message_start", "message_delta", "message_stop"]
    assert plain(Done("stop"))["content"] == []


@pytest.mark.parametrize(
    ("events", "reason", "sequence"),
    [
        ([Done("stop")], "end_turn", None),
        ([Done("stop", stop_sequence="END")], "stop_sequence", "END"),
        ([Done("length")], "max_tokens", None),
        ([Done("tool_calls")], "tool_use", None),
        ([Done("content_filter")], "refusal", None),
        ([Refusal("No."), Done("stop")], "refusal", None),
        # Some providers say no more than that they have stopped, and clients run tools by this word.
        ([ToolCall(0, "t", "f", "{}"), Done("stop")], "tool_use", None),
        ([ToolCall(0, "t", "f", "{}"), Done("length")], "max_tokens", None),
    ],
)
def test_every_end_has_its_word(events: list[Event], reason: str, sequence: str | None) -> None:
    read = plain(*events)
    assert (read["stop_reason"], read["stop_sequence"]) == (reason, sequence)
    assert streamed(*events)[-2]["delta"] == {"stop_reason": reason, "stop_sequence": sequence}


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_without_an_end_is_broken(stream: bool) -> None:
    with pytest.raises(GatewayError) as caught:
        render([Text("a")], stream=stream)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_the_id_is_the_providers_in_anthropics_form() -> None:
    assert plain(Start("msg_9"), Done("stop"))["id"] == "msg_9"
    assert plain(Start("chatcmpl-9"), Done("stop"))["id"] == "msg_chatcmpl-9"
    assert plain(Done("stop"))["id"] == "msg_0123456789abcdef0123456789abcdef"


def test_usage_that_nobody_told_is_nothing() -> None:
    assert plain(Done("stop"))["usage"]["output_tokens"] == 0


@given(st.builds(Usage, **{name: st.integers(0, 10**9) for name in Usage.__struct_fields__}))
@settings(max_examples=50, deadline=None)
def test_no_token_is_lost_in_the_usage(usage: Usage) -> None:
    told = anthropic_usage(usage)
    total = told.input_tokens + told.cache_creation_input_tokens + told.cache_read_input_tokens
    assert (total, told.output_tokens) == (usage.total_input, usage.total_output)


EVENTS = st.lists(
    st.one_of(
        st.builds(Text, st.text(max_size=3)),
        st.builds(
            Reasoning, st.text(max_size=3), st.none() | st.text(max_size=3), provider=st.sampled_from(["a", "b"])
        ),
        st.builds(ToolCall, st.integers(0, 2), st.just("t"), st.just("f"), st.sampled_from(["", "{}", '{"a":'])),
    ),
    max_size=8,
)


@given(EVENTS)
@settings(max_examples=100, deadline=None)
def test_a_stream_and_a_plain_answer_say_the_same(events: list[Event]) -> None:
    """Block by block, whatever the events; or both are broken."""
    try:
        content = plain(*events, Done("stop"))["content"]
    except GatewayError:
        with pytest.raises(GatewayError):
            streamed(*events, Done("stop"))
        return
    frames = streamed(*events, Done("stop"))
    assert [one["content_block"]["type"] for one in frames if one["type"] == "content_block_start"] == [
        block["type"] for block in content
    ]
    deltas = [one["delta"] for one in frames if one["type"] == "content_block_delta"]
    for kind in ("text", "thinking"):
        assert "".join(delta.get(kind, "") for delta in deltas) == "".join(block.get(kind, "") for block in content)


def test_a_count_is_a_number() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    renderer = DIALECT.renderer(DIALECT.decode("/anthropic/v1/messages/count_tokens", body), Answered())
    assert renderer.render([Counted(12)]) == b""
    assert renderer.close() == b'{"input_tokens":12}'


def test_a_count_that_is_none_is_broken() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    renderer = DIALECT.renderer(DIALECT.decode("/anthropic/v1/messages/count_tokens", body), Answered())
    with pytest.raises(GatewayError) as caught:
        renderer.close()
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
