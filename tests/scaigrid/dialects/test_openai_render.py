import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid import provider_state
from scaigrid.dialects.openai import OpenAI
from scaigrid.dialects.openai_render import completion_usage
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    Chat,
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

DIALECT = OpenAI()
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


def render(events: Sequence[Event], **body: Any) -> bytes:
    asked: dict[str, Any] = {"model": "scailabs/x", "messages": [{"role": "user", "content": "Hi"}], **body}
    call = DIALECT.decode("/oai/v1/chat/completions", json.dumps(asked).encode())
    renderer = DIALECT.renderer(call, Answered())
    return b"".join([*(renderer.render([event]) for event in events), renderer.close()])


def test_a_stream_looks_like_this() -> None:
    head = '{"id":"chatcmpl-msg_1","object":"chat.completion.chunk","created":1735689600,"model":"scailabs/x",'
    expected = [
        '{"index":0,"delta":{"reasoning_content":"Hm. ","role":"assistant"},"finish_reason":null}]}',
        '{"index":0,"delta":{"content":"Hé"},"finish_reason":null}]}',
        '{"index":0,"delta":{"content":"llo"},"finish_reason":null}]}',
        (
            '{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":'
            '{"name":"f","arguments":"{\\"a\\":"}}]},"finish_reason":null}]}'
        ),
        '{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":null}]}',
        f'{{"index":0,"delta":{{"provider_state":"{STATE}"}},"finish_reason":"tool_calls"}}]}}',
    ]
    lines = [f'data: {head}"choices":[{line}\n\n' for line in expected]
    assert render(FULL, stream=True).decode() == "".join(lines) + "data: [DONE]\n\n"


def test_usage_comes_in_a_chunk_of_its_own_where_it_was_asked_for() -> None:
    *before, last = chunks(render(FULL, stream=True, stream_options={"include_usage": True}))
    assert all(chunk["usage"] is None for chunk in before)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }


def test_sound_is_told_where_there_is_some_and_images_are_in_the_totals() -> None:
    used = Usage(input=10, cache_read=5, audio_input=20, image_input=3, output=4, audio_output=30, image_output=2)
    assert msgspec.to_builtins(completion_usage(used)) == {
        "prompt_tokens": 38,
        "completion_tokens": 36,
        "total_tokens": 74,
        "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0, "audio_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 30},
    }


def test_usage_that_nobody_knows_is_not_made_up() -> None:
    found = chunks(render([Start("x"), Text("a"), Done("stop")], stream=True, stream_options={"include_usage": True}))
    assert [len(chunk["choices"]) for chunk in found] == [1, 1]
    assert "usage" not in json.loads(render([Start("x"), Text("a"), Done("stop")]))


def test_a_plain_answer_looks_like_this() -> None:
    assert render(FULL).decode() == (
        '{"id":"chatcmpl-msg_1","object":"chat.completion","created":1735689600,"model":"scailabs/x","choices":['
        '{"index":0,"message":{"role":"assistant","content":"Héllo","refusal":null,"reasoning_content":"Hm. ",'
        '"tool_calls":[{"type":"function","id":"call_1","function":{"name":"f","arguments":"{\\"a\\":1}"}}],'
        f'"provider_state":"{STATE}"}},"logprobs":null,"finish_reason":"tool_calls"}}],'
        '"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,'
        '"prompt_tokens_details":{"cached_tokens":3,"cache_write_tokens":3},'
        '"completion_tokens_details":{"reasoning_tokens":4}}}'
    )


def test_a_plain_answer_says_only_what_there_is() -> None:
    answer = json.loads(render([Start("chatcmpl-9", 3), Refusal("No."), Done("content_filter")]))
    assert answer == {
        "id": "chatcmpl-9",
        "object": "chat.completion",
        "created": 3,
        "model": "scailabs/x",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": None, "refusal": "No."},
                "logprobs": None,
                "finish_reason": "content_filter",
            }
        ],
    }


def test_an_answer_without_id_and_time_takes_those_of_the_request() -> None:
    answer = json.loads(render([Text("a"), Done("stop")]))
    assert (answer["id"], answer["created"]) == ("chatcmpl-0123456789abcdef0123456789abcdef", 1_700_000_000)


def test_a_plain_answer_that_does_not_end_is_the_providers_fault() -> None:
    with pytest.raises(GatewayError) as caught:
        render([Text("a")])
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


@settings(deadline=None, max_examples=50)
@given(answers(), st.booleans())
def test_the_client_reads_what_the_events_say_streamed_and_plain(events: list[Event], usage_asked: bool) -> None:
    streamed = chunks(render(events, stream=True, stream_options={"include_usage": usage_asked}))
    plain = json.loads(render(events))
    read, whole_read = gather(streamed, "reasoning_content"), whole(plain["choices"], "reasoning_content")
    assert read == whole_read
    assert {index: msgspec.structs.replace(choice, provider_state=None) for index, choice in read.items()} == told(
        events
    )

    usage = last_usage(events)
    expected = None if usage is None else json.loads(msgspec.json.encode(completion_usage(usage)))
    assert plain.get("usage") == expected
    assert streamed[-1].get("usage") == (expected if usage_asked else None)
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in streamed} == {
        (plain["id"], plain["created"], "scailabs/x")
    }


@settings(deadline=None)
@given(answers())
def test_what_was_signed_comes_back_when_the_message_is_sent_back(events: list[Event]) -> None:
    plain = json.loads(render(events))
    signed = [event for event in events if isinstance(event, Reasoning) and event.signature is not None]
    for choice in plain["choices"]:
        own = [event.signature for event in signed if event.index == choice["index"]]
        message = choice["message"]
        if own:
            back = DIALECT.decode(
                "/oai/v1/chat/completions", json.dumps({"model": "m", "messages": [message]}).encode()
            ).canonical()
            assert isinstance(back, Chat)
            assert [part.signature for part in back.messages[0].reasoning if part.signature] == own
        else:
            assert "provider_state" not in message


def test_pages_are_annotations_and_places_in_documents_have_no_word() -> None:
    events: list[Event] = [
        Citation(url="https://x", title="X", start=0, end=12),
        Text("Sky is blue."),
        Citation(document=0),
        Done("stop"),
    ]
    page = {
        "type": "url_citation",
        "url_citation": {"start_index": 0, "end_index": 12, "url": "https://x", "title": "X"},
    }
    assert json.loads(render(events))["choices"][0]["message"]["annotations"] == [page]
    first, *others = [chunk["choices"][0]["delta"] for chunk in chunks(render(events, stream=True))]
    assert first == {"role": "assistant", "annotations": [page]}
    assert not any("annotations" in delta for delta in others)


# -- embeddings ------------------------------------------------------------------------------------------------------


def embeddings(events: Sequence[Event], **body: Any) -> dict[str, Any]:
    call = DIALECT.decode(
        "/oai/v1/embeddings", json.dumps({"model": "scailabs/e", "input": ["a", "b"], **body}).encode()
    )
    renderer = DIALECT.renderer(call, Answered())
    assert renderer.render(events) == b""
    answer: dict[str, Any] = json.loads(renderer.close())
    return answer


VECTORS: list[Event] = [
    Start("x"),
    Vector(1, msgspec.Raw(b'"AACAPwAAIMA="')),
    Vector(0, msgspec.Raw(b"[0.5, -1]")),
    Usage(input=4),
]


def test_embeddings_are_numbers_unless_base64_was_asked_for() -> None:
    assert embeddings(VECTORS) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -1]},
            {"object": "embedding", "index": 1, "embedding": [1, -2.5]},
        ],
        "model": "scailabs/e",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }


def test_embeddings_are_base64_where_that_was_asked_for() -> None:
    found = embeddings(VECTORS, encoding_format="base64")["data"]
    assert [one["embedding"] for one in found] == ["AAAAPwAAgL8=", "AACAPwAAIMA="]


def test_embeddings_without_usage() -> None:
    assert "usage" not in embeddings(VECTORS[:-1])
