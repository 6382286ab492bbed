"""An answer fed piece by piece: gathered where it is plain, taken event by event where it is a stream.

What a provider's reader makes of a body or an event is its own; how bytes are cut, when a failure is told and what
counts as the end is the same for all of them, and is here.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from adapters.wire import broken
from scaigrid import sse
from scaigrid.errors import GatewayError
from scaigrid.types import Event

_MOST_STRAY: Final = 64 * 1024


class Framing(Protocol):
    """How a stream's bytes are cut into whole events, and what one of them holds. One framing a stream."""

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        """The events that `chunk` completes. Raises GatewayError, after the events ahead of the fault."""
        ...

    def close(self) -> bytes:
        """What is left over at the end of the stream, where it may be an event; empty where it may not."""
        ...

    def parse(self, event: bytes) -> tuple[str | None, bytes]:
        """The name and the data of one whole event. Without data it is none, and is not read."""
        ...


class ServerSent(sse.Splitter):
    """Server-sent events: what nearly every provider streams."""

    __slots__ = ()

    parse = staticmethod(sse.parse)


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
    """The decoder of an event stream, of server-sent events where no other `framing` is given.

    A failure is told after the events ahead of it, in the next call if need be, so that what comes out does not
    depend on how the bytes were cut.
    """

    __slots__ = ("_begun", "_failure", "_framing", "_parse", "_reader", "_stray")

    def __init__(self, reader: Reader, framing: Framing | None = None) -> None:
        self._reader = reader
        self._framing: Framing = ServerSent() if framing is None else framing
        self._parse = self._framing.parse
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
        if self._reader.ended:
            return found
        try:
            for event in self._framing.feed(chunk):
                self._take(event, found)
        except GatewayError as failure:
            if not found:
                raise
            self._failure = failure
        return found

    def _take(self, event: bytes, found: list[Event]) -> None:
        if self._reader.ended:
            return
        name, data = self._parse(event)
        if data:
            self._begun = True
            found += self._reader.read(name, data)
        elif not self._begun and len(self._stray) < _MOST_STRAY:
            self._stray += event

    def close(self) -> Sequence[Event]:
        if self._failure is not None:
            raise self._failure
        found: list[Event] = []
        if not self._reader.ended and (rest := self._framing.close()):
            self._take(rest, found)
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
