"""Writes answers for clients of the OpenAI dialect: chunks, completions, embeddings."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from scaigrid.call import Call
from scaigrid.dialect import Answered
from scaigrid.dialects.deltas import Deltas
from scaigrid.dialects.gathering import Gathered, created, tool_calls
from scaigrid.dialects.openai_shapes import (
    Annotation,
    ChatCompletion,
    ChatCompletionChoice,
    ChatCompletionChunk,
    ChatCompletionDelta,
    ChatCompletionMessage,
    CompletionTokensDetails,
    CompletionUsage,
    Embedding,
    EmbeddingList,
    EmbeddingsUsage,
    PromptTokensDetails,
    URLCitation,
)
from scaigrid.dialects.shapes import ChunkChoice
from scaigrid.dialects.vectors import spelled
from scaigrid.types import Citation, Embed, Event, Start, Usage

DONE: Final = b"data: [DONE]\n\n"
_encode = msgspec.json.Encoder().encode


class ChatStream:
    """Chunks, each as soon as its event is there; usage in one of its own at the end, where it was asked for."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._deltas = Deltas(ChatCompletionDelta, answered, _cited)
        self._id = ""
        self._created = 0

    def render(self, events: Sequence[Event]) -> bytes:
        return b"".join(
            [
                self._frame((choice,), None if self._call.wants_usage else UNSET)
                for choice in self._deltas.choices(events)
            ]
        )

    def close(self) -> bytes:
        usage = self._deltas.usage
        if usage is None or not self._call.wants_usage:
            return DONE
        return self._frame((), completion_usage(usage)) + DONE

    def _frame(self, choices: tuple[ChunkChoice, ...], usage: CompletionUsage | UnsetType | None) -> bytes:
        if not self._id:
            self._id = _id(self._deltas.start, self._answered)
            self._created = created(self._deltas.start, self._answered)
        chunk = ChatCompletionChunk(
            id=self._id, created=self._created, model=self._call.model, choices=choices, usage=usage
        )
        return b"data: %b\n\n" % _encode(chunk)


class ChatPlain:
    """One completion, when all of it is there."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._gathered = Gathered()

    def render(self, events: Sequence[Event]) -> bytes:
        self._gathered.add(events)
        return b""

    def close(self) -> bytes:
        gathered, answered = self._gathered, self._answered
        choices: list[ChatCompletionChoice] = []
        for index, choice, finish in gathered.ended():
            state = choice.provider_state
            message = ChatCompletionMessage(
                content=choice.content,
                refusal=choice.refusal,
                reasoning_content=choice.reasoning or UNSET,
                tool_calls=tool_calls(choice, index, answered) or UNSET,
                annotations=tuple([found for one in choice.citations if (found := _annotation(one))]) or UNSET,
                provider_state=UNSET if state is None else state,
            )
            choices.append(
                ChatCompletionChoice(index=index, message=message, logprobs=choice.log_probs, finish_reason=finish)
            )
        completion = ChatCompletion(
            id=_id(gathered.start, answered),
            created=created(gathered.start, answered),
            model=self._call.model,
            choices=tuple(choices),
            usage=UNSET if gathered.usage is None else completion_usage(gathered.usage),
        )
        return _encode(completion)


class Embeddings:
    """The list of vectors, in the spelling that the caller asked for."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._gathered = Gathered()

    def render(self, events: Sequence[Event]) -> bytes:
        self._gathered.add(events)
        return b""

    def close(self) -> bytes:
        asked = self._call.canonical()
        encoding = asked.encoding if isinstance(asked, Embed) else "float"
        usage = self._gathered.usage
        listed = EmbeddingList(
            data=tuple(
                [
                    Embedding(index=vector.index, embedding=spelled(vector.value, encoding))
                    for vector in self._gathered.in_order()
                ]
            ),
            model=self._call.model,
            usage=UNSET if usage is None else EmbeddingsUsage(usage.total_input, usage.total),
        )
        return _encode(listed)


def completion_usage(usage: Usage) -> CompletionUsage:
    """Usage in OpenAI's terms: cached and written tokens are parts of the prompt's, reasoning is part of the output."""
    return CompletionUsage(
        prompt_tokens=usage.total_input,
        completion_tokens=usage.total_output,
        total_tokens=usage.total,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write + usage.cache_write_1h,
            audio_tokens=usage.audio_input or UNSET,
        ),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=usage.reasoning, audio_tokens=usage.audio_output or UNSET
        ),
    )


def _cited(event: Citation) -> ChatCompletionDelta | None:
    annotation = _annotation(event)
    return None if annotation is None else ChatCompletionDelta(annotations=(annotation,))


def _annotation(event: Citation) -> Annotation | None:
    """None for what is no page: this dialect has no word for a place in a document."""
    if event.url is None:
        return None
    return Annotation(url_citation=URLCitation(event.start or 0, event.end or 0, event.url, event.title or ""))


def _id(start: Start | None, answered: Answered) -> str:
    """The provider's own, so that its support can find the call, in the form that clients of this dialect know."""
    own = start.id if start is not None and start.id else answered.request_id.removeprefix("req_")
    return own if own.startswith("chatcmpl-") else f"chatcmpl-{own}"
