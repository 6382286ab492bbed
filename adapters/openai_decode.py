"""Chat completions of the OpenAI protocol as canonical events, plain and streamed.

Source: OpenAI API reference, "Chat", "Chat streaming". Others who speak the protocol add reasoning and citations, leave
out indices or ids of tool calls, give parts where OpenAI gives a string, and say `stop` where tools were called; all of
that is read here, and none of it is invented.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from adapters import openai_failure, openai_shapes
from adapters.openai_citations import Citations
from adapters.openai_shapes import NO_FUNCTION, Choice, Extra, Part, Said
from adapters.openai_thoughts import Details
from adapters.openai_usage import usage
from adapters.wire import broken, decoded, given
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
)

DONE: Final = b"[DONE]"


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

    __slots__ = ("by_index", "citations", "details", "index", "reason", "slots")

    def __init__(self, index: int) -> None:
        self.index = index
        self.details = Details()
        self.citations = Citations(index)
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
        answer = decoded(openai_shapes.answer, text)
        if given(answer.error) and (failure := openai_failure.reported(text)) is not None:
            raise failure
        if answer.choices is None:
            raise broken("no choices")
        found: list[Event] = []
        # Azure sends what it thinks of the prompt ahead of the answer, without an id.
        if not self.begun and (answer.id or answer.choices):
            self.begun = True
            found.append(Start(answer.id or "", int(answer.created or 0)))
        self._usage = usage(answer.usage) or self._usage
        for place, choice in enumerate(answer.choices):
            self._choice(choice, place, found)
        if (answer.citations or answer.search_results) and 0 in self._choices:
            self._choices[0].citations.of_answer(answer)
        return found

    def end(self) -> list[Event]:
        """The answer is whole: usage, and how each choice ended. Raises UPSTREAM_SHAPE_MISMATCH where one did not."""
        found: list[Event] = []
        for progress in self._choices.values():
            unsaid = [slot.number for slot in progress.slots if not slot.arguments]
            found += [ToolCall(number, arguments="{}", index=progress.index) for number in unsaid]
            self._thought(progress, found)
            found += progress.citations.rest()
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

    def _choice(self, choice: Choice, place: int, found: list[Event]) -> None:
        index = place if choice.index is None else choice.index
        progress = self._choices.get(index)
        if progress is None:
            if not 0 <= index < self._most:
                raise broken("a choice that nobody asked for")
            progress = self._choices[index] = _Progress(index)
        said = choice.delta or choice.message
        if said is not None:
            self._said(said, _one_line(choice.logprobs), progress, found)
        elif choice.text:
            found.append(Text(choice.text, index))
        if choice.finish_reason:
            if choice.finish_reason in _FAILURES:
                raise GatewayError(Code.BACKEND_ERROR)
            # A word that is not known is at least an end.
            progress.reason = progress.reason or _REASONS.get(choice.finish_reason, "stop")

    def _said(self, said: Said, logprobs: msgspec.Raw | None, progress: _Progress, found: list[Event]) -> None:
        index = progress.index
        if thought := said.reasoning_content or said.reasoning:
            found.append(Reasoning(thought, provider=self._provider, index=index))
        if said.reasoning_details:
            progress.details.add(said.reasoning_details)
        if said.content or said.tool_calls:
            self._thought(progress, found)
        self._content(said, logprobs, index, found)
        found += progress.citations.of_text(said.annotations or ())
        self._tool_calls(said, progress, found)
        if signature := _signature(said.extra_content):
            found.append(Reasoning(signature=signature, provider=self._provider, index=index, signs="text"))

    def _thought(self, progress: _Progress, found: list[Event]) -> None:
        """Closes the reasoning so far with what its provider wants back of it."""
        if (kept := progress.details.taken()) is not None:
            found.append(Reasoning(redacted=kept, provider=self._provider, index=progress.index))

    def _content(self, said: Said, logprobs: msgspec.Raw | None, index: int, found: list[Event]) -> None:
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

    def _parts(self, parts: Sequence[Part], index: int, found: list[Event]) -> None:
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

    def _tool_calls(self, said: Said, progress: _Progress, found: list[Event]) -> None:
        for call in said.tool_calls or ():
            self._tool_call(call, progress, found)
        if said.function_call is not None:
            self._tool_call(openai_shapes.ToolCall(index=0, function=said.function_call), progress, found)

    def _tool_call(self, call: openai_shapes.ToolCall, progress: _Progress, found: list[Event]) -> None:
        function = call.function or NO_FUNCTION
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
        if signature := _signature(call.extra_content):
            found.append(
                Reasoning(
                    signature=signature,
                    provider=self._provider,
                    index=progress.index,
                    signs="call",
                    call_id=slot.id or None,
                )
            )

    def _slot(self, call: openai_shapes.ToolCall, progress: _Progress) -> _Slot | None:
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


def _signature(extra: Extra | None) -> str | None:
    return extra.google.thought_signature if extra is not None and extra.google is not None else None


def _one_line(raw: msgspec.Raw) -> msgspec.Raw | None:
    """The JSON without line ends, which would tear an event apart that it is passed on in; None for none."""
    if not given(raw):
        return None
    return msgspec.Raw(msgspec.json.format(bytes(raw), indent=-1)) if b"\n" in bytes(raw) else raw


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
