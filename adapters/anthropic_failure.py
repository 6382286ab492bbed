"""What went wrong, in Anthropic's error shape: in a status, a body or a stream.

Source: Anthropic API reference, "Errors". `{"type": "error", "error": {"type", "message"}, "request_id"}`.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from adapters.failures import Said, meaning
from scaigrid.errors import GatewayError


class _Error(msgspec.Struct):
    type: str = ""
    message: str | None = None


class _Body(msgspec.Struct):
    type: str = ""
    error: _Error | None = None


_body: Final = msgspec.json.Decoder(_Body)


def answered(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """What an answer other than 2xx means."""
    return meaning(_said(_read(body)), status, headers)


def reported(body: bytes) -> GatewayError | None:
    """The failure in a body or an event of an answer that began with 200; None where it is no error object."""
    found = _read(body)
    return meaning(_said(found)) if found.error is not None else None


def _read(body: bytes) -> _Body:
    try:
        return _body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Body()


def _said(body: _Body) -> Said:
    error = body.error or _Error()
    return Said(words=(error.type,) if error.type else (), message=error.message)
