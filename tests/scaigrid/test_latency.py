from math import e

import pytest

from scaigrid.latency import ENOUGH, FADES, KEPT, Latency

NOW = 1000.0


def test_of_a_backend_that_never_answered_nothing_is_known() -> None:
    latency = Latency()
    assert (latency.average, latency.faded(NOW), latency.slow) == (None, None, None)


def test_a_peak_counts_at_once() -> None:
    latency = Latency()
    latency.measured(0.2, NOW)
    latency.measured(3.0, NOW + 0.001)
    assert latency.average == 3.0


def test_what_is_sooner_brings_it_down_with_time() -> None:
    """By the weight of the time that passed: hardly in a moment, to all but a third of the difference in FADES."""
    latency = Latency()
    latency.measured(3.0, NOW)
    latency.measured(1.0, NOW)
    assert latency.average == 3.0
    latency.measured(1.0, NOW + FADES)
    assert latency.average == pytest.approx(1 + 2 / e)


def test_answers_that_are_all_alike_are_what_they_are() -> None:
    latency = Latency()
    for place in range(50):
        latency.measured(0.5, NOW + place)
    assert latency.average == pytest.approx(0.5)


def test_it_fades_while_nobody_asks_the_backend() -> None:
    """One that was twice as slow looks like the faster one after FADES * ln 2, and is asked again."""
    slow, fast = Latency(), Latency()
    slow.measured(2.0, NOW)
    for later in (0, 10, 19, 21):
        fast.measured(1.0, NOW + later)
    assert slow.faded(NOW + 19) > 1.0 > slow.faded(NOW + 21)  # type: ignore[operator]  # it was measured
    assert slow.average == 2.0


def test_slow_is_what_95_of_the_last_100_were_no_slower_than() -> None:
    latency = Latency()
    for place in range(ENOUGH - 1):
        latency.measured(float(place), NOW)
    slow = [latency.slow]
    latency.measured(19.0, NOW)
    assert [*slow, latency.slow] == [None, 18.0]
    for place in range(KEPT):
        latency.measured(100.0 + place, NOW)
    assert latency.slow == 194.0
    # Worked out once, and anew after each measurement.
    assert latency.slow == 194.0
    latency.measured(500.0, NOW)
    assert latency.slow == 195.0
