import json

import pytest

from adapters.cohere_failure import answered, reported, told
from scaigrid.errors import Code


def body(message: str) -> bytes:
    return json.dumps({"id": "8f3b", "message": message}).encode()


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (400, "invalid request: message must not be empty", Code.VALIDATION_ERROR),
        (400, "too many tokens: size limit exceeded by 11326 tokens.", Code.CONTEXT_TOO_LONG),
        (401, "invalid api token", Code.BACKEND_ERROR),
        (404, "model 'command-z' not found", Code.BACKEND_ERROR),
        (422, "invalid 'tools'", Code.VALIDATION_ERROR),
        (429, "You are using a Trial key", Code.BACKEND_RATE_LIMITED),
        (498, "blocked output: please retry", Code.CONTENT_REFUSED),
        (498, "other", Code.BACKEND_ERROR),
        (499, "request cancelled", Code.BACKEND_ERROR),
        (500, "internal", Code.BACKEND_ERROR),
        (503, "overloaded", Code.BACKEND_ERROR),
        (504, "timeout", Code.BACKEND_TIMEOUT),
    ],
)
def test_every_status_has_a_meaning(status: int, message: str, code: Code) -> None:
    assert answered(status, {}, body(message)).code is code


def test_the_sentence_and_the_time_to_wait_are_kept() -> None:
    assert answered(400, {}, body("stop: too many")).message == "stop: too many"
    assert answered(429, {"retry-after": "3"}, body("slow")).retry_after == 3


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b"{}", b"\xff", b'{"message":{}}', b"[" * 99_999])
def test_what_has_no_error_in_it_goes_by_its_status_and_reports_none(text: bytes) -> None:
    assert answered(400, {}, text).code is Code.VALIDATION_ERROR
    assert answered(500, {}, text).code is Code.BACKEND_ERROR
    assert reported(text) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b'{"message":"x"}', Code.BACKEND_ERROR),
        (b'{"error":"x"}', Code.BACKEND_ERROR),
        (b'{"error":{"type":"rate_limit_error","message":"x"}}', Code.BACKEND_RATE_LIMITED),
    ],
)
def test_a_failure_inside_an_answer_is_read_whoever_wrote_it(text: bytes, code: Code) -> None:
    found = reported(text)
    assert found is not None
    assert found.code is code


def test_what_an_answer_tells_at_its_end_stays_with_the_operator() -> None:
    failure = told("cluster 7 is on fire")
    assert failure.code is Code.BACKEND_ERROR
    assert "cluster" not in failure.message
