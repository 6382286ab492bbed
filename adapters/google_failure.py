"""What went wrong, in Google's error shape: in a status, a body or a stream.

Source: Google Cloud APIs, "Errors" (google.rpc.Status, ErrorInfo, RetryInfo, BadRequest). `{"error": {"code",
"message", "status", "details": []}}`; a call for a JSON array has it as the array's only element.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from adapters.failures import Said, meaning
from adapters.wire import is_list, is_object
from scaigrid.errors import GatewayError

_HTTP_STATUS: Final = range(400, 600)
_WORDS: Final[Mapping[str, str]] = {
    # The operator's key, project or address: the caller can do nothing about any of them.
    "API_KEY_INVALID": "invalid_api_key",
    "API_KEY_EXPIRED": "invalid_api_key",
    "API_KEY_SERVICE_BLOCKED": "permission_error",
    "ACCESS_TOKEN_EXPIRED": "authentication_error",
    "SERVICE_DISABLED": "permission_error",
    "BILLING_DISABLED": "billing_not_active",
    "CONSUMER_INVALID": "permission_error",
    "CONSUMER_SUSPENDED": "account_deactivated",
    "UNAUTHENTICATED": "authentication_error",
    "PERMISSION_DENIED": "permission_error",
    # "User location is not supported for the API use", "Billing account not configured" ...
    "FAILED_PRECONDITION": "api_error",
    "RESOURCE_EXHAUSTED": "rate_limit_error",
    "DEADLINE_EXCEEDED": "timeout_error",
    "UNAVAILABLE": "overloaded_error",
    "INTERNAL": "server_error",
}
"""Google's words -> those that every provider's failures are read by."""
_SECONDS: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def answered(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """What an answer other than 2xx means."""
    return _meaning(_error(body), status, headers)


def reported(body: bytes | msgspec.Raw) -> GatewayError | None:
    """The failure in a body or an event of an answer that began with 200; None where it is no error object."""
    error = _error(body)
    return _meaning(error, None, {}) if error else None


def blocked(message: str | None) -> GatewayError:
    """CONTENT_REFUSED: the prompt was not let through to the model."""
    return meaning(Said(words=("content_filter",), message=message))


def _error(body: bytes | msgspec.Raw) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if is_list(value) and value:
        value = value[0]
    error = value.get("error") if is_object(value) else None
    if isinstance(error, str):
        return {"message": error}
    return error if is_object(error) else {}


def _meaning(error: dict[str, Any], status: int | None, headers: Mapping[str, str]) -> GatewayError:
    details = [detail for detail in _list(error.get("details")) if is_object(detail)]
    words = (*(detail.get("reason") for detail in details), error.get("status"))
    code, message = error.get("code"), error.get("message")
    said = Said(
        words=tuple(_WORDS.get(word, word) for word in words if isinstance(word, str)),
        message=message if isinstance(message, str) else None,
        field=next(_fields(details), None),
        status=code if isinstance(code, int) and code in _HTTP_STATUS else None,
    )
    return meaning(said, status, {**_retry_info(details), **headers})


def _fields(details: list[dict[str, Any]]) -> Iterator[str]:
    for detail in details:
        for violation in _list(detail.get("fieldViolations")):
            field = violation.get("field") if is_object(violation) else None
            if isinstance(field, str) and field:
                yield field


def _retry_info(details: list[dict[str, Any]]) -> dict[str, str]:
    """When to come again, as the header that says it: Google says it in the body (`"retryDelay": "34.07s"`)."""
    for detail in details:
        delay = detail.get("retryDelay")
        found = _SECONDS.fullmatch(delay) if isinstance(delay, str) else None
        if found is not None:
            return {"retry-after": found[1]}
    return {}


def _list(value: Any) -> list[Any]:
    return value if is_list(value) else []
