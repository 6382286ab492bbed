"""What a provider's refusal means to the caller, the same for every provider.

A provider says what is wrong by a status, a word of its own (`context_length_exceeded`), a field and a sentence. The
word decides where it is one that we know, then the status, then, for the few things that many providers only tell in
words, the sentence. The sentence itself reaches the client only where the fault is the caller's, and then without
anything that looks like a key, an address or an account: what concerns the operator's account stays with the operator.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from math import ceil, isfinite
from typing import Final

import msgspec

from scaigrid.errors import Code, Detail, GatewayError

LONGEST_MESSAGE: Final = 500
_LONGEST_READ: Final = 2000
_LONGEST_RETRY_AFTER: Final = 24 * 60 * 60


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider said about a failure, picked out of its own error shape."""

    words: tuple[str, ...] = ()
    """Its codes and types, the most telling first."""
    message: str | None = None
    field: str | None = None
    """The request field that it blames."""
    status: int | None = None
    """An HTTP status inside the body, where the answer's own said 200 already."""


_WORDS: Final[Mapping[str, Code]] = {
    "context_length_exceeded": Code.CONTEXT_TOO_LONG,
    "model_context_window_exceeded": Code.CONTEXT_TOO_LONG,
    "content_filter": Code.CONTENT_REFUSED,
    "content_policy_violation": Code.CONTENT_REFUSED,
    "moderation_blocked": Code.CONTENT_REFUSED,
    "invalid_prompt": Code.CONTENT_REFUSED,
    "responsibleaipolicyviolation": Code.CONTENT_REFUSED,
    "request_too_large": Code.REQUEST_TOO_LARGE,
    "rate_limit_exceeded": Code.BACKEND_RATE_LIMITED,
    "rate_limit_error": Code.BACKEND_RATE_LIMITED,
    "timeout": Code.BACKEND_TIMEOUT,
    "timeout_error": Code.BACKEND_TIMEOUT,
    # The operator's account, key or model name; the caller can do nothing about any of them.
    "insufficient_quota": Code.BACKEND_ERROR,
    "billing_hard_limit_reached": Code.BACKEND_ERROR,
    "billing_not_active": Code.BACKEND_ERROR,
    "billing_error": Code.BACKEND_ERROR,
    "account_deactivated": Code.BACKEND_ERROR,
    "invalid_api_key": Code.BACKEND_ERROR,
    "authentication_error": Code.BACKEND_ERROR,
    "permission_error": Code.BACKEND_ERROR,
    "model_not_found": Code.BACKEND_ERROR,
    "model_not_active": Code.BACKEND_ERROR,
    "unsupported_model": Code.BACKEND_ERROR,
    "api_error": Code.BACKEND_ERROR,
    "server_error": Code.BACKEND_ERROR,
    "overloaded_error": Code.BACKEND_ERROR,
}
_STATUSES: Final[Mapping[int, Code]] = {
    400: Code.VALIDATION_ERROR,
    408: Code.BACKEND_TIMEOUT,
    413: Code.REQUEST_TOO_LARGE,
    422: Code.VALIDATION_ERROR,
    429: Code.BACKEND_RATE_LIMITED,
    504: Code.BACKEND_TIMEOUT,
    524: Code.BACKEND_TIMEOUT,
}
_SENTENCES: Final[tuple[tuple[re.Pattern[str], Code], ...]] = (
    (
        re.compile(
            r"maximum context length|context (?:length|window|limit)|prompt is too long|input is too long"
            r"|too many (?:input )?tokens|exceeds? the (?:maximum|model'?s?) (?:number of|input) tokens"
            r"|maximum number of tokens allowed",
            re.IGNORECASE,
        ),
        Code.CONTEXT_TOO_LONG,
    ),
    (re.compile(r"content (?:filter|management policy|polic)|safety system", re.IGNORECASE), Code.CONTENT_REFUSED),
    (
        re.compile(
            r"\bmodel:? \S+ (?:is not supported|is not available|does not exist|was not found|not found)"
            r"|is not a valid model|\bapi key\b|credit balance|\bbilling\b|exceeded your current quota",
            re.IGNORECASE,
        ),
        Code.BACKEND_ERROR,
    ),
)
_TOLD: Final = frozenset({Code.VALIDATION_ERROR, Code.CONTEXT_TOO_LONG, Code.CONTENT_REFUSED})
_LATER: Final = frozenset({Code.BACKEND_RATE_LIMITED, Code.BACKEND_ERROR})


def meaning(said: Said, status: int | None = None, headers: Mapping[str, str] | None = None) -> GatewayError:
    """The error for a provider's answer of `status`, or for a failure inside an answer that began well (None).

    `headers` by lower-case name: `retry-after` goes into `retry_after`.
    """
    status = status or said.status
    code = _code(said, status)
    retry_after = _retry_after(headers) if headers is not None and code in _LATER else None
    if code not in _TOLD:
        return GatewayError(code, retry_after=retry_after)
    message = scrubbed(said.message) if said.message else ""
    if not message:
        return GatewayError(code, "The provider refused the request." if code is Code.VALIDATION_ERROR else None)
    blamed = said.field if code is Code.VALIDATION_ERROR else None
    details = (Detail(scrubbed(blamed), "is refused by the provider"),) if blamed else ()
    return GatewayError(code, message, details=details)


def _code(said: Said, status: int | None) -> Code:
    # Who is refused by name is told nothing of why, whatever else the answer holds.
    if status in (401, 402, 403):
        return Code.BACKEND_ERROR
    for word in said.words:
        known = _WORDS.get(word.lower())
        if known is not None:
            return known
    if status == 404:
        # A file or a batch of the caller's may be missing. A missing model, or a missing path, is the operator's.
        return Code.VALIDATION_ERROR if said.field and said.field != "model" else Code.BACKEND_ERROR
    if status is None and "invalid_request_error" in said.words:
        status = 400
    code = _STATUSES.get(status, Code.BACKEND_ERROR) if status is not None else Code.BACKEND_ERROR
    if code is not Code.VALIDATION_ERROR:
        return code
    if said.field == "model":
        return Code.BACKEND_ERROR
    message = said.message or ""
    return next((found for pattern, found in _SENTENCES if pattern.search(message[:_LONGEST_READ])), code)


def _retry_after(headers: Mapping[str, str]) -> int | None:
    """Whole seconds, rounded up, of `retry-after-ms`, or of `retry-after` as seconds or as a date (RFC 9110, 10.2.3).

    A date is counted from the answer's own `date`, so that no clock has to agree with the provider's.
    """
    seconds = _number(headers.get("retry-after-ms"), 0.001)
    text = headers.get("retry-after")
    if seconds is None:
        seconds = _number(text, 1.0)
    if seconds is None and text is not None and "date" in headers:
        try:
            seconds = (parsedate_to_datetime(text) - parsedate_to_datetime(headers["date"])).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return None if seconds is None else min(max(ceil(seconds), 0), _LONGEST_RETRY_AFTER)


def _number(text: str | None, unit: float) -> float | None:
    try:
        value = float(text) * unit if text is not None else None
    except ValueError:
        return None
    return value if value is not None and isfinite(value) else None


_MASK: Final = "***"
_SECRET: Final = re.compile(
    r"""
      \bhttps?://\S+                                              # an address
    | \b(?:[\w-]+\.)+[a-z]{2,}/\S*                                # one without its scheme
    | \b[\w.+-]+@[\w-]+(?:\.[\w-]+)+                              # a person
    | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b                        # a machine
    | \bbearer\s+\S+                                              # a header
    | \b(?:sk|pk|rk|sgk|gsk|xai|hf|org|proj|acct|sess)[-_][\w*.-]{8,}   # keys and accounts known by how they begin
    | \b(?:key|user|account|project|req|organization)[-_][\w*.-]*[\d*][\w*.-]*
    | \b(?:AKIA|ASIA|AIza|ya29\.|eyJ)[\w.-]+
    | \b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{20,}                  # anything long with letters and digits
    """,
    re.VERBOSE | re.IGNORECASE,
)
_UNPRINTED: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def scrubbed(text: str) -> str:
    """`text` on one line, at most LONGEST_MESSAGE characters of it, with `***` for what may name or admit somebody."""
    text = _UNPRINTED.sub(" ", text[:_LONGEST_READ]).strip()
    text = _SECRET.sub(_MASK, text)
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
