"""Cuts a span of time into whole days, whole hours and what is left at its edges, so that sums need few rows."""

import math
from collections.abc import Sequence
from typing import NamedTuple

HOUR = 3600
DAY = 86_400
ROWS = 0
"""Stands for the rows themselves, where hours and days stand for their sums."""


class Piece(NamedTuple):
    """A part of a span, in seconds since the epoch, whose end is not part of it, and what it is summed from."""

    of: int
    """Sums of so many seconds, or ROWS."""
    start: float
    end: float


def pieces(start: float, end: float, spans: Sequence[int] = (DAY, HOUR)) -> Sequence[Piece]:
    """The parts of a span, in order, without a gap and without an overlap: each from the widest sums that fit.

    Hours and days begin at whole ones of UTC. Either bound may be infinite; nothing was made before the epoch. There
    are at most five parts, and those of rows are shorter than two hours together.
    """
    start = max(start, 0.0)
    if start >= end:
        return ()
    if not spans:
        return (Piece(ROWS, start, end),)
    span, narrower = spans[0], spans[1:]
    first = -(-start // span) * span
    last = end if math.isinf(end) else end // span * span
    if first >= last:
        return pieces(start, end, narrower)
    return (*pieces(start, first, narrower), Piece(span, first, last), *pieces(last, end, narrower))
