from datetime import UTC, datetime
from math import inf
from typing import get_args
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scaigrid.periods import Period, bounds

BEGINNING: tuple[Period, ...] = ("daily", "weekly", "monthly")
ZONES = sorted(available_timezones() - {"localtime"})
HOUR = 3600.0
DAY = 24 * HOUR

MOMENTS = st.floats(-3e9, 6e9, allow_nan=False)
"""From 1874, when most zones still kept the sun's time, to 2160."""


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def around(period: Period, zone: str, moment: str) -> tuple[str, str]:
    """The bounds as local time with its offset from UTC."""
    start, end = (datetime.fromtimestamp(edge, ZoneInfo(zone)) for edge in bounds(period, ZoneInfo(zone), at(moment)))
    return start.isoformat(), end.isoformat()


@pytest.mark.parametrize(
    ("period", "zone", "moment", "start", "end"),
    [
        ("daily", "UTC", "2026-03-10T12:00:00Z", "2026-03-10T00:00:00+00:00", "2026-03-11T00:00:00+00:00"),
        # The first instant is inside, the last is not
        ("daily", "UTC", "2026-03-10T00:00:00Z", "2026-03-10T00:00:00+00:00", "2026-03-11T00:00:00+00:00"),
        ("daily", "UTC", "2026-03-09T23:59:59.999Z", "2026-03-09T00:00:00+00:00", "2026-03-10T00:00:00+00:00"),
        # The day of the zone, not of UTC
        ("daily", "Asia/Tokyo", "2026-03-10T15:00:00Z", "2026-03-11T00:00:00+09:00", "2026-03-12T00:00:00+09:00"),
        ("daily", "Asia/Kathmandu", "2026-03-10T18:14:59Z", "2026-03-10T00:00:00+05:45", "2026-03-11T00:00:00+05:45"),
        # Clocks forward, then back, in Amsterdam
        ("daily", "Europe/Amsterdam", "2026-03-29T12:00Z", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("daily", "Europe/Amsterdam", "2026-10-25T12:00Z", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        # Both of the hours that are called two o'clock
        ("daily", "Europe/Amsterdam", "2026-10-25T00:30Z", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        ("daily", "Europe/Amsterdam", "2026-10-25T01:30Z", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        # Weeks begin on Monday, over the ends of months and years
        ("weekly", "UTC", "2026-03-08T23:59:59Z", "2026-03-02T00:00:00+00:00", "2026-03-09T00:00:00+00:00"),
        ("weekly", "UTC", "2026-03-09T00:00:00Z", "2026-03-09T00:00:00+00:00", "2026-03-16T00:00:00+00:00"),
        ("weekly", "UTC", "2027-01-01T12:00:00Z", "2026-12-28T00:00:00+00:00", "2027-01-04T00:00:00+00:00"),
        ("weekly", "Europe/Amsterdam", "2026-03-29T12:00Z", "2026-03-23T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        # Months of every length, and the end of the year
        ("monthly", "UTC", "2026-01-31T23:59:59Z", "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"),
        ("monthly", "UTC", "2026-02-28T23:59:59Z", "2026-02-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"),
        ("monthly", "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00+00:00", "2028-03-01T00:00:00+00:00"),
        ("monthly", "UTC", "2026-04-30T12:00:00Z", "2026-04-01T00:00:00+00:00", "2026-05-01T00:00:00+00:00"),
        ("monthly", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("monthly", "Europe/Amsterdam", "2026-10-02T12:00Z", "2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00"),
        ("monthly", "Pacific/Auckland", "2026-12-31T11:00Z", "2027-01-01T00:00:00+13:00", "2027-02-01T00:00:00+13:00"),
        # Midnight is skipped: the day begins at one o'clock
        ("daily", "Africa/Cairo", "2026-04-24T12:00Z", "2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"),
        # Midnight comes twice: the day begins with the first, here and where the clock goes back to yesterday
        ("daily", "America/Havana", "2024-11-03T12:00Z", "2024-11-03T00:00:00-04:00", "2024-11-04T00:00:00-05:00"),
        ("daily", "America/St_Johns", "2010-11-07T02:45Z", "2010-11-07T00:00:00-02:30", "2010-11-08T00:00:00-03:30"),
        # Clocks go from 23:30 to 00:30: half past midnight and what follows is still the day before
        ("daily", "America/Toronto", "1919-03-31T04:40Z", "1919-03-30T00:00:00-05:00", "1919-03-31T01:00:00-04:00"),
        # Samoa left out the 30th of December
        ("daily", "Pacific/Apia", "2011-12-30T09:00Z", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"),
        ("daily", "Pacific/Apia", "2011-12-30T10:00Z", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"),
    ],
)
def test_a_period_begins_at_local_midnight(period: Period, zone: str, moment: str, start: str, end: str) -> None:
    assert around(period, zone, moment) == (start, end)


@pytest.mark.parametrize(("moment", "hours"), [("2026-03-29T12:00Z", 23), ("2026-10-25T12:00Z", 25)])
def test_a_day_on_which_clocks_change_is_23_or_25_hours_long(moment: str, hours: int) -> None:
    start, end = bounds("daily", ZoneInfo("Europe/Amsterdam"), at(moment))
    assert end - start == hours * HOUR


@given(MOMENTS)
def test_total_is_one_period_without_end(now: float) -> None:
    assert bounds("total", ZoneInfo("Europe/Amsterdam"), now) == (0.0, inf)


def test_there_are_the_periods_of_the_contract() -> None:
    assert get_args(Period) == (*BEGINNING, "total")


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(BEGINNING), st.sampled_from(ZONES), MOMENTS)
@example("daily", "America/St_Johns", at("2010-11-07T02:45Z"))
@example("monthly", "America/Toronto", at("1919-03-31T04:40Z"))
@example("daily", "America/Juneau", at("1867-10-19T05:00Z"))
@example("weekly", "Pacific/Apia", at("2011-12-30T10:00Z"))
def test_every_moment_is_in_its_period_and_periods_follow_without_a_gap(period: Period, zone: str, now: float) -> None:
    place = ZoneInfo(zone)
    start, end = bounds(period, place, now)
    assert start <= now < end
    assert bounds(period, place, start) == bounds(period, place, now)
    assert bounds(period, place, end)[0] == end
    # The double before, not the second before: years ago some clocks changed within a second of midnight
    assert bounds(period, place, start - 1e-3)[1] == start
    assert bounds(period, place, end - 1e-3) == (start, end)


@pytest.mark.parametrize("zone", ZONES)
def test_in_every_zone_the_days_of_a_year_fill_it(zone: str) -> None:
    """Day by day from one new year to the next, each beginning where the last one ended, 22 to 26 hours long."""
    place = ZoneInfo(zone)
    now = first = datetime(2026, 1, 1, tzinfo=place).timestamp()
    days = 0
    while datetime.fromtimestamp(now, place).year == 2026:
        start, end = bounds("daily", place, now)
        assert start == now
        assert 22 * HOUR <= end - start <= 26 * HOUR
        now, days = end, days + 1
    assert days == 365
    assert abs(now - first - 365 * DAY) <= 2 * HOUR


@pytest.mark.parametrize("zone", ["UTC", "Europe/Amsterdam", "America/St_Johns", "Pacific/Apia"])
@pytest.mark.parametrize(("period", "count"), [("weekly", 2088), ("monthly", 480)])
def test_forty_years_hold_so_many_periods(period: Period, count: int, zone: str) -> None:
    place = ZoneInfo(zone)
    now = datetime(1990, 1, 1, tzinfo=place).timestamp()
    last = datetime(2030, 1, 1, tzinfo=place).timestamp()
    met = 0
    while now < last:
        now, met = bounds(period, place, now)[1], met + 1
    assert met == count


def test_a_monthly_period_never_depends_on_the_day_that_asks() -> None:
    """Every hour of a leap February gives the same bounds."""
    start = datetime(2028, 2, 1, tzinfo=UTC).timestamp()
    found = {bounds("monthly", ZoneInfo("UTC"), start + hour * HOUR) for hour in range(29 * 24)}
    assert found == {(start, start + 29 * DAY)}
