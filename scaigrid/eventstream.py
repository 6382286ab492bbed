"""AWS event streams, sans-IO: a byte stream cut into whole messages, and one message taken apart.

Source: Amazon "Event stream encoding" (`application/vnd.amazon.eventstream`). A message is a prelude of twelve bytes
(its whole length, the length of its headers, a checksum of the two), the headers, a payload, and a checksum of all
that; numbers are big-endian. Both checksums are CRC-32, so what is handed on is what was sent.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID
from zlib import crc32

import msgspec

from scaigrid.errors import Code, GatewayError
from scaigrid.sse import LIMIT

Value = bool | int | bytes | str | UUID
"""What a header may hold. A time is a number of milliseconds since the epoch."""

_PRELUDE: Final = struct.Struct(">III")
_CHECKSUM: Final = 4
_LEAST: Final = _PRELUDE.size + _CHECKSUM


class Message(msgspec.Struct, frozen=True):
    """One message; the headers whose names begin with a colon are the protocol's own."""

    headers: Mapping[str, Value]
    payload: bytes


class Splitter:
    """Cuts a byte stream into whole messages. One splitter a stream.

    The messages are the stream's own bytes, with both checksums proved right.
    """

    __slots__ = ("_due", "_failure", "_limit", "_rest")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._due = 0
        self._failure: GatewayError | None = None

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        """The messages that `chunk` completes.

        Raises UPSTREAM_SHAPE_MISMATCH where the bytes are no event stream, or one message has more than `limit` of
        them, after the messages ahead of it.
        """
        if self._failure is not None:
            raise self._failure
        self._rest += chunk
        messages: list[bytes] = []
        start = 0
        try:
            while length := self._length(start):
                messages.append(_proved(bytes(self._rest[start : start + length])))
                start += length
                self._due = 0
        except GatewayError as failure:
            self._failure = failure
            self._rest.clear()
            if not messages:
                raise
            return messages
        del self._rest[:start]
        return messages

    def _length(self, start: int) -> int:
        """The length of the message that begins at `start`; 0 while it is not whole."""
        if not self._due:
            if len(self._rest) - start < _PRELUDE.size:
                return 0
            length, headers, checksum = _PRELUDE.unpack_from(self._rest, start)
            if crc32(self._rest[start : start + _PRELUDE.size - _CHECKSUM]) != checksum:
                raise _broken("a checksum is wrong")
            if length < _LEAST or headers > length - _LEAST:
                raise _broken("a length is impossible")
            if length > self._limit:
                raise GatewayError(
                    Code.UPSTREAM_SHAPE_MISMATCH, f"The provider sent an event of more than {self._limit} bytes."
                )
            self._due = length
        return self._due if len(self._rest) - start >= self._due else 0

    def close(self) -> bytes:
        """Nothing: a message that is not whole is none. Raises UPSTREAM_SHAPE_MISMATCH as `feed` does."""
        if self._failure is not None:
            raise self._failure
        self._rest.clear()
        return b""


def parse(message: bytes) -> Message:
    """The headers and the payload of one whole message. Raises UPSTREAM_SHAPE_MISMATCH for headers that are broken."""
    end = _PRELUDE.size + int.from_bytes(message[4:8], "big")
    headers: dict[str, Value] = {}
    place = _PRELUDE.size
    try:
        while place < end:
            name, place = _text(message, place, 1)
            headers[name], place = _TYPES[message[place]](message, place + 1)
    except (IndexError, struct.error, UnicodeDecodeError, ValueError):
        raise _broken("a header is damaged") from None
    if place != end:
        raise _broken("a header is longer than its place")
    return Message(headers, message[end:-_CHECKSUM])


# -- headers: a name, the number of a type, a value ------------------------------------------------------------------

_Reading = Callable[[bytes, int], tuple[Value, int]]


def _number(form: str) -> _Reading:
    layout = struct.Struct(form)

    def read(message: bytes, place: int) -> tuple[Value, int]:
        number: int = layout.unpack_from(message, place)[0]
        return number, place + layout.size

    return read


def _octets(message: bytes, place: int, width: int) -> tuple[bytes, int]:
    """Bytes behind their own length, which is `width` bytes wide. Raises ValueError where they are not all there."""
    start = place + width
    end = start + int.from_bytes(message[place:start], "big")
    if end > len(message):
        raise ValueError("longer than the message")
    return message[start:end], end


def _text(message: bytes, place: int, width: int = 2) -> tuple[str, int]:
    octets, end = _octets(message, place, width)
    return octets.decode(), end


_TYPES: Final[Sequence[_Reading]] = (
    lambda _, place: (True, place),
    lambda _, place: (False, place),
    _number(">b"),
    _number(">h"),
    _number(">i"),
    _number(">q"),
    lambda message, place: _octets(message, place, 2),
    _text,
    _number(">q"),
    lambda message, place: (UUID(bytes=message[place : place + 16]), place + 16),
)
"""How a value is read, by the number of its type."""


def _proved(message: bytes) -> bytes:
    if crc32(message[:-_CHECKSUM]) != int.from_bytes(message[-_CHECKSUM:], "big"):
        raise _broken("a checksum is wrong")
    return message


def _broken(reason: str) -> GatewayError:
    return GatewayError(Code.UPSTREAM_SHAPE_MISMATCH, f"The provider's event stream broke its own format: {reason}.")
