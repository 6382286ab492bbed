"""Which codes of ours a provider's recorded failure may become, by its status and what it says is wrong."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from scaigrid.errors import Code
from tests.conformance.wire import is_object

BROKEN: Final = frozenset({Code.UPSTREAM_SHAPE_MISMATCH})
"""An answer that is none, or that ends too early."""

_STATUSES: Final[Mapping[int, Code]] = {
    401: Code.BACKEND_ERROR,
    402: Code.BACKEND_ERROR,
    403: Code.BACKEND_ERROR,
    404: Code.BACKEND_ERROR,
    408: Code.BACKEND_TIMEOUT,
    413: Code.REQUEST_TOO_LARGE,
    429: Code.BACKEND_RATE_LIMITED,
    504: Code.BACKEND_TIMEOUT,
}
_FAILURES: Final = range(400, 600)
_CALLERS_FAULT: Final = frozenset({400, 422})
_CONTEXT: Final = re.compile(r"context|too long|too many tokens", re.IGNORECASE)
_CONTENT: Final = re.compile(r"content.?(?:filter|policy|management)|safety", re.IGNORECASE)
_MODEL: Final = re.compile(
    r"model_not_found|\bmodel\b.*(?:not (?:supported|found|available)|does not exist)", re.IGNORECASE
)


def codes(status: int | None, body: str) -> frozenset[Code]:
    """The codes for a failure of `status`; None for one inside of a stream, which may name its status itself.

    The model's name is the operator's affair: a provider that does not know it has failed. Any other 400 or 422 is
    the caller's own mistake, told more precisely where the provider's text allows it.
    """
    error = _error(body)
    if status is None:
        numbers = [error.get(name) for name in ("status_code", "status", "code")]
        status = next((number for number in numbers if isinstance(number, int) and number in _FAILURES), 500)
    if status not in _CALLERS_FAULT:
        return frozenset({_STATUSES.get(status, Code.BACKEND_ERROR)})
    text = json.dumps(error)
    if _MODEL.search(text):
        return frozenset({Code.BACKEND_ERROR})
    if _CONTEXT.search(text):
        return frozenset({Code.CONTEXT_TOO_LONG, Code.VALIDATION_ERROR})
    if _CONTENT.search(text):
        return frozenset({Code.CONTENT_REFUSED, Code.VALIDATION_ERROR})
    return frozenset({Code.VALIDATION_ERROR})


def _error(body: str) -> dict[str, Any]:
    try:
        whole = json.loads(body)
    except ValueError:
        return {}
    if not is_object(whole):
        return {}
    error = whole.get("error", whole)
    return error if is_object(error) else {"message": error}
