import gc
import weakref
from typing import get_args

import pytest

from scaigrid.errors import TABLE, Code, Detail, GatewayError, Level, Retry, let_go, told

PUBLISHED: dict[int, str] = {
    401: "AUTH_TOKEN_MISSING AUTH_TOKEN_INVALID SESSION_EXPIRED",
    403: "AUTHZ_PERMISSION_DENIED AUTH_INSUFFICIENT_SCOPE MODEL_ACCESS_DENIED TENANT_SUSPENDED ADDRESS_NOT_ALLOWED",
    404: "MODEL_NOT_FOUND BACKEND_NOT_FOUND PROVIDER_NOT_FOUND NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "SLUG_CONFLICT PROVIDER_HAS_BACKENDS MODEL_HAS_BACKENDS MANAGED_BY_CONFIG IDEMPOTENCY_IN_PROGRESS CONFLICT",
    412: "PRECONDITION_FAILED",
    413: "REQUEST_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "VALIDATION_ERROR UNSUPPORTED_BY_MODEL CONTEXT_TOO_LONG CONTENT_REFUSED IDEMPOTENCY_KEY_REUSED",
    429: "RATE_LIMITED BACKEND_RATE_LIMITED BUDGET_EXCEEDED QUOTA_EXCEEDED",
    499: "CLIENT_CLOSED",
    500: "INTERNAL_ERROR",
    502: "BACKEND_ERROR UPSTREAM_SHAPE_MISMATCH PROVIDER_DISCOVERY_ERROR",
    503: "MODEL_UNAVAILABLE OVERLOADED AUTH_BACKEND_UNAVAILABLE STORE_UNAVAILABLE",
    504: "BACKEND_TIMEOUT",
}
"""The contract's table, by status."""

REPEAT: dict[str, Retry] = {
    "IDEMPOTENCY_IN_PROGRESS": "after",
    "RATE_LIMITED": "after",
    "BACKEND_RATE_LIMITED": "after",
    "BACKEND_ERROR": "once",
    "MODEL_UNAVAILABLE": "later",
    "OVERLOADED": "later",
    "AUTH_BACKEND_UNAVAILABLE": "later",
    "STORE_UNAVAILABLE": "later",
    "BACKEND_TIMEOUT": "backoff",
}
"""The codes after which the contract says that a repeat may help."""

NOT_TO_BE_REPEATED = {
    "SLUG_CONFLICT",
    "PROVIDER_HAS_BACKENDS",
    "MODEL_HAS_BACKENDS",
    "MANAGED_BY_CONFIG",
    "CONFLICT",
    "BUDGET_EXCEEDED",
    "QUOTA_EXCEEDED",
    "INTERNAL_ERROR",
    "UPSTREAM_SHAPE_MISMATCH",
    "PROVIDER_DISCOVERY_ERROR",
}
"""Those that SDKs would repeat by themselves, because of their status, and must not."""

OPENAI_TYPES = {
    "authentication_error",
    "permission_error",
    "invalid_request_error",
    "rate_limit_error",
    "insufficient_quota",
    "server_error",
}


@pytest.mark.parametrize("status", PUBLISHED)
def test_a_published_code_keeps_its_spelling_and_its_status(status: int) -> None:
    assert [code for code in Code if TABLE[code].status == status] == PUBLISHED[status].split()


def test_the_table_has_one_row_for_every_code() -> None:
    assert list(TABLE) == list(Code)
    assert [code for code in Code if code.name != code.value] == []


@pytest.mark.parametrize("code", Code)
def test_a_repeat_may_help_where_the_contract_says_so(code: Code) -> None:
    assert TABLE[code].retry == REPEAT.get(code, "no")


@pytest.mark.parametrize("code", Code)
def test_a_row_has_a_sentence_and_a_type_that_openai_clients_know(code: Code) -> None:
    row = TABLE[code]
    assert row.message[0].isupper()
    assert row.message.endswith(".")
    assert row.openai_type in OPENAI_TYPES


def test_an_openai_type_goes_with_its_status() -> None:
    of = {401: "authentication_error", 403: "permission_error", 499: "invalid_request_error"}
    for row in TABLE.values():
        if row.status != 429:
            expected = "server_error" if row.status >= 500 else of.get(row.status, "invalid_request_error")
            assert row.openai_type == expected


def test_an_error_says_what_its_row_says() -> None:
    error = GatewayError(Code.MODEL_NOT_FOUND)
    assert (error.code, error.status, error.message) == (Code.MODEL_NOT_FOUND, 404, "There is no such model.")
    assert (error.details, error.retry_after, error.level, error.headers) == ((), None, None, ())
    assert str(error) == "MODEL_NOT_FOUND: There is no such model."


def test_an_error_carries_what_its_raiser_adds() -> None:
    details = (Detail("messages[0].role", "is not one of system, user, assistant, tool"),)
    error = GatewayError(Code.VALIDATION_ERROR, "Look at the details.", details=details, level="key")
    assert (error.message, error.details, error.level) == ("Look at the details.", details, "key")
    assert str(error) == "VALIDATION_ERROR: Look at the details."


def test_the_levels_are_those_of_the_contract() -> None:
    assert set(get_args(Level)) == {"partner", "tenant", "user", "key", "model", "group"}


@pytest.mark.parametrize("code", Code)
def test_sdks_are_told_not_to_repeat_what_cannot_help(code: Code) -> None:
    told = (b"x-should-retry", b"false") in GatewayError(code).response_headers()
    assert told == (code in NOT_TO_BE_REPEATED)


@pytest.mark.parametrize("code", Code)
def test_an_answer_with_401_asks_for_a_bearer_token(code: Code) -> None:
    asked = (b"www-authenticate", b'Bearer realm="scaigrid"') in GatewayError(code).response_headers()
    assert asked == (TABLE[code].status == 401)


@pytest.mark.parametrize("seconds", [0, 1, 3600])
def test_retry_after_is_a_header_in_whole_seconds(seconds: int) -> None:
    error = GatewayError(Code.RATE_LIMITED, retry_after=seconds)
    assert error.response_headers() == [(b"retry-after", str(seconds).encode())]


def test_headers_of_the_raiser_come_first_and_stay_theirs() -> None:
    allow = (b"allow", b"GET, POST")
    error = GatewayError(Code.METHOD_NOT_ALLOWED, headers=(allow,), retry_after=1)
    assert error.response_headers() == [allow, (b"retry-after", b"1")]
    assert error.response_headers() == [allow, (b"retry-after", b"1")]
    assert error.headers == (allow,)


def test_an_error_that_is_let_go_of_holds_nothing_of_what_it_was_raised_through() -> None:
    """Not even by what it was raised for, however often that was raised for something else."""

    class Body:
        pass

    body = Body()
    watched = weakref.ref(body)

    def fails(held: Body) -> None:
        try:
            raise ValueError("one")
        except ValueError as error:
            raise GatewayError(Code.VALIDATION_ERROR) from error

    gc.disable()
    try:
        kept: list[GatewayError] = []
        try:
            fails(body)
        except GatewayError as error:
            kept.append(error)
        del body
        assert watched() is not None
        let_go(kept[0])
        assert watched() is None
        assert kept[0].__cause__ is kept[0].__context__ is None
    finally:
        gc.enable()


def test_a_ring_of_errors_is_let_go_of_too() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    let_go(one)
    assert one.__context__ is other.__context__ is None


def test_only_our_own_words_are_told() -> None:
    own = GatewayError(Code.RATE_LIMITED)
    assert told(own) is own
    assert (told(ZeroDivisionError("of the inside")).code, told(KeyboardInterrupt()).code) == (Code.INTERNAL_ERROR,) * 2
