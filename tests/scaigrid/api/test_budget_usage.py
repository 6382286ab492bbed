"""What is shown of a budget: what is spent, reserved and left, and the gravest that holds of one of its limits."""

from fractions import Fraction
from math import inf
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scaigrid.api.budget_usage import BudgetAmounts, Standing, state, usage
from scaigrid.config.snapshot import Fund
from scaigrid.config.terms import HardAction
from scaigrid.limiter import Kind

UTC = ZoneInfo("UTC")


def standing(
    limits: dict[Kind, int],
    spent: dict[Kind, int],
    reserved: dict[Kind, int] | None = None,
    end: float = inf,
    soft: Fraction | None = Fraction(4, 5),
    action: HardAction = "block",
) -> Standing:
    funds: dict[Kind, Fund] = {
        kind: Fund(
            id="budget_1",
            name="b",
            level="user",
            subject="user_1",
            kind=kind,
            limit=limit,
            period="total",
            zone=UTC,
            soft=soft,
            action=action,
        )
        for kind, limit in limits.items()
    }
    return Standing(0.0, end, funds, spent, reserved or dict.fromkeys(limits, 0))


def test_what_remains_is_neither_spent_nor_reserved() -> None:
    told = usage(
        standing({"cost": 10**9, "requests": 5}, {"cost": 250_000_000, "requests": 4}, {"cost": 1, "requests": 1})
    )
    assert (told.cost, told.tokens, told.requests) == ("0.25", None, 4)
    assert told.reserved == BudgetAmounts(cost="0.000000001", tokens=None, requests=1)
    assert told.remaining == BudgetAmounts(cost="0.749999999", tokens=None, requests=0)


def test_less_than_nothing_never_remains() -> None:
    assert usage(standing({"tokens": 10}, {"tokens": 12})).remaining.tokens == 0


def test_only_a_budget_that_starts_anew_has_a_period() -> None:
    assert usage(standing({"tokens": 10}, {"tokens": 0})).period_start is None
    assert usage(standing({"tokens": 10}, {"tokens": 0}, end=86_400.0)).period_end == "1970-01-02T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("spent", "more", "expected"),
    [
        (79, {}, "ok"),
        (80, {}, "soft_limit_reached"),
        (99, {"soft": None}, "ok"),
        (100, {}, "exhausted"),
        (101, {}, "exhausted"),
        (99, {"action": "throttle"}, "soft_limit_reached"),
        (100, {"action": "throttle"}, "throttled"),
        (100, {"action": "notify"}, "exhausted"),
    ],
)
def test_the_state_says_which_limit_is_reached(spent: int, more: dict[str, Any], expected: str) -> None:
    assert state(standing({"tokens": 100}, {"tokens": spent}, **more)) == expected


def test_of_several_limits_the_one_that_is_used_up_counts() -> None:
    assert state(standing({"cost": 10, "requests": 1}, {"cost": 0, "requests": 1})) == "exhausted"


def test_what_is_reserved_has_not_been_spent() -> None:
    assert state(standing({"tokens": 100}, {"tokens": 0}, {"tokens": 100})) == "ok"
