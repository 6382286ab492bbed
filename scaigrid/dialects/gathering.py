"""Puts an answer together from its events: what a plain answer is made of, and what a stream has to remember."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from scaigrid import provider_state
from scaigrid.dialect import Answered
from scaigrid.dialects.shapes import AnsweredFunction, AnsweredToolCall
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    Citation,
    Counted,
    Done,
    Event,
    FinishReason,
    Ranked,
    Reasoning,
    ReasoningPart,
    Refusal,
    Start,
    Text,
    ToolCall,
    Usage,
    Vector,
)

_NOT_FOR_IDS: Final = re.compile(r"[^A-Za-z0-9]")


class _LogProbs(msgspec.Struct, frozen=True):
    content: list[msgspec.Raw] | None = None
    refusal: list[msgspec.Raw] | None = None


_log_probs = msgspec.json.Decoder(_LogProbs)


class Thoughts:
    """The reasoning of one choice, put together into the parts that a provider wants back."""

    __slots__ = ("_open", "_parts", "_provider")

    def __init__(self) -> None:
        self._parts: list[ReasoningPart] = []
        self._open: list[str] = []
        self._provider: str | None = None

    def add(self, event: Reasoning) -> None:
        self._provider = event.provider or self._provider
        if event.signs != "reasoning":
            # What is signed here is no thought, so the thoughts ahead of it are not covered by it.
            self._flush()
            self._parts.append(
                ReasoningPart(
                    signature=event.signature, provider=self._provider, signs=event.signs, call_id=event.call_id
                )
            )
            return
        self._open.append(event.text)
        if event.signature is not None or event.redacted is not None:
            self._parts.append(self._part(event.signature, event.redacted, event.id))
            self._open.clear()

    def parts(self) -> tuple[ReasoningPart, ...]:
        if not any(self._open):
            return tuple(self._parts)
        return (*self._parts, self._part(None, None))

    def _flush(self) -> None:
        if any(self._open):
            self._parts.append(self._part(None, None))
        self._open.clear()

    def _part(self, signature: str | None, redacted: str | None, id_: str | None = None) -> ReasoningPart:
        text = "".join(self._open)
        return ReasoningPart(text=text, signature=signature, redacted=redacted, provider=self._provider, id=id_)


class GatheredTool:
    """One tool call."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class GatheredChoice:
    """One choice of an answer."""

    __slots__ = ("_log_probs", "_refusal", "_text", "citations", "finish", "stop_sequence", "thoughts", "tools")

    def __init__(self) -> None:
        self.thoughts = Thoughts()
        self.tools: dict[int, GatheredTool] = {}
        """By the provider's slot, in order of appearance."""
        self.finish: FinishReason | None = None
        self.stop_sequence: str | None = None
        self.citations: list[Citation] = []
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._log_probs: list[msgspec.Raw] = []

    def add(self, event: Text | Reasoning | ToolCall | Refusal | Citation | Done) -> None:
        match event:
            case Text():
                self.text(event)
            case Reasoning():
                self.thoughts.add(event)
            case ToolCall():
                self.tool(event)
            case Refusal():
                self.refuse(event)
            case Citation():
                self.citations.append(event)
            case Done():
                self.finish, self.stop_sequence = event.reason, event.stop_sequence

    def text(self, event: Text) -> None:
        self._text.append(event.text)
        if event.logprobs is not None:
            self._log_probs.append(event.logprobs)

    def refuse(self, event: Refusal) -> None:
        self._refusal.append(event.text)

    def tool(self, event: ToolCall) -> None:
        tool = self.tools.get(event.slot)
        if tool is None:
            tool = self.tools[event.slot] = GatheredTool()
        tool.id = tool.id or event.id
        tool.name = tool.name or event.name
        tool.arguments.append(event.arguments)

    @property
    def content(self) -> str | None:
        """None where the choice has said nothing."""
        return "".join(self._text) if self._text else None

    @property
    def refusal(self) -> str | None:
        return "".join(self._refusal) if self._refusal else None

    @property
    def reasoning(self) -> str:
        return "".join([part.text for part in self.thoughts.parts()])

    @property
    def provider_state(self) -> str | None:
        return provider_state.encode(self.thoughts.parts())

    @property
    def log_probs(self) -> msgspec.Raw | None:
        """Those of all pieces in one object. Raises UPSTREAM_SHAPE_MISMATCH."""
        if len(self._log_probs) < 2:
            return self._log_probs[0] if self._log_probs else None
        try:
            pieces = [_log_probs.decode(piece) for piece in self._log_probs]
        except msgspec.DecodeError:
            raise GatewayError(Code.UPSTREAM_SHAPE_MISMATCH) from None
        content = [one for piece in pieces for one in piece.content or ()]
        refusal = [one for piece in pieces for one in piece.refusal or ()]
        return msgspec.Raw(msgspec.json.encode(_LogProbs(content or None, refusal or None)))


class Gathered:
    """An answer, as far as its events have told it."""

    def __init__(self) -> None:
        self.start: Start | None = None
        self.usage: Usage | None = None
        self.choices: dict[int, GatheredChoice] = {}
        self.vectors: list[Vector] = []
        self.ranked: list[Ranked] = []
        self.counted: int | None = None

    def add(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Text() | Reasoning() | ToolCall() | Refusal() | Citation() | Done():
                    self._choice(event.index).add(event)
                case Vector():
                    self.vectors.append(event)
                case Ranked():
                    self.ranked.append(event)
                case Counted(tokens=tokens):
                    self.counted = tokens
                case Usage():
                    self.usage = event
                case Start():
                    self.start = event

    def ended(self) -> list[tuple[int, GatheredChoice, FinishReason]]:
        """The choices in their order, each with its end. Raises UPSTREAM_SHAPE_MISMATCH where one has none."""
        found: list[tuple[int, GatheredChoice, FinishReason]] = []
        for index, choice in sorted(self.choices.items()):
            if choice.finish is None:
                raise GatewayError(Code.UPSTREAM_SHAPE_MISMATCH)
            found.append((index, choice, choice.finish))
        return found

    def in_order(self) -> list[Vector]:
        """The vectors in the order of the input."""
        return sorted(self.vectors, key=_index)

    def _choice(self, index: int) -> GatheredChoice:
        choice = self.choices.get(index)
        if choice is None:
            choice = self.choices[index] = GatheredChoice()
        return choice


def tool_calls(choice: GatheredChoice, index: int, answered: Answered) -> tuple[AnsweredToolCall, ...]:
    """The tool calls of a choice, as both dialects show them."""
    return tuple(
        [
            AnsweredToolCall(
                id=tool.id or tool_call_id(answered, index, number),
                function=AnsweredFunction(name=tool.name, arguments="".join(tool.arguments)),
            )
            for number, tool in enumerate(choice.tools.values())
        ]
    )


def tool_call_id(answered: Answered, index: int, number: int) -> str:
    """An id for the tool call of a provider that gives none: needed to send its result. At most 40 characters."""
    return f"call_{_NOT_FOR_IDS.sub('', answered.request_id)[-24:]}_{index}_{number}"


def created(start: Start | None, answered: Answered) -> int:
    """Seconds since the epoch, by the provider's clock where it says."""
    return start.created if start is not None and start.created else int(answered.started_at)


def _index(vector: Vector) -> int:
    return vector.index
