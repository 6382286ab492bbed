"""What a call asks of limits and budgets; the tests of the links `rate_limit` and `budget` hold the rest."""

import msgspec

from scaigrid.exchange import Exchange
from scaigrid.taking import take_budgets, take_limits
from tests.harness.services import Parts
from tests.scaigrid.calls import opened

LIMITS = {"requests_per_minute": 5, "tokens_per_minute": 90_000}


def parts() -> Parts:
    return Parts(
        users={"ann": {"limits": LIMITS}},
        budgets={"much": {"scope": "user", "of": "ann", "period": "daily", "cost_limit": 5, "request_limit": 9}},
    )


def asked(found: Exchange) -> list[tuple[str, str, int]]:
    return [(take.bucket.level, take.bucket.kind, take.amount) for take in found.takes]


def test_a_limit_on_tokens_is_asked_for_the_worst_case() -> None:
    made = parts()
    found = opened(made)
    take_limits(found)
    assert found.reserved is not None
    assert ("user", "requests", 1) in asked(found)
    assert ("user", "tokens", found.reserved.tokens) in asked(found)
    assert found.output_bound == 1_000


def test_a_budget_is_asked_for_a_request_and_for_what_it_may_cost() -> None:
    made = parts()
    found = opened(made)
    take_budgets(found, made.clock.now())
    assert found.reserved is not None
    assert asked(found) == [("user", "cost", found.reserved.cost), ("user", "requests", 1)]


def test_who_may_not_use_the_model_takes_none_of_its_room() -> None:
    made = parts()
    found = opened(made)
    found.principal = msgspec.structs.replace(found.principal, hidden=frozenset({"acme/chat"}))
    take_limits(found)
    take_budgets(found, made.clock.now())
    assert {kind for _, kind, _ in asked(found)} <= {"requests", "concurrency"}
