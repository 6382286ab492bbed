import json

import pytest

from adapters.anthropic_failure import answered, reported
from scaigrid.errors import Code


def body(kind: str, message: str = "x") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", Code.VALIDATION_ERROR),
        (401, "authentication_error", Code.BACKEND_ERROR),
        (402, "billing_error", Code.BACKEND_ERROR),
        (403, "permission_error", Code.BACKEND_ERROR),
        (404, "not_found_error", Code.BACKEND_ERROR),
        (413, "request_too_large", Code.REQUEST_TOO_LARGE),
        (429, "rate_limit_error", Code.BACKEND_RATE_LIMITED),
        (500, "api_error", Code.BACKEND_ERROR),
        (504, "timeout_error", Code.BACKEND_TIMEOUT),
        (529, "overloaded_error", Code.BACKEND_ERROR),
    ],
)
def test_every_type_has_a_meaning(status: int, kind: str, code: Code) -> None:
    assert answered(status, {}, body(kind)).code is code


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("prompt is too long: 210000 tokens > 200000 maximum", Code.CONTEXT_TOO_LONG),
        ("input length and `max_tokens` exceed context limit: 1 + 2 > 2", Code.CONTEXT_TOO_LONG),
        ("Output blocked by content filtering policy", Code.CONTENT_REFUSED),
        ("Your credit balance is too low to access the Anthropic API.", Code.BACKEND_ERROR),
        ("max_tokens: Input should be greater than 0", Code.VALIDATION_ERROR),
    ],
)
def test_an_invalid_request_is_told_apart_by_its_sentence(message: str, code: Code) -> None:
    assert answered(400, {}, body("invalid_request_error", message)).code is code


def test_the_sentence_and_the_time_to_wait_are_kept() -> None:
    assert answered(400, {}, body("invalid_request_error", "stop: too many")).message == "stop: too many"
    assert answered(529, {"retry-after": "3"}, body("overloaded_error")).retry_after == 3


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b"{}", b"\xff", b'{"error":"x"}', b"[" * 99_999])
def test_what_has_no_error_in_it_goes_by_its_status_and_reports_none(text: bytes) -> None:
    assert answered(400, {}, text).code is Code.VALIDATION_ERROR
    assert answered(500, {}, text).code is Code.BACKEND_ERROR
    assert reported(text) is None


def test_a_failure_inside_an_answer_is_read_by_its_type() -> None:
    found = reported(body("overloaded_error"))
    assert found is not None
    assert found.code is Code.BACKEND_ERROR
