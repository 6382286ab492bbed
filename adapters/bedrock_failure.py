"""What went wrong, in the words of AWS: in a status, a header, a body or a stream.

Source: Amazon Bedrock API reference, "ConverseStream", "Common errors". The kind stands in the header
`x-amzn-errortype`, in the body's `__type`, or in the name of an exception in a stream; the body has a `message`.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from adapters.failures import Said, meaning
from scaigrid.errors import GatewayError


class _Body(msgspec.Struct):
    message: str | None = None
    capital: str | None = msgspec.field(name="Message", default=None)
    type: str | None = msgspec.field(name="__type", default=None)


_body: Final = msgspec.json.Decoder(_Body)

_WORDS: Final[Mapping[str, str]] = {
    "throttlingexception": "rate_limit_exceeded",
    "toomanyrequestsexception": "rate_limit_exceeded",
    "servicequotaexceededexception": "rate_limit_exceeded",
    "modeltimeoutexception": "timeout",
    "modelnotreadyexception": "overloaded_error",
    "serviceunavailableexception": "overloaded_error",
    "internalserverexception": "api_error",
    "internalfailure": "api_error",
    "modelerrorexception": "api_error",
    "modelstreamerrorexception": "api_error",
    # The operator's account, key, region or model; the caller can do nothing about any of them.
    "accessdeniedexception": "permission_error",
    "notauthorized": "permission_error",
    "optinrequired": "permission_error",
    "expiredtokenexception": "authentication_error",
    "expiredtoken": "authentication_error",
    "requestexpired": "authentication_error",
    "unrecognizedclientexception": "authentication_error",
    "invalidsignatureexception": "authentication_error",
    "incompletesignature": "authentication_error",
    "incompletesignatureexception": "authentication_error",
    "missingauthenticationtokenexception": "authentication_error",
    "invalidclienttokenid": "authentication_error",
    "resourcenotfoundexception": "model_not_found",
}
"""AWS's word -> one of those that `adapters.failures` knows."""
_VALIDATION: Final = "validationexception"
_SENTENCES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (
        re.compile(
            r"model identifier is invalid|on-demand throughput|inference profile|end of its life|access to the model"
            r"|(?:does not|doesn.t) support (?:the )?(?:converse|model)|not available in (?:this|your) region",
            re.IGNORECASE,
        ),
        "model_not_found",
    ),
    (
        re.compile(
            r"\b(?:input|prompt|request|messages?|conversation)\b.{0,40}\btoo long\b|input tokens exceeded"
            r"|number of input tokens exceeds|exceeds the maximum (?:context|input)",
            re.IGNORECASE,
        ),
        "context_length_exceeded",
    ),
)
"""What is only told in words, inside a ValidationException."""
_ACCOUNT: Final = re.compile(r"\barn:aws[\w-]*:\S+|\b\d{12}\b")
"""A resource of the operator's, or its account."""


def answered(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """What an answer other than 2xx means. Names of `headers` are lower case."""
    found = _read(body)
    return meaning(_said(headers.get("x-amzn-errortype") or found.type or "", found, status), status, headers)


def reported(kind: str, body: bytes) -> GatewayError:
    """The failure that a stream tells of in an exception of this `kind`."""
    return meaning(_said(kind, _read(body), None))


def inside(body: bytes) -> GatewayError | None:
    """The failure in the body of an answer that began with 200; None where it names none."""
    found = _read(body)
    return meaning(_said(found.type, found, None)) if found.type else None


def _read(body: bytes) -> _Body:
    try:
        return _body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Body()


def _said(kind: str, body: _Body, status: int | None) -> Said:
    # `com.amazon.coral.service#ValidationException`, `ValidationException:http://...`
    kind = kind.rpartition("#")[2].partition(":")[0].strip().lower()
    message = body.message or body.capital
    words = [_WORDS[kind]] if kind in _WORDS else []
    if not words and message and (kind == _VALIDATION or status == 400):
        words = [word for pattern, word in _SENTENCES if pattern.search(message)][:1]
    return Said(
        words=tuple(words),
        message=_ACCOUNT.sub("***", message) if message else None,
        status=400 if kind == _VALIDATION else None,
    )
