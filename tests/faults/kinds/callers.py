"""Calls that no backend of the model can answer, however often it is asked: too long, or refused by a filter."""

from collections.abc import Callable

from scaigrid.errors import Code
from tests.faults.case import WORDS, Case
from tests.faults.judge import Tried, Wanted
from tests.faults.spoken import refuses, tells


def guarded(name: str) -> Callable[[Case], None]:
    """A model with a fallback, and one that names another model for what it cannot answer."""

    def declare(case: Case) -> None:
        case.model("two", "first", "second")
        case.model("other", "third", priced_otherwise=True)
        case.model("guarded", "first", "second", fallbacks={name: case.slug("other")})

    return declare


async def too_long(case: Case) -> None:
    await _told(case, "too long", Code.CONTEXT_TOO_LONG)


async def filtered(case: Case) -> None:
    await _told(case, "filtered", Code.CONTENT_REFUSED)


async def _told(case: Case, how: str, told: Code) -> None:
    """It is told as what it is, and no other backend of the model is asked; another model, where one is named, is."""
    case.always(first=refuses(how))
    failed = Tried("first", told)
    await case.refused(told, "two", failed)
    if case.stream:
        # Some say it in the stream that they have begun.
        case.plan(first=[tells(how, WORDS["first"], begun=False)])
        await case.refused(told, "two", failed)
    await case.ask(Wanted(model="guarded", tried=(failed, Tried("third", model="other"))))
