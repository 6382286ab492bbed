"""The score: faults down, surfaces across, and what speaks against each that fails."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tests.faults.case import WAYS, Key
from tests.faults.fault import Fault

Verdicts = Mapping[Key, list[str]]
"""What speaks against each case."""
_FORMS: Final = ((True, "streamed"), (False, "plain"))
_SHOWN: Final = 8
_LONGEST: Final = 600


class Score:
    """What came of every fault on every surface, streamed and plain: passed where every way of it did."""

    def __init__(self, faults: Sequence[Fault], surfaces: Sequence[str], verdicts: Verdicts) -> None:
        self.faults = faults
        self.surfaces = surfaces
        self._verdicts = verdicts

    def cell(self, fault: Fault, surface: str, stream: bool) -> str:
        """`pass`, `FAIL` or `n.a.`. What was to be played and was not has failed."""
        if not stream and fault.not_plain:
            return "n.a."
        found = self._of(fault, surface, stream)
        return "pass" if len(found) == len(WAYS) and not any(found.values()) else "FAIL"

    def _of(self, fault: Fault, surface: str, stream: bool) -> dict[str, list[str]]:
        return {
            key.way: faults
            for key, faults in self._verdicts.items()
            if (key.fault, key.surface, key.stream) == (fault.name, surface, stream)
        }

    def _cells(self) -> Iterable[tuple[Fault, str, bool, str]]:
        return (
            (fault, surface, stream, self.cell(fault, surface, stream))
            for fault in self.faults
            for surface in self.surfaces
            for stream, _ in _FORMS
        )

    def table(self) -> list[str]:
        """Lines of text."""
        width = max(len(fault.name) for fault in self.faults)
        columns = [max(len(surface), 13) for surface in self.surfaces]
        names = [f"{surface:<{size}}" for surface, size in zip(self.surfaces, columns, strict=True)]
        forms = [f"{'stream plain':<{size}}" for size in columns]
        lines = ["  ".join([" " * width, *names]).rstrip(), "  ".join([" " * width, *forms]).rstrip()]
        for fault in self.faults:
            marks = [
                f"{self.cell(fault, surface, True):<6} {self.cell(fault, surface, False)}" for surface in self.surfaces
            ]
            told = [f"{mark:<{size}}" for mark, size in zip(marks, columns, strict=True)]
            lines.append("  ".join([f"{fault.name:<{width}}", *told]).rstrip())
        return lines

    def reasons(self) -> list[str]:
        """Why a fault has no meaning for plain calls, and what speaks against each that fails."""
        lines = [f"n.a. {fault.name}, plain: {fault.not_plain}" for fault in self.faults if fault.not_plain]
        for fault, surface, stream, mark in self._cells():
            if mark != "FAIL":
                continue
            form = dict(_FORMS)[stream]
            found = self._of(fault, surface, stream)
            lines.append(f"FAIL {fault.name}, {surface}, {form}: {fault.promise}")
            lines += [f"    {way}: {one[:_LONGEST]}" for way, several in found.items() for one in several[:_SHOWN]] or [
                "    was not played"
            ]
        return lines

    def summary(self) -> dict[str, Any]:
        """The figures: cells of the table."""
        marks = [mark for *_, mark in self._cells()]
        by_surface = {
            surface: {
                form: f"{sum(self.cell(fault, surface, stream) == 'pass' for fault in self.faults)}/{len(self.faults)}"
                for stream, form in _FORMS
            }
            for surface in self.surfaces
        }
        return {
            "passed": marks.count("pass"),
            "failed": marks.count("FAIL"),
            "not_applicable": marks.count("n.a."),
            "cases": len(self._verdicts),
            "surfaces": by_surface,
        }
