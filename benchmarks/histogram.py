"""Times as counts by whole microsecond, so that those of several rounds add up without loss."""

from collections.abc import Iterable
from math import ceil
from typing import Self

import msgspec


class Histogram(msgspec.Struct):
    """How often each number of microseconds was seen."""

    counts: dict[int, int] = {}

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> Self:
        """Values with their counts, in any order; a value may come twice."""
        made = cls()
        for value, count in pairs:
            made.counts[value] = made.counts.get(value, 0) + count
        return made

    def add(self, other: "Histogram") -> None:
        for value, count in other.counts.items():
            self.counts[value] = self.counts.get(value, 0) + count

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def percentile(self, percent: float) -> int | None:
        """The smallest value that at least so many percent do not exceed (nearest rank); None of nothing."""
        due = ceil(self.total * percent / 100)
        seen = 0
        for value in sorted(self.counts):
            seen += self.counts[value]
            if seen >= due:
                return value
        return None
