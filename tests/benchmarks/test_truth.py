import pytest

from benchmarks import truth
from benchmarks.chat import ANSWER, COST, PRICES
from benchmarks.truth import Check, Client

CALLS = 100


def honest(calls: int = CALLS, cancelled: int = 0, cancelled_cost: int = 50) -> dict[str, int]:
    """What everybody says when `calls` were answered and `cancelled` more were given up after they had been sent."""
    all_calls = calls + cancelled
    cost = calls * PRICES.cost(ANSWER) + cancelled * cancelled_cost
    uncached = calls * (ANSWER.prompt_tokens - ANSWER.cached_tokens) + cancelled * 10
    cached, written = calls * ANSWER.cached_tokens, calls * ANSWER.completion_tokens
    numbers = {
        "provider: answered": calls,
        "provider: refused": 0,
        "ledger: rows": all_calls,
        "ledger: requests": all_calls,
        "ledger: serving rows": all_calls,
        "ledger: input tokens, not cached": uncached,
        "ledger: input tokens, cached": cached,
        "ledger: input tokens, written to a cache": 0,
        "ledger: output tokens": written,
        "ledger: cost": cost,
        "ledger: backend cost": calls * COST.cost(ANSWER),
        "ledger ok: rows": calls,
        "ledger ok: requests": calls,
        "ledger ok: serving rows": calls,
        "ledger ok: input tokens, not cached": uncached - cancelled * 10,
        "ledger ok: input tokens, cached": cached,
        "ledger ok: input tokens, written to a cache": 0,
        "ledger ok: output tokens": written,
        "ledger ok: cost": calls * PRICES.cost(ANSWER),
        "ledger ok: backend cost": calls * COST.cost(ANSWER),
        "log: cost": cost,
    }
    for witness in ("metrics", "log", "audit"):
        numbers[f"{witness}: status 200"] = calls
        if cancelled:
            numbers[f"{witness}: status 499"] = cancelled
    for witness in ("metrics", "log"):
        numbers[f"{witness}: input tokens"] = uncached + cached
        numbers[f"{witness}: output tokens"] = written
    for level in ("partner", "tenant", "user", "key"):
        numbers[f"limits of the {level}: requests"] = all_calls
    for level in ("partner", "tenant", "user", "key", "model"):
        for budget in (f"budget bench-{level}", f"budgets of the {level}"):
            numbers[f"{budget}: requests"] = all_calls
            numbers[f"{budget}: tokens"] = uncached + cached + written
            numbers[f"{budget}: cost"] = cost
    return numbers


COMPARED = sorted(
    honest().keys() - {"ledger: backend cost", "ledger: input tokens, written to a cache", "ledger ok: requests"}
)
"""All but what nobody else states; what the answered rows say of it is compared."""


def wrong(client: Client, numbers: dict[str, int]) -> list[str]:
    return [check.what for check in truth.checks(client, numbers, ANSWER) if not check.holds]


def test_an_honest_run_holds() -> None:
    assert wrong(Client(CALLS), honest()) == []


def test_calls_left_open_may_have_been_answered_cancelled_or_never_read() -> None:
    assert wrong(Client(CALLS - 10, left_open=32), honest()) == []
    assert wrong(Client(CALLS, left_open=32), honest(cancelled=7)) == []
    assert wrong(Client(CALLS, left_open=32), honest()) == []


def test_more_than_was_left_open_is_too_much() -> None:
    assert "metrics: calls of any status" in wrong(Client(CALLS, left_open=6), honest(cancelled=7))
    assert wrong(Client(CALLS - 1), honest()) == ["metrics: status 200", "metrics: calls of any status"]


def test_an_answered_call_has_a_row_and_none_has_two() -> None:
    for rows in (CALLS - 1, CALLS + 8):
        assert "ledger: rows" in wrong(Client(CALLS, left_open=32), honest(cancelled=7) | {"ledger: rows": rows})


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("name", COMPARED)
def test_one_off_anywhere_is_found(name: str, by: int) -> None:
    """One call, one token, one nano-unit."""
    numbers = honest()
    numbers[name] += by
    assert wrong(Client(CALLS), numbers)


@pytest.mark.parametrize("name", COMPARED)
def test_a_number_that_nobody_states_does_not_pass_for_zero(name: str) -> None:
    numbers = honest()
    del numbers[name]
    assert wrong(Client(CALLS), numbers)


def test_a_refused_call_is_no_part_of_an_honest_run() -> None:
    numbers = honest()
    for witness in ("metrics", "log", "audit"):
        numbers[f"{witness}: status 429"] = 1
    assert "metrics: status 429" in wrong(Client(CALLS, left_open=32), numbers)


def test_a_fault_that_the_client_met_does_not_hold() -> None:
    assert wrong(Client(CALLS, 0, {"timeouts": 3}), honest()) == ["client: timeouts"]
    assert [
        check.what for check in truth.provider_checks("nginx", Client(5, 2, {"timeouts": 3}), 8, 1) if not check.holds
    ] == [
        "nginx: timeouts",
        "nginx: answered by the provider",
        "nginx: refused by the provider",
    ]


def test_growth_begins_at_zero_for_what_was_not_there() -> None:
    assert truth.growth({"a": 3}, {"a": 5, "b": 2}) == {"a": 2, "b": 2}


def test_each_id_stands_once_with_each_witness() -> None:
    def failed(*ids: str) -> list[str]:
        kept = {"ledger": {"a": 1, "b": 1, "other": 9}, "log": {"a": 1, "b": 2}}
        return [check.what for check in truth.id_checks(ids, kept) if not check.holds]

    assert failed("a") == []
    assert failed("a", "b") == ["log: ids there once"]
    assert failed("a", "a") == ["client: different request ids"]
    assert failed("a", "c") == ["ledger: ids there once", "log: ids there once"]


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (Check("rows", 5, 5, 5, "as seen"), "rows = 5, has to be 5: as seen"),
        (Check("rows", 4, 5, 5, "as seen"), "rows = 4, has to be 5 (off by -1): as seen"),
        (Check("rows", 4000, 5, 6, "as seen"), "rows = 4,000, has to be 5 to 6: as seen"),
        (Check("rows", None, 5, 5, "as seen"), "rows is not stated, has to be 5: as seen"),
        (Check("rows", 5, None, None, "as seen"), "rows = 5, has to be something to compare it with: as seen"),
    ],
)
def test_a_check_says_all_that_there_is_to_know(check: Check, text: str) -> None:
    assert str(check) == text


def test_what_does_not_hold_is_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    fine, off = Check("a", 1, 1, 1, "so"), Check("b", 2, 1, 1, "so")
    assert truth.tell("load", [fine, off]) == 1
    told = capsys.readouterr()
    assert told.out == "truth, load: 1 of 2 hold\n"
    assert str(off) in told.err
    assert truth.tell("load", [fine]) == 0
