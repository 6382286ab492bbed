"""What Litestar refuses, in the words of the one table of codes."""

import re
from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException

from scaigrid.errors import Code, Detail, GatewayError

MOST = 50
"""No more details than this: the sender of a thousand faults needs no list of them."""

_BY_STATUS = {
    401: Code.AUTH_TOKEN_INVALID,
    403: Code.AUTHZ_PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.REQUEST_TOO_LARGE,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
    429: Code.RATE_LIMITED,
    503: Code.OVERLOADED,
}
_LONGEST_NAME = 64
_MISSING = re.compile(r"Missing required \w+ parameter '([^']+)'")


class _Entry(msgspec.Struct):
    """One fault as Litestar lists it in `extra`."""

    message: str
    key: str = "request"


def as_gateway_error(error: Exception) -> GatewayError:
    """The refusal that stands for `error`: a GatewayError as it is, Litestar's by status, INTERNAL_ERROR for the rest.

    Of Litestar's own texts only those about single fields are kept, as `details`; the others are not written for
    clients.
    """
    if isinstance(error, GatewayError):
        return error
    if not isinstance(error, HTTPException):
        return GatewayError(Code.INTERNAL_ERROR)
    otherwise = Code.INTERNAL_ERROR if error.status_code >= 500 else Code.VALIDATION_ERROR
    code = _BY_STATUS.get(error.status_code, otherwise)
    if isinstance(error, MethodNotAllowedException):
        return GatewayError(code, headers=_allow(error.headers or {}))
    if isinstance(error, ValidationException):
        return GatewayError(code, details=tuple(_details(error)))
    return GatewayError(code)


def surface(_request: Request[Any, Any, Any], error: Exception) -> NoReturn:
    """Litestar's handler for every exception: raises what `error` stands for, so that the link `errors` renders it.

    What nobody expected is raised as it is, for that link writes its traceback to the log.
    """
    refusal = as_gateway_error(error)
    if refusal is error or refusal.code is Code.INTERNAL_ERROR:
        raise error
    raise refusal from error


def _allow(headers: dict[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """The methods that the path takes (RFC 9110, section 15.5.6), in a stable order."""
    for name, value in headers.items():
        if name.lower() == "allow":
            methods = sorted(method.strip() for method in value.split(","))
            return ((b"allow", ", ".join(methods).encode("latin-1")),)
    return ()


def _details(error: ValidationException) -> Iterable[Detail]:
    missing = _MISSING.search(error.detail)
    if missing is not None:
        yield Detail(missing[1][:_LONGEST_NAME], "is required")
    for given in list(error.extra or ())[:MOST]:
        try:
            entry = msgspec.convert(given, _Entry)
        except msgspec.ValidationError:
            continue
        yield Detail(entry.key[:_LONGEST_NAME], entry.message)
