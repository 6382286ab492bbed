"""What an answer says, in no protocol's words: the invariants of a translation, and how two answers differ.

The expected one is read from a recording by its protocol, the other one from the gateway's own bytes by the client's
dialect. Neither reading uses the product's code, but for the opaque `provider_state`.
"""

import math
from typing import Any, Final, Literal

import msgspec

from scaigrid.errors import Code


class Thought(msgspec.Struct, frozen=True):
    """Something that the provider wants back unchanged: a block of reasoning, or a signature of something else."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    id: str | None = None
    signs: Literal["reasoning", "text", "call"] = "reasoning"
    call_id: str | None = None

    @property
    def opaque(self) -> str | None:
        """What has to come back to the letter."""
        return self.signature or self.redacted or self.id


class Called(msgspec.Struct, frozen=True):
    """A tool call; `id` None where the provider gave none, so that any will do."""

    id: str | None
    name: str
    arguments: Any


class Cited(msgspec.Struct, frozen=True, kw_only=True):
    """A source of the answer; `start` and `end` in characters of the choice's text."""

    url: str | None = None
    title: str | None = None
    quote: str | None = None
    document: int | None = None
    file_id: str | None = None
    start: int | None = None
    end: int | None = None


class Choice(msgspec.Struct):
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tools: list[Called] = []
    finish: str | None = None
    """stop | length | tool_calls | content_filter, None where the answer broke off."""
    thoughts: list[Thought] = []
    """Those that have to come back; empty where the provider wants none."""
    citations: list[Cited] = []
    tokens: list[tuple[str, float]] = []
    """The text's tokens and their log probabilities, where they were asked for."""
    stop_sequence: str | None = None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """`cached` and `written` are parts of `input`, `reasoning` is part of `output`."""

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0


class Told(msgspec.Struct, kw_only=True):
    """One answer. `failed` has the codes that its failure may have; empty where it succeeded."""

    choices: dict[int, Choice] = {}
    tokens: Tokens | None = None
    vectors: list[list[float]] = []
    """Embeddings, in the order of their inputs."""
    ranked: list[tuple[int, float]] = []
    """The documents by their places and scores, best first."""
    counted: int | None = None
    failed: frozenset[Code] = frozenset()


class Reply(msgspec.Struct, frozen=True):
    """What the gateway answered."""

    status: int
    content_type: str
    body: bytes


class Broken(Exception):
    """The gateway's answer is no sound answer of its dialect; the text says why."""


# -- how two answers differ ------------------------------------------------------------------------------------------


def differences(expected: Told, got: Told) -> list[str]:
    """In words, what `got` says otherwise than `expected`; nothing where it says the same."""
    if expected.failed:
        found = _failed_otherwise(expected, got)
    elif got.failed:
        return [f"failed with {', '.join(got.failed)}"]
    else:
        found = _differ("choices", sorted(expected.choices), sorted(got.choices))
        found += _differ("usage", expected.tokens, got.tokens)
        found += _differ("input tokens counted", expected.counted, got.counted)
        found += _vectors(expected.vectors, got.vectors)
        found += _ranked(expected.ranked, got.ranked)
    for index, one in expected.choices.items():
        found += _choice(f"choice {index}", one, got.choices.get(index, Choice()), broke_off=bool(expected.failed))
    return found


def _failed_otherwise(expected: Told, got: Told) -> list[str]:
    if not got.failed:
        return ["a success instead of a failure"]
    if got.failed <= expected.failed:
        return []
    return [f"failed with {', '.join(got.failed)} instead of {' or '.join(sorted(expected.failed))}"]


_SAID: Final = ("text", "reasoning", "refusal", "finish", "citations", "stop_sequence")
_ENDS: Final = ("citations", "stop_sequence")
"""What may be missing of an answer that broke off."""


def _choice(where: str, expected: Choice, got: Choice, *, broke_off: bool) -> list[str]:
    found: list[str] = []
    for name in _SAID:
        if not (broke_off and name in _ENDS):
            found += _differ(f"{where}: {name}", getattr(expected, name), getattr(got, name))
    if not broke_off:
        found += _differ(f"{where}: thoughts", _wanted(expected.thoughts), _wanted(got.thoughts))
    found += _differ(f"{where}: tool calls", [_call(one) for one in expected.tools], [_call(one) for one in got.tools])
    for given, made in zip(expected.tools, got.tools, strict=False):
        if not made.id or (given.id is not None and made.id != given.id):
            found.append(f"{where}: the id of {given.name}: {made.id!r} instead of {given.id!r}")
    ids = [one.id for one in got.tools]
    if len(set(ids)) < len(ids):
        found.append(f"{where}: tool calls of one id: {ids}")
    if expected.tokens:
        found += _differ(f"{where}: tokens", expected.tokens, got.tokens)
    return found


def _wanted(thoughts: list[Thought]) -> list[Thought]:
    """Those that have something to come back."""
    return [one for one in thoughts if one.opaque is not None]


def _call(one: Called) -> tuple[str, Any]:
    return one.name, one.arguments


def _vectors(expected: list[list[float]], got: list[list[float]]) -> list[str]:
    lengths = [len(one) for one in expected], [len(one) for one in got]
    if found := _differ("numbers of each vector", *lengths):
        return found
    near = all(
        math.isclose(left, right, rel_tol=_FLOAT32)
        for one, other in zip(expected, got, strict=True)
        for left, right in zip(one, other, strict=True)
    )
    return [] if near else ["vectors of other numbers"]


def _ranked(expected: list[tuple[int, float]], got: list[tuple[int, float]]) -> list[str]:
    return _differ("order of the documents", expected, got)


_FLOAT32: Final = 1e-6
"""What is left of a number that is written as the shortest text for its 32 bits."""


def _differ(what: str, expected: object, got: object) -> list[str]:
    return [] if expected == got else [f"{what}: {_short(got)} instead of {_short(expected)}"]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 60]} ... {text[-50:]}"


_SHOWN: Final = 400
