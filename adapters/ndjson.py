"""The framing of a stream of JSON lines: one value a line, and nothing else.

Source: the NDJSON specification, version 1. A line ends with LF or CRLF. The last one may lack its end: the value in
it is whole, or its reader will say that it is not.
"""

from collections.abc import Sequence
from typing import Final

from scaigrid.errors import Code, GatewayError
from scaigrid.sse import LIMIT

_LINE_END: Final = b"\n"


class Lines:
    """Cuts a byte stream into lines. One a stream."""

    __slots__ = ("_limit", "_overflow", "_rest")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._overflow = False

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        """The lines that `chunk` completes.

        Raises UPSTREAM_SHAPE_MISMATCH where one has more than `limit` bytes, after the lines ahead of it.
        """
        if self._overflow:
            raise self._too_large()
        rest = self._rest
        searched = len(rest)
        rest += chunk
        lines: list[bytes] = []
        start = 0
        while (end := rest.find(_LINE_END, searched)) >= 0:
            searched = end + 1
            if searched - start > self._limit:
                self._overflow = True
                break
            lines.append(bytes(rest[start:searched]))
            start = searched
        del rest[:start]
        if self._overflow or len(rest) > self._limit:
            self._overflow = True
            rest.clear()
            if not lines:
                raise self._too_large()
        return lines

    def close(self) -> bytes:
        """The line that had no end; empty where there is none. Raises as `feed` does."""
        if self._overflow:
            raise self._too_large()
        rest = bytes(self._rest)
        self._rest.clear()
        return rest

    def parse(self, event: bytes) -> tuple[str | None, bytes]:
        """A line has no name. One of white space alone has no data either."""
        return None, event.strip()

    def _too_large(self) -> GatewayError:
        return GatewayError(Code.UPSTREAM_SHAPE_MISMATCH, f"The provider sent a line of more than {self._limit} bytes.")
