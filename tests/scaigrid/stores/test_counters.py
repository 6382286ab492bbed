"""What a window and a fund of the memory store are alone; what a store makes of them is in test_memory.py."""

import pytest

from scaigrid.limiter import Bucket
from scaigrid.stores.counters import RING, TICKS, Fund, Window

MINUTE = Bucket(key="minute", level="user", kind="requests", limit=5)
FUND = Bucket(key="fund", level="tenant", kind="cost", limit=5, fund=True, until=1000.0)
CALLS = Bucket(key="calls", level="key", kind="concurrency", limit=5, fund=True)


@pytest.mark.parametrize("period", [0.001, 1.0, 59.999999, 60.0, 86_400.0])
def test_sixty_slices_are_at_least_as_long_as_the_period(period: float) -> None:
    """The bound of a window rests on it."""
    assert (RING - 1) * Window(period, 0).width >= period * TICKS


def test_what_was_taken_counts_until_its_slice_has_left_the_window() -> None:
    window = Window(60.0, 0)
    window.correct(0, 3)
    window.advance(RING - 1)
    assert window.total == 3
    window.advance(RING)
    assert window.total == 0
    assert window.standing(MINUTE, RING * window.width).remaining == 5


def test_a_window_can_be_forgotten_when_nothing_in_it_can_be_corrected() -> None:
    window = Window(60.0, 0)
    assert not window.forgettable((RING - 1) * window.width, 0.0)
    assert window.forgettable(RING * window.width, 0.0)


def test_calls_at_the_same_time_spend_nothing_of_a_fund() -> None:
    for bucket, spent in ((FUND, 3), (None, 3), (CALLS, 0)):
        fund = Fund(bucket)
        fund.spend(3)
        fund.spend(-1)
        assert fund.spent == spent


def test_a_fund_can_be_forgotten_when_it_is_empty_or_its_period_has_been_over_for_an_hour() -> None:
    fund = Fund(FUND)
    assert fund.forgettable(0, 0.0)
    fund.spend(1)
    assert not fund.forgettable(0, 999.0)
    assert not fund.forgettable(0, 1000.0)
    assert not fund.forgettable(3599 * TICKS, 5000.0)
    assert fund.forgettable(3600 * TICKS, 5000.0)
    fund.reserved = 1
    assert not fund.forgettable(3600 * TICKS, 5000.0)
