"""What went wrong, in Cohere's error shape: in a status, a body or a stream.

Source: Cohere API reference, "Errors". `{"id", "message"}`, and no word beside the sentence: the status has to tell.
498 says that what was asked, or what was answered, is blocked.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from adapters.failures import Said, meaning
from scaigrid.errors import GatewayError

_BLOCKED: Final = 498


class _Error(msgspec.Struct):
    type: str = ""
    message: str | None = None


class _Body(msgspec.Struct):
    """`error` is what gateways in front of Cohere's models wrap the sentence in."""

    message: str | None = None
    error: _Error | str | None = None


_body: Final = msgspec.json.Decoder(_Body)


def answered(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """What an answer other than 2xx means."""
    said = _said(_read(body))
    if status == _BLOCKED and said.message is not None and "blocked" in said.message.lower():
        return meaning(Said(words=("content_filter",), message=said.message), status, headers)
    return meaning(said, status, headers)


def reported(body: bytes) -> GatewayError | None:
    """The failure in a body or an event of an answer that began with 200; None where it is no error object."""
    found = _read(body)
    return None if found.message is None and found.error is None else meaning(_said(found))


def told(message: str | None) -> GatewayError:
    """The failure that an answer tells at its end, in a sentence at most."""
    return meaning(Said(message=message))


def _read(body: bytes) -> _Body:
    try:
        return _body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Body()


def _said(body: _Body) -> Said:
    match body.error:
        case _Error(type=kind, message=message):
            return Said(words=(kind,) if kind else (), message=message)
        case str() as message:
            return Said(message=message)
        case None:
            return Said(message=body.message)
