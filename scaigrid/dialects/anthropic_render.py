"""Writes answers for clients of the Anthropic dialect: messages, plain and streamed, and counts.

Nothing of a stream goes out before its first content: until then the call can still go to another backend.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from scaigrid.call import Call
from scaigrid.dialect import Answered
from scaigrid.dialects import anthropic_answers as answers
from scaigrid.dialects.anthropic_pieces import Frame, Pieces, put_together
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Counted, Done, Event, FinishReason, Start, Usage

_encode = msgspec.json.Encoder().encode
_NO_USAGE: Final = Usage()
_REASONS: Final[dict[FinishReason, answers.StopReason]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


class _Answer:
    """What both kinds of answer remember."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._pieces = Pieces(answered)
        self._start: Start | None = None
        self._usage: Usage | None = None
        self._done: Done | None = None

    def _frames(self, events: Sequence[Event]) -> list[Frame]:
        found: list[Frame] = []
        for event in events:
            match event:
                case Start():
                    self._start = event
                case Usage():
                    self._usage = event
                case Done(index=0):
                    self._done = event
                    found += self._pieces.end()
                case _:
                    found += self._pieces.frames(event)
        return found

    def _message(
        self, content: tuple[answers.AnsweredBlock, ...], end: answers.AnthropicEnd | None
    ) -> answers.AnsweredAnthropicMessage:
        return answers.AnsweredAnthropicMessage(
            id=_id(self._start, self._answered),
            model=self._call.model,
            content=content,
            stop_reason=None if end is None else end.stop_reason,
            stop_sequence=None if end is None else end.stop_sequence,
            usage=anthropic_usage(self._usage or _NO_USAGE),
        )

    def _end(self) -> answers.AnthropicEnd:
        """Raises UPSTREAM_SHAPE_MISMATCH where the answer has no end."""
        done = self._done
        if done is None:
            raise GatewayError(Code.UPSTREAM_SHAPE_MISMATCH)
        reason = _REASONS[done.reason]
        if done.reason == "stop":
            # Clients run tools where the reason says so, and some providers only say that they have stopped.
            if self._pieces.called:
                reason = "tool_use"
            elif self._pieces.refused:
                reason = "refusal"
            elif done.stop_sequence is not None:
                return answers.AnthropicEnd("stop_sequence", done.stop_sequence)
        return answers.AnthropicEnd(reason)


class MessageStream(_Answer):
    """The events of a stream, each as soon as it is there."""

    def __init__(self, call: Call, answered: Answered) -> None:
        super().__init__(call, answered)
        self._begun = False

    def render(self, events: Sequence[Event]) -> bytes:
        frames = self._frames(events)
        if not frames:
            return b""
        if self._begun:
            return b"".join([event(frame) for frame in frames])
        first, *others = frames
        return self._beginning() + b"".join([event(one) for one in (first, answers.Ping(), *others)])

    def close(self) -> bytes:
        end = self._end()
        ahead = b"" if self._begun else self._beginning()
        usage = anthropic_usage(self._usage or _NO_USAGE)
        return ahead + event(answers.MessageDelta(end, usage)) + event(answers.MessageStop())

    def _beginning(self) -> bytes:
        self._begun = True
        return event(answers.MessageStart(self._message((), None)))


class MessagePlain(_Answer):
    """One message, when all of it is there."""

    def __init__(self, call: Call, answered: Answered) -> None:
        super().__init__(call, answered)
        self._gathered: list[Frame] = []

    def render(self, events: Sequence[Event]) -> bytes:
        self._gathered += self._frames(events)
        return b""

    def close(self) -> bytes:
        return _encode(self._message(put_together(self._gathered), self._end()))


class Count:
    """The number of tokens of a request."""

    def __init__(self) -> None:
        self._tokens: int | None = None

    def render(self, events: Sequence[Event]) -> bytes:
        for event in events:
            if isinstance(event, Counted):
                self._tokens = event.tokens
        return b""

    def close(self) -> bytes:
        """Raises UPSTREAM_SHAPE_MISMATCH where nothing was counted."""
        if self._tokens is None:
            raise GatewayError(Code.UPSTREAM_SHAPE_MISMATCH)
        return _encode(answers.AnthropicCount(self._tokens))


def anthropic_usage(usage: Usage) -> answers.AnthropicUsage:
    """Usage in Anthropic's terms, whose classes are as disjoint as ours."""
    return answers.AnthropicUsage(
        input_tokens=usage.input + usage.audio_input + usage.image_input,
        cache_creation_input_tokens=usage.cache_write + usage.cache_write_1h,
        cache_read_input_tokens=usage.cache_read,
        cache_creation=answers.AnthropicCacheCreation(usage.cache_write, usage.cache_write_1h),
        output_tokens=usage.total_output,
        output_tokens_details=answers.AnthropicOutputDetails(usage.reasoning) if usage.reasoning else UNSET,
    )


def event(frame: answers.StreamEvent) -> bytes:
    """One event of a stream, under the name of its type."""
    return b"event: %b\ndata: %b\n\n" % (_NAMES[type(frame)], _encode(frame))


_NAMES: Final[dict[type[answers.StreamEvent], bytes]] = {
    answers.MessageStart: b"message_start",
    answers.BlockStart: b"content_block_start",
    answers.BlockDelta: b"content_block_delta",
    answers.BlockStop: b"content_block_stop",
    answers.MessageDelta: b"message_delta",
    answers.MessageStop: b"message_stop",
    answers.Ping: b"ping",
}


def _id(start: Start | None, answered: Answered) -> str:
    """The provider's own, so that its support can find the call, in the form that clients of this dialect know."""
    own = start.id if start is not None and start.id else answered.request_id.removeprefix("req_")
    return own if own.startswith("msg_") else f"msg_{own}"
