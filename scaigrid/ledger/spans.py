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
    sign: int = 1
    """-1 for what is taken away: it was counted in another piece, and is no part of the span."""


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


def cut(start: float, end: float) -> Sequence[Piece]:
    """The parts of a span as `pieces` has them, but few of them hours.

    Of a day that the span has more than half of, the whole is taken and the rest is taken away again: so no edge costs
    more than twelve hours, where it could cost twenty-three. Where the hours are gone, that day counts whole.
    """
    start = max(start, 0.0)
    first = _nearest(start)
    last = end if math.isinf(end) else _nearest(end)
    if first >= last or end - start <= DAY / 2:
        return pieces(start, end)
    return (*_edge(start, first), Piece(DAY, first, last), *(() if math.isinf(end) else _edge(last, end)))


def _nearest(moment: float) -> float:
    day = moment // DAY * DAY
    return day if moment - day <= DAY / 2 else day + DAY


def _edge(start: float, end: float) -> Sequence[Piece]:
    """What lies between two moments; taken away where they are the other way round."""
    if start <= end:
        return pieces(start, end, (HOUR,))
    return [piece._replace(sign=-1) for piece in pieces(end, start, (HOUR,))]
