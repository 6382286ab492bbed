"""Streamed answers of Bedrock's Converse API as canonical events.

Source: Amazon Bedrock API reference, "ConverseStream". A block of text or of reasoning begins with its first delta, one
of a tool's call with a `contentBlockStart`. Usage comes last, behind the stop reason: it is the end of the stream.
Blocks of tools that the provider runs by itself are passed over, and so are events and blocks of kinds that are new;
but a new kind of delta inside text or arguments would be a hole in them, and is an error.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from adapters import bedrock_failure
from adapters.bedrock_said import PROVIDER, Source, TokenUsage, called, cited, done, tool_use, usage
from adapters.wire import ABSENT, broken, decoded
from scaigrid import eventstream
from scaigrid.errors import GatewayError
from scaigrid.types import Event, Reasoning, Start, Text, ToolCall

_EXCEPTION: Final = "exception:"
_MOST_OF_AN_OBJECT: Final = 64 * 1024


class Frames(eventstream.Splitter):
    """The framing: an event has the name of its type, a failure that of its kind behind a word that no type has.

    A JSON object in place of a stream is kept, since it may say why there is none. No message begins like one: it
    would be two gigabytes long.
    """

    __slots__ = ("_begun", "_object")

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._object = b""

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        if self._object or (not self._begun and chunk.startswith(b"{")):
            self._object += chunk[: _MOST_OF_AN_OBJECT - len(self._object)]
            return ()
        self._begun = self._begun or bool(chunk)
        return super().feed(chunk)

    def close(self) -> bytes:
        return self._object or super().close()

    @staticmethod
    def parse(event: bytes) -> tuple[str | None, bytes]:
        if event.startswith(b"{"):
            return None, b""
        message = eventstream.parse(event)
        match _word(message, ":message-type"):
            case "event":
                return _word(message, ":event-type"), message.payload
            case "exception":
                return _EXCEPTION + _word(message, ":exception-type"), message.payload or b"{}"
            case "error":
                said = msgspec.json.encode({"message": _word(message, ":error-message")})
                return _EXCEPTION + _word(message, ":error-code"), said
            case _:
                raise broken("a message of an unknown type")


def _word(message: eventstream.Message, name: str) -> str:
    """A header's text; empty where there is none."""
    value = message.headers.get(name)
    return value if isinstance(value, str) else ""


class _ReasoningDelta(msgspec.Struct, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _ToolDelta(msgspec.Struct):
    input: str = ""


class _Delta(msgspec.Struct, rename="camel"):
    """One member tells what the delta is."""

    text: str | None = None
    tool_use: _ToolDelta | None = None
    reasoning_content: _ReasoningDelta | None = None
    citation: Source | None = None


class _BlockEvent(msgspec.Struct, rename="camel"):
    """The beginning, a piece or the end of a block; what it holds is only read where the block is."""

    content_block_index: int
    start: dict[str, msgspec.Raw] | None = None
    delta: msgspec.Raw = ABSENT


class _StopEvent(msgspec.Struct, rename="camel"):
    stop_reason: str
    additional_model_response_fields: msgspec.Raw = ABSENT


class _MetadataEvent(msgspec.Struct):
    usage: TokenUsage | None = None


_block_event: Final = msgspec.json.Decoder(_BlockEvent)
_delta: Final = msgspec.json.Decoder(_Delta)
_stop_event: Final = msgspec.json.Decoder(_StopEvent)
_metadata_event: Final = msgspec.json.Decoder(_MetadataEvent)

_NEW, _TEXT, _TOOL, _THOUGHT, _OTHER, _OVER = "new", "text", "tool", "thought", "other", "over"
"""What a block is, as far as its deltas have told."""
_LOOSE: Final = frozenset({_NEW, _TEXT, _THOUGHT})


class _Open:
    """One content block while its pieces come; `slot` is its tool call's, `start` where its text begins."""

    __slots__ = ("arguments", "cites", "kind", "redacted", "signature", "slot", "start")

    def __init__(self, kind: str, start: int) -> None:
        self.kind = kind
        self.start = start
        self.slot = 0
        self.arguments = False
        self.signature: str | None = None
        self.redacted: list[str] = []
        self.cites: list[Source] = []


class ConverseStream:
    """The reader of a streamed answer, which `metadata` ends."""

    __slots__ = ("_begun", "_blocks", "_length", "_slots", "_stop", "ended")

    def __init__(self) -> None:
        self._begun = False
        self._blocks: dict[int, _Open] = {}
        self._slots = 0
        self._length = 0
        self._stop: _StopEvent | None = None
        self.ended = False

    def read(self, name: str | None, data: bytes) -> Sequence[Event]:
        if name is not None and name.startswith(_EXCEPTION):
            raise bedrock_failure.reported(name.removeprefix(_EXCEPTION), data)
        if name == "messageStart":
            return self._start()
        step = _STEPS.get(name or "")
        if step is None:
            return ()
        if not self._begun:
            raise broken("an answer without its beginning")
        if self._stop is not None and name != "metadata":
            raise broken("more of an answer behind its stop reason")
        return step(self, data)

    def failure(self, body: bytes) -> GatewayError | None:
        return bedrock_failure.inside(body)

    def _start(self) -> Sequence[Event]:
        if self._begun:
            raise broken("an answer that begins twice")
        self._begun = True
        return (Start(""),)

    def open(self, data: bytes) -> Sequence[Event]:
        event = decoded(_block_event, data)
        if event.content_block_index in self._blocks:
            raise broken("a content block in the place of another")
        start = event.start or {}
        block = self._blocks[event.content_block_index] = _Open(_OTHER if start else _NEW, self._length)
        tool = tool_use(start["toolUse"]) if "toolUse" in start else None
        if tool is None:
            return ()
        block.kind, block.slot = _TOOL, self._slots
        self._slots += 1
        return (called(tool, block.slot, ""),)

    def go_on(self, data: bytes) -> Sequence[Event]:
        event = decoded(_block_event, data)
        block = self._blocks.get(event.content_block_index)
        if block is None:
            block = self._blocks[event.content_block_index] = _Open(_NEW, self._length)
        if block.kind == _OVER:
            raise broken("a content block that goes on behind its end")
        if block.kind == _OTHER:
            return ()
        delta = decoded(_delta, event.delta)
        kind = _kind(delta)
        if kind != block.kind:
            # Some makers' models reason and write in one block.
            if block.kind not in _LOOSE or kind == _TOOL or (kind == _OTHER and block.kind != _NEW):
                raise broken("a delta of another kind than its block")
            block.kind = kind
        return self._piece(block, delta)

    def _piece(self, block: _Open, delta: _Delta) -> Sequence[Event]:
        if delta.text:
            self._length += len(delta.text)
            return (Text(delta.text),)
        if delta.tool_use is not None and delta.tool_use.input:
            block.arguments = True
            return (ToolCall(block.slot, arguments=delta.tool_use.input),)
        if delta.citation is not None:
            block.cites.append(delta.citation)
        thought = delta.reasoning_content
        if thought is None:
            return ()
        if thought.signature is not None:
            block.signature = (block.signature or "") + thought.signature
        if thought.redacted_content is not None:
            block.redacted.append(thought.redacted_content)
        return (Reasoning(thought.text, provider=PROVIDER),) if thought.text else ()

    def close(self, data: bytes) -> Sequence[Event]:
        # A text without a character has no delta, and so no beginning either.
        index = decoded(_block_event, data).content_block_index
        block = self._blocks.setdefault(index, _Open(_NEW, self._length))
        kind, block.kind = block.kind, _OVER
        if kind == _OVER:
            raise broken("a content block that ends twice")
        if kind == _TOOL:
            return () if block.arguments else (ToolCall(block.slot, arguments="{}"),)
        found: list[Event] = []
        if block.redacted:
            found.append(Reasoning(redacted=_joined(block.redacted), provider=PROVIDER))
        if block.signature:
            found.append(Reasoning(signature=block.signature, provider=PROVIDER))
        return [*found, *(cited(source, block.start, self._length) for source in block.cites)]

    def stop(self, data: bytes) -> Sequence[Event]:
        if any(block.kind != _OVER for block in self._blocks.values()):
            raise broken("a content block without its end")
        self._stop = decoded(_stop_event, data)
        return ()

    def end(self, data: bytes) -> Sequence[Event]:
        said = decoded(_metadata_event, data).usage
        if self._stop is None:
            raise broken("an answer without a stop reason")
        last = done(self._stop.stop_reason, self._stop.additional_model_response_fields)
        self.ended = True
        return (usage(said), last) if said is not None else (last,)


_STEPS: Final[Mapping[str, Callable[[ConverseStream, bytes], Sequence[Event]]]] = {
    "contentBlockStart": ConverseStream.open,
    "contentBlockDelta": ConverseStream.go_on,
    "contentBlockStop": ConverseStream.close,
    "messageStop": ConverseStream.stop,
    "metadata": ConverseStream.end,
}


def _kind(delta: _Delta) -> str:
    if delta.text is not None or delta.citation is not None:
        return _TEXT
    if delta.tool_use is not None:
        return _TOOL
    return _THOUGHT if delta.reasoning_content is not None else _OTHER


def _joined(pieces: Sequence[str]) -> str:
    """Base64 of what its pieces are base64 of."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join([base64.b64decode(piece, validate=True) for piece in pieces])).decode()
    except (binascii.Error, ValueError):
        raise broken("redacted reasoning that is no base64") from None
