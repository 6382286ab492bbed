"""Legacy completions of the OpenAI dialect: a prompt in, text out.

Source: OpenAI's API reference, "Completions". Providers that have this endpoint too are passed the call as it is. For
any other the prompt becomes the one message of a user; what has no meaning there (`echo`, `suffix`, `best_of`, several
prompts) is refused by name.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from scaigrid.call import Call
from scaigrid.dialect import Answered
from scaigrid.dialects.canonical import stops
from scaigrid.dialects.faults import Harmless
from scaigrid.dialects.forms import Form, every_fault, invalid, once
from scaigrid.dialects.gathering import Gathered, created
from scaigrid.dialects.openai_render import DONE, completion_usage
from scaigrid.dialects.openai_shapes import AnyStreamOptions, CompletionUsage, StreamOptions
from scaigrid.dialects.shapes import OPEN, AnswerShape, Choices, ModelName, RequestShape, Tokens
from scaigrid.types import Chat, Done, Embed, Event, FinishReason, Message, Rerank, Start, Text, TextPart, Usage

SURFACE: Final = "openai/completions"
_SAYS_NOTHING: Final[Harmless] = {"echo": (False,), "best_of": (1,), "logit_bias": ({},), "suffix": ("",)}


class CompletionRequest(RequestShape):
    """A completion of a prompt. Fields that are not listed are sent on to providers that have this endpoint."""

    model: ModelName
    prompt: str | Annotated[tuple[str | int | tuple[int, ...], ...], Meta(min_length=1)]
    """One text, or several, or what a caller has turned into token ids by itself."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Choices | None = None
    max_tokens: Tokens | None = None
    """The most tokens for each choice."""
    temperature: float | None = None
    top_p: float | None = None
    stop: str | tuple[str, ...] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    user: str | None = None


class _Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What governance reads."""

    model: ModelName
    prompt: str | Annotated[list[str | int | list[int]], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: AnyStreamOptions | None = None
    n: Choices | None = None
    best_of: Choices | None = None
    max_tokens: Tokens | None = None


class CompletionChoice(AnswerShape, kw_only=True):
    text: str
    index: int
    logprobs: None = None
    finish_reason: Annotated[FinishReason, OPEN] | None


class Completion(AnswerShape, kw_only=True):
    """A plain answer, or a frame of a streamed one."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: tuple[CompletionChoice, ...]
    usage: CompletionUsage | UnsetType = UNSET


_FORM: Final = Form(CompletionRequest, _SAYS_NOTHING)
_head: Final = msgspec.json.Decoder(_Head)
_encode: Final = msgspec.json.Encoder().encode


def decode(body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    """The call. Raises VALIDATION_ERROR."""
    try:
        head = _head.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(*every_fault(_FORM, body, error)) from None
    options = head.stream_options

    def canonical() -> Chat | Embed | Rerank:
        return _chat(*_FORM.read(body, found))

    return Call(
        dialect="openai",
        operation="chat",
        surface=SURFACE,
        model=head.model,
        body=body,
        members=found,
        canonical=once(canonical),
        stream=bool(head.stream),
        # So many answers are made, whether or not all of them are shown
        n=max(head.n or 1, head.best_of or 1) * _prompts(head.prompt),
        max_output=head.max_tokens,
        output_field=None if head.max_tokens is None else "max_tokens",
        wants_usage=options is not None and bool(options.include_usage),
    )


def _prompts(prompt: str | Sequence[str | int | list[int]]) -> int:
    return 1 if isinstance(prompt, str) or isinstance(prompt[0], int) else len(prompt)


def _chat(request: CompletionRequest, unknown: Sequence[str]) -> Chat:
    prompt, unknown = request.prompt, list(unknown)
    if isinstance(prompt, tuple):
        only = prompt[0]
        if len(prompt) > 1 or not isinstance(only, str):
            unknown.append("prompt")
        prompt = only if isinstance(only, str) else ""
    return Chat(
        messages=(Message(role="user", content=(TextPart(prompt),)),),
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        stop=stops(request.stop),
        seed=request.seed,
        n=request.n or 1,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        user=request.user,
        unknown=tuple(unknown),
    )


class CompletionStream:
    """Pieces of text as they come; usage in a frame of its own at the end, where it was asked for."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._start: Start | None = None
        self._usage: Usage | None = None

    def render(self, events: Sequence[Event]) -> bytes:
        return b"".join([self._frame(event) for event in events])

    def _frame(self, event: Event) -> bytes:
        match event:
            case Start():
                self._start = event
            case Usage():
                self._usage = event
            case Text(text=text, index=index) if text:
                return self._data(CompletionChoice(text=text, index=index, finish_reason=None))
            case Done(reason=reason, index=index):
                return self._data(CompletionChoice(text="", index=index, finish_reason=reason))
            case _:
                pass
        return b""

    def close(self) -> bytes:
        if self._usage is None or not self._call.wants_usage:
            return DONE
        return b"data: %b\n\n%b" % (_encode(self._made((), completion_usage(self._usage))), DONE)

    def _data(self, choice: CompletionChoice) -> bytes:
        return b"data: %b\n\n" % _encode(self._made((choice,), UNSET))

    def _made(self, choices: tuple[CompletionChoice, ...], usage: CompletionUsage | UnsetType) -> Completion:
        return completion(self._call, self._answered, self._start, choices, usage)


class CompletionPlain:
    """One completion, when all of it is there."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._gathered = Gathered()

    def render(self, events: Sequence[Event]) -> bytes:
        self._gathered.add(events)
        return b""

    def close(self) -> bytes:
        gathered = self._gathered
        choices = tuple(
            [
                CompletionChoice(text=choice.content or "", index=index, finish_reason=finish)
                for index, choice, finish in gathered.ended()
            ]
        )
        usage = UNSET if gathered.usage is None else completion_usage(gathered.usage)
        return _encode(completion(self._call, self._answered, gathered.start, choices, usage))


def completion(
    call: Call,
    answered: Answered,
    start: Start | None,
    choices: tuple[CompletionChoice, ...],
    usage: CompletionUsage | UnsetType,
) -> Completion:
    own = start.id if start is not None and start.id else answered.request_id.removeprefix("req_")
    return Completion(
        id=own if own.startswith("cmpl-") else f"cmpl-{own}",
        created=created(start, answered),
        model=call.model,
        choices=choices,
        usage=usage,
    )
