"""Texts from a prompt in the native dialect, `/v1/inference/generate`: a chat of one message, said in fewer words."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from scaigrid.call import Call
from scaigrid.dialect import Answered
from scaigrid.dialects.canonical import stops
from scaigrid.dialects.deltas import Deltas
from scaigrid.dialects.forms import Form
from scaigrid.dialects.gathering import Gathered, created
from scaigrid.dialects.native_render import DONE, answer_id, cited, token_usage, told_citation
from scaigrid.dialects.native_shapes import AnsweredCitation, ChatDelta, Envelope, EnvelopeMeta, TokenUsage
from scaigrid.dialects.shapes import OPEN, AnswerShape, Metadata, ModelName, NonEmpty, RequestShape, Tokens
from scaigrid.errors import Code, GatewayError
from scaigrid.pricing import to_decimal
from scaigrid.types import Chat, Embed, Event, FinishReason, Message, Rerank, TextPart


class GenerateRequest(RequestShape):
    """A text that follows from a prompt. What is left out, or null, the provider decides."""

    model: ModelName
    """The frontend model's slug."""
    prompt: NonEmpty
    max_tokens: Tokens | None = None
    """The most tokens, reasoning included; cut down to the model's own bound."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop: NonEmpty | tuple[NonEmpty, ...] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stream: bool | None = None
    metadata: Metadata | None = None
    """Tags: kept on the usage row of the call."""


class GenerateAnswer(AnswerShape, kw_only=True):
    id: str
    model: str
    """The model as it was asked for."""
    created: int
    """Seconds since the epoch."""
    text: str
    """A refusal too is told here."""
    reasoning: str | UnsetType = UNSET
    citations: tuple[AnsweredCitation, ...] | UnsetType = UNSET
    """Where pieces of the text come from."""
    finish_reason: Annotated[FinishReason, OPEN]
    usage: TokenUsage | None
    """Null where the provider did not say."""
    cost: str
    """What the call costs, a decimal string."""


class GenerateChoice(AnswerShape, kw_only=True):
    """What is added to the text; `finish_reason` is set in the last one."""

    index: int
    text: str
    reasoning: str | UnsetType = UNSET
    citations: tuple[AnsweredCitation, ...] | UnsetType = UNSET
    finish_reason: Annotated[FinishReason, OPEN] | None = None


class GenerateChunk(AnswerShape, kw_only=True):
    """A frame of a streamed answer. The last one has no choices, but the usage and the cost."""

    id: str
    model: str
    created: int
    choices: tuple[GenerateChoice, ...]
    usage: TokenUsage | UnsetType | None = UNSET
    cost: str | UnsetType = UNSET


_FORM: Final = Form(GenerateRequest)
_encode: Final = msgspec.json.Encoder().encode


def call(dialect: str, body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    """The call in a body that `members` has passed. Raises VALIDATION_ERROR."""
    request, _ = _FORM.read(body, found)
    chat = Chat(
        messages=(Message(role="user", content=(TextPart(request.prompt),)),),
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        stop=stops(request.stop),
        seed=request.seed,
    )

    def canonical() -> Chat | Embed | Rerank:
        return chat

    return Call(
        dialect=dialect,
        operation="chat",
        surface=SURFACE,
        model=request.model,
        body=body,
        members=found,
        canonical=canonical,
        stream=bool(request.stream),
        max_output=request.max_tokens,
        wants_usage=True,
        tags=request.metadata or {},
    )


SURFACE: Final = "native/generate"


class GenerateStream:
    """Chunks, each as soon as its event is there, and one at the end with the usage and the cost."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._deltas = Deltas(ChatDelta, answered, cited)
        self._id = ""
        self._created = 0

    def render(self, events: Sequence[Event]) -> bytes:
        frames: list[bytes] = []
        for choice in self._deltas.choices(events):
            delta = choice.delta
            text = f"{delta.content or ''}{delta.refusal or ''}"
            citations = delta.citations if isinstance(delta, ChatDelta) else UNSET
            if text or delta.reasoning or citations or choice.finish_reason:
                told = GenerateChoice(
                    index=choice.index,
                    text=text,
                    reasoning=delta.reasoning,
                    citations=citations,
                    finish_reason=choice.finish_reason,
                )
                frames.append(self._frame((told,)))
        return b"".join(frames)

    def close(self) -> bytes:
        # The cost is final only now
        return self._frame((), token_usage(self._deltas.usage), to_decimal(self._answered.cost)) + DONE

    def _frame(
        self,
        choices: tuple[GenerateChoice, ...],
        usage: TokenUsage | UnsetType | None = UNSET,
        cost: str | UnsetType = UNSET,
    ) -> bytes:
        if not self._id:
            self._id = answer_id(self._deltas.start, self._answered)
            self._created = created(self._deltas.start, self._answered)
        chunk = GenerateChunk(
            id=self._id, model=self._call.model, created=self._created, choices=choices, usage=usage, cost=cost
        )
        return b"data: %b\n\n" % _encode(chunk)


class GeneratePlain:
    """One text, when all of it is there."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._gathered = Gathered()

    def render(self, events: Sequence[Event]) -> bytes:
        self._gathered.add(events)
        return b""

    def close(self) -> bytes:
        gathered, answered = self._gathered, self._answered
        choices = gathered.ended()
        if not choices:
            raise GatewayError(Code.UPSTREAM_SHAPE_MISMATCH)
        _, choice, finish = choices[0]
        answer = GenerateAnswer(
            id=answer_id(gathered.start, answered),
            model=self._call.model,
            created=created(gathered.start, answered),
            text=f"{choice.content or ''}{choice.refusal or ''}",
            reasoning=choice.reasoning or UNSET,
            citations=tuple([told_citation(one) for one in choice.citations]) or UNSET,
            finish_reason=finish,
            usage=token_usage(gathered.usage),
            cost=to_decimal(answered.cost),
        )
        return _encode(Envelope(data=answer, meta=EnvelopeMeta(answered.request_id)))
