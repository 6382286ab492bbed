"""What stands in for a backend that failed: one that cannot either, one that steps back again, one that is paid."""

import asyncio
from typing import Final

from scaigrid.errors import Code
from tests.faults.case import WORDS, Case
from tests.faults.judge import Tried, Wanted
from tests.faults.spoken import breaks, misshapen, nothing, refuses, says
from tests.harness.behaviours import gated
from tests.harness.eventually import PATIENCE, becomes
from tests.harness.provider import Gate

_BROKEN: Final = Tried("first", Code.BACKEND_ERROR)
_BREAKER: Final = {"failures": 1, "open_seconds": 60, "longest_open_seconds": 0.3}
"""Open for a moment, by what the backend says itself. A call that probes is waited for as long as `open_seconds`, and
no machine is so busy that it takes longer."""
_MOST_CALLS: Final = 100
_BETWEEN: Final = 0.1


# -- a fallback that rejects what the primary accepted ---------------------------------------------------------------


def two_and_three(case: Case) -> None:
    """A model with a fallback, and one with two."""
    case.model("two", "first", "second")
    case.model("three", "lonely", "second", "third")


async def rejected(case: Case) -> None:
    """The caller is told what the first one failed with, not that the call is not valid; a further one may answer."""
    case.plan(
        first=[refuses("broken")], second=[refuses("not valid"), refuses("not valid")], lonely=[refuses("broken")]
    )
    turned_down = Tried("second", Code.VALIDATION_ERROR)
    await case.refused(Code.BACKEND_ERROR, "two", _BROKEN, turned_down)
    await case.answered("three", Tried("lonely", Code.BACKEND_ERROR), turned_down, "third")


# -- a flapping primary ----------------------------------------------------------------------------------------------


def flaps(case: Case) -> None:
    """A primary whose breaker opens at once, and for a moment."""
    case.backend("first", breaker=_BREAKER)
    case.model("two", "first", "second")


async def flapping(case: Case) -> None:
    """Its breaker opens, lets one call through to see, opens again, and closes once that one is served."""
    fails, serves = Gate(), Gate()
    away = refuses("away", ("retry-after", "1"))
    case.plan(first=[away, gated(fails, away), gated(serves, says(WORDS["first"]))])
    await case.answered("two", _BROKEN, "second")
    await _probed(case, fails, Wanted(model="two", tried=(_BROKEN, Tried("second"))))
    await _probed(case, serves, Wanted(model="two", tried=(Tried("first"),)))
    await case.answered("two", "first")


async def _probed(case: Case, gate: Gate, wanted: Wanted) -> None:
    """Asks until a call reaches the primary, which holds it at the gate: meanwhile no other one may reach it."""
    straight = Wanted(model="two", tried=(Tried("second"),))
    for _ in range(_MOST_CALLS):
        before = case.counts()
        probe = asyncio.ensure_future(case.hear("two"))
        await becomes(lambda: probe.done() or gate.reached.is_set(), "a call ends, or reaches the primary")  # noqa: B023 - awaited here
        if not gate.reached.is_set():
            case.note(straight, await probe, case.since(before))
            await asyncio.sleep(_BETWEEN)
            continue
        held = case.since(before)
        await case.ask(straight)
        after = case.counts()
        gate.open()
        heard = await asyncio.wait_for(probe, PATIENCE)
        late = case.since(after)
        case.note(wanted, heard, {word: count + late[word] for word, count in held.items()})
        return
    case.faults.append(f"the breaker did not let a call through within {_MOST_CALLS} calls")
    gate.open()


# -- accounting after failover ---------------------------------------------------------------------------------------


def priced(case: Case) -> None:
    """Three backends that cost something else each, and another model with another price."""
    case.model("three", "first", "second", "third")
    case.model("other", "lonely", priced_otherwise=True)
    case.model("guarded", "first", fallbacks={"context_too_long": case.slug("other")})


async def accounted(case: Case) -> None:
    """The rows name who was asked and who served, at whose price; what failed costs the caller nothing."""
    unreadable = breaks(WORDS["second"], nothing(), misshapen)
    case.plan(first=[refuses("away"), refuses("broken"), refuses("too long")], second=[unreadable])
    await case.answered("three", _BROKEN, Tried("second", Code.UPSTREAM_SHAPE_MISMATCH), "third")
    await case.answered("three", _BROKEN, "second")
    too_long = Tried("first", Code.CONTEXT_TOO_LONG)
    await case.ask(Wanted(model="guarded", tried=(too_long, Tried("lonely", model="other"))))
