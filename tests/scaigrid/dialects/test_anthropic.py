import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.call import Call
from scaigrid.dialects.anthropic import Anthropic
from scaigrid.errors import TABLE, Code, Detail, GatewayError
from scaigrid.types import Chat
from tests.harness.clock import StillClock

DIALECT = Anthropic()
MESSAGES = "/anthropic/v1/messages"
COUNT = "/anthropic/v1/messages/count_tokens"
CHAT: dict[str, Any] = {"model": "scailabs/x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def decode(body: dict[str, Any], path: str = MESSAGES, **more: Any) -> Call:
    return DIALECT.decode(path, json.dumps(body | more).encode())


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


# -- what governance reads -------------------------------------------------------------------------------------------


def test_a_message() -> None:
    body = b'{ "model": "scailabs/x", "max_tokens": 9, "messages": [{"role":"user","content":"Hi"}] }'
    call = DIALECT.decode(MESSAGES, body)
    assert (call.dialect, call.operation, call.surface) == ("anthropic", "chat", "anthropic/messages")
    assert (call.model, call.body, call.stream, call.n) == ("scailabs/x", body, False, 1)
    assert (call.max_output, call.output_field, call.wants_usage, call.grows) == (9, "max_tokens", True, False)
    assert set(call.members) == {"model", "max_tokens", "messages"}


def test_whom_it_is_for_is_no_tag() -> None:
    call = decode(CHAT, stream=True, metadata={"user_id": "u"})
    assert (call.stream, call.tags) == (True, {})


def test_a_count() -> None:
    call = decode(without(CHAT, "max_tokens"), COUNT)
    assert (call.operation, call.surface, call.model) == ("count_tokens", "anthropic/count_tokens", "scailabs/x")
    assert (call.stream, call.max_output) == (False, None)


@pytest.mark.parametrize(
    "more",
    [{"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, {"mcp_servers": []}, {"container": "c"}],
)
def test_what_anthropic_adds_by_itself_makes_a_call_grow(more: dict[str, Any]) -> None:
    assert decode(CHAT, **more).grows


def test_nothing_is_decoded_that_nobody_asked_for() -> None:
    """A message that only Anthropic understands passes through; who has to translate it finds its faults."""
    call = decode(CHAT, messages=[{"role": "oracle"}])
    with pytest.raises(GatewayError) as caught:
        call.canonical()
    assert caught.value.code is Code.VALIDATION_ERROR
    assert caught.value.details[0].field == "messages[0].role"


def test_a_call_is_translated_once() -> None:
    call = decode(CHAT)
    assert call.canonical() is call.canonical()


FAULTS: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    (MESSAGES, without(CHAT, "model"), [("model", "is required")]),
    (MESSAGES, without(CHAT, "max_tokens"), [("max_tokens", "is required")]),
    (MESSAGES, CHAT | {"max_tokens": -1}, [("max_tokens", "must be at least 0")]),
    (MESSAGES, CHAT | {"messages": []}, [("messages", "must not be empty")]),
    (MESSAGES, CHAT | {"messages": "Hi"}, [("messages", "must be a list")]),
    (MESSAGES, CHAT | {"stream": "yes"}, [("stream", "must be true or false")]),
    (MESSAGES, CHAT | {"tools": "all"}, [("tools", "must be a list")]),
    (
        MESSAGES,
        {"max_tokens": 1.5, "messages": [{"role": "user"}, {"role": "user", "content": [{"type": "text"}]}]},
        [
            ("max_tokens", "must be an integer"),
            ("messages[0].content", "is required"),
            ("messages[1].content[0].text", "is required"),
            ("model", "is required"),
        ],
    ),
    (COUNT, without(CHAT, "messages"), [("messages", "is required")]),
    (COUNT, CHAT | {"model": 5}, [("model", "must be a string")]),
]


@pytest.mark.parametrize(("path", "body", "faults"), FAULTS)
def test_every_fault_is_told(path: str, body: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    with pytest.raises(GatewayError) as caught:
        decode(body, path)
    assert caught.value.code is Code.VALIDATION_ERROR
    assert sorted((one.field, one.message) for one in caught.value.details) == sorted(faults)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*CHAT, "system", "tools", "thinking", "role", "content", "type"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)
VALUES: list[Any] = ["text", "image", "document", "tool_result", "thinking", "tool_use", "scaigrid.", None, 1, {}, []]
FIELDS = ["type", "text", "source", "content", "thinking", "signature", "input", "id", "name", "tool_use_id"]
BLOCK: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(VALUES), max_size=5)


def refused(path: str, body: bytes) -> Code | None:
    """Why the body is refused; whatever else than a GatewayError comes out fails the test."""
    try:
        assert isinstance(DIALECT.decode(path, body).canonical(), Chat)
    except GatewayError as error:
        return error.code
    return None


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
@given(body=st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=100, deadline=None)
def test_only_errors_that_clients_understand_come_out(path: str, body: bytes) -> None:
    assert refused(path, body) in (None, Code.VALIDATION_ERROR)


@given(st.lists(BLOCK, max_size=3), st.sampled_from(["user", "assistant", "system"]))
@settings(max_examples=200, deadline=None)
def test_blocks_of_any_kind_are_understood_or_refused(blocks: list[Any], role: str) -> None:
    body = json.dumps(CHAT | {"messages": [{"role": role, "content": blocks}]}).encode()
    assert refused(MESSAGES, body) in (None, Code.VALIDATION_ERROR)


# -- errors ----------------------------------------------------------------------------------------------------------


def test_what_a_provider_has_no_word_for_is_named_in_the_callers_own() -> None:
    names = ("reasoning.budget_tokens", "stop", "top_k")
    error = GatewayError(Code.UNSUPPORTED_BY_MODEL, details=tuple([Detail(name, "is not had") for name in names]))
    told = json.loads(DIALECT.error(error, "req_1")[1])["error"]
    assert [one["field"] for one in told["details"]] == ["thinking.budget_tokens", "stop_sequences", "top_k"]
    assert "thinking.budget_tokens" in told["message"]


def test_an_error_is_in_anthropics_shape() -> None:
    details = (Detail("max_tokens", "is required"), Detail("model", "is required"))
    headers, body = DIALECT.error(GatewayError(Code.VALIDATION_ERROR, details=details), "req_1")
    assert json.loads(body) == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "The request is not valid. max_tokens is required (and 1 more).",
            "code": "VALIDATION_ERROR",
            "details": [
                {"field": "max_tokens", "message": "is required"},
                {"field": "model", "message": "is required"},
            ],
        },
        "request_id": "req_1",
    }
    assert list(headers) == [(b"content-type", b"application/json")]


def test_what_stops_a_client_from_trying_again_is_told() -> None:
    headers, _ = DIALECT.error(GatewayError(Code.BUDGET_EXCEEDED, retry_after=7), "req_1")
    assert {(b"x-should-retry", b"false"), (b"retry-after", b"7")} <= set(headers)


KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_anthropics_word_for_its_status(code: Code) -> None:
    _, body = DIALECT.error(GatewayError(code), "req_1")
    read = json.loads(body)["error"]
    assert (read["type"], read["code"]) == (KINDS.get(TABLE[code].status, "invalid_request_error"), code)


def test_a_stream_that_fails_says_so_in_an_event_of_its_own() -> None:
    frame = DIALECT.stream_error(GatewayError(Code.BACKEND_TIMEOUT), "req_1")
    assert frame.startswith(b'event: error\ndata: {"type":"error","error":{"type":"timeout_error",')
    assert frame.endswith(b"}\n\n")


def test_limits_are_told_in_anthropics_headers_too() -> None:
    clock = StillClock()
    headers = dict(Anthropic(clock).limit_headers(10, 3, 2.5))
    assert headers[b"x-scaigrid-ratelimit-remaining"] == b"3"
    assert headers[b"anthropic-ratelimit-requests-limit"] == b"10"
    assert headers[b"anthropic-ratelimit-requests-remaining"] == b"3"
    reset = datetime.fromisoformat(headers[b"anthropic-ratelimit-requests-reset"].decode())
    assert reset.timestamp() == pytest.approx(clock.now() + 2.5)
    tokens = dict(Anthropic(clock).limit_headers(5000, 4000, 60, "tokens"))
    assert tokens[b"x-scaigrid-ratelimit-remaining-tokens"] == b"4000"
    assert tokens[b"anthropic-ratelimit-tokens-limit"] == b"5000"
    assert tokens[b"anthropic-ratelimit-tokens-remaining"] == b"4000"
    assert tokens[b"anthropic-ratelimit-tokens-reset"].endswith(b"Z")
    assert not [name for name in tokens if b"requests" in name]
