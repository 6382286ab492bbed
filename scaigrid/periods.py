"""Budget periods: when the one that holds a moment began, and when it ends, in the budget's own time zone."""

from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["daily", "weekly", "monthly", "total"]


def bounds(period: Period, zone: ZoneInfo, now: float) -> tuple[float, float]:
    """Start (inclusive) and end (exclusive) of the period around `now`, in seconds since the epoch.

    Periods begin at local midnight: of the day, of Monday (ISO 8601), of the first of the month. `total` has one
    period without bounds. A day on which clocks change is 23 or 25 hours long.
    """
    if period == "total":
        return 0.0, float("inf")
    local = datetime.fromtimestamp(now, zone)
    midnight = datetime(local.year, local.month, local.day, tzinfo=zone)
    if period == "daily":
        start, end = midnight, midnight + timedelta(days=1)
    elif period == "weekly":
        start = midnight - timedelta(days=local.weekday())
        end = start + timedelta(days=7)
    else:
        start = midnight.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    return start.timestamp(), end.timestamp()
