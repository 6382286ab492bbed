"""How streams of Gemini's answers are cut: server-sent events, or the elements of one JSON array.

Source: Gemini API reference, "streamGenerateContent". The array comes where somebody on the way has left out
`alt=sse`; its elements are what the events hold. Neither form says that it is over but by its end.
"""

import re
from collections.abc import Sequence
from typing import Final, Protocol

from adapters.events import Reader, ServerSent, Streamed
from adapters.wire import broken
from scaigrid import sse
from scaigrid.types import Event

_BLANK: Final = b" \t\r\n"
_MARK: Final = re.compile(rb'["\\\[\]{}]')


class Ending(Reader, Protocol):
    """A reader that has something to say once the stream is over."""

    def end(self) -> Sequence[Event]:
        """The last events. Raises UPSTREAM_SHAPE_MISMATCH where more was due."""
        ...


class UntilClosed(Streamed):
    """The decoder of a stream that ends where its bytes end."""

    __slots__ = ("_ending",)

    def __init__(self, reader: Ending) -> None:
        super().__init__(reader, Framed())
        self._ending = reader

    def close(self) -> Sequence[Event]:
        if self._failure is not None:
            raise self._failure
        found: list[Event] = []
        if rest := self._framing.close():
            self._take(rest, found)
        if not self._begun:
            raise self.cut_short()
        return [*found, *self._ending.end()]


class Framed:
    """The framing of either form, by the first byte that is not blank."""

    __slots__ = ("_form",)

    def __init__(self) -> None:
        self._form: ServerSent | _Array | None = None

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        if self._form is None:
            begun = chunk.lstrip(_BLANK)
            if not begun:
                return ()
            self._form = _Array() if begun.startswith(b"[") else ServerSent()
        return self._form.feed(chunk)

    def close(self) -> bytes:
        return b"" if self._form is None else self._form.close()

    def parse(self, event: bytes) -> tuple[str | None, bytes]:
        return (None, event) if isinstance(self._form, _Array) else sse.parse(event)


class _Array:
    """The objects of one JSON array, each as soon as it is whole. What follows the array is nothing to it."""

    __slots__ = ("_depth", "_in_text", "_rest", "_searched", "_start")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0
        self._depth = 0
        self._in_text = False
        self._start: int | None = None

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        self._rest += chunk
        found: list[bytes] = []
        while mark := _MARK.search(self._rest, self._searched):
            self._searched = mark.end()
            self._step(mark[0], mark.start(), found)
        self._searched = max(self._searched, len(self._rest))
        self._forget(len(self._rest) if self._start is None else self._start)
        if len(self._rest) > sse.LIMIT:
            raise broken(f"one element of more than {sse.LIMIT} bytes")
        return found

    def _step(self, mark: bytes, place: int, found: list[bytes]) -> None:
        if self._in_text:
            if mark == b"\\":
                # What it escapes is no mark.
                self._searched += 1
            elif mark == b'"':
                self._in_text = False
        elif mark == b'"':
            self._in_text = True
        elif mark in (b"{", b"["):
            self._depth += 1
            if self._depth == _IN_ELEMENT:
                self._start = place
        elif mark in (b"}", b"]"):
            self._depth -= 1
            if self._depth == _IN_ELEMENT - 1 and self._start is not None:
                found.append(bytes(self._rest[self._start : place + 1]))
                self._start = None

    def _forget(self, until: int) -> None:
        del self._rest[:until]
        self._searched -= until
        if self._start is not None:
            self._start = 0

    def close(self) -> bytes:
        return b""


_IN_ELEMENT: Final = 2
