import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.google_failure import answered, blocked, reported
from scaigrid.errors import Code


def body(code: int, status: str, message: str = "No.", *details: dict[str, Any]) -> bytes:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return json.dumps({"error": error}).encode()


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
VIOLATIONS = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    "fieldViolations": [{"field": "contents[0].parts", "description": "Empty."}],
}
TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (
            400,
            body(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", KEY),
            Code.BACKEND_ERROR,
        ),
        (400, body(400, "INVALID_ARGUMENT", "No.", KEY), Code.BACKEND_ERROR),
        (400, body(400, "INVALID_ARGUMENT", TOO_LONG), Code.CONTEXT_TOO_LONG),
        (400, body(400, "INVALID_ARGUMENT", "Contents are empty."), Code.VALIDATION_ERROR),
        (400, body(400, "FAILED_PRECONDITION", "User location is not supported."), Code.BACKEND_ERROR),
        (401, body(401, "UNAUTHENTICATED"), Code.BACKEND_ERROR),
        (403, body(403, "PERMISSION_DENIED"), Code.BACKEND_ERROR),
        (404, body(404, "NOT_FOUND", "models/x is not found for API version v1beta"), Code.BACKEND_ERROR),
        (429, body(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."), Code.BACKEND_RATE_LIMITED),
        (500, body(500, "INTERNAL"), Code.BACKEND_ERROR),
        (503, body(503, "UNAVAILABLE"), Code.BACKEND_ERROR),
        (504, body(504, "DEADLINE_EXCEEDED"), Code.BACKEND_TIMEOUT),
        (502, b"<html>", Code.BACKEND_ERROR),
        (400, b"[]", Code.VALIDATION_ERROR),
    ],
)
def test_every_refusal_has_its_meaning(status: int, text: bytes, code: Code) -> None:
    assert answered(status, {}, text).code is code
    assert answered(status, {}, b"[" + text + b"]").code is code


def test_a_rate_limit_says_when_to_come_again() -> None:
    text = body(429, "RESOURCE_EXHAUSTED", "Slower.", {"@type": "x"}, RETRY)
    assert answered(429, {}, text).retry_after == 35
    assert answered(429, {"retry-after": "3"}, text).retry_after == 3
    assert answered(429, {}, body(429, "RESOURCE_EXHAUSTED", "Slower.", {"retryDelay": "soon"})).retry_after is None


def test_a_field_that_is_blamed_is_named() -> None:
    found = answered(400, {}, body(400, "INVALID_ARGUMENT", "No contents.", VIOLATIONS))
    assert [one.field for one in found.details] == ["contents[0].parts"]


def test_a_failure_inside_an_answer_is_told_with_its_own_status() -> None:
    found = reported(body(429, "RESOURCE_EXHAUSTED", "Slower.", RETRY))
    assert found is not None
    assert (found.code, found.retry_after) == (Code.BACKEND_RATE_LIMITED, 35)
    invalid = reported(body(400, "INVALID_ARGUMENT"))
    assert invalid is not None
    assert invalid.code is Code.VALIDATION_ERROR
    for text in (b"{}", b"", b"[]", b'{"error":null}', b'{"candidates":[]}'):
        assert reported(text) is None


def test_a_blocked_prompt_is_refused_with_its_reason_and_without_addresses() -> None:
    found = blocked("Blocked by template projects-1 of someone@example.com")
    assert found.code is Code.CONTENT_REFUSED
    assert "someone" not in found.message
    assert blocked(None).code is Code.CONTENT_REFUSED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "message", "status", "details", "retryDelay", "fieldViolations"]), inner
        )
    ),
    max_leaves=15,
)


@given(value=JSON, status=st.integers(400, 599))
@settings(deadline=None, max_examples=150)
def test_any_body_has_a_meaning(value: Any, status: int) -> None:
    answered(status, {}, json.dumps(value).encode())
    reported(json.dumps(value).encode())
