import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.asgi import Headers
from scaigrid.call import Call
from scaigrid.dialects.native import Native
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.types import Chat, Embed, Operation, Rerank
from tests.harness.answers import frames

DIALECT = Native()
PATHS = {"chat": "/v1/inference/chat", "embed": "/v1/inference/embed"}
CHAT: dict[str, Any] = {"model": "scailabs/x", "messages": [{"role": "user", "content": "Hi"}]}


def decode(operation: Operation, body: dict[str, Any]) -> Call:
    return DIALECT.decode(PATHS[operation], json.dumps(body).encode())


def test_a_call_that_says_little() -> None:
    call = decode("chat", CHAT)
    assert (call.dialect, call.operation, call.model, call.stream, call.n) == ("native", "chat", "scailabs/x", False, 1)
    assert (call.max_output, call.output_field, call.wants_usage, call.tags) == (None, None, True, {})
    assert set(call.members) == {"model", "messages"}


def test_a_call_that_says_all_that_is_governed() -> None:
    call = decode("chat", CHAT | {"stream": True, "n": 2, "max_tokens": 5, "metadata": {"team": "a"}})
    assert (call.stream, call.n, call.max_output, call.tags) == (True, 2, 5, {"team": "a"})
    assert call.canonical() is call.canonical()


def test_an_embed_call_has_tags_too() -> None:
    call = decode("embed", {"model": "m", "input": "x", "metadata": {"team": "a"}})
    assert (call.operation, call.model, call.tags) == ("embed", "m", {"team": "a"})


FAULTS: list[tuple[Operation, dict[str, Any], list[tuple[str, str]]]] = [
    ("chat", {}, [("model", "is required"), ("messages", "is required")]),
    ("chat", CHAT | {"model": "", "messages": []}, [("model", "must not be empty"), ("messages", "must not be empty")]),
    (
        "chat",
        CHAT | {"max_completion_tokens": 5, "logit_bias": None},
        [("max_completion_tokens", "is not a known field"), ("logit_bias", "is not a known field")],
    ),
    ("chat", CHAT | {"n": 200, "max_tokens": 0}, [("n", "must be at most 128"), ("max_tokens", "must be at least 1")]),
    (
        "chat",
        CHAT | {"temperature": 2.5, "top_p": -0.1, "presence_penalty": 3, "frequency_penalty": -3},
        [
            ("temperature", "must be at most 2"),
            ("top_p", "must be at least 0"),
            ("presence_penalty", "must be at most 2"),
            ("frequency_penalty", "must be at least -2"),
        ],
    ),
    ("chat", CHAT | {"stop": ["a", ""]}, [("stop[1]", "must not be empty")]),
    ("chat", CHAT | {"top_logprobs": 21}, [("top_logprobs", "must be at most 20")]),
    ("chat", CHAT | {"seed": 2**63}, [("seed", "must be at most 9223372036854775807")]),
    ("chat", CHAT | {"tool_choice": "any"}, [("tool_choice", 'must be one of "auto", "none", "required"')]),
    (
        "chat",
        CHAT | {"tool_choice": 1},
        [("tool_choice", 'must be one of "auto", "none", "required" or an object')],
    ),
    ("chat", CHAT | {"tools": [{"type": "web_search"}]}, [("tools[0].type", 'must be "function"')]),
    ("chat", CHAT | {"tools": [{"type": "function", "function": {}}]}, [("tools[0].function.name", "is required")]),
    (
        "chat",
        CHAT | {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        [("response_format.json_schema.schema", "is required")],
    ),
    (
        "chat",
        CHAT | {"response_format": {"type": "grammar"}},
        [("response_format.type", 'must be one of "text", "json_object", "json_schema"')],
    ),
    ("chat", CHAT | {"reasoning": {"budget_tokens": 0}}, [("reasoning.budget_tokens", "must be at least 1")]),
    ("chat", CHAT | {"provider_options": {"openai": 1}}, [("provider_options.openai", "must be an object")]),
    ("chat", CHAT | {"metadata": {"a": None}}, [("metadata.a", "must be a string")]),
    ("embed", {"model": "m"}, [("input", "is required")]),
    ("embed", {"model": "m", "input": []}, [("input", "must not be empty")]),
    (
        "embed",
        {"model": "m", "input": "x", "encoding_format": "base64"},
        [("encoding_format", "is not a known field")],
    ),
]


@pytest.mark.parametrize(("operation", "body", "details"), FAULTS, ids=range(len(FAULTS)))
def test_every_fault_is_a_detail(operation: Operation, body: dict[str, Any], details: list[tuple[str, str]]) -> None:
    with pytest.raises(GatewayError) as caught:
        decode(operation, body)
    assert caught.value.code is Code.VALIDATION_ERROR
    assert caught.value.details == tuple(Detail(field, message) for field, message in details)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model":"a","model":"a"}', b'{"a":"\xff"}'], ids=range(4))
def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.decode("/v1/inference/chat", body)
    assert caught.value.code is Code.VALIDATION_ERROR


def test_absurd_nesting_is_refused() -> None:
    deep = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    with pytest.raises(GatewayError) as caught:
        DIALECT.decode("/v1/inference/chat", b'{"model":"m","messages":[],"provider_options":%b}' % deep)
    assert caught.value.details == (Detail("body", "is nested too deeply"),)


_words = st.sampled_from(("model", "messages", "input", "role", "content", "user", "type", "text", "image", "url", "n"))
_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words | st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(("chat", "embed")),
    st.binary()
    | _json.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(_words, _json).map(lambda value: json.dumps(CHAT | value).encode())
    | st.lists(st.dictionaries(_words, _json | st.just("user")), min_size=1).map(
        lambda messages: json.dumps(CHAT | {"messages": messages}).encode()
    ),
)
def test_no_body_brings_anything_but_a_call_or_a_refusal(operation: Operation, body: bytes) -> None:
    asked: Chat | Embed | Rerank | GatewayError
    try:
        asked = DIALECT.decode(PATHS[operation], body).canonical()
    except GatewayError as error:
        asked = error
    if isinstance(asked, GatewayError):
        assert asked.code is Code.VALIDATION_ERROR
        assert asked.details
    else:
        assert isinstance(asked, Chat if operation == "chat" else Embed)


# -- errors and headers ----------------------------------------------------------------------------------------------


def rendered(headers: Headers) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


def test_an_error_comes_in_the_envelope() -> None:
    headers, body = DIALECT.error(GatewayError(Code.NOT_FOUND), "req_1")
    assert rendered(headers) == {"content-type": "application/json"}
    assert json.loads(body) == {
        "status": "error",
        "error": {"code": "NOT_FOUND", "message": "There is nothing at this path."},
        "meta": {"request_id": "req_1"},
    }


def test_an_error_says_when_to_come_back_which_level_it_was_and_every_field() -> None:
    details = (Detail("n", "must be at least 1"),)
    error = GatewayError(Code.RATE_LIMITED, "Too fast.", retry_after=3, level="key", details=details)
    headers, body = DIALECT.error(error, "req_1")
    assert rendered(headers) == {"content-type": "application/json", "retry-after": "3"}
    assert json.loads(body)["error"] == {
        "code": "RATE_LIMITED",
        "message": "Too fast.",
        "retry_after": 3,
        "details": [{"field": "n", "message": "must be at least 1"}],
        "level": "key",
    }


def test_a_stream_that_fails_ends_with_an_error_event_and_done() -> None:
    failed = DIALECT.stream_error(GatewayError(Code.BACKEND_TIMEOUT), "req_1")
    (event, data), done = frames(failed)
    assert (event, done) == ("error", ("message", "[DONE]"))
    assert json.loads(data) == {
        "code": "BACKEND_TIMEOUT",
        "message": "The provider did not answer in time.",
        "request_id": "req_1",
    }


def test_limit_headers_are_our_own() -> None:
    assert rendered(DIALECT.limit_headers(60, 58, 1.2)) == {
        "x-scaigrid-ratelimit-limit": "60",
        "x-scaigrid-ratelimit-remaining": "58",
        "x-scaigrid-ratelimit-reset": "2",
    }
    assert rendered(DIALECT.limit_headers(5000, 4000, 1.2, "tokens")) == {
        "x-scaigrid-ratelimit-limit-tokens": "5000",
        "x-scaigrid-ratelimit-remaining-tokens": "4000",
        "x-scaigrid-ratelimit-reset-tokens": "2",
    }
