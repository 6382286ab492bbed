"""Backends that say that they cannot: for a while, once, or for good."""

from scaigrid.errors import Code
from tests.faults.case import Case
from tests.faults.judge import Tried, Wanted
from tests.faults.spoken import refuses

_LIMITED = Tried("first", Code.BACKEND_RATE_LIMITED)
_BROKEN = Tried("first", Code.BACKEND_ERROR)
_FAILURES = 2
"""After which a breaker opens here."""
_LONG = 60.0


# -- 429 with Retry-After --------------------------------------------------------------------------------------------


def two(case: Case) -> None:
    """A model with a fallback."""
    case.model("two", "first", "second")


async def rests(case: Case) -> None:
    """The next one answers, and within that time it is asked at once."""
    case.plan(first=[refuses("rate limited", ("retry-after", "30"))])
    await case.answered("two", _LIMITED, "second")
    await case.answered("two", "second")


# -- 429 that stays --------------------------------------------------------------------------------------------------


async def limited(case: Case) -> None:
    """The caller is told that it is the provider's limit, and when to come again."""
    case.always(
        first=refuses("rate limited", ("retry-after", "70")), second=refuses("rate limited", ("retry-after", "40"))
    )
    tried = (_LIMITED, Tried("second", Code.BACKEND_RATE_LIMITED))
    await case.refused(Code.BACKEND_RATE_LIMITED, "two", *tried, retry_after=40)


# -- one 500 ---------------------------------------------------------------------------------------------------------


def two_and_again(case: Case) -> None:
    """Beside it one whose only backend may be asked twice, and one whose may not."""
    two(case)
    case.model("again", "lonely", attempts_per_backend=2)
    case.model("once", "third")


async def once(case: Case) -> None:
    """Another backend makes good for it, or the same one; the backend is asked again by the next call."""
    case.plan(first=[refuses("broken")], lonely=[refuses("broken")])
    await case.answered("two", _BROKEN, "second")
    await case.answered("two", "first")
    await case.answered("again", Tried("lonely", Code.BACKEND_ERROR), "lonely")
    failed = Tried("third", Code.BACKEND_ERROR)
    if case.has_sdk and case.key.way == "crossed":
        case.plan(third=[refuses("broken")])
        await case.ask(Wanted(model="once", tried=(Tried("third"),), ahead=((failed,),)), again=True)
    else:
        case.plan(third=[refuses("broken")])
        await case.refused(Code.BACKEND_ERROR, "once", failed)


# -- 503 that stays --------------------------------------------------------------------------------------------------


def with_and_without(case: Case) -> None:
    """A model with a fallback and one without, and one that is asked however often it fails."""
    breaker = {"failures": _FAILURES, "open_seconds": _LONG}
    case.backend("first", breaker=breaker)
    case.backend("lonely", breaker=breaker)
    case.backend("third", breaker={"failures": 1_000})
    two(case)
    case.model("alone", "lonely", when_unhealthy="refuse")
    case.model("stubborn", "third")


async def away(case: Case) -> None:
    """The breaker opens after so many failures: from then on no call reaches it."""
    case.always(first=refuses("away"), lonely=refuses("away"), third=refuses("away"))
    for _ in range(_FAILURES):
        await case.answered("two", _BROKEN, "second")
        await case.refused(Code.BACKEND_ERROR, "alone", Tried("lonely", Code.BACKEND_ERROR))
    await case.answered("two", "second")
    await case.refused(Code.MODEL_UNAVAILABLE, "alone")
    failed = (Tried("third", Code.BACKEND_ERROR),)
    if case.has_sdk and case.key.way == "crossed":
        # What a client does by itself: two more requests, each told the truth, none of them billed.
        wanted = Wanted(model="stubborn", tried=failed, told=Code.BACKEND_ERROR, ahead=(failed, failed))
        await case.ask(wanted, again=True)
    else:
        await case.refused(Code.BACKEND_ERROR, "stubborn", *failed)
