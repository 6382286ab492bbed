"""Answers as providers give them, with all that an answer can have: any of it, in any order that makes sense."""

import json
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from hypothesis import strategies as st

from scaigrid.types import (
    Citation,
    Done,
    Event,
    FinishReason,
    Reasoning,
    Refusal,
    Signs,
    Start,
    Text,
    ToolCall,
    Usage,
)

_FINISHES: Final[tuple[FinishReason, ...]] = ("stop", "length", "tool_calls", "content_filter")
_TEXT: Final = st.text(st.characters(codec="utf-8"), max_size=8)
_SAID: Final = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_SEALS: Final = st.binary(min_size=12, max_size=12).map(bytes.hex)
_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e9, 1e9) | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_TOKENS: Final = st.integers(0, 10**8)
usages: Final = st.builds(
    Usage,
    input=_TOKENS,
    cache_read=_TOKENS,
    cache_write=_TOKENS,
    cache_write_1h=_TOKENS,
    output=st.integers(100, 10**8),
    reasoning=st.integers(0, 100),
)


@st.composite
def arguments(draw: st.DrawFn) -> str:
    """A JSON object as a model may write it: with spaces, escapes, members given twice."""
    value = draw(st.dictionaries(_TEXT, _VALUES, max_size=3))
    written = json.dumps(
        value, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from(((",", ":"), (" , ", " :\n"))))
    )
    return draw(st.sampled_from(("", " ", "\n\t"))) + written + draw(st.sampled_from(("", " ")))


class _Choice:
    """One choice while it is made up."""

    def __init__(self, draw: st.DrawFn, provider: str, index: int) -> None:
        self.events: list[Event] = []
        self.length = 0
        self._draw = draw
        self._provider = provider
        self._index = index
        self._calls = 0

    def text(self) -> None:
        for piece in self._draw(st.lists(_TEXT, min_size=1, max_size=3)):
            self.events.append(Text(piece, self._index))
            self.length += len(piece)

    def cited(self) -> None:
        start, said = self.length, self._draw(_SAID)
        self.events.append(Text(said, self._index))
        self.length += len(said)
        for _ in range(self._draw(st.integers(1, 2))):
            title, quote = self._draw(st.none() | _SAID), self._draw(st.none() | _SAID)
            source = Citation(title=title, quote=quote, start=start, end=self.length, index=self._index)
            if self._draw(st.booleans()):
                source = msgspec.structs.replace(source, url=f"https://pages.example/{self._draw(_SEALS)}")
            else:
                file_id = self._draw(st.none() | _SEALS)
                source = msgspec.structs.replace(source, document=self._draw(st.integers(0, 9)), file_id=file_id)
            self.events.append(source)

    def refused(self) -> None:
        self.events += [Refusal(piece, self._index) for piece in self._draw(st.lists(_TEXT, min_size=1, max_size=2))]

    def thought(self) -> None:
        """A piece of reasoning as its provider closes it; some leave it open."""
        pieces = self._draw(st.lists(_SAID, max_size=2))
        self.events += [self._reasoning(text=piece) for piece in pieces]
        self.events += _CLOSES[self._provider](self, self._draw(_SEALS), bool(pieces))

    def called(self) -> None:
        """Calls side by side, each in pieces; Gemini signs them."""
        queues: list[list[Event]] = []
        for _ in range(self._draw(st.integers(1, 3))):
            slot, self._calls = self._calls * 2, self._calls + 1
            name = f"call_{self._index}x{slot}"
            text = self._draw(arguments())
            cut = self._draw(st.integers(0, len(text)))
            queue: list[Event] = [
                ToolCall(slot, name, self._draw(st.sampled_from(("look", "listen"))), text[:cut], self._index),
                ToolCall(slot, arguments=text[cut:], index=self._index),
            ]
            if self._provider == "google" and self._draw(st.booleans()):
                queue.append(self._reasoning(signature=self._draw(_SEALS), signs="call", call_id=name))
            queues.append(queue)
        while queues := [queue for queue in queues if queue]:
            self.events.append(self._draw(st.sampled_from(queues)).pop(0))

    def signed(self) -> None:
        if self._provider == "google":
            self.events.append(self._reasoning(signature=self._draw(_SEALS), signs="text"))

    def ended(self) -> list[Event]:
        if not self._calls and self._draw(st.booleans()):
            # A model that begins to refuse says nothing else any more.
            self.refused()
        reason = self._draw(st.sampled_from(_FINISHES))
        reason = "tool_calls" if reason == "stop" and self._calls else reason
        sequence = self._draw(st.none() | _SAID) if reason == "stop" else None
        return [*self.events, Done(reason, self._index, sequence)]

    def closed(self, seal: str, shown: bool) -> list[Event]:
        return [self._reasoning(signature=seal) if shown else self._reasoning(redacted=seal)]

    def named(self, seal: str, shown: bool) -> list[Event]:
        return [self._reasoning(signature=seal, id=f"rs_{seal}")]

    def detailed(self, seal: str, shown: bool) -> list[Event]:
        details = [{"type": "reasoning.encrypted", "data": seal, "index": 0}]
        return [self._reasoning(redacted=json.dumps(details))]

    def left_open(self, seal: str, shown: bool) -> list[Event]:
        return []

    def _reasoning(
        self,
        *,
        text: str = "",
        signature: str | None = None,
        redacted: str | None = None,
        id: str | None = None,  # noqa: A002 - the field's own name
        signs: Signs = "reasoning",
        call_id: str | None = None,
    ) -> Reasoning:
        return Reasoning(text, signature, redacted, self._provider, self._index, id, signs, call_id)


_CLOSES: Final[dict[str, Callable[[_Choice, str, bool], list[Event]]]] = {
    "anthropic": _Choice.closed,
    "bedrock": _Choice.closed,
    "google": _Choice.left_open,
    "openai": _Choice.named,
    "openrouter": _Choice.detailed,
}
PROVIDERS: Final[tuple[str, ...]] = tuple(_CLOSES)
"""Those that want something of their reasoning back."""
_KINDS: Final[tuple[Callable[[_Choice], None], ...]] = (
    _Choice.text,
    _Choice.cited,
    _Choice.thought,
    _Choice.called,
    _Choice.signed,
)


@st.composite
def answers(draw: st.DrawFn, provider: str, most: int = 1) -> list[Event]:
    """A whole answer of `provider`, of up to `most` choices."""
    events: list[Event] = [Start(draw(st.sampled_from(("chatcmpl-1", "msg_1", ""))), draw(st.sampled_from((0, 17))))]
    for index in range(draw(st.integers(1, most))):
        choice = _Choice(draw, provider, index)
        for kind in draw(st.lists(st.sampled_from(_KINDS), max_size=5)):
            kind(choice)
        events += choice.ended()
    used = draw(st.none() | usages)
    return events if used is None else [*events[:-1], used, events[-1]]


@st.composite
def cut(draw: st.DrawFn, body: bytes) -> Sequence[bytes]:
    """`body` in pieces."""
    places = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]
