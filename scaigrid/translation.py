"""The pipe between two protocols: a provider's bytes become events, and the events a client's bytes.

An adapter's decoder and a dialect's renderer each know one protocol. What holds for every answer, whatever the two, is
kept here: the usage is known before the end is written, and an answer has exactly one end for each choice.
"""

from collections.abc import Callable, Sequence

from scaigrid.adapter import Decoder
from scaigrid.dialect import Renderer
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    Citation,
    Counted,
    Done,
    Event,
    Ranked,
    Reasoning,
    Refusal,
    Start,
    Text,
    ToolCall,
    Usage,
    Vector,
)

_BYTES_A_TOKEN = 4
_MOST_KEPT = 2**17
"""Tokens, by the guess."""


class Translation:
    """One answer on its way. `on_usage` is told each usage at once, and always before the renderer writes the end.

    A usage that cannot be is told to nobody; who bills the answer finds it here, and refuses it. `keeps`: what is said
    is kept, so that it can be counted.
    """

    __slots__ = ("_decoder", "_ended", "_on_usage", "_renderer", "_running", "_said", "_seen", "_told", "_usage")

    def __init__(
        self,
        decoder: Decoder,
        renderer: Renderer,
        on_usage: Callable[[Usage], None] | None = None,
        *,
        keeps: bool = False,
    ) -> None:
        self._decoder = decoder
        self._renderer = renderer
        self._on_usage = on_usage
        self._usage: Usage | None = None
        self._seen = 0
        self._said: list[str] | None = [] if keeps else None
        self._running: set[int] = set()
        self._ended: set[int] = set()
        self._told = False

    @property
    def usage(self) -> Usage | None:
        """What the provider reported last, None until it has."""
        return self._usage

    @property
    def output_seen(self) -> int:
        """Output tokens, guessed: a token for each four bytes, and at least one for each piece that is not empty."""
        return self._seen

    @property
    def said(self) -> Sequence[str] | None:
        """The pieces of text so far, of all choices; None where nobody asked for them or they became too many."""
        return self._said

    @property
    def ended(self) -> bool:
        """The provider has said that a stream is complete."""
        return self._decoder.ended

    def feed(self, chunk: bytes) -> bytes:
        """What goes to the client now.

        Raises what the decoder raises, and UPSTREAM_SHAPE_MISMATCH where a choice goes on after its end.
        """
        events = self._decoder.feed(chunk)
        if not events:
            return b""
        return self._renderer.render(self._noted(events))

    def close(self) -> bytes:
        """What goes to the client at the end: the last frames of a stream, or all of a plain answer.

        Raises what the decoder raises, and UPSTREAM_SHAPE_MISMATCH where a choice has no end or there is no answer at
        all. An answer that ended with nothing said is one: a model may have no more to say.
        """
        events = self._decoder.close()
        events = self._noted(events)
        if self._running or not (self._ended or self._told):
            raise _mismatch("The provider's answer ended before it was complete.")
        last = self._renderer.render(events) if events else b""
        return last + self._renderer.close()

    def _noted(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events that go on to the client: all but a usage that cannot be."""
        broken = refused = False
        for event in events:
            match event:
                case Text() | Reasoning() | Refusal():
                    broken = self._goes_on(event.index, event.text) or broken
                case ToolCall():
                    broken = self._goes_on(event.index, event.arguments or event.name) or broken
                case Done(index=index):
                    broken = broken or index in self._ended
                    self._running.discard(index)
                    self._ended.add(index)
                case Vector() | Ranked() | Counted():
                    self._told = True
                case Usage():
                    refused = not self._heard(event) or refused
                case Start() | Citation():
                    pass
        # Only now, so that no usage is lost that came in the same breath
        if broken:
            raise _mismatch("The provider's answer went on after its end.")
        if refused:
            return [event for event in events if not isinstance(event, Usage) or event.believable]
        return events

    def _heard(self, usage: Usage) -> bool:
        """Whether it is a usage that can be; only such a one is told."""
        self._usage = usage
        if usage.believable and self._on_usage is not None:
            self._on_usage(usage)
        return usage.believable

    def _goes_on(self, index: int, text: str) -> bool:
        """Counts a piece of a choice; True where the choice had already ended."""
        if text:
            length = len(text) if text.isascii() else len(text.encode())
            self._seen += -(-length // _BYTES_A_TOKEN)
            if self._said is not None:
                self._said.append(text)
                if self._seen > _MOST_KEPT:
                    self._said = None
        if index in self._ended:
            return True
        self._running.add(index)
        return False


def _mismatch(message: str) -> GatewayError:
    return GatewayError(Code.UPSTREAM_SHAPE_MISMATCH, message)
