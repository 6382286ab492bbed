"""Answers of the OpenAI protocol as canonical events: chat completions, plain and streamed, and embeddings.

Source: OpenAI API reference, "Chat", "Chat streaming", "Embeddings". Others who speak the protocol add reasoning
(`reasoning_content`, `reasoning`), leave out indices or ids of tool calls, give parts where OpenAI gives a string, and
say `stop` where tools were called; all of that is read here, and none of it is invented.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters import openai_failure
from adapters.openai_usage import usage
from adapters.wire import ABSENT, broken, decoded, given
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    Done,
    Event,
    FinishReason,
    Reasoning,
    Refusal,
    Start,
    Text,
    ToolCall,
    Usage,
    Vector,
)

DONE: Final = b"[DONE]"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    thinking: "str | list[_Part] | None" = None


class _Said(msgspec.Struct):
    """A delta, or a whole message."""

    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None
    logprobs: msgspec.Raw = ABSENT


class _Answer(msgspec.Struct):
    """A completion, or one chunk of it."""

    id: str | None = None
    created: int | float | None = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Embedding(msgspec.Struct):
    embedding: msgspec.Raw
    index: int | None = None


class _Embeddings(msgspec.Struct):
    data: list[_Embedding] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_answer: Final = msgspec.json.Decoder(_Answer)
_embeddings: Final = msgspec.json.Decoder(_Embeddings)

_REASONS: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
}
_FAILURES: Final = frozenset({"error", "network_error", "insufficient_system_resource"})
"""Finish reasons by which some providers say, in an answer that looks whole, that it broke off."""


class _Slot:
    """One tool call while its pieces come."""

    __slots__ = ("arguments", "id", "number")

    def __init__(self, number: int, identifier: str) -> None:
        self.number = number
        self.id = identifier
        self.arguments = False


class _Progress:
    """One choice while its pieces come."""

    __slots__ = ("by_index", "index", "reason", "slots")

    def __init__(self, index: int) -> None:
        self.index = index
        self.slots: list[_Slot] = []
        self.by_index: dict[int, _Slot] = {}
        self.reason: FinishReason | None = None


class Completion:
    """The state of one answer that both forms share."""

    __slots__ = ("_choices", "_most", "_provider", "_usage", "begun")

    def __init__(self, provider: str, choices: int) -> None:
        self._provider = provider
        self._most = choices
        self._choices: dict[int, _Progress] = {}
        self._usage: Usage | None = None
        self.begun = False

    def take(self, text: bytes) -> list[Event]:
        """What a completion, or one chunk of it, says; but its end. Raises GatewayError."""
        answer = decoded(_answer, text)
        if given(answer.error) and (failure := openai_failure.reported(text)) is not None:
            raise failure
        if answer.choices is None:
            raise broken("no choices")
        found: list[Event] = []
        if not self.begun:
            self.begun = True
            found.append(Start(answer.id or "", int(answer.created or 0)))
        self._usage = usage(answer.usage) or self._usage
        for place, choice in enumerate(answer.choices):
            self._choice(choice, place, found)
        return found

    def end(self) -> list[Event]:
        """The answer is whole: usage, and how each choice ended. Raises UPSTREAM_SHAPE_MISMATCH where one did not."""
        found: list[Event] = []
        for progress in self._choices.values():
            unsaid = [slot.number for slot in progress.slots if not slot.arguments]
            found += [ToolCall(number, arguments="{}", index=progress.index) for number in unsaid]
        if self._usage is not None:
            found.append(self._usage)
        for progress in self._choices.values():
            if progress.reason is None:
                raise broken("a choice without a finish reason")
            # Some providers say `stop` with tool calls, and a client that believes it drops the calls.
            reason = "tool_calls" if progress.slots and progress.reason == "stop" else progress.reason
            found.append(Done(reason, progress.index))
        if not self._choices:
            raise broken("no choices")
        return found

    def _choice(self, choice: _Choice, place: int, found: list[Event]) -> None:
        index = place if choice.index is None else choice.index
        progress = self._choices.get(index)
        if progress is None:
            if not 0 <= index < self._most:
                raise broken("a choice that nobody asked for")
            progress = self._choices[index] = _Progress(index)
        said = choice.delta or choice.message
        if said is not None:
            self._said(said, _one_line(choice.logprobs), progress, found)
        if choice.finish_reason:
            if choice.finish_reason in _FAILURES:
                raise GatewayError(Code.BACKEND_ERROR)
            # A word that is not known is at least an end.
            progress.reason = progress.reason or _REASONS.get(choice.finish_reason, "stop")

    def _said(self, said: _Said, logprobs: msgspec.Raw | None, progress: _Progress, found: list[Event]) -> None:
        index = progress.index
        if thought := said.reasoning_content or said.reasoning:
            found.append(Reasoning(thought, provider=self._provider, index=index))
        if isinstance(said.content, str):
            if said.content or logprobs is not None:
                found.append(Text(said.content, index, logprobs))
                logprobs = None
        else:
            self._parts(said.content or (), index, found)
        if said.refusal:
            found.append(Refusal(said.refusal, index))
        if logprobs is not None:
            found.append(Text("", index, logprobs))
        for call in said.tool_calls or ():
            self._tool_call(call, progress, found)
        if said.function_call is not None:
            self._tool_call(_ToolCall(index=0, function=said.function_call), progress, found)

    def _parts(self, parts: Sequence[_Part], index: int, found: list[Event]) -> None:
        for part in parts:
            if isinstance(part.thinking, str):
                found.append(Reasoning(part.thinking, provider=self._provider, index=index))
            elif part.thinking is not None:
                thoughts = [piece.text for piece in part.thinking if piece.text]
                found += [Reasoning(thought, provider=self._provider, index=index) for thought in thoughts]
            elif part.text:
                found.append(Text(part.text, index))
            elif part.refusal:
                found.append(Refusal(part.refusal, index))

    def _tool_call(self, call: _ToolCall, progress: _Progress, found: list[Event]) -> None:
        function = call.function or _NO_FUNCTION
        slot = self._slot(call, progress)
        identifier = name = ""
        if slot is None:
            if not function.name:
                raise broken("a tool call without a name")
            number = len(progress.slots)
            slot = _Slot(number, call.id or "")
            progress.slots.append(slot)
            identifier, name = slot.id, function.name
        if call.index is not None:
            progress.by_index[call.index] = slot
        arguments = function.arguments or ""
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        if arguments or name:
            slot.arguments = slot.arguments or bool(arguments)
            found.append(ToolCall(slot.number, identifier, name, arguments, progress.index))

    def _slot(self, call: _ToolCall, progress: _Progress) -> _Slot | None:
        """The slot that a piece belongs to; None for the first piece of a new one.

        By index, unless another id comes under it: then it is another call, whatever the index says (Gemini numbers
        all of them 0). Without an index by id, and without either it goes on where the last one stopped.
        """
        if call.index is not None:
            slot = progress.by_index.get(call.index)
            return None if slot is None or (call.id and call.id != slot.id) else slot
        if call.id:
            return next((slot for slot in progress.slots if slot.id == call.id), None)
        named = call.function is not None and call.function.name
        return progress.slots[-1] if progress.slots and not named else None


def _one_line(raw: msgspec.Raw) -> msgspec.Raw | None:
    """The JSON without line ends, which would tear an event apart that it is passed on in; None for none."""
    if not given(raw):
        return None
    return msgspec.Raw(msgspec.json.format(bytes(raw), indent=-1)) if b"\n" in bytes(raw) else raw


_NO_FUNCTION: Final = _Function()


class ChatStream:
    """The reader of a streamed completion, which `data: [DONE]` ends."""

    __slots__ = ("_completion", "ended")

    def __init__(self, provider: str, choices: int) -> None:
        self._completion = Completion(provider, choices)
        self.ended = False

    def read(self, name: str | None, data: bytes) -> Sequence[Event]:
        if data.strip() == DONE:
            self.ended = True
            return self._completion.end()
        if name == "error":
            raise openai_failure.named_error(data)
        return self._completion.take(data)

    def failure(self, body: bytes) -> GatewayError | None:
        return openai_failure.reported(body)


def whole_chat(provider: str, choices: int) -> Callable[[bytes], Sequence[Event]]:
    """The reader of a plain completion."""

    def read(body: bytes) -> Sequence[Event]:
        completion = Completion(provider, choices)
        return [*completion.take(body), *completion.end()]

    return read


def embeddings(inputs: int) -> Callable[[bytes], Sequence[Event]]:
    """The reader of the embeddings of so many inputs."""

    def read(body: bytes) -> Sequence[Event]:
        answer = decoded(_embeddings, body)
        if given(answer.error) and (failure := openai_failure.reported(body)) is not None:
            raise failure
        if answer.data is None:
            raise broken("no data")
        found: list[Event] = [Start("")]
        seen: set[int] = set()
        for place, item in enumerate(answer.data):
            if bytes(item.embedding)[:1] not in (b"[", b'"'):
                raise broken("an embedding that is no vector")
            index = place if item.index is None else item.index
            seen.add(index)
            found.append(Vector(index, item.embedding))
        if len(answer.data) != inputs or seen != set(range(inputs)):
            raise broken("other embeddings than were asked for")
        reported = usage(answer.usage)
        if reported is not None:
            found.append(reported)
        return found

    return read


def output_tokens(body: bytes) -> int:
    """Output tokens of a plain completion guessed from its text, where the provider reports none."""
    size = 0
    for event in whole_chat("", _ANY)(body):
        match event:
            case Text(text=text) | Reasoning(text=text) | Refusal(text=text) | ToolCall(arguments=text):
                size += len(text.encode())
            case _:
                pass
    return -(-size // 4)


_ANY: Final = 2**31
