"""An answer in OpenAI's Responses API, put together from canonical events.

One machine for both ways: a stream is what it tells as it goes, a plain answer what it holds at the end. Reasoning and
messages are open one at a time, in the order in which the model made them. Calls of tools stay open to the end, since
a provider may tell several at once.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from scaigrid import provider_state
from scaigrid.dialect import Answered
from scaigrid.dialects import openai_responses_answers as shapes
from scaigrid.dialects.gathering import tool_call_id
from scaigrid.dialects.openai_responses_items import OpenCall, OpenItem, OpenMessage, OpenPart, OpenThought
from scaigrid.dialects.openai_responses_request import STATE
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Citation, Done, Event, Reasoning, ReasoningPart, Refusal, Start, Text, ToolCall, Usage

_NOT_FOR_IDS: Final = re.compile(r"[^A-Za-z0-9]")
_ENCRYPTING: Final = "openai"
"""The provider whose own reasoning items these are."""


class _LogProbs(msgspec.Struct, frozen=True):
    content: tuple[msgspec.Raw, ...] | None = None


_log_probs: Final = msgspec.json.Decoder(_LogProbs)


def stem(answered: Answered) -> str:
    """What the ids of one answer have in common."""
    return _NOT_FOR_IDS.sub("", answered.request_id.removeprefix("req_"))


class Output:
    """`add` and `end` say what a stream tells, `items` what the answer holds."""

    def __init__(self, answered: Answered) -> None:
        self.start: Start | None = None
        self.usage: Usage | None = None
        self.finish: Done | None = None
        self._answered = answered
        self._stem = stem(answered)
        self._told: list[shapes.ResponseEvent] = []
        self._count = 2
        self._items: list[OpenItem] = []
        self._open: OpenMessage | OpenThought | None = None
        self._calls: dict[int, OpenCall] = {}
        self._thought: list[str] = []
        """Reasoning that no signature covers yet, in the item that is open or in one that is closed."""
        self._signed: list[ReasoningPart] = []
        """Signatures of something else than reasoning: no item but one of their own has a place for them."""
        self._waiting: list[Citation] = []
        self._provider: str | None = None
        self._length = 0

    @property
    def status(self) -> shapes.Status:
        finish = self.finish
        return "incomplete" if finish is not None and finish.reason in ("length", "content_filter") else "completed"

    def number(self) -> int:
        """The number of the event that comes next; the two that open a stream are 0 and 1."""
        self._count += 1
        return self._count - 1

    def items(self) -> tuple[shapes.ResponseItem, ...]:
        return tuple([item.shown() for item in self._items])

    def add(self, events: Sequence[Event]) -> list[shapes.ResponseEvent]:
        """What a stream tells of these events."""
        for event in events:
            match event:
                case Start():
                    self.start = event
                case Usage():
                    self.usage = event
                case Text():
                    self._text(event)
                case Refusal():
                    self._refuse(event)
                case Reasoning():
                    self._think(event)
                case ToolCall():
                    self._call(event)
                case Citation():
                    self._cite(event)
                case Done():
                    self.finish = event
                case _:
                    pass
        return self._new()

    def end(self) -> list[shapes.ResponseEvent]:
        """What a stream tells when all of it is there. Raises UPSTREAM_SHAPE_MISMATCH where the answer has no end."""
        if self.finish is None:
            raise GatewayError(Code.UPSTREAM_SHAPE_MISMATCH)
        self._close(self.status)
        for call in self._calls.values():
            self._told.append(
                shapes.ResponseArgumentsDone(
                    sequence_number=self.number(),
                    item_id=call.id,
                    output_index=call.place,
                    name=call.name,
                    arguments=call.arguments,
                )
            )
            self._done(call, self.status)
        self._calls.clear()
        if self._signed:
            thought = self._begun_thought(None)
            thought.sealed = _state(self._signed)
            self._close(self.status)
            self._signed.clear()
        return self._new()

    def _new(self) -> list[shapes.ResponseEvent]:
        told, self._told = self._told, []
        return told

    # -- messages ----------------------------------------------------------------------------------------------------

    def _text(self, event: Text) -> None:
        logprobs = _content(event.logprobs)
        if not event.text and not logprobs:
            return
        message, place, part = self._part(refuses=False)
        part.pieces.append(event.text)
        part.logprobs += logprobs
        self._length += len(event.text)
        self._told.append(
            shapes.ResponseTextDelta(
                sequence_number=self.number(),
                item_id=message.id,
                output_index=message.place,
                content_index=place,
                delta=event.text,
                logprobs=logprobs,
            )
        )
        waiting, self._waiting = self._waiting, []
        for citation in waiting:
            self._cite(citation)

    def _refuse(self, event: Refusal) -> None:
        if not event.text:
            return
        message, place, part = self._part(refuses=True)
        part.pieces.append(event.text)
        self._told.append(
            shapes.ResponseRefusalDelta(
                sequence_number=self.number(),
                item_id=message.id,
                output_index=message.place,
                content_index=place,
                delta=event.text,
            )
        )

    def _part(self, *, refuses: bool) -> tuple[OpenMessage, int, OpenPart]:
        """The message that is open, and in it the part that takes what comes."""
        message = self._open
        if not isinstance(message, OpenMessage):
            self._close("completed")
            place = len(self._items)
            message = self._open = OpenMessage(f"msg_{self._stem}{place}", place)
            self._items.append(message)
            self._added(message)
        if not message.parts or message.parts[-1].refuses != refuses:
            self._close_part(message)
            part = OpenPart(refuses=refuses, before=self._length)
            message.parts.append(part)
            self._told.append(
                shapes.ResponsePartAdded(
                    sequence_number=self.number(),
                    item_id=message.id,
                    output_index=message.place,
                    content_index=len(message.parts) - 1,
                    part=part.shown(),
                )
            )
        return message, len(message.parts) - 1, message.parts[-1]

    def _close_part(self, message: OpenMessage) -> None:
        if not message.parts:
            return
        place, part = len(message.parts) - 1, message.parts[-1]
        if part.refuses:
            self._told.append(
                shapes.ResponseRefusalDone(
                    sequence_number=self.number(),
                    item_id=message.id,
                    output_index=message.place,
                    content_index=place,
                    refusal=part.text,
                )
            )
        else:
            self._told.append(
                shapes.ResponseTextDone(
                    sequence_number=self.number(),
                    item_id=message.id,
                    output_index=message.place,
                    content_index=place,
                    text=part.text,
                    logprobs=tuple(part.logprobs),
                )
            )
        self._told.append(
            shapes.ResponsePartDone(
                sequence_number=self.number(),
                item_id=message.id,
                output_index=message.place,
                content_index=place,
                part=part.shown(),
            )
        )

    def _cite(self, event: Citation) -> None:
        """A citation belongs to the text that is open; where none is, to the next."""
        message = self._open
        part = message.parts[-1] if isinstance(message, OpenMessage) and message.parts else None
        if not isinstance(message, OpenMessage) or part is None or part.refuses:
            self._waiting.append(event)
            return
        annotation = _annotation(event, part)
        part.annotations.append(annotation)
        self._told.append(
            shapes.ResponseAnnotationAdded(
                sequence_number=self.number(),
                item_id=message.id,
                output_index=message.place,
                content_index=len(message.parts) - 1,
                annotation_index=len(part.annotations) - 1,
                annotation=annotation,
            )
        )

    # -- reasoning ---------------------------------------------------------------------------------------------------

    def _think(self, event: Reasoning) -> None:
        self._provider = event.provider or self._provider
        if event.signs != "reasoning":
            self._signed.append(
                ReasoningPart(
                    signature=event.signature, provider=self._provider, signs=event.signs, call_id=event.call_id
                )
            )
            return
        sealing = event.signature is not None or event.redacted is not None
        if not event.text and not sealing:
            return
        thought = self._open if isinstance(self._open, OpenThought) else self._begun_thought(event.id)
        if event.text:
            self._thought.append(event.text)
            self._summed_up(thought, event.text)
        if sealing:
            part = ReasoningPart(
                text="".join(self._thought),
                signature=event.signature,
                redacted=event.redacted,
                provider=self._provider,
                id=event.id,
            )
            self._thought.clear()
            own = self._provider == _ENCRYPTING and event.id == thought.id and event.signature is not None
            thought.sealed = event.signature if own else _state([part])
            self._close("completed")

    def _begun_thought(self, id_: str | None) -> OpenThought:
        self._close("completed")
        place = len(self._items)
        if not id_ or any(item.id == id_ for item in self._items):
            # No two items have one name; what the provider calls this one is kept in its state.
            id_ = f"rs_{self._stem}{place}"
        thought = self._open = OpenThought(id_, place)
        self._items.append(thought)
        self._added(thought)
        return thought

    def _summed_up(self, thought: OpenThought, text: str) -> None:
        if not thought.pieces:
            self._told.append(
                shapes.ResponseSummaryAdded(
                    sequence_number=self.number(),
                    item_id=thought.id,
                    output_index=thought.place,
                    summary_index=0,
                    part=shapes.ResponseSummary(""),
                )
            )
        thought.pieces.append(text)
        self._told.append(
            shapes.ResponseSummaryDelta(
                sequence_number=self.number(),
                item_id=thought.id,
                output_index=thought.place,
                summary_index=0,
                delta=text,
            )
        )

    def _close_summary(self, thought: OpenThought) -> None:
        if not thought.pieces:
            return
        number, text = self.number(), thought.text
        self._told.append(
            shapes.ResponseSummaryTextDone(
                sequence_number=number, item_id=thought.id, output_index=thought.place, summary_index=0, text=text
            )
        )
        self._told.append(
            shapes.ResponseSummaryDone(
                sequence_number=self.number(),
                item_id=thought.id,
                output_index=thought.place,
                summary_index=0,
                part=shapes.ResponseSummary(text),
            )
        )

    # -- calls of tools ----------------------------------------------------------------------------------------------

    def _call(self, event: ToolCall) -> None:
        call = self._calls.get(event.slot)
        if call is None:
            self._close("completed")
            place = len(self._items)
            call_id = event.id or tool_call_id(self._answered, 0, len(self._calls))
            call = self._calls[event.slot] = OpenCall(f"fc_{self._stem}{place}", place, event.name, call_id)
            self._items.append(call)
            self._added(call)
        if event.arguments:
            call.pieces.append(event.arguments)
            self._told.append(
                shapes.ResponseArgumentsDelta(
                    sequence_number=self.number(), item_id=call.id, output_index=call.place, delta=event.arguments
                )
            )

    # -- items -------------------------------------------------------------------------------------------------------

    def _added(self, item: OpenItem) -> None:
        number = self.number()
        self._told.append(shapes.ResponseItemAdded(sequence_number=number, output_index=item.place, item=item.shown()))

    def _done(self, item: OpenItem, status: shapes.Status) -> None:
        item.status = status
        number = self.number()
        self._told.append(shapes.ResponseItemDone(sequence_number=number, output_index=item.place, item=item.shown()))

    def _close(self, status: shapes.Status) -> None:
        """Ends the message or the reasoning that is open."""
        item, self._open = self._open, None
        if isinstance(item, OpenMessage):
            self._close_part(item)
        elif item is not None:
            self._close_summary(item)
        else:
            return
        self._done(item, status)


def _state(parts: Sequence[ReasoningPart]) -> str | None:
    state = provider_state.encode(parts)
    return None if state is None else STATE + state


def _content(logprobs: msgspec.Raw | None) -> tuple[msgspec.Raw, ...]:
    """Raises UPSTREAM_SHAPE_MISMATCH."""
    if logprobs is None:
        return ()
    try:
        return _log_probs.decode(logprobs).content or ()
    except msgspec.DecodeError:
        raise GatewayError(Code.UPSTREAM_SHAPE_MISMATCH) from None


def _annotation(event: Citation, part: OpenPart) -> shapes.ResponseAnnotation:
    """Where a citation does not say which piece of the text it is for, it is for all that is there."""
    if event.url is None:
        return shapes.ResponseFileCitation(
            file_id=event.file_id or "", filename=event.title or "", index=event.document or 0
        )
    length = len(part.text)
    start = 0 if event.start is None else event.start - part.before
    end = length if event.end is None else event.end - part.before
    start = min(max(start, 0), length)
    return shapes.ResponseUrlCitation(
        start_index=start, end_index=max(min(end, length), start), url=event.url, title=event.title or ""
    )
