"""A budget is another bucket in each of its periods."""

from datetime import datetime
from zoneinfo import ZoneInfo

from scaigrid.config.snapshot import Fund, opened
from scaigrid.config.terms import HardAction
from scaigrid.limiter import Kind

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
KINDS: tuple[Kind, ...] = ("cost", "tokens", "requests")
ACTIONS: tuple[HardAction, ...] = ("block", "notify", "throttle")


def fund(kind: Kind = "cost", action: HardAction = "block") -> Fund:
    return Fund(
        id="budget_1",
        name="b",
        level="user",
        subject="user_1",
        kind=kind,
        limit=5,
        period="daily",
        zone=AMSTERDAM,
        action=action,
        throttle=3,
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


def test_a_fund_that_notifies_has_room_for_anything_and_its_place_is_the_same() -> None:
    blocking, notifying = fund().at(0.0), fund(action="notify").at(0.0)
    assert (notifying.key, blocking.limit) == (blocking.key, 5)
    # More than the largest budget a thousand times over, in nano-units.
    assert notifying.limit > 10**23
    assert (notifying.on_store_failure, blocking.on_store_failure) == ("allow", "deny")


def test_a_fund_that_is_opened_is_the_same_one_with_room() -> None:
    bucket = fund(action="throttle").at(0.0)
    assert (opened(bucket).key, opened(bucket).until, bucket.limit) == (bucket.key, bucket.until, 5)
    assert opened(bucket).limit > 10**23


def test_all_limits_of_a_budget_share_the_window_of_what_they_let_through() -> None:
    one, other = fund("cost", "throttle").window, fund("tokens", "throttle").window
    assert one == other
    assert (one.kind, one.limit, one.period, one.fund) == ("requests", 3, 60.0, False)


def test_bounds_are_needed_where_money_or_tokens_can_be_refused() -> None:
    needing = {(kind, action) for kind in KINDS for action in ACTIONS if fund(kind, action).bounds}
    assert needing == {("cost", "block"), ("cost", "throttle"), ("tokens", "block"), ("tokens", "throttle")}


def test_the_key_of_a_bucket_is_its_series_and_its_period() -> None:
    one = fund()
    series, _, since = one.at(at("2026-11-23T01:00")).key.rpartition(":")
    assert (series, float(since)) == (one.series, at("2026-11-23T00:00"))
