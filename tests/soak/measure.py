"""What a process tree weighed, sample by sample, and what that says: does it grow, and how fast?"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tests.harness.process_tree import Weight

MIB: Final = 2**20
WARM: Final = 0.25
"""The part of the time that is for warming up: pools, caches and the interpreter's own."""
MOST_GROWTH: Final = 0.2
"""Of the memory after the warm-up: no more than this may come, by the line through all samples."""
MOST_DESCRIPTORS: Final = 20
"""More than after the warm-up."""


class Sample(NamedTuple):
    at: float
    """Seconds since the beginning."""
    weight: Weight


class Soaked(msgspec.Struct, kw_only=True):
    """The figures of one run."""

    seconds: float
    calls: int
    failures: int
    rss_first: float
    """MiB, after the warm-up; the median of some samples."""
    rss_last: float
    slope: float
    """MiB an hour, by least squares over the samples after the warm-up."""
    grown: float
    """By that line, over these samples: the part by which memory grew."""
    descriptors_first: int
    descriptors_last: int
    processes: int

    @property
    def faults(self) -> list[str]:
        """What speaks against it."""
        found: list[str] = []
        if self.grown > MOST_GROWTH:
            found.append(f"memory grew by {100 * self.grown:.0f} % after the warm-up")
        if self.rss_last > self.rss_first * (1 + MOST_GROWTH):
            found.append(f"memory is {self.rss_last:.0f} MiB in the end, and was {self.rss_first:.0f}")
        if self.descriptors_last > self.descriptors_first + MOST_DESCRIPTORS:
            found.append(f"{self.descriptors_last} descriptors are open, and were {self.descriptors_first}")
        if self.failures:
            found.append(f"{self.failures} calls were answered otherwise than they had to be")
        if not self.calls:
            found.append("nobody called")
        return found

    def told(self) -> dict[str, Any]:
        """The last line of a report."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in plain.items()}
        return {**rounded, "faults": self.faults}


def soaked(samples: Sequence[Sample], *, calls: int, failures: int) -> Soaked:
    """The figures of these samples; there are some of them after the warm-up."""
    ends = samples[-1].at
    warm = [sample for sample in samples if sample.at >= WARM * ends]
    slope, start = line([(sample.at, float(sample.weight.rss)) for sample in warm])
    first, last = start + slope * warm[0].at, start + slope * ends
    few = max(1, len(warm) // 10)
    return Soaked(
        seconds=ends,
        calls=calls,
        failures=failures,
        rss_first=_median([sample.weight.rss for sample in warm[:few]]) / MIB,
        rss_last=_median([sample.weight.rss for sample in warm[-few:]]) / MIB,
        slope=slope * 3600 / MIB,
        grown=(last - first) / first if first else 0.0,
        descriptors_first=int(_median([sample.weight.descriptors for sample in warm[:few]])),
        descriptors_last=int(_median([sample.weight.descriptors for sample in warm[-few:]])),
        processes=samples[-1].weight.processes,
    )


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The slope and the start of the line that is nearest to the points, by least squares."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0
    return slope, middle_y - slope * middle_x


def _median(values: Sequence[int]) -> float:
    ordered = sorted(values)
    return float(ordered[len(ordered) // 2])
