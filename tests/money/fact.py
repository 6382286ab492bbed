"""What a fact of money is: how it is shown, what was measured, and what speaks against it."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from tests.harness.provider import Provider

Size = Literal["small", "full", "long"]
"""`small`: a few seconds, for every run of the tests. `full`: what `just money` shows. `long`: outages as long as the
promise says."""

LIMIT: Final = 5
"""Of the fact about exact limits: so many of a hundred callers get in."""


class NotRun(Exception):
    """Why a fact cannot be shown here."""


class Found(msgspec.Struct, kw_only=True):
    """What a fact measured. A figure that it says nothing of is None."""

    faults: list[str] = []
    """What speaks against the fact, a sentence each; empty where it holds."""
    overshoot_nano: int | None = None
    """Nano-units (or tokens, or requests) by which spent and reserved together were ever above a limit."""
    usable_share: float | None = None
    """The least part of a limit that could be spent until a call was refused."""
    limit_admitted: int | None = None
    """Calls that a limit of LIMIT let in: the number that is farthest from it."""
    lost_rows: int | None = None
    """Answers that a client has finished and that have no row."""
    double_rows: int | None = None
    """Rows beyond the one that a call may have."""
    unsettled: int | None = None
    """Reservations that were left, and counters that are not what the ledger says."""

    def expect(self, holds: object, otherwise: str) -> None:
        """Notes a fault where something does not hold."""
        if not holds:
            self.faults.append(otherwise)


class Room:
    """Where a fact is shown: a directory, a provider, and somebody who listens."""

    def __init__(self, directory: Path, provider: Provider, size: Size, *, say: Callable[[str], object]) -> None:
        self.directory = directory
        self.provider = provider
        self.size = size
        self._say = say

    def say(self, line: str) -> None:
        """A line of the report."""
        self._say(f"    {line}")

    def place(self, name: str) -> Path:
        """A new directory."""
        made = self.directory / name
        made.mkdir(parents=True)
        return made

    def pick(self, small: int, full: int, long: int | None = None) -> int:
        """A number by the size of the showing."""
        return {"small": small, "full": full, "long": full if long is None else long}[self.size]


Show = Callable[[Room], Found]


class Fact(NamedTuple):
    """One row of the table of what must be shown."""

    name: str
    promise: str
    show: Show
    """Raises NotRun where it cannot be shown here."""


def summed(found: Iterable[Found], not_run: Sequence[str]) -> dict[str, Any]:
    """The figures of all facts: the worst of each, or the sum where they count what went wrong; None: not measured."""
    several = list(found)

    def told(name: str) -> list[Any]:
        return [value for one in several if (value := getattr(one, name)) is not None]

    def worst_admitted(number: int) -> int:
        return abs(number - LIMIT)

    return {
        "overshoot_nano": max(told("overshoot_nano"), default=None),
        "usable_share": min(told("usable_share"), default=None),
        "limit_admitted": max(told("limit_admitted"), key=worst_admitted, default=None),
        **{name: sum(told(name)) if told(name) else None for name in ("lost_rows", "double_rows", "unsettled")},
        "not_run": list(not_run),
    }


def to_stdout(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
