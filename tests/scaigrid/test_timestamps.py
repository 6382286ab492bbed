from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.timestamps import iso


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_800_000_000.0, "2027-01-15T08:00:00.000000Z"),
        (1_800_000_000.25, "2027-01-15T08:00:00.250000Z"),
        (1_800_000_000.000001, "2027-01-15T08:00:00.000001Z"),
        (951_782_399.9999999, "2000-02-29T00:00:00.000000Z"),
    ],
)
def test_a_time_is_written_in_utc_to_the_microsecond(seconds: float, text: str) -> None:
    assert iso(seconds) == text


@given(st.lists(st.integers(0, 4_000_000_000_000_000), min_size=1, max_size=5))
def test_it_is_what_the_library_writes_in_whatever_order_it_is_asked(micros: list[int]) -> None:
    """The text of the second is kept from one time to the next; an earlier one after a later one must not get it."""
    for one in (*micros, micros[0]):
        text = iso(one / 1_000_000)
        assert abs(datetime.fromisoformat(text).timestamp() - one / 1_000_000) < 2e-6
        assert datetime.fromisoformat(text).tzinfo == UTC
        assert len(text) == 27


def test_texts_sort_as_times_do() -> None:
    times = [1_800_000_000.0 + step * 0.37 for step in range(50)]
    assert sorted(map(iso, times)) == [iso(one) for one in times]
