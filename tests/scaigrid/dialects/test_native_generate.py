import json
from collections.abc import Sequence
from typing import Any

import pytest

from scaigrid.call import Call
from scaigrid.dialects.native import Native
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.types import (
    Chat,
    Citation,
    Done,
    Event,
    Message,
    Reasoning,
    Refusal,
    Start,
    Text,
    TextPart,
    Usage,
)
from tests.harness.answers import Answered

DIALECT = Native()
PATH = "/v1/inference/generate"
FULL: list[Event] = [
    Start("msg_1", 1_735_689_600),
    Reasoning(text="Hm. "),
    Reasoning(signature="c2ln", provider="anthropic"),
    Text("Hé"),
    Citation(url="https://x/", start=0, end=2),
    Text("llo"),
    Usage(input=5, output=7),
    Done("length"),
]
USAGE = (
    '{"input_tokens":5,"output_tokens":7,"cached_input_tokens":0,"cache_write_tokens":0,'
    '"reasoning_tokens":0,"total_tokens":12}'
)


def decode(**fields: Any) -> Call:
    return DIALECT.decode(PATH, json.dumps({"model": "scailabs/x", "prompt": "Hi", **fields}).encode())


def render(events: Sequence[Event], **fields: Any) -> str:
    answered = Answered(cost=0)
    renderer = DIALECT.renderer(decode(**fields), answered)
    rendered = [renderer.render([event]) for event in events]
    # Known only now, when the usage is
    answered.cost = 420_000
    return b"".join([*rendered, renderer.close()]).decode()


def test_a_prompt_is_a_chat_of_one_message() -> None:
    call = decode()
    assert (call.dialect, call.operation, call.surface) == ("native", "chat", "native/generate")
    assert (call.stream, call.n, call.max_output, call.tags, call.wants_usage) == (False, 1, None, {}, True)
    assert call.canonical() == Chat(messages=(Message(role="user", content=(TextPart("Hi"),)),))


def test_a_call_that_says_all() -> None:
    fields = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.25, "stop": "END", "seed": 7}
    call = decode(**fields, stream=True, metadata={"team": "a"})
    chat = call.canonical()
    assert isinstance(chat, Chat)
    assert (chat.max_tokens, chat.temperature, chat.top_p, chat.stop, chat.seed) == (9, 0.5, 0.25, ("END",), 7)
    assert (call.stream, call.max_output, call.tags) == (True, 9, {"team": "a"})


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"prompt": ""}, Detail("prompt", "must not be empty")),
        ({"prompt": None}, Detail("prompt", "must be a string")),
        ({"messages": []}, Detail("messages", "is not a known field")),
        ({"max_tokens": 0}, Detail("max_tokens", "must be at least 1")),
    ],
)
def test_every_fault_is_a_detail(fields: dict[str, Any], detail: Detail) -> None:
    with pytest.raises(GatewayError) as caught:
        decode(**fields)
    assert caught.value.code is Code.VALIDATION_ERROR
    assert caught.value.details == (detail,)


def test_a_plain_answer_looks_like_this() -> None:
    assert render(FULL) == (
        '{"status":"ok","data":{"id":"msg_1","model":"scailabs/x","created":1735689600,"text":"Héllo",'
        '"reasoning":"Hm. ","citations":[{"url":"https://x/","start":0,"end":2}],"finish_reason":"length",'
        f'"usage":{USAGE},"cost":"0.00042"}},"meta":{{"request_id":"req_0123456789abcdef0123456789abcdef"}}}}'
    )


def test_a_stream_looks_like_this() -> None:
    head = '{"id":"msg_1","model":"scailabs/x","created":1735689600,"choices":['
    expected = [
        '{"index":0,"text":"","reasoning":"Hm. ","finish_reason":null}]}',
        '{"index":0,"text":"Hé","finish_reason":null}]}',
        '{"index":0,"text":"","citations":[{"url":"https://x/","start":0,"end":2}],"finish_reason":null}]}',
        '{"index":0,"text":"llo","finish_reason":null}]}',
        '{"index":0,"text":"","finish_reason":"length"}]}',
        f'],"usage":{USAGE},"cost":"0.00042"}}',
    ]
    lines = [f"data: {head}{line}\n\n" for line in expected]
    assert render(FULL, stream=True) == "".join(lines) + "data: [DONE]\n\n"


def test_a_refusal_is_the_text() -> None:
    events: list[Event] = [Start(""), Refusal("I would rather not."), Done("content_filter")]
    told = json.loads(render(events))["data"]
    assert (told["text"], told["finish_reason"], told["usage"]) == ("I would rather not.", "content_filter", None)
    assert told["id"].startswith("req_")
    assert '"text":"I would rather not."' in render(events, stream=True)


def test_an_answer_of_nothing_is_empty_and_one_without_an_end_is_none() -> None:
    assert json.loads(render([Start("x"), Done("stop")]))["data"]["text"] == ""
    with pytest.raises(GatewayError) as caught:
        render([Start("x")])
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
