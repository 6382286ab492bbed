"""Answers of Anthropic's Messages API as canonical events, plain and streamed.

Source: Anthropic API reference, "Messages", "Streaming messages", "Stop reasons". Tools that the provider runs by
itself leave blocks of their own in an answer (`server_tool_use`, `*_tool_result`, `mcp_*` ...): the model's text tells
what came of them, so they are passed over. So are events and blocks of types that are new, as the API's versioning
asks; but a new kind of delta inside text or arguments would be a hole in them, and is an error.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters import anthropic_failure
from adapters.anthropic_citations import citations
from adapters.anthropic_usage import Counts, Reported
from adapters.wire import ABSENT, broken, decoded, given
from scaigrid.errors import GatewayError
from scaigrid.types import Done, Event, FinishReason, Reasoning, Start, Text, ToolCall, Usage

PROVIDER: Final = "anthropic"


class _Typed(msgspec.Struct):
    type: str


class _Block(msgspec.Struct):
    """A block of one of the types that are read."""

    type: str
    text: str | None = None
    citations: list[msgspec.Raw] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT


class _Message(msgspec.Struct):
    id: str | None = None
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Reported | None = None
    error: msgspec.Raw = ABSENT


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: msgspec.Raw = ABSENT
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _StreamEvent(msgspec.Struct):
    """An event of any type; what it holds is only read where the type is known."""

    type: str
    index: Any = None
    message: msgspec.Raw = ABSENT
    content_block: msgspec.Raw = ABSENT
    delta: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT


_message: Final = msgspec.json.Decoder(_Message)
_event: Final = msgspec.json.Decoder(_StreamEvent)
_typed: Final = msgspec.json.Decoder(_Typed)
_block: Final = msgspec.json.Decoder(_Block)
_delta: Final = msgspec.json.Decoder(_Delta)
_usage: Final = msgspec.json.Decoder(Reported)
_object: Final = msgspec.json.Decoder(dict[str, Any])

_REASONS: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Open:
    """One content block while its pieces come; `slot` is its tool call's, None for other blocks."""

    __slots__ = ("arguments", "citations", "kind", "signature", "slot", "start", "whole")

    def __init__(self, kind: str, start: int = 0) -> None:
        self.kind = kind
        self.start = start
        """Where its text begins, in characters of all text of the answer."""
        self.citations: list[msgspec.Raw] = []
        self.slot: int | None = None
        self.whole = ""
        self.arguments = False
        self.signature: str | None = None


class MessageStream:
    """The reader of a streamed message, which `message_stop` ends."""

    __slots__ = ("_begun", "_blocks", "_counts", "_length", "_reason", "_sequence", "_slots", "_usage", "ended")

    def __init__(self) -> None:
        self._begun = False
        self._blocks: dict[int, _Open] = {}
        self._counts = Counts()
        self._usage: Usage | None = None
        self._slots = 0
        self._length = 0
        self._reason: str | None = None
        self._sequence: str | None = None
        self.ended = False

    def read(self, name: str | None, data: bytes) -> Sequence[Event]:
        event = decoded(_event, data)
        if event.type == "error" or name == "error":
            raise anthropic_failure.reported(data) or broken("an error without an error")
        return self._start(event) if event.type == "message_start" else self._go_on(event)

    def _go_on(self, event: _StreamEvent) -> Sequence[Event]:
        if not self._begun and event.type in _KNOWN:
            raise broken("an answer without its beginning")
        match event.type:
            case "content_block_start":
                return self._open(event)
            case "content_block_delta":
                return self._delta(event)
            case "content_block_stop":
                return self._close(event)
            case "message_delta":
                return self._reasoned(event)
            case "message_stop":
                return self._end()
            case _:
                return ()

    def failure(self, body: bytes) -> GatewayError | None:
        return anthropic_failure.reported(body)

    def _start(self, event: _StreamEvent) -> Sequence[Event]:
        if self._begun:
            raise broken("an answer that begins twice")
        message = decoded(_message, event.message)
        self._begun = True
        found: list[Event] = [Start(message.id or "")]
        if message.usage is not None:
            # The input is known before the first word, and counts if the client leaves during the last.
            self._usage = self._counts.take(message.usage)
            found.append(self._usage)
        return found

    def _open(self, event: _StreamEvent) -> Sequence[Event]:
        index = _index(event)
        if index in self._blocks:
            raise broken("a content block in the place of another")
        block = _read(event.content_block)
        opened = self._blocks[index] = _Open("" if block is None else block.type, self._length)
        if block is None:
            return ()
        match block.type:
            case "text":
                opened.citations += block.citations or ()
                return self._text(block.text)
            case "thinking":
                opened.signature = block.signature or None
                return (Reasoning(block.thinking, provider=PROVIDER),) if block.thinking else ()
            case "redacted_thinking":
                return _redacted(block)
            case _:
                opened.slot = self._slots
                self._slots += 1
                opened.whole = _arguments(block)
                return (_called(block, opened.slot, ""),)

    def _delta(self, event: _StreamEvent) -> Sequence[Event]:
        block = self._block(event)
        if not block.kind:
            return ()
        delta = decoded(_delta, event.delta)
        match block.kind, delta.type:
            case "text", "text_delta":
                return self._text(delta.text)
            case "thinking", "thinking_delta":
                return (Reasoning(delta.thinking, provider=PROVIDER),) if delta.thinking else ()
            case "thinking", "signature_delta":
                block.signature = (block.signature or "") + (delta.signature or "")
                return ()
            case "tool_use", "input_json_delta":
                if not delta.partial_json:
                    return ()
                block.arguments = True
                return (ToolCall(block.slot or 0, arguments=delta.partial_json),)
            case "text", "citations_delta":
                block.citations.append(delta.citation)
                return ()
            case "text" | "tool_use", _:
                raise broken("a delta of an unknown kind")
            case _:
                return ()

    def _text(self, text: str | None) -> Sequence[Event]:
        if not text:
            return ()
        self._length += len(text)
        return (Text(text),)

    def _close(self, event: _StreamEvent) -> Sequence[Event]:
        block = self._block(event)
        # A block that is over stays known, so that no other may take its place.
        self._blocks[_index(event)] = _OVER
        if block.slot is not None and not block.arguments:
            return (ToolCall(block.slot, arguments=block.whole),)
        if block.signature is not None:
            return (Reasoning(signature=block.signature, provider=PROVIDER),)
        # Only now is it known how far the text goes that they belong to.
        return citations(block.citations, block.start, self._length)

    def _block(self, event: _StreamEvent) -> _Open:
        block = self._blocks.get(_index(event))
        if block is None or block is _OVER:
            raise broken("a content block without its beginning")
        return block

    def _reasoned(self, event: _StreamEvent) -> Sequence[Event]:
        delta = decoded(_delta, event.delta)
        self._reason = delta.stop_reason or self._reason
        self._sequence = delta.stop_sequence or self._sequence
        if given(event.usage):
            self._usage = self._counts.take(decoded(_usage, event.usage))
        return ()

    def _end(self) -> Sequence[Event]:
        if self._reason is None:
            raise broken("an answer without a stop reason")
        if any(block is not _OVER for block in self._blocks.values()):
            raise broken("a content block without its end")
        self.ended = True
        done = _done(self._reason, self._sequence)
        return (self._usage, done) if self._usage is not None else (done,)


_OVER: Final = _Open("")
_BLOCKS: Final = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
_KNOWN: Final = frozenset(
    {"content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}
)


def whole_message(body: bytes) -> Sequence[Event]:
    """What a plain message says. Raises GatewayError."""
    message = decoded(_message, body)
    if given(message.error):
        raise anthropic_failure.reported(body) or broken("an error without an error")
    if message.content is None or message.stop_reason is None:
        raise broken("no content, or no stop reason")
    found: list[Event] = [Start(message.id or "")]
    slots = length = 0
    for raw in message.content:
        block = _read(raw)
        if block is None:
            continue
        match block.type:
            case "text":
                start, length = length, length + len(block.text or "")
                if block.text:
                    found.append(Text(block.text))
                found += citations(block.citations or (), start, length)
            case "thinking":
                found.append(Reasoning(block.thinking or "", block.signature or None, provider=PROVIDER))
            case "redacted_thinking":
                found += _redacted(block)
            case _:
                found.append(_called(block, slots, _arguments(block)))
                slots += 1
    if message.usage is not None:
        found.append(Counts().take(message.usage))
    found.append(_done(message.stop_reason, message.stop_sequence))
    return found


def _index(event: _StreamEvent) -> int:
    if not isinstance(event.index, int):
        raise broken("a content block without its place")
    return event.index


def _read(raw: msgspec.Raw) -> _Block | None:
    """The block; None for one of a type that is passed over, whatever it holds."""
    return decoded(_block, raw) if decoded(_typed, raw).type in _BLOCKS else None


def _redacted(block: _Block) -> Sequence[Event]:
    if block.data is None:
        raise broken("redacted thinking without data")
    return (Reasoning(redacted=block.data, provider=PROVIDER),)


def _called(block: _Block, slot: int, arguments: str) -> ToolCall:
    if not block.id or not block.name:
        raise broken("a tool call without an id or a name")
    return ToolCall(slot, block.id, block.name, arguments)


def _arguments(block: _Block) -> str:
    """The whole input as JSON text; that of a tool without parameters is an empty object."""
    return msgspec.json.encode(decoded(_object, block.input)).decode() if given(block.input) else "{}"


def _done(reason: str, sequence: str | None) -> Done:
    # A word that is not known is at least an end.
    return Done(_REASONS.get(reason, "stop"), stop_sequence=sequence)
