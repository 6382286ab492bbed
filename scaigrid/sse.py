"""Server-sent events, sans-IO: a byte stream cut into whole events, one event taken apart, and an event's bytes.

Source: WHATWG HTML, section 9.2 "Server-sent events". A line ends with LF, CRLF or CR and a blank line ends an event;
lines that start with a colon are comments; several `data` lines are one text with line feeds between them. The field
names `id` and `retry` concern a browser that connects again, and no provider or client of a gateway does.
"""

import re
from collections.abc import Sequence
from typing import Final

from scaigrid.errors import Code, GatewayError

LIMIT: Final = 8 * 1024 * 1024
"""Bytes that one event may have, where nobody says otherwise."""

COMMENT: Final = b": keep-alive\n\n"
"""Says nothing, to anybody, wherever it stands between two events."""

_BOM: Final = b"\xef\xbb\xbf"
# A CR at the end of what has come counts as a line end at once. If the LF of a CRLF follows, it stands ahead of the
# next event as one more blank line, so that no byte is lost and no event waits for the one after it.
_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_LONGEST_PART_OF_A_BLANK_LINE: Final = 3


class Splitter:
    """Cuts a byte stream into whole events. One splitter a stream.

    The events are the stream's own bytes with their line ends, each up to and with its blank line: put together again
    they are what was fed, but for a byte order mark at the start. Blank lines too many stand ahead of the next event.
    """

    __slots__ = ("_at_rest", "_begun", "_limit", "_overflow", "_rest")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._begun = False
        self._at_rest = False
        self._overflow = False

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        """The events that `chunk` completes.

        Raises UPSTREAM_SHAPE_MISMATCH where one event has more than `limit` bytes, after the events ahead of it.
        """
        size = len(chunk)
        if self._at_rest and chunk.endswith(b"\n\n") and chunk.find(b"\r") < 0 and size <= self._limit:
            # What a provider does nearly always: whole events in a chunk, one of them mostly, of one line mostly.
            # To look for one byte is several times cheaper than to look for two.
            if chunk.find(b"\n") == size - 2 or chunk.find(b"\n\n") == size - 2:
                return (chunk,)
            return [event + b"\n\n" for event in chunk[:-2].split(b"\n\n")]
        return self._feed(chunk)

    def _feed(self, chunk: bytes) -> Sequence[bytes]:
        if self._overflow:
            raise self._too_large()
        rest = self._rest
        searched = max(0, len(rest) - _LONGEST_PART_OF_A_BLANK_LINE)
        rest += chunk
        if not self._begun:
            if len(rest) < len(_BOM) and _BOM.startswith(rest):
                return ()
            self._begun = True
            if rest.startswith(_BOM):
                del rest[: len(_BOM)]
            searched = 0
        events: list[bytes] = []
        start = 0
        while match := _BLANK_LINE.search(rest, searched):
            searched = match.end()
            if searched - start > self._limit:
                self._overflow = True
                break
            events.append(bytes(rest[start:searched]))
            start = searched
        del rest[:start]
        self._at_rest = not rest
        if self._overflow or len(rest) > self._limit:
            self._overflow = True
            rest.clear()
            if not events:
                raise self._too_large()
        return events

    def close(self) -> bytes:
        """What is left over where the stream ends without a blank line; empty where it does not.

        The standard drops it. Here the reader decides, since a provider may leave out the last line end of a stream
        that is otherwise complete. Raises UPSTREAM_SHAPE_MISMATCH as `feed` does.
        """
        if self._overflow:
            raise self._too_large()
        rest = bytes(self._rest)
        self._rest.clear()
        return rest

    def _too_large(self) -> GatewayError:
        return GatewayError(
            Code.UPSTREAM_SHAPE_MISMATCH, f"The provider sent an event of more than {self._limit} bytes."
        )


def parse(event: bytes) -> tuple[str | None, bytes]:
    """The name and the data of one whole event; the data of a comment, or of nothing but blank lines, is empty."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and event.find(b"\r") < 0:
        return None, event[6:-2]
    name: bytes | None = None
    data: list[bytes] = []
    for line in event.splitlines():
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return (name.decode("utf-8", "replace") or None) if name is not None else None, b"\n".join(data)


def frame(data: bytes, event: str | None = None) -> bytes:
    """One event: `data` as it is, on as many lines as it has, under the name `event` where one is given."""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    if event is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"


def with_data(event: bytes, data: bytes) -> bytes:
    """The same event with other data: its name, comments and other fields stay, ahead of the data."""
    kept = [line for line in event.splitlines() if line and line.partition(b":")[0] != b"data"]
    return b"".join(line + b"\n" for line in kept) + frame(data)
