"""Writes answers for clients of the native dialect: chunks, and enveloped chats and embeddings."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from scaigrid.call import Call
from scaigrid.dialect import Answered
from scaigrid.dialects.deltas import Deltas
from scaigrid.dialects.gathering import Gathered, created, tool_calls
from scaigrid.dialects.native_shapes import (
    AnsweredChoice,
    AnsweredCitation,
    AnsweredMessage,
    ChatAnswer,
    ChatChunk,
    ChatDelta,
    EmbedAnswer,
    EmbeddingVector,
    Envelope,
    EnvelopeMeta,
    TokenUsage,
)
from scaigrid.dialects.shapes import ChunkChoice
from scaigrid.dialects.vectors import spelled
from scaigrid.pricing import to_decimal
from scaigrid.types import Citation, Event, Start, Usage

DONE = b"data: [DONE]\n\n"
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class ChatStream:
    """Chunks, each as soon as its event is there, and one at the end with the usage and the cost."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._deltas = Deltas(ChatDelta, answered, cited)
        self._id = ""
        self._created = 0

    def render(self, events: Sequence[Event]) -> bytes:
        return b"".join([self._frame((choice,)) for choice in self._deltas.choices(events)])

    def close(self) -> bytes:
        # The cost is final only now
        return self._frame((), token_usage(self._deltas.usage), to_decimal(self._answered.cost)) + DONE

    def _frame(
        self,
        choices: tuple[ChunkChoice, ...],
        usage: TokenUsage | UnsetType | None = UNSET,
        cost: str | UnsetType = UNSET,
    ) -> bytes:
        if not self._id:
            self._id = answer_id(self._deltas.start, self._answered)
            self._created = created(self._deltas.start, self._answered)
        chunk = ChatChunk(
            id=self._id, model=self._call.model, created=self._created, choices=choices, usage=usage, cost=cost
        )
        return b"data: %b\n\n" % _encode(chunk)


class ChatPlain:
    """One answer, when all of it is there."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._gathered = Gathered()

    def render(self, events: Sequence[Event]) -> bytes:
        self._gathered.add(events)
        return b""

    def close(self) -> bytes:
        gathered, answered = self._gathered, self._answered
        choices: list[AnsweredChoice] = []
        for index, choice, finish in gathered.ended():
            refusal, state, log_probs = choice.refusal, choice.provider_state, choice.log_probs
            message = AnsweredMessage(
                content=choice.content,
                reasoning=choice.reasoning or UNSET,
                tool_calls=tool_calls(choice, index, answered) or UNSET,
                refusal=UNSET if refusal is None else refusal,
                citations=tuple([told_citation(one) for one in choice.citations]) or UNSET,
                provider_state=UNSET if state is None else state,
            )
            choices.append(AnsweredChoice(index, message, finish, UNSET if log_probs is None else log_probs))
        answer = ChatAnswer(
            id=answer_id(gathered.start, answered),
            model=self._call.model,
            created=created(gathered.start, answered),
            choices=tuple(choices),
            usage=token_usage(gathered.usage),
            cost=to_decimal(answered.cost),
            provider_state=choices[0].message.provider_state if choices else UNSET,
        )
        return _encode(Envelope(data=answer, meta=EnvelopeMeta(answered.request_id)))


class Embeddings:
    """The vectors as lists of numbers."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._gathered = Gathered()

    def render(self, events: Sequence[Event]) -> bytes:
        self._gathered.add(events)
        return b""

    def close(self) -> bytes:
        answer = EmbedAnswer(
            data=tuple(
                [EmbeddingVector(vector.index, spelled(vector.value, "float")) for vector in self._gathered.in_order()]
            ),
            model=self._call.model,
            usage=token_usage(self._gathered.usage),
            cost=to_decimal(self._answered.cost),
        )
        return _encode(Envelope(data=answer, meta=EnvelopeMeta(self._answered.request_id)))


def token_usage(usage: Usage | None) -> TokenUsage | None:
    if usage is None:
        return None
    return TokenUsage(
        input_tokens=usage.total_input,
        output_tokens=usage.total_output,
        cached_input_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write + usage.cache_write_1h,
        reasoning_tokens=usage.reasoning,
        total_tokens=usage.total,
        audio_input_tokens=usage.audio_input or UNSET,
        audio_output_tokens=usage.audio_output or UNSET,
        image_input_tokens=usage.image_input or UNSET,
        image_output_tokens=usage.image_output or UNSET,
    )


def cited(event: Citation) -> ChatDelta:
    return ChatDelta(citations=(told_citation(event),))


def told_citation(event: Citation) -> AnsweredCitation:
    return AnsweredCitation(
        url=_said(event.url),
        title=_said(event.title),
        quote=_said(event.quote),
        document=_said(event.document),
        file_id=_said(event.file_id),
        start=_said(event.start),
        end=_said(event.end),
    )


def _said(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value


def answer_id(start: Start | None, answered: Answered) -> str:
    """The provider's own, so that its support can find the call."""
    return start.id if start is not None and start.id else answered.request_id
