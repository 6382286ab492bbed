"""An answer fed piece by piece: gathered where it is plain, taken event by event where it is a stream.

What a provider's reader makes of a body or an event is its own; how bytes are cut, when a failure is told and what
counts as the end is the same for all of them, and is here.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from adapters.wire import broken
from scaigrid.errors import GatewayError
from scaigrid.sse import Splitter, parse
from scaigrid.types import Event

_MOST_STRAY: Final = 64 * 1024


class Reader(Protocol):
    """What one provider's stream means. One reader an answer."""

    @property
    def ended(self) -> bool:
        """The provider has said that the answer is complete."""
        ...

    def read(self, name: str | None, data: bytes) -> Sequence[Event]:
        """What one event says. Raises GatewayError."""
        ...

    def failure(self, body: bytes) -> GatewayError | None:
        """The failure that `body`, which came instead of a stream, reports; None where it reports none."""
        ...


class Streamed:
    """The decoder of an event stream.

    A failure is told after the events ahead of it, in the next call if need be, so that what comes out does not
    depend on how the bytes were cut.
    """

    __slots__ = ("_begun", "_failure", "_reader", "_splitter", "_stray")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._splitter = Splitter()
        self._begun = False
        self._stray = b""
        self._failure: GatewayError | None = None

    @property
    def ended(self) -> bool:
        return self._reader.ended

    def feed(self, chunk: bytes) -> Sequence[Event]:
        if self._failure is not None:
            raise self._failure
        found: list[Event] = []
        try:
            for event in self._splitter.feed(chunk):
                self._take(event, found)
        except GatewayError as failure:
            if not found:
                raise
            self._failure = failure
        return found

    def _take(self, event: bytes, found: list[Event]) -> None:
        if self._reader.ended:
            return
        name, data = parse(event)
        if data:
            self._begun = True
            found += self._reader.read(name, data)
        elif not self._begun and len(self._stray) < _MOST_STRAY:
            self._stray += event

    def close(self) -> Sequence[Event]:
        if self._failure is not None:
            raise self._failure
        found: list[Event] = []
        self._take(self._splitter.close(), found)
        if not self._reader.ended:
            raise self.cut_short()
        return found

    def cut_short(self) -> GatewayError:
        """Why an answer without its end has none."""
        stray = self._stray.strip()
        return (not self._begun and stray and self._reader.failure(stray)) or broken("the stream ended too early")


class Whole:
    """The decoder of a plain answer: `read` gets all of it, once it is there."""

    __slots__ = ("_parts", "_read")

    def __init__(self, read: Callable[[bytes], Sequence[Event]]) -> None:
        self._read = read
        self._parts: list[bytes] = []

    @property
    def ended(self) -> bool:
        return False

    def feed(self, chunk: bytes) -> Sequence[Event]:
        self._parts.append(chunk)
        return ()

    def close(self) -> Sequence[Event]:
        return self._read(b"".join(self._parts))
