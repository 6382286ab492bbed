"""The content blocks of an answer, one after the other, as canonical events make them.

Blocks of this dialect follow each other: one begins, grows and ends before the next begins. Tool calls of other
protocols may come side by side. A call that begins while the one ahead of it is not whole yet waits, with all of its
pieces, for the end of that one.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from scaigrid.dialect import Answered
from scaigrid.dialects import anthropic_answers as answers
from scaigrid.dialects.anthropic_thinking import OWN, signature
from scaigrid.dialects.gathering import tool_call_id
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Citation, Event, Reasoning, ReasoningPart, Refusal, Text, ToolCall

Frame = answers.BlockStart | answers.BlockDelta | answers.BlockStop
NO_INPUT: Final = msgspec.Raw(b"{}")
_whole: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Call:
    """A tool call, while its pieces come."""

    __slots__ = ("arguments", "block", "waiting")

    def __init__(self, block: answers.AnsweredToolUse) -> None:
        self.block = block
        self.arguments: list[str] = []
        self.waiting: list[str] = []
        """Pieces that nobody has been told yet."""

    @property
    def whole(self) -> bool:
        return is_object("".join(self.arguments))


class Pieces:
    """Turns the events of one answer into the frames of its blocks. Other choices than the first are passed over."""

    __slots__ = (
        "_answered",
        "_calls",
        "_cited",
        "_index",
        "_open",
        "_signatures",
        "_telling",
        "_thought_by",
        "called",
        "refused",
    )

    def __init__(self, answered: Answered) -> None:
        self.called = False
        """A tool is called."""
        self.refused = False
        """The model said in so many words that it will not answer."""
        self._answered = answered
        self._index = -1
        self._open: type[answers.AnsweredBlock] | None = None
        self._cited = False
        self._thought_by: str | None = None
        self._calls: dict[int, _Call | None] = {}
        """By the provider's slot; None once the block is over."""
        self._telling: int | None = None
        self._signatures: list[ReasoningPart] = []
        """Of calls that are not whole yet, and wait for their end."""

    def frames(self, event: Event) -> Iterator[Frame]:
        """What `event` adds. Raises UPSTREAM_SHAPE_MISMATCH where a tool call goes on after its end."""
        match event:
            case ToolCall(index=0):
                yield from self._tool_call(event)
            case Text(index=0, text=text) | Refusal(index=0, text=text):
                self.refused = self.refused or (isinstance(event, Refusal) and bool(text))
                if text:
                    yield from self._text(answers.TextPiece(text))
            case Citation(index=0):
                yield from self._text(answers.CitationPiece(_citation(event)))
            case Reasoning(index=0):
                yield from self._reasoning(event)
            case _:
                pass

    def end(self) -> Iterator[Frame]:
        """Ends what is open, calls and signatures that wait included."""
        if self._telling is None:
            yield from self._stop()
        while self._telling is not None:
            yield from self._next_call()
        waiting, self._signatures = self._signatures, []
        for part in waiting:
            yield from self._signed(part)

    # -- text and reasoning ------------------------------------------------------------------------------------------

    def _text(self, piece: answers.TextPiece | answers.CitationPiece) -> Iterator[Frame]:
        is_citation = isinstance(piece, answers.CitationPiece)
        # What follows a citation does not rest on it any more, so it gets a block of its own.
        if self._open is not answers.AnsweredText or (self._cited and not is_citation):
            yield from self.end()
            yield self._start(answers.AnsweredText(text=""))
        self._cited = is_citation
        yield answers.BlockDelta(self._index, piece)

    def _reasoning(self, event: Reasoning) -> Iterator[Frame]:
        part = ReasoningPart(
            text="",
            signature=event.signature,
            redacted=event.redacted,
            provider=event.provider or self._thought_by,
            id=event.id,
            signs=event.signs,
            call_id=event.call_id,
        )
        if event.signs != "reasoning":
            if self._telling is not None:
                self._signatures.append(part)
                return
            yield from self.end()
            yield from self._signed(part)
            return
        self._thought_by = event.provider or self._thought_by
        alone = not event.text and self._open is not answers.AnsweredThinking
        if event.redacted is not None and part.provider == OWN and alone:
            yield from self.end()
            yield self._start(answers.AnsweredRedactedThinking(event.redacted))
            yield from self._stop()
            return
        if event.text:
            yield from self._thinking()
            yield answers.BlockDelta(self._index, answers.ThinkingPiece(event.text))
        if event.signature is not None or event.redacted is not None:
            yield from self._thinking()
            yield from self._signed(part)

    def _thinking(self) -> Iterator[Frame]:
        if self._open is not answers.AnsweredThinking:
            yield from self.end()
            yield self._start(answers.AnsweredThinking("", ""))

    def _signed(self, part: ReasoningPart) -> Iterator[Frame]:
        yield from self._thinking()
        yield answers.BlockDelta(self._index, answers.SignaturePiece(signature(part)))
        yield from self._stop()

    # -- tool calls --------------------------------------------------------------------------------------------------

    def _tool_call(self, event: ToolCall) -> Iterator[Frame]:
        self.called = True
        if event.slot not in self._calls:
            yield from self._begin(event)
            return
        call = self._calls[event.slot]
        if call is None:
            if event.arguments.strip():
                raise GatewayError(Code.UPSTREAM_SHAPE_MISMATCH, "The provider's tool call went on after its end.")
            return
        if not event.arguments:
            return
        call.arguments.append(event.arguments)
        if self._telling != event.slot:
            call.waiting.append(event.arguments)
            return
        yield answers.BlockDelta(self._index, answers.InputPiece(event.arguments))
        yield from self._go_on()

    def _begin(self, event: ToolCall) -> Iterator[Frame]:
        identifier = event.id or tool_call_id(self._answered, 0, len(self._calls))
        call = self._calls[event.slot] = _Call(answers.AnsweredToolUse(identifier, event.name, NO_INPUT))
        if event.arguments:
            call.arguments.append(event.arguments)
            call.waiting.append(event.arguments)
        if self._telling is None:
            yield from self._stop()
            yield from self._tell(event.slot, call)
        else:
            yield from self._go_on()

    def _go_on(self) -> Iterator[Frame]:
        """Ends the calls that are whole where others wait for it."""
        while self._telling != next(reversed(self._calls)) and self._is_whole(self._telling):
            yield from self._next_call()

    def _tell(self, slot: int, call: _Call) -> Iterator[Frame]:
        self._telling = slot
        yield self._start(call.block)
        for piece in call.waiting:
            yield answers.BlockDelta(self._index, answers.InputPiece(piece))
        call.waiting.clear()

    def _next_call(self) -> Iterator[Frame]:
        """Ends the call that is being told, and begins the one that has waited longest."""
        yield from self._stop()
        if self._telling is not None:
            self._calls[self._telling] = None
        self._telling = None
        for slot, call in self._calls.items():
            if call is not None:
                yield from self._tell(slot, call)
                return

    def _is_whole(self, slot: int | None) -> bool:
        call = None if slot is None else self._calls[slot]
        return call is not None and call.whole

    # -- blocks ------------------------------------------------------------------------------------------------------

    def _start(self, block: answers.AnsweredBlock) -> answers.BlockStart:
        self._index += 1
        self._open = type(block)
        self._cited = False
        return answers.BlockStart(self._index, block)

    def _stop(self) -> Iterator[Frame]:
        if self._open is not None:
            self._open = None
            yield answers.BlockStop(self._index)


def is_object(text: str) -> bool:
    """Whether `text` is one JSON object."""
    try:
        _whole.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def put_together(frames: Sequence[Frame]) -> tuple[answers.AnsweredBlock, ...]:
    """The blocks that these frames make: what a client has in the end."""
    blocks: list[answers.AnsweredBlock] = []
    pieces: list[answers.Piece] = []
    for frame in frames:
        match frame:
            case answers.BlockStart(content_block=block):
                blocks.append(block)
                pieces = []
            case answers.BlockDelta(delta=piece):
                pieces.append(piece)
            case answers.BlockStop():
                blocks[-1] = _grown(blocks[-1], pieces)
    return tuple(blocks)


def _grown(block: answers.AnsweredBlock, pieces: Sequence[answers.Piece]) -> answers.AnsweredBlock:
    match block:
        case answers.AnsweredText():
            text = "".join([piece.text for piece in pieces if isinstance(piece, answers.TextPiece)])
            cited = tuple([piece.citation for piece in pieces if isinstance(piece, answers.CitationPiece)])
            return answers.AnsweredText(text=text, citations=cited or UNSET)
        case answers.AnsweredThinking():
            text = "".join([piece.thinking for piece in pieces if isinstance(piece, answers.ThinkingPiece)])
            signed = "".join([piece.signature for piece in pieces if isinstance(piece, answers.SignaturePiece)])
            return answers.AnsweredThinking(text, signed)
        case answers.AnsweredToolUse(id=id_, name=name):
            text = "".join([piece.partial_json for piece in pieces if isinstance(piece, answers.InputPiece)])
            return answers.AnsweredToolUse(id_, name, _input(text))
        case answers.AnsweredRedactedThinking():
            return block


def _input(text: str) -> msgspec.Raw:
    """The input of a call; what the model wrote that is no JSON object is kept as a text, under Anthropic's word."""
    if not text.strip():
        return NO_INPUT
    return msgspec.Raw(text.encode() if is_object(text) else msgspec.json.encode({"INVALID_JSON": text}))


def _citation(event: Citation) -> answers.AnthropicCitation:
    if event.url is not None or event.document is None:
        return answers.AnthropicWebCitation(url=event.url or "", title=event.title, cited_text=event.quote or "")
    return answers.AnthropicDocumentCitation(
        cited_text=event.quote or "",
        document_index=event.document,
        document_title=event.title,
        file_id=event.file_id,
    )
