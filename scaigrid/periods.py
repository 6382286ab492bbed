"""Budget periods: when the one that holds a moment began, and when it ends, in the budget's own time zone."""

from bisect import bisect_right
from datetime import date, datetime, timedelta
from math import inf
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["daily", "weekly", "monthly", "total"]

_LONGEST = {"daily": timedelta(days=1), "weekly": timedelta(days=7), "monthly": timedelta(days=31)}


def bounds(period: Period, zone: ZoneInfo, now: float) -> tuple[float, float]:
    """Start (inclusive) and end (exclusive) of the period around `now`, in seconds since the epoch.

    Periods begin at local midnight: of the day, of Monday (ISO 8601), of the first of the month. `total` has one
    period without bounds. A day on which clocks change is 23 or 25 hours long. A midnight that clocks strike twice
    counts once, the first time.
    """
    if period == "total":
        return 0.0, inf
    first = _first(period, datetime.fromtimestamp(now, zone).date())
    following = _first(period, first + _LONGEST[period])
    # The neighbours too: where clocks are put back across midnight, the date of yesterday returns after the new day has
    # begun; where a midnight is skipped, the date of the new day is there before the instant that stands for it.
    firsts = (
        _first(period, first - timedelta(days=1)),
        first,
        following,
        _first(period, following + _LONGEST[period]),
    )
    edges = [datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() for day in firsts]
    place = bisect_right(edges, now)
    return edges[place - 1], edges[place]


def _first(period: Period, day: date) -> date:
    """The first day of the period that holds `day`."""
    if period == "weekly":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "monthly" else day
