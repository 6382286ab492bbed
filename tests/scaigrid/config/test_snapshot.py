"""A budget is another bucket in each of its periods."""

from datetime import datetime
from zoneinfo import ZoneInfo

from scaigrid.config.snapshot import Fund

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def fund() -> Fund:
    return Fund(
        id="budget_1", name="b", level="user", subject="user_1", kind="cost", limit=5, period="daily", zone=AMSTERDAM
    )


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=AMSTERDAM).timestamp()


def test_one_bucket_a_period_and_the_next_at_local_midnight() -> None:
    one = fund()
    morning, late, next_day = (one.at(at(f"2026-11-{text}")) for text in ("23T00:00", "23T23:59:59", "24T00:00"))
    assert morning is late
    assert morning.key != next_day.key
    assert morning.until == at("2026-11-24T00:00")


def test_a_clock_that_is_set_back_finds_the_earlier_bucket_again() -> None:
    one = fund()
    first = one.at(at("2026-11-23T12:00"))
    one.at(at("2026-11-24T12:00"))
    assert one.at(at("2026-11-23T12:00")) == first


def test_a_period_s_bucket_has_the_same_key_in_every_process() -> None:
    assert fund().at(at("2026-11-23T01:00")).key == fund().at(at("2026-11-23T22:00")).key
