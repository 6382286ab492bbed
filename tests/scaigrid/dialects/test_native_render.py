import json
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings

from scaigrid import provider_state
from scaigrid.dialects.native import Native
from scaigrid.dialects.native_render import token_usage
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
from tests.harness.answers import Answered, answers, chunks, gather, last_usage, told, whole

DIALECT = Native()
FULL: list[Event] = [
    Start("msg_1", 1_735_689_600),
    Reasoning(text="Hm. "),
    Reasoning(signature="c2ln", provider="anthropic"),
    Text("Hé"),
    Text("llo"),
    ToolCall(1, "call_1", "f", '{"a":'),
    ToolCall(1, arguments="1}"),
    Usage(input=5, cache_read=3, cache_write=2, cache_write_1h=1, output=7, reasoning=4),
    Done("tool_calls"),
]
STATE = provider_state.encode([ReasoningPart(text="Hm. ", signature="c2ln", provider="anthropic")]) or ""
USAGE = (
    '{"input_tokens":11,"output_tokens":7,"cached_input_tokens":3,"cache_write_tokens":3,'
    '"reasoning_tokens":4,"total_tokens":18}'
)


def render(events: Sequence[Event], **body: Any) -> bytes:
    asked: dict[str, Any] = {"model": "scailabs/x", "messages": [{"role": "user", "content": "Hi"}], **body}
    answered = Answered(cost=0)
    renderer = DIALECT.renderer(DIALECT.decode("/v1/inference/chat", json.dumps(asked).encode()), answered)
    rendered = [renderer.render([event]) for event in events]
    # Known only now, when the usage is
    answered.cost = 420_000
    return b"".join([*rendered, renderer.close()])


def test_a_stream_looks_like_this() -> None:
    head = '{"id":"msg_1","model":"scailabs/x","created":1735689600,"choices":['
    expected = [
        '{"index":0,"delta":{"role":"assistant","reasoning":"Hm. "},"finish_reason":null}]}',
        '{"index":0,"delta":{"content":"Hé"},"finish_reason":null}]}',
        '{"index":0,"delta":{"content":"llo"},"finish_reason":null}]}',
        (
            '{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":'
            '{"name":"f","arguments":"{\\"a\\":"}}]},"finish_reason":null}]}'
        ),
        '{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":null}]}',
        f'{{"index":0,"delta":{{"provider_state":"{STATE}"}},"finish_reason":"tool_calls"}}]}}',
        f'],"usage":{USAGE},"cost":"0.00042"}}',
    ]
    lines = [f"data: {head}{line}\n\n" for line in expected]
    assert render(FULL, stream=True).decode() == "".join(lines) + "data: [DONE]\n\n"


def test_a_plain_answer_looks_like_this() -> None:
    assert render(FULL).decode() == (
        '{"status":"ok","data":{"id":"msg_1","model":"scailabs/x","created":1735689600,"choices":['
        '{"index":0,"message":{"role":"assistant","content":"Héllo","reasoning":"Hm. ",'
        '"tool_calls":[{"type":"function","id":"call_1","function":{"name":"f","arguments":"{\\"a\\":1}"}}],'
        f'"provider_state":"{STATE}"}},"finish_reason":"tool_calls"}}],'
        f'"usage":{USAGE},"cost":"0.00042","provider_state":"{STATE}"}},'
        '"meta":{"request_id":"req_0123456789abcdef0123456789abcdef"}}'
    )


def test_a_plain_answer_says_only_what_there_is() -> None:
    assert json.loads(render([Refusal("No."), Done("content_filter")]))["data"] == {
        "id": "req_0123456789abcdef0123456789abcdef",
        "model": "scailabs/x",
        "created": 1_700_000_000,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": None, "refusal": "No."},
                "finish_reason": "content_filter",
            }
        ],
        "usage": None,
        "cost": "0.00042",
    }


@settings(deadline=None, max_examples=50)
@given(answers())
def test_the_client_reads_what_the_events_say_streamed_and_plain(events: list[Event]) -> None:
    *streamed, last = chunks(render(events, stream=True))
    plain = json.loads(render(events))["data"]
    read, whole_read = gather(streamed, "reasoning"), whole(plain["choices"], "reasoning")
    assert read == whole_read
    assert {index: msgspec.structs.replace(choice, provider_state=None) for index, choice in read.items()} == told(
        events
    )
    assert plain.get("provider_state") == read[0].provider_state

    usage = last_usage(events)
    expected = None if usage is None else json.loads(msgspec.json.encode(token_usage(usage)))
    assert (last["choices"], last["usage"], last["cost"]) == ([], expected, "0.00042")
    assert (plain["usage"], plain["cost"]) == (expected, "0.00042")
    assert {(chunk["id"], chunk["created"]) for chunk in [*streamed, last]} == {(plain["id"], plain["created"])}


def test_sound_and_images_are_told_where_there_are_any() -> None:
    used = Usage(input=10, cache_read=5, audio_input=20, image_input=3, output=4, audio_output=30, image_output=2)
    told = {
        "input_tokens": 38,
        "output_tokens": 36,
        "cached_input_tokens": 5,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "total_tokens": 74,
    }
    media = {"audio_input_tokens": 20, "audio_output_tokens": 30, "image_input_tokens": 3, "image_output_tokens": 2}
    assert msgspec.to_builtins(token_usage(used)) == told | media
    text = Usage(input=38, output=36)
    assert msgspec.to_builtins(token_usage(text)) == told | {"cached_input_tokens": 0}


@settings(deadline=None)
@given(answers())
def test_every_message_can_be_sent_back_as_it_came(events: list[Event]) -> None:
    for choice in json.loads(render(events))["data"]["choices"]:
        message = choice["message"]
        if message["content"] is not None or any(message.get(name) for name in ("refusal", "reasoning", "tool_calls")):
            body = json.dumps({"model": "m", "messages": [message]}).encode()
            assert DIALECT.decode("/v1/inference/chat", body).model == "m"


CITED: list[Event] = [
    Text("Sky is blue."),
    Citation(url="https://x", title="X", quote="blue", start=0, end=12),
    Citation(document=0, start=0, end=3),
    Done("stop"),
]
CITATIONS = [
    {"url": "https://x", "title": "X", "quote": "blue", "start": 0, "end": 12},
    {"document": 0, "start": 0, "end": 3},
]


def test_sources_are_told_plain_and_streamed() -> None:
    assert json.loads(render(CITED))["data"]["choices"][0]["message"]["citations"] == CITATIONS
    deltas = [choice["delta"] for chunk in chunks(render(CITED, stream=True)) for choice in chunk["choices"]]
    assert [one for delta in deltas for one in delta.get("citations", ())] == CITATIONS


def test_embeddings_are_numbers_in_the_order_of_the_input() -> None:
    call = DIALECT.decode("/v1/inference/embed", b'{"model":"scailabs/e","input":["a","b"]}')
    renderer = DIALECT.renderer(call, Answered())
    vectors: list[Event] = [
        Vector(1, msgspec.Raw(b'"AACAPwAAIMA="')),
        Vector(0, msgspec.Raw(b"[0.5,-1]")),
        Usage(input=4),
    ]
    assert renderer.render(vectors) == b""
    assert json.loads(renderer.close()) == {
        "status": "ok",
        "data": {
            "data": [{"index": 0, "embedding": [0.5, -1]}, {"index": 1, "embedding": [1, -2.5]}],
            "model": "scailabs/e",
            "usage": {
                "input_tokens": 4,
                "output_tokens": 0,
                "cached_input_tokens": 0,
                "cache_write_tokens": 0,
                "reasoning_tokens": 0,
                "total_tokens": 4,
            },
            "cost": "0.00042",
        },
        "meta": {"request_id": "req_0123456789abcdef0123456789abcdef"},
    }
