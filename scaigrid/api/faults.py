"""What Litestar refuses, in the words of the one table of codes."""

import re
from typing import Any

from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException

from scaigrid.errors import Code, Detail, GatewayError

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
_MISSING = re.compile(r"Missing required \w+ parameter '(?P<name>[^']{1,64})'")


def as_gateway_error(error: Exception) -> GatewayError:
    """The refusal that stands for `error`: a GatewayError as it is, Litestar's by status, INTERNAL_ERROR for the rest.

    Of Litestar's own texts only those about single fields are kept, as `details`: the others are not written for clients.
    INTERNAL_ERROR is raised `from` what it stands for, so that the log has the cause.
    """
    if isinstance(error, GatewayError):
        return error
    if not isinstance(error, HTTPException) or error.status_code >= 500 and error.status_code not in _BY_STATUS:
        return GatewayError(Code.INTERNAL_ERROR)
    code = _BY_STATUS.get(error.status_code, Code.VALIDATION_ERROR)
    if isinstance(error, MethodNotAllowedException):
        return GatewayError(code, headers=_allow(error))
    if isinstance(error, ValidationException):
        return GatewayError(code, details=_details(error))
    return GatewayError(code)


def _allow(error: HTTPException) -> tuple[tuple[bytes, bytes], ...]:
    """The methods that the path takes (RFC 9110, section 15.5.6), in a stable order."""
    for name, value in (error.headers or {}).items():
        if name.lower() == "allow":
            return ((b"allow", ", ".join(sorted(method.strip() for method in value.split(","))).encode("latin-1")),)
    return ()
