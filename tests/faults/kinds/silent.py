"""Backends that say nothing: they hang up, never answer, or take their time."""

from typing import Any, Final

from scaigrid.errors import Code
from tests.faults.case import WORDS, Case
from tests.faults.judge import Tried
from tests.faults.spoken import late
from tests.harness.behaviours import reset, silence
from tests.harness.eventually import PATIENCE, becomes

HASTY: Final = {"connect": 5, "first_byte": 0.1, "idle": PATIENCE, "total": PATIENCE}
PATIENT: Final = {"connect": 5, "first_byte": PATIENCE, "idle": PATIENCE, "total": PATIENCE}
_A_WHILE: Final = 0.1
_FAR_TOO_LONG: Final = 3 * PATIENCE
_ALLOWED: Final[dict[str, Any]] = {"deadlines": {"first_byte": PATIENCE}}
"""Of a backend that answers at once: a busy machine must not make it late."""


# -- reset before headers --------------------------------------------------------------------------------------------


def two_and_one(case: Case) -> None:
    """A model with a fallback, and one without."""
    for word in ("first", "lonely"):
        case.backend(word, hangs_up=True)
    case.model("two", "first", "second")
    case.model("alone", "lonely")


async def hangs_up(case: Case) -> None:
    """Another backend makes good for it; where there is none, it is told. Nobody is asked twice."""
    case.always(first=reset, lonely=reset)
    await case.answered("two", Tried("first", Code.BACKEND_ERROR), "second")
    await case.refused(Code.BACKEND_ERROR, "alone", Tried("lonely", Code.BACKEND_ERROR))


# -- never answers ---------------------------------------------------------------------------------------------------


def hasty(case: Case) -> None:
    """The same with little patience."""
    case.backend("second", **_ALLOWED)
    case.model("two", "first", "second", deadlines=HASTY)
    case.model("alone", "lonely", deadlines=HASTY)


async def silent(case: Case) -> None:
    """After the deadline another one answers; where there is none, it is told. The provider is let go."""
    case.always(first=silence, lonely=silence)
    await case.answered("two", Tried("first", Code.BACKEND_TIMEOUT), "second")
    await case.refused(Code.BACKEND_TIMEOUT, "alone", Tried("lonely", Code.BACKEND_TIMEOUT))
    for word in ("first", "lonely"):
        await becomes(case.at(word).requests[0].left.is_set, f"{case.named(word)} is let go")


# -- slow first token ------------------------------------------------------------------------------------------------


def slow_and_slower(case: Case) -> None:
    """A model that waits for its backend, and one that does not."""
    case.backend("second", **_ALLOWED)
    case.model("patient", "lonely", "second", deadlines=PATIENT)
    case.model("hasty", "first", "second", deadlines=HASTY)


async def slow(case: Case) -> None:
    """Within the deadline it serves; beyond it another one does, whatever came of a stream ahead of its first token."""
    case.always(lonely=late(_A_WHILE, WORDS["lonely"]), first=late(_FAR_TOO_LONG, WORDS["first"]))
    await case.answered("patient", "lonely")
    await case.answered("hasty", Tried("first", Code.BACKEND_TIMEOUT), "second")
