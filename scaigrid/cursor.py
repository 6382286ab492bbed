"""Opaque cursors: where in a sorted list the next page begins, by value, so that rows may come and go in between."""

from base64 import b64decode, urlsafe_b64encode
from typing import Generic, TypeVar

import msgspec

from scaigrid.errors import Code, Detail, GatewayError

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


class Cursor(Generic[T]):
    """Writes and reads the positions of one kind of list: what its last row is sorted by."""

    __slots__ = ("_decode",)

    def __init__(self, position: type[T]) -> None:
        self._decode = msgspec.json.Decoder(position).decode

    def write(self, position: T) -> str:
        return urlsafe_b64encode(_encode(position)).rstrip(b"=").decode("ascii")

    def read(self, text: str | None) -> T | None:
        """The position; None where the caller has none. Raises VALIDATION_ERROR for what was never written."""
        if text is None:
            return None
        try:
            return self._decode(b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        except (ValueError, msgspec.DecodeError):
            unknown = Detail("cursor", "is not the next_cursor of a page")
            raise GatewayError(Code.VALIDATION_ERROR, details=(unknown,)) from None
