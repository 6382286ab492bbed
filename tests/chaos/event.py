"""What an event of operations is: what is declared for it, how it is brought about, what was measured of it."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tests.money.fact import Room

WIDTHS: Final = (16, 44, 68, 5)
"""Of the table's columns: event, declared, measured, holds."""


class Found(msgspec.Struct, kw_only=True):
    """What came of an event."""

    measured: list[str] = []
    """In figures, a line each."""
    faults: list[str] = []
    """What is not as declared, a sentence each; empty where the declaration holds."""

    def expect(self, holds: object, otherwise: str) -> None:
        """Notes a fault where something does not hold."""
        if not holds:
            self.faults.append(otherwise)

    def add(self, other: "Found") -> None:
        """Takes over what another one found."""
        self.measured += other.measured
        self.faults += other.faults


Show = Callable[[Room], Found]


class Event(NamedTuple):
    """One row of the table."""

    name: str
    declared: str
    show: Show


def head() -> str:
    return "\n".join([_line(("event", "declared", "measured", "holds")), "-+-".join("-" * width for width in WIDTHS)])


def row(event: Event, found: Found) -> str:
    """The event's row, over as many lines as it takes."""
    holds = "no" if found.faults else "yes"
    cells = [
        _folded([event.name], WIDTHS[0]),
        _folded([event.declared], WIDTHS[1]),
        _folded([*found.measured, *(f"FAULT {fault}" for fault in found.faults)], WIDTHS[2]),
        [holds],
    ]
    height = max(len(cell) for cell in cells)
    return "\n".join(_line([cell[place] if place < len(cell) else "" for cell in cells]) for place in range(height))


def summed(found: Iterable[tuple[Event, Found]], not_run: Sequence[str], seconds: float) -> dict[str, Any]:
    """The last line."""
    several = list(found)
    failed = [event.name for event, one in several if one.faults]
    return {
        "held": len(several) - len(failed),
        "failed": len(failed),
        "failed_events": failed,
        "not_run": list(not_run),
        "seconds": round(seconds, 1),
    }


def _line(cells: Sequence[str]) -> str:
    return " | ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def _folded(texts: Iterable[str], width: int) -> list[str]:
    return [line for text in texts for line in textwrap.wrap(text, width)]
