import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.call import Call
from scaigrid.dialects.openai import OpenAI
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Chat, Done, Event, Message, Reasoning, Start, Text, TextPart, Usage
from tests.harness.answers import Answered, chunks

DIALECT = OpenAI()
PATH = "/oai/v1/completions"
ANSWER: list[Event] = [
    Start("msg_1", 1_735_689_600),
    Reasoning("Hm."),
    Text("He"),
    Text(""),
    Text("llo"),
    Usage(input=4, cache_read=1, output=2),
    Done("length"),
]


def decode(prompt: object = "Say hello.", **more: Any) -> Call:
    return DIALECT.decode(PATH, json.dumps({"model": "scailabs/x", "prompt": prompt, **more}).encode())


def chat(prompt: object = "Say hello.", **more: Any) -> Chat:
    asked = decode(prompt, **more).canonical()
    assert isinstance(asked, Chat)
    return asked


def render(events: Sequence[Event], **more: Any) -> bytes:
    renderer = DIALECT.renderer(decode(**more), Answered())
    return b"".join([*(renderer.render([event]) for event in events), renderer.close()])


def test_what_is_governed_is_read_from_the_head() -> None:
    call = decode(stream=True, max_tokens=5, stream_options={"include_usage": True})
    assert (call.dialect, call.operation, call.surface, call.model) == (
        "openai",
        "chat",
        "openai/completions",
        "scailabs/x",
    )
    assert (call.stream, call.max_output, call.output_field, call.wants_usage) == (True, 5, "max_tokens", True)
    assert (decode().stream, decode().max_output, decode().output_field, decode().wants_usage) == (
        False,
        None,
        None,
        False,
    )


@pytest.mark.parametrize(
    ("prompt", "more", "answers"),
    [
        ("a", {}, 1),
        ("a", {"n": 3}, 3),
        ("a", {"n": 2, "best_of": 5}, 5),
        (["a", "b"], {"n": 2}, 4),
        ([1, 2, 3], {}, 1),
        ([[1], [2, 3]], {}, 2),
    ],
)
def test_every_answer_that_is_made_is_reserved_for(prompt: object, more: dict[str, Any], answers: int) -> None:
    assert decode(prompt, **more).n == answers


def test_elsewhere_the_prompt_is_the_message_of_a_user() -> None:
    more = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "stop": "x", "seed": 7, "n": 2, "user": "u"}
    for prompt in ("Say hello.", ["Say hello."]):
        assert chat(prompt, presence_penalty=0.1, frequency_penalty=0.2, **more) == Chat(
            messages=(Message(role="user", content=(TextPart("Say hello."),)),),
            max_tokens=5,
            temperature=0.5,
            top_p=0.9,
            stop=("x",),
            seed=7,
            n=2,
            presence_penalty=0.1,
            frequency_penalty=0.2,
            user="u",
        )


@pytest.mark.parametrize(
    ("prompt", "more", "unknown"),
    [
        (["a", "b"], {}, ("prompt",)),
        ([1, 2], {}, ("prompt",)),
        ([[1, 2]], {}, ("prompt",)),
        ("a", {"echo": True, "suffix": "z"}, ("echo", "suffix")),
        ("a", {"best_of": 2, "logprobs": 1}, ("best_of", "logprobs")),
        ("a", {"echo": False, "suffix": "", "best_of": 1, "logit_bias": {}, "logprobs": None}, ()),
    ],
)
def test_what_has_no_meaning_elsewhere_is_named(prompt: object, more: dict[str, Any], unknown: tuple[str, ...]) -> None:
    assert chat(prompt, **more).unknown == unknown


def test_a_plain_answer_looks_like_this() -> None:
    assert json.loads(render(ANSWER)) == {
        "id": "cmpl-msg_1",
        "object": "text_completion",
        "created": 1_735_689_600,
        "model": "scailabs/x",
        "choices": [{"text": "Hello", "index": 0, "logprobs": None, "finish_reason": "length"}],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def test_a_stream_has_the_text_in_pieces_then_the_end() -> None:
    stream = render(ANSWER, stream=True)
    assert stream.endswith(b"data: [DONE]\n\n")
    found = chunks(stream)
    assert [one["choices"][0]["text"] for one in found] == ["He", "llo", ""]
    assert [one["choices"][0]["finish_reason"] for one in found] == [None, None, "length"]
    assert all("usage" not in one for one in found)
    assert {(one["id"], one["object"], one["model"]) for one in found} == {
        ("cmpl-msg_1", "text_completion", "scailabs/x")
    }


def test_usage_comes_in_a_frame_of_its_own_where_it_was_asked_for() -> None:
    *_, last = chunks(render(ANSWER, stream=True, stream_options={"include_usage": True}))
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 7)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "m"}, "prompt"),
        ({"model": "m", "prompt": []}, "prompt"),
        ({"model": "m", "prompt": "a", "n": 0}, "n"),
        ({"model": "m", "prompt": "a", "stream": 1}, "stream"),
        ({"prompt": "a"}, "model"),
    ],
)
def test_a_fault_is_named(body: dict[str, Any], field: str) -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.decode(PATH, json.dumps(body).encode())
    assert caught.value.code is Code.VALIDATION_ERROR
    assert [one.field for one in caught.value.details] == [field]


_json = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=4))


@settings(deadline=None, max_examples=80)
@given(
    st.binary()
    | st.dictionaries(st.sampled_from(("prompt", "n", "echo", "stop", "max_tokens", "best_of", "x")), _json).map(
        lambda value: json.dumps({"model": "m", "prompt": "a"} | value).encode()
    )
)
def test_no_body_brings_anything_but_a_call_or_a_refusal(body: bytes) -> None:
    made: object
    try:
        made = DIALECT.decode(PATH, body).canonical()
    except GatewayError as error:
        made = error.code
    assert isinstance(made, Chat) or made is Code.VALIDATION_ERROR
