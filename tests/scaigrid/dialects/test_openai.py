import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.asgi import Headers
from scaigrid.call import Call
from scaigrid.dialects.openai import OpenAI, duration
from scaigrid.errors import TABLE, Code, Detail, GatewayError
from scaigrid.types import Chat, Embed, Operation, Rerank

DIALECT = OpenAI()
MESSAGES = [{"role": "user", "content": "Hi"}]
PATHS = {"chat": "/oai/v1/chat/completions", "embed": "/oai/v1/embeddings"}
CHAT: dict[str, Any] = {"model": "scailabs/x", "messages": MESSAGES}
EMBED: dict[str, Any] = {"model": "scailabs/e", "input": "Hi"}


def decode(body: dict[str, Any], **more: Any) -> Call:
    return DIALECT.decode(
        f"/oai/v1/{'embeddings' if 'input' in body else 'chat/completions'}", json.dumps(body | more).encode()
    )


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


# -- what governance reads -------------------------------------------------------------------------------------------


def test_a_call_that_says_little() -> None:
    body = b'{ "model": "scailabs/x", "messages": [{"role":"user","content":"Hi"}] }'
    call = DIALECT.decode("/oai/v1/chat/completions", body)
    assert (call.dialect, call.operation, call.model, call.body) == ("openai", "chat", "scailabs/x", body)
    assert (call.stream, call.n, call.max_output, call.output_field, call.wants_usage) == (False, 1, None, None, False)
    assert call.tags == {}
    assert {name: bytes(raw) for name, raw in call.members.items()} == {
        "model": b'"scailabs/x"',
        "messages": b'[{"role":"user","content":"Hi"}]',
    }


def test_a_call_that_says_all_that_is_governed() -> None:
    options = {"include_usage": True}
    call = decode(CHAT, stream=True, n=3, max_tokens=7, stream_options=options, metadata={"team": "a"})
    assert (call.stream, call.n, call.wants_usage) == (True, 3, True)
    assert (call.max_output, call.output_field) == (7, "max_tokens")
    assert call.tags == {"team": "a"}


def test_the_bound_is_found_in_either_field() -> None:
    call = decode(CHAT, max_completion_tokens=9, max_tokens=None)
    assert (call.max_output, call.output_field) == (9, "max_completion_tokens")


def test_null_is_absent() -> None:
    names = ("stream", "n", "max_tokens", "max_completion_tokens", "stream_options", "metadata")
    call = decode(CHAT, **dict.fromkeys(names))
    assert (call.stream, call.n, call.max_output, call.output_field, call.wants_usage) == (False, 1, None, None, False)
    assert call.tags == {}


def test_an_embeddings_call() -> None:
    call = decode(EMBED, user="u")
    assert (call.operation, call.model, call.stream, call.n, call.max_output) == ("embed", "scailabs/e", False, 1, None)
    assert set(call.members) == {"model", "input", "user"}


FAULTS: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    (without(CHAT, "model"), [("model", "is required")]),
    (CHAT | {"model": ""}, [("model", "must not be empty")]),
    (CHAT | {"model": None}, [("model", "must be a string")]),
    (CHAT | {"model": "x" * 257}, [("model", "must have at most 256 characters")]),
    (without(CHAT, "messages"), [("messages", "is required")]),
    (CHAT | {"messages": []}, [("messages", "must not be empty")]),
    (CHAT | {"messages": "Hi"}, [("messages", "must be a list")]),
    (CHAT | {"messages": ["Hi", {"role": "user", "content": "x"}]}, [("messages[0]", "must be an object")]),
    (CHAT | {"stream": 1}, [("stream", "must be true or false")]),
    (CHAT | {"stream": "true"}, [("stream", "must be true or false")]),
    (CHAT | {"n": 0}, [("n", "must be at least 1")]),
    (CHAT | {"n": 129}, [("n", "must be at most 128")]),
    (CHAT | {"n": 1.5}, [("n", "must be an integer")]),
    (CHAT | {"n": True}, [("n", "must be an integer")]),
    (CHAT | {"max_tokens": 0}, [("max_tokens", "must be at least 1")]),
    (CHAT | {"max_tokens": 2**31}, [("max_tokens", "must be at most 2147483647")]),
    (CHAT | {"max_completion_tokens": "9"}, [("max_completion_tokens", "must be an integer")]),
    (
        CHAT | {"max_tokens": 5, "max_completion_tokens": 5},
        [("max_completion_tokens", "cannot be given together with max_tokens")],
    ),
    (CHAT | {"stream_options": []}, [("stream_options", "must be an object")]),
    (CHAT | {"stream_options": {"include_usage": 1}}, [("stream_options.include_usage", "must be true or false")]),
    (CHAT | {"metadata": {"a": 1}}, [("metadata.a", "must be a string")]),
    (CHAT | {"metadata": {"a" * 65: ""}}, [("metadata", "must have names of at most 64 characters")]),
    (CHAT | {"metadata": {"a": "x" * 513}}, [("metadata.a", "must have at most 512 characters")]),
    (CHAT | {"metadata": {str(n): "" for n in range(17)}}, [("metadata", "must have at most 16 entries")]),
    (
        {"messages": [{"role": "user"}, {"role": "user", "content": [{"type": "text"}]}], "stream": 1, "top_p": "x"},
        [
            ("messages[0].content", "is required"),
            ("messages[1].content[0].text", "is required"),
            ("stream", "must be true or false"),
            ("top_p", "must be a number"),
            ("model", "is required"),
        ],
    ),
    (
        CHAT | {"model": 1, "max_tokens": 5, "max_completion_tokens": 5},
        [("model", "must be a string"), ("max_completion_tokens", "cannot be given together with max_tokens")],
    ),
    ({"input": "x"}, [("model", "is required")]),
    (EMBED | {"input": None}, [("input", "must be a string or a list")]),
    (EMBED | {"input": {}}, [("input", "must be a string or a list")]),
    (
        EMBED | {"input": 7, "dimensions": 0},
        [("input", "must be a string or a list"), ("dimensions", "must be at least 1")],
    ),
]


@pytest.mark.parametrize(("body", "details"), FAULTS, ids=range(len(FAULTS)))
def test_every_fault_is_a_detail(body: dict[str, Any], details: list[tuple[str, str]]) -> None:
    with pytest.raises(GatewayError) as caught:
        decode(body)
    assert caught.value.code is Code.VALIDATION_ERROR
    assert caught.value.details == tuple(Detail(field, message) for field, message in details)


def test_an_embeddings_call_without_input_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.decode("/oai/v1/embeddings", b'{"model":"x"}')
    assert caught.value.details == (Detail("input", "is required"),)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b'{"model":"a","model":"b","messages":[{}]}', "model"),
        (b'{"a":"\xff"}', "body"),
    ],
    ids=range(4),
)
def test_a_body_that_is_none_is_refused(body: bytes, field: str) -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.decode("/oai/v1/chat/completions", body)
    assert [detail.field for detail in caught.value.details] == [field]


@pytest.mark.parametrize("place", ["messages", "tools", "new_field"])
def test_absurd_nesting_is_refused(place: str) -> None:
    nested = b'"%b":[%b]' % (place.encode(), b'{"a":' * 50_000 + b"1" + b"}" * 50_000)
    with pytest.raises(GatewayError) as caught:
        DIALECT.decode("/oai/v1/chat/completions", b'{"model":"x",%b}' % nested)
    assert caught.value.details == (Detail("body", "is nested too deeply"),)


def test_what_governance_does_not_read_is_left_to_the_provider() -> None:
    """A route of this dialect passes it on, whatever it is."""
    messages = [{"role": "oracle", "riddle": 7}]
    call = decode(CHAT, messages=messages, tools="later", new_field={"a": 1}, temperature="hot")
    assert call.model == "scailabs/x"
    assert bytes(call.members["new_field"]) == b'{"a": 1}'


# -- the canonical call ----------------------------------------------------------------------------------------------


def test_the_canonical_call_is_made_once() -> None:
    call = decode(CHAT)
    first = call.canonical()
    assert isinstance(first, Chat)
    assert call.canonical() is first
    assert isinstance(decode(EMBED).canonical(), Embed)


@pytest.mark.parametrize("member", ["enable_search", "plugins", "search_parameters", "web_search_options"])
def test_what_has_the_provider_search_adds_to_the_input(member: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    assert not DIALECT.decode("/oai/v1/chat/completions", json.dumps(body).encode()).grows
    assert DIALECT.decode("/oai/v1/chat/completions", json.dumps({**body, member: {}}).encode()).grows


@pytest.mark.parametrize(
    ("more", "unknown"),
    [
        ({}, ()),
        ({"logit_bias": {"50256": -100}}, ("logit_bias",)),
        ({"store": True, "service_tier": "flex", "verbosity": "low"}, ("store", "service_tier", "verbosity")),
        ({"prediction": {"type": "content"}, "modalities": ["text", "audio"]}, ("prediction", "modalities")),
        ({"audio": {"voice": "x"}, "web_search_options": {}}, ("audio", "web_search_options")),
        ({"prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s"}, ()),
        ({"functions": [{"name": "f"}], "function_call": "auto"}, ("functions", "function_call")),
        ({"provider": {"order": []}, "top_k": 5}, ("provider",)),
        ({"reasoning_effort": "ultra"}, ("reasoning_effort",)),
        ({"stream_options": {"include_obfuscation": True}}, ("stream_options.include_obfuscation",)),
        ({"tool_choice": {"type": "custom", "custom": {"name": "x"}}}, ("tool_choice.type",)),
        ({"logit_bias": {}, "store": False, "service_tier": "auto", "modalities": ["text"], "verbosity": "medium"}, ()),
        ({"prediction": None, "audio": None, "functions": [], "function_call": "none"}, ()),
        ({"stream_options": {"include_obfuscation": False}, "metadata": {"a": "b"}, "n": None}, ()),
    ],
    ids=range(14),
)
def test_fields_without_a_canonical_meaning_are_listed_where_they_say_something(
    more: dict[str, Any], unknown: tuple[str, ...]
) -> None:
    chat = decode(CHAT, **more).canonical()
    assert chat.unknown == unknown


def test_the_canonical_call_refuses_what_governance_does_not_read() -> None:
    call = decode(CHAT, temperature="hot", messages=[{"role": "oracle", "content": "x"}])
    with pytest.raises(GatewayError) as caught:
        call.canonical()
    assert [detail.field for detail in caught.value.details] == ["messages[0].role", "temperature"]


_words = st.sampled_from(
    [
        *("model", "messages", "input", "role", "content", "type", "text", "image_url", "url", "user", "assistant"),
        *("tool", "n", "stream", "max_tokens", "tools"),
    ]
)
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
    | st.dictionaries(_words, _json).map(lambda value: json.dumps(CHAT | EMBED | value).encode())
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


def test_an_error_has_openais_shape_and_our_code() -> None:
    headers, body = DIALECT.error(GatewayError(Code.RATE_LIMITED, retry_after=7, level="tenant"), "req_1")
    assert rendered(headers) == {"content-type": "application/json", "retry-after": "7"}
    assert json.loads(body) == {
        "error": {
            "message": TABLE[Code.RATE_LIMITED].message,
            "type": "rate_limit_error",
            "param": None,
            "code": "RATE_LIMITED",
            "request_id": "req_1",
        }
    }


def test_an_error_names_its_first_field_and_lists_all() -> None:
    details = (Detail("messages[0].role", "is required"), Detail("n", "must be at least 1"))
    headers, body = DIALECT.error(GatewayError(Code.VALIDATION_ERROR, details=details), "req_1")
    assert rendered(headers) == {"content-type": "application/json"}
    assert json.loads(body)["error"] == {
        "message": "The request is not valid. messages[0].role is required (and 1 more).",
        "type": "invalid_request_error",
        "param": "messages[0].role",
        "code": "VALIDATION_ERROR",
        "details": [
            {"field": "messages[0].role", "message": "is required"},
            {"field": "n", "message": "must be at least 1"},
        ],
        "request_id": "req_1",
    }


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_body_and_its_headers(code: Code) -> None:
    error = GatewayError(code)
    headers, body = DIALECT.error(error, "req_1")
    assert json.loads(body)["error"]["code"] == code
    assert list(headers)[1:] == error.response_headers()


def test_a_stream_that_fails_ends_with_an_error_frame_and_no_done() -> None:
    frame = DIALECT.stream_error(GatewayError(Code.BACKEND_TIMEOUT), "req_1")
    assert frame.startswith(b'data: {"error":{"message":')
    assert frame.endswith(b"}\n\n")
    assert frame.count(b"data:") == 1
    assert json.loads(frame.removeprefix(b"data: "))["error"]["code"] == "BACKEND_TIMEOUT"


def test_limit_headers_are_those_that_clients_of_openai_read_and_our_own() -> None:
    assert rendered(DIALECT.limit_headers(60, 58, 1.2)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "58",
        "x-ratelimit-reset-requests": "2s",
        "x-scaigrid-ratelimit-limit": "60",
        "x-scaigrid-ratelimit-remaining": "58",
        "x-scaigrid-ratelimit-reset": "2",
    }
    assert rendered(DIALECT.limit_headers(5000, 4000, 61, "tokens")) == {
        "x-ratelimit-limit-tokens": "5000",
        "x-ratelimit-remaining-tokens": "4000",
        "x-ratelimit-reset-tokens": "1m1s",
        "x-scaigrid-ratelimit-limit-tokens": "5000",
        "x-scaigrid-ratelimit-remaining-tokens": "4000",
        "x-scaigrid-ratelimit-reset-tokens": "61",
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0001, "1ms"),
        (0.12, "120ms"),
        (0.9995, "1000ms"),
        (1, "1s"),
        (5.01, "6s"),
        (59.5, "1m0s"),
        (60, "1m0s"),
        (61, "1m1s"),
        (3599, "59m59s"),
        (3600, "1h0m0s"),
        (90_061, "25h1m1s"),
    ],
)
def test_time_spans_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text
