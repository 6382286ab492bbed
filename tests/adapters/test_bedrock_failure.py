import json

import pytest

from adapters.bedrock_failure import answered, inside, reported
from scaigrid.errors import Code


def body(message: str, **more: str) -> bytes:
    return json.dumps({"message": message, **more}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "ValidationException", Code.VALIDATION_ERROR),
        (400, "ServiceQuotaExceededException", Code.BACKEND_RATE_LIMITED),
        (400, "IncompleteSignature", Code.BACKEND_ERROR),
        (403, "AccessDeniedException", Code.BACKEND_ERROR),
        (403, "ExpiredTokenException", Code.BACKEND_ERROR),
        (403, "UnrecognizedClientException", Code.BACKEND_ERROR),
        (404, "ResourceNotFoundException", Code.BACKEND_ERROR),
        (408, "ModelTimeoutException", Code.BACKEND_TIMEOUT),
        (424, "ModelErrorException", Code.BACKEND_ERROR),
        (429, "ThrottlingException", Code.BACKEND_RATE_LIMITED),
        (429, "ModelNotReadyException", Code.BACKEND_ERROR),
        (500, "InternalServerException", Code.BACKEND_ERROR),
        (503, "ServiceUnavailableException", Code.BACKEND_ERROR),
    ],
)
def test_every_kind_has_a_meaning_wherever_it_stands(status: int, kind: str, code: Code) -> None:
    assert answered(status, {"x-amzn-errortype": kind}, body("x")).code is code
    assert answered(status, {"x-amzn-errortype": f"{kind}:http://internal.example/"}, body("x")).code is code
    assert answered(status, {}, body("x", __type=f"com.amazon.coral.service#{kind}")).code is code


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Input is too long for requested model.", Code.CONTEXT_TOO_LONG),
        ("prompt is too long: 210000 tokens > 200000 maximum", Code.CONTEXT_TOO_LONG),
        ("Input Tokens Exceeded: Number of input tokens exceeds maximum length.", Code.CONTEXT_TOO_LONG),
        ("The provided model identifier is invalid.", Code.BACKEND_ERROR),
        ("Invocation of model ID x with on-demand throughput isn't supported.", Code.BACKEND_ERROR),
        ("Document names may not be too long.", Code.VALIDATION_ERROR),
        ("Malformed input request: #: extraneous key [x] is not permitted", Code.VALIDATION_ERROR),
    ],
)
def test_a_validation_is_told_apart_by_its_sentence(message: str, code: Code) -> None:
    assert answered(400, {"x-amzn-errortype": "ValidationException"}, body(message)).code is code
    assert answered(400, {}, body(message)).code is code
    assert reported("validationException", body(message)).code is code


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("throttlingException", Code.BACKEND_RATE_LIMITED),
        ("modelStreamErrorException", Code.BACKEND_ERROR),
        ("validationException", Code.VALIDATION_ERROR),
        ("internalServerException", Code.BACKEND_ERROR),
        ("serviceUnavailableException", Code.BACKEND_ERROR),
        ("modelTimeoutException", Code.BACKEND_TIMEOUT),
        ("somethingNewException", Code.BACKEND_ERROR),
        ("None", Code.BACKEND_ERROR),
    ],
)
def test_a_failure_in_a_stream_is_read_by_its_kind(kind: str, code: Code) -> None:
    assert reported(kind, body("x")).code is code
    assert reported(kind, b"").code is code


def test_the_sentence_reaches_the_client_without_the_operators_account() -> None:
    message = "The value at arn:aws:bedrock:us-east-1:123456789012:thing/x of 123456789012 is wrong."
    assert answered(400, {}, body(message)).message == "The value at *** of *** is wrong."
    assert answered(400, {}, json.dumps({"Message": "Wrong."}).encode()).message == "Wrong."


def test_the_time_to_wait_is_kept() -> None:
    assert answered(429, {"retry-after": "3", "x-amzn-errortype": "ThrottlingException"}, body("x")).retry_after == 3


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b"{}", b"\xff", b'{"message":1}', b"[" * 99_999])
def test_what_has_no_error_in_it_goes_by_its_status_and_reports_none(text: bytes) -> None:
    assert answered(400, {}, text).code is Code.VALIDATION_ERROR
    assert answered(500, {}, text).code is Code.BACKEND_ERROR
    assert inside(text) is None


def test_a_failure_inside_an_answer_names_its_kind() -> None:
    found = inside(body("Slow down.", __type="ThrottlingException"))
    assert found is not None
    assert found.code is Code.BACKEND_RATE_LIMITED
