"""That a budget has reached a limit is told once, whoever settles at the same time and whatever the store."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from scaigrid.config.snapshot import Fund
from scaigrid.events import Event
from scaigrid.ids import declared_id
from scaigrid.limiter import Limiter, Spending, Take
from scaigrid.stores import LIMITERS
from scaigrid.thresholds import Thresholds
from tests.harness.clock import StillClock
from tests.harness.eventually import becomes
from tests.harness.services import Parts
from tests.harness.valkey import shared
from tests.scaigrid.stores.openers import OPENERS, Opener, over, prefix

PURSE = {"scope": "user", "of": "ann", "period": "daily"}
DAY = 86_400


class Heard:
    """Everything that is told of the budgets of a configuration."""

    def __init__(self, **budgets: Any) -> None:
        self.parts = Parts(budgets=budgets)
        self.events: list[Event] = []
        self.thresholds = Thresholds(self.parts.services.current, self.parts.clock, self.parts.telemetry, self)

    def publish(self, event: Event) -> None:
        self.events.append(event)

    @property
    def funds(self) -> Sequence[Fund]:
        return self.parts.snapshot.funds

    def spend(self, before: int, after: int, fund: int = 0) -> list[str]:
        """The types of the events of one settling."""
        told = len(self.events)
        key = self.funds[fund].at(self.parts.clock.now()).key
        self.thresholds.heard({key: Spending(before, after)})
        return [event.event_type for event in self.events[told:]]


SOFT, HARD = "budget.soft_limit_reached", "budget.hard_limit_reached"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (0, 79, []),
        (0, 80, [SOFT]),
        (79, 99, [SOFT]),
        (80, 99, []),
        (80, 100, [HARD]),
        (99, 140, [HARD]),
        (100, 140, []),
        (0, 100, [SOFT, HARD]),
        (80, 80, []),
    ],
)
def test_a_threshold_is_told_by_the_settling_that_reaches_it(before: int, after: int, told: list[str]) -> None:
    assert Heard(hard={**PURSE, "token_limit": 100}).spend(before, after) == told


@pytest.mark.parametrize(
    ("limit", "part", "reached"),
    [
        (10, "0.25", 3),
        (10, "0.3", 3),
        (1, "0.8", 1),
        (3, "0.333333333333", 1),
        (10**15, "0.7", 7 * 10**14),
        (5, "1", 5),
    ],
)
def test_the_part_is_exact_and_below_it_nothing_is_told(limit: int, part: str, reached: int) -> None:
    heard = Heard(hard={**PURSE, "request_limit": limit, "soft_limit_pct": part})
    assert SOFT not in heard.spend(0, reached - 1)
    assert SOFT in heard.spend(reached - 1, reached)


def test_without_a_part_the_limit_alone_is_told() -> None:
    assert Heard(hard={**PURSE, "token_limit": 100, "soft_limit_pct": None}).spend(0, 100) == [HARD]


def test_what_is_told_names_the_budget_and_its_period() -> None:
    heard = Heard(hard={**PURSE, "cost_limit": "2.5", "timezone": "Europe/Amsterdam", "hard_action": "notify"})
    with capture_logs() as lines:
        heard.spend(0, 2_500_000_001)
    said = {
        "budget_id": declared_id("budget", "hard"),
        "name": "hard",
        "scope": "user",
        "scope_id": declared_id("user", "ann"),
        "kind": "cost",
        "limit": "2.5",
        "spent": "2.500000001",
        "period_end": "2027-01-15T23:00:00.000000Z",
        "hard_action": "notify",
    }
    assert lines == [
        {"event": f"budget_{threshold}_limit_reached", "log_level": "warning", **said} for threshold in ("soft", "hard")
    ]
    event = heard.events[0]
    assert event.payload == said
    assert (event.tenant_id, event.partner_id) == (declared_id("tenant", "default"), declared_id("partner", "default"))
    assert (event.source, event.timestamp) == ("scaigrid", "2027-01-15T08:00:00.000000Z")
    assert len({event.event_id for event in heard.events}) == 2
    for threshold in ("soft", "hard"):
        assert heard.parts.metrics.value("scaigrid_budget_thresholds_total", budget="hard", threshold=threshold) == 1


def test_what_was_spent_in_a_period_that_is_over_is_told_of_that_period() -> None:
    heard = Heard(hard={**PURSE, "token_limit": 100})
    key = heard.funds[0].at(heard.parts.clock.now()).key
    heard.parts.clock.advance(DAY)
    heard.thresholds.heard({key: Spending(0, 90)})
    assert [event.payload["period_end"] for event in heard.events] == ["2027-01-16T00:00:00.000000Z"]


def test_of_a_budget_that_never_starts_anew_no_end_is_told() -> None:
    heard = Heard(hard={**PURSE, "period": "total", "token_limit": 100})
    heard.spend(0, 90)
    assert heard.events[0].payload["period_end"] is None


def test_what_is_no_budget_of_the_present_configuration_is_nobodys() -> None:
    heard = Heard(hard={**PURSE, "token_limit": 100})
    heard.thresholds.heard(
        {"limit:concurrency:user_1": Spending(0, 10**9), "budget:budget_gone:tokens:0": Spending(0, 10**9)}
    )
    assert heard.events == []


def test_a_limit_that_was_changed_counts_from_the_next_settling() -> None:
    heard = Heard(hard={**PURSE, "token_limit": 100})
    larger = Heard(hard={**PURSE, "token_limit": 1_000})
    heard.parts.services.current.snapshot = larger.parts.snapshot
    assert heard.spend(0, 100) == []
    assert heard.spend(100, 800) == [SOFT]


def test_two_budgets_of_one_name_are_two_in_the_metrics() -> None:
    users: dict[str, Any] = {"ann": {}, "bob": {}}
    budgets = {
        f"of-{user}": {"name": "monthly", "scope": "user", "of": user, "period": "total", "request_limit": 1}
        for user in users
    }
    parts = Parts(users=users, budgets=budgets)
    heard = Heard()
    heard.parts.services.current.snapshot = parts.snapshot
    for fund in parts.snapshot.funds:
        heard.thresholds.heard({fund.at(0).key: Spending(0, 1)})
    for fund in parts.snapshot.funds:
        label = f"monthly ({fund.id})"
        assert heard.parts.metrics.value("scaigrid_budget_thresholds_total", budget=label, threshold="hard") == 1


@pytest.fixture(scope="session", params=sorted(LIMITERS))
def opener(request: pytest.FixtureRequest) -> Opener:
    return OPENERS[request.param]


async def one_call(limiter: Limiter, fund: Fund, now: float) -> None:
    decision = await limiter.acquire([Take(fund.at(now), 3)])
    assert decision.lease is not None
    await limiter.settle(decision.lease, {fund.at(now).key: 3})


async def test_thirty_calls_at_once_are_told_of_once(opener: Opener) -> None:
    heard = Heard(hard={**PURSE, "token_limit": 90, "soft_limit_pct": Decimal("0.5")})
    async with opener() as opened:
        opened.limiter.on_spent(heard.thresholds.heard)
        now = heard.parts.clock.now()
        await asyncio.gather(*(one_call(opened.limiter, heard.funds[0], now) for _ in range(30)))
        await becomes(lambda: len(heard.events) >= 2, "both limits are told of")
    assert Counter(event.event_type for event in heard.events) == {SOFT: 1, HARD: 1}


async def test_what_was_told_before_a_restart_is_not_told_again(opener: Opener) -> None:
    heard = Heard(hard={**PURSE, "token_limit": 100})
    async with opener() as opened:
        opened.limiter.on_spent(heard.thresholds.heard)
        now = heard.parts.clock.now()
        await opened.limiter.preset({heard.funds[0].at(now).key: 85})
        for _ in range(5):
            await one_call(opened.limiter, heard.funds[0], now)
        await becomes(lambda: heard.events, "the limit is told of")
    assert [event.event_type for event in heard.events] == [HARD]


async def test_two_workers_tell_once_between_them() -> None:
    one, other = (Heard(hard={**PURSE, "token_limit": 90}) for _ in range(2))
    name, clock = prefix(), StillClock()
    async with over(shared(), name, clock) as first, over(shared(), name, clock) as second:
        first.on_spent(one.thresholds.heard)
        second.on_spent(other.thresholds.heard)
        now = one.parts.clock.now()
        limiters = (first, second) * 15
        await asyncio.gather(*(one_call(limiter, one.funds[0], now) for limiter in limiters))
        await becomes(lambda: len(one.events) + len(other.events) >= 2, "both limits are told of")
    assert Counter(event.event_type for event in (*one.events, *other.events)) == {SOFT: 1, HARD: 1}
