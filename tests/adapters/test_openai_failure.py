import json

import pytest

from adapters.openai_failure import answered, named_error, reported
from scaigrid.errors import Code


def body(**error: object) -> bytes:
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (
            400,
            {"message": "x", "type": "invalid_request_error", "code": "context_length_exceeded"},
            Code.CONTEXT_TOO_LONG,
        ),
        (400, {"message": "x", "code": "content_filter"}, Code.CONTENT_REFUSED),
        (400, {"message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}, Code.CONTENT_REFUSED),
        (400, {"message": "x", "type": "invalid_request_error", "code": None, "param": "stop"}, Code.VALIDATION_ERROR),
        (400, {"message": "x", "type": "invalid_request_error", "param": "model"}, Code.BACKEND_ERROR),
        (401, {"message": "Incorrect API key", "code": "invalid_api_key"}, Code.BACKEND_ERROR),
        (404, {"message": "x", "type": "invalid_request_error", "code": "model_not_found"}, Code.BACKEND_ERROR),
        (429, {"message": "x", "type": "insufficient_quota", "code": "insufficient_quota"}, Code.BACKEND_ERROR),
        (429, {"message": "x", "type": "requests", "code": "rate_limit_exceeded"}, Code.BACKEND_RATE_LIMITED),
        (429, {"message": "x", "code": 429, "metadata": {"raw": "y"}}, Code.BACKEND_RATE_LIMITED),
        (503, {"message": "x", "code": "503"}, Code.BACKEND_ERROR),
    ],
)
def test_a_refusal_is_read_in_the_protocols_shape(status: int, error: dict[str, object], code: Code) -> None:
    assert answered(status, {}, body(**error)).code is code


@pytest.mark.parametrize(
    "text",
    [
        b'{"error":{"message":"The text."}}',
        b'{"error":"The text."}',
        b'{"message":"The text."}',
        b'{"object":"error","message":"The text.","type":"BadRequestError"}',
        b'{"detail":"The text."}',
        b'{"detail":[{"loc":["body","n"],"msg":"The text.","type":"missing"}]}',
    ],
)
def test_the_sentence_is_found_in_every_shape(text: bytes) -> None:
    assert answered(400, {}, text).message == "The text."


@pytest.mark.parametrize(
    "text", [b"", b"<html>no</html>", b"[]", b"null", b'"x"', b"\xff", b"[" * 99_999, b'{"error":5}']
)
def test_a_refusal_without_a_sentence_is_still_one(text: bytes) -> None:
    failure = answered(400, {}, text)
    assert (failure.code, failure.message) == (Code.VALIDATION_ERROR, "The provider refused the request.")
    assert answered(502, {}, text).code is Code.BACKEND_ERROR


def test_the_field_that_is_blamed_is_named() -> None:
    failure = answered(400, {}, body(message="Too many.", param="stop"))
    assert [one.field for one in failure.details] == ["stop"]


def test_the_time_to_wait_is_kept() -> None:
    assert answered(429, {"retry-after": "3"}, b"").retry_after == 3


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "x", "code": 429}, Code.BACKEND_RATE_LIMITED),
        ({"message": "x", "status_code": 400, "code": "tool_use_failed"}, Code.VALIDATION_ERROR),
        ({"message": "x", "type": "server_error"}, Code.BACKEND_ERROR),
        ({"message": "x", "code": 200}, Code.BACKEND_ERROR),
        ({"message": "x", "code": 10**30}, Code.BACKEND_ERROR),
    ],
)
def test_a_failure_inside_an_answer_is_read_by_what_it_says(error: dict[str, object], code: Code) -> None:
    found = reported(body(**error))
    assert found is not None
    assert found.code is code
    assert named_error(body(**error)).code is code
    assert named_error(json.dumps(error).encode()).code is code


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b'{"error":null}', b'{"error":{}}', b'{"error":""}', b'{"error":5}']
)
def test_what_reports_no_failure_is_none(text: bytes) -> None:
    assert reported(text) is None
