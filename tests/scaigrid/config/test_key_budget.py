"""A key's own budget is a budget: it limits something, by the month unless it says otherwise."""

import pytest

from scaigrid.config.key_budget import KeyBudget, sized


def test_it_starts_anew_each_month_and_blocks() -> None:
    made = KeyBudget(request_limit=1)
    assert (made.period, made.timezone, made.hard_action, made.on_store_failure) == ("monthly", "UTC", "block", "deny")


def test_a_limit_of_nothing_is_one() -> None:
    KeyBudget(request_limit=0)
    with pytest.raises(ValueError, match="give at least one of"):
        KeyBudget()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../UTC"])
def test_a_time_zone_that_nobody_knows_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        sized(1, None, None, zone)
