"""The deltas of a streamed answer: role once, tool calls numbered from 0, one end for each choice."""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from scaigrid import provider_state
from scaigrid.dialect import Answered
from scaigrid.dialects.gathering import Thoughts, tool_call_id
from scaigrid.dialects.shapes import ChoiceDelta, ChunkChoice, FunctionDelta, ToolCallDelta
from scaigrid.types import (
    Citation,
    Counted,
    Done,
    Event,
    Ranked,
    Reasoning,
    Refusal,
    Start,
    Text,
    ToolCall,
    Usage,
    Vector,
)

Content = Text | Reasoning | Citation | Refusal | ToolCall | Done


class _Choice:
    __slots__ = ("begun", "ended", "slots", "thoughts")

    def __init__(self) -> None:
        self.begun = False
        self.ended = False
        self.slots: dict[int, int] = {}
        """The number of each tool call, from 0, by the provider's slot: some providers count other things there."""
        self.thoughts = Thoughts()


class Deltas:
    """Turns the events of one answer into what is added to its choices. `shape` is the dialect's own delta."""

    __slots__ = ("_answered", "_choices", "_cited", "_shape", "start", "usage")

    def __init__(
        self, shape: type[ChoiceDelta], answered: Answered, cited: Callable[[Citation], ChoiceDelta | None]
    ) -> None:
        """`cited` makes the delta of a citation; None where the dialect has no word for it."""
        self.start: Start | None = None
        self.usage: Usage | None = None
        self._shape = shape
        self._answered = answered
        self._cited = cited
        self._choices: dict[int, _Choice] = {}

    def choices(self, events: Sequence[Event]) -> list[ChunkChoice]:
        """One for each event that shows something. The first comes with the first content, not with `Start`.

        Until something has been written, the call can still go to another backend.
        """
        found: list[ChunkChoice] = []
        for event in events:
            match event:
                case Start():
                    self.start = event
                case Usage():
                    self.usage = event
                case Vector() | Ranked() | Counted():
                    pass
                case _:
                    choice = self._choice(event)
                    if choice is not None:
                        found.append(choice)
        return found

    def _choice(self, event: Content) -> ChunkChoice | None:
        """None where an event shows nothing: a signature waits for the end, and after the end there is nothing."""
        choice = self._choices.get(event.index)
        if choice is None:
            choice = self._choices[event.index] = _Choice()
        if choice.ended:
            return None
        role: Literal["assistant"] | UnsetType = UNSET if choice.begun else "assistant"
        match event:
            case Text():
                delta = self._shape(role=role, content=event.text)
            case ToolCall():
                delta = self._tool_call(event, choice, role)
            case Done():
                choice.ended = True
                state = provider_state.encode(choice.thoughts.parts())
                delta = self._shape(role=role, provider_state=UNSET if state is None else state)
            case Citation():
                cited = self._cited(event)
                if cited is None:
                    return None
                delta = cited if choice.begun else msgspec.structs.replace(cited, role=role)
            case Reasoning():
                choice.thoughts.add(event)
                if not event.text:
                    return None
                delta = self._shape(role=role, reasoning=event.text)
            case _:
                delta = self._shape(role=role, refusal=event.text)
        choice.begun = True
        return ChunkChoice(
            index=event.index,
            delta=delta,
            logprobs=UNSET if not isinstance(event, Text) or event.logprobs is None else event.logprobs,
            finish_reason=event.reason if isinstance(event, Done) else None,
        )

    def _tool_call(self, event: ToolCall, choice: _Choice, role: Literal["assistant"] | UnsetType) -> ChoiceDelta:
        number = choice.slots.get(event.slot)
        if number is not None:
            piece = ToolCallDelta(index=number, function=FunctionDelta(arguments=event.arguments))
        else:
            number = choice.slots[event.slot] = len(choice.slots)
            piece = ToolCallDelta(
                index=number,
                id=event.id or tool_call_id(self._answered, event.index, number),
                type="function",
                function=FunctionDelta(name=event.name, arguments=event.arguments),
            )
        # A message that begins with a tool call has no content, and says so
        return self._shape(role=role, content=UNSET if choice.begun else None, tool_calls=(piece,))
