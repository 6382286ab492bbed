"""What went wrong, in the error shapes of those who speak the OpenAI protocol: in a status, a body or a stream."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from adapters.failures import Said, meaning
from adapters.wire import is_object
from scaigrid.errors import GatewayError

_HTTP_STATUS: Final = range(400, 600)


def answered(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """What an answer other than 2xx means."""
    return meaning(_said(_object(body)), status, headers)


def reported(body: bytes | msgspec.Raw) -> GatewayError | None:
    """The failure in a body or an event of an answer that began with 200; None where it is no error object."""
    whole = _object(body)
    error = whole.get("error")
    return meaning(_said(whole)) if isinstance(error, str | dict) and error else None


def named_error(data: bytes) -> GatewayError:
    """The failure in an event that is named `error`, whatever its shape."""
    return meaning(_said(_object(data)))


def _object(body: bytes | msgspec.Raw) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if is_object(value) else {}


def _said(whole: dict[str, Any]) -> Said:
    """`{"error": {message, type, param, code}}`, and what others make of it.

    A string for an object; no `error` around it; FastAPI's `detail`; a number for the code (OpenRouter), or beside it
    (Groq's `status_code`).
    """
    found = whole.get("error", whole)
    error = found if is_object(found) else {"message": found}
    inner = error.get("innererror")
    words = (error.get("code"), inner.get("code") if is_object(inner) else None, error.get("type"))
    numbers = (error.get("status_code"), error.get("code"), error.get("status"))
    param = error.get("param")
    return Said(
        words=tuple(word for word in words if isinstance(word, str)),
        message=_message(error),
        field=param if isinstance(param, str) and param else None,
        status=next((found for number in numbers if (found := _status(number)) is not None), None),
    )


def _message(error: dict[str, Any]) -> str | None:
    for name in ("message", "detail", "error"):
        match error.get(name):
            case str() as text if text:
                return text
            case [{"msg": str() as text}, *_]:
                return text
            case _:
                pass
    return None


def _status(number: object) -> int | None:
    if isinstance(number, str) and re.fullmatch(r"\d{3}", number):
        number = int(number)
    return number if isinstance(number, int) and number in _HTTP_STATUS else None
