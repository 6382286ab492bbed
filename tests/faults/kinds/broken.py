"""Answers that break: streams after their first byte, for which there is no second answer, plain ones ahead of it."""

from typing import Any, Final

from scaigrid.errors import Code
from tests.faults.case import WORDS, Case
from tests.faults.judge import Tried
from tests.faults.spoken import (
    CLOSE,
    STALL,
    How,
    Short,
    breaks,
    broken_chunk,
    broken_first,
    cut_off,
    half,
    held_up,
    misshapen,
    nothing,
    shortened,
    tells,
    whole,
)
from tests.harness.behaviours import Step
from tests.harness.eventually import PATIENCE
from tests.harness.provider import Behaviour

_IMPATIENT: Final = {"connect": 5, "first_byte": PATIENCE, "idle": 0.1, "total": PATIENCE}
_ALLOWED: Final[dict[str, Any]] = {"deadlines": {"idle": PATIENCE}}
_UNBREAKABLE: Final[dict[str, Any]] = {"breaker": {"failures": 1_000}}
_SECOND_TEXT: Final = 1
"""So many frames after the first text is the second, in every protocol."""
_MORE: Final = 6
"""So many frames follow at the most, ahead of the last."""


def two_and_one(case: Case) -> None:
    """A model with a fallback, and one without. However often the first one breaks, it is asked again."""
    case.backend("first", **_UNBREAKABLE)
    case.model("two", "first", "second")
    case.model("alone", "lonely")


def impatient(case: Case) -> None:
    """The same with little patience once an answer has begun."""
    case.backend("second", **_ALLOWED)
    case.model("two", "first", "second", deadlines=_IMPATIENT)
    case.model("alone", "lonely", deadlines=_IMPATIENT)


def _does(word: str, how: How, short: Short) -> Behaviour:
    return breaks(WORDS[word], how, short)


async def _made_good_for(case: Case, told: Code, how: How, short: Short) -> None:
    """Ahead of the first byte another one makes good for it; where there is none, it is told."""
    case.plan(first=[_does("first", how, short)], lonely=[_does("lonely", how, short)])
    await case.answered("two", Tried("first", told), "second")
    await case.refused(told, "alone", Tried("lonely", told))


async def cut(case: Case) -> None:
    """The connection ends, or the provider itself says in the middle that it is over. What was whole stays whole."""
    if case.stream:
        await _ends_anywhere(case, Code.BACKEND_ERROR, CLOSE)
        case.plan(first=[tells("away", WORDS["first"], begun=True), _does("first", whole(CLOSE), cut_off)])
        await case.broken_off(Code.BACKEND_ERROR, "two", "first")
        await case.answered("two", "first")
        case.plan(first=[tells("away", WORDS["first"], begun=False)])
        await case.answered("two", Tried("first", Code.BACKEND_ERROR), "second")
    await _made_good_for(case, Code.BACKEND_ERROR, nothing(CLOSE), cut_off)


async def stalled(case: Case) -> None:
    """Nothing more comes, and nothing ends."""
    if case.stream:
        case.plan(first=[_does("first", half(STALL), held_up)])
        await case.broken_off(Code.BACKEND_TIMEOUT, "two", "first")
    else:
        await _made_good_for(case, Code.BACKEND_TIMEOUT, nothing(STALL), held_up)


async def malformed(case: Case) -> None:
    """What follows a broken chunk is not passed on, however sound it looks."""
    if case.stream:
        case.plan(first=[_does("first", broken_chunk, misshapen)])
        await case.broken_off(Code.UPSTREAM_SHAPE_MISMATCH, "two", "first")
    await _made_good_for(case, Code.UPSTREAM_SHAPE_MISMATCH, broken_first, misshapen)


async def unended(case: Case) -> None:
    """A stream that ends as HTTP wants it, but for the mark of its end: after any of its frames."""
    if case.stream:
        await _ends_anywhere(case, Code.UPSTREAM_SHAPE_MISMATCH)
    await _made_good_for(case, Code.UPSTREAM_SHAPE_MISMATCH, nothing(), shortened)


async def _ends_anywhere(case: Case, told: Code, *then: Step) -> None:
    """A stream that ends after each of its frames from the first text on, but the last."""
    for more in range(_MORE):
        case.plan(first=[_does("first", half(*then, more=more), cut_off)])
        said = WORDS["first"].texts[0] if more < _SECOND_TEXT else WORDS["first"].text
        await case.broken_off(told, "two", "first", said=said)
