"""Every fact can fail: what speaks against it is found in samples that are wrong in one place, and in no right one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from tests.money.books import compared
from tests.money.callers import Answer
from tests.money.fact import LIMIT, Found, summed
from tests.money.facts import disconnect, idempotency, kill, limit, outage, overshoot, prices, refused, restart
from tests.money.orders import Order, least_reserved, named
from tests.money.scale import day, month


def order(**more: Any) -> Order:
    made: dict[str, Any] = {"id": named("t"), "purse": "t", "tokens_in": 100, "tokens_out": 7, "bound": 10, **more}
    return Order(**made)


def answer(one: Order, **more: Any) -> Answer:
    made: dict[str, Any] = {"order": one, "status": 200, "finished": True, "began": 0.0, "seconds": 0.1, **more}
    return Answer(**made)


def row(one: Order, **more: Any) -> dict[str, Any]:
    return {
        "id": f"usage-{one.id}",
        "request_id": one.id,
        "serving": 1,
        "outcome": "ok",
        "error_code": None,
        "tokens_in": one.tokens_in,
        "tokens_cache_read": one.cached,
        "tokens_out": one.tokens_out,
        "cost": one.cost,
        "usage_source": "provider",
        **more,
    }


# -- the books -------------------------------------------------------------------------------------------------------

FIRST, SECOND, OPEN = order(), order(tokens_in=5), order()
ASKED = {one.id: one for one in (FIRST, SECOND, OPEN)}
ANSWERS = [answer(FIRST), answer(SECOND), answer(OPEN, finished=False, status=0)]
ROWS = [row(FIRST), row(SECOND)]


def books(rows: Sequence[Mapping[str, Any]]) -> Found:
    return compared(rows, ANSWERS, ASKED).found()


@pytest.mark.parametrize(
    "more",
    [
        [],
        [row(OPEN, outcome="interrupted", cost=3)],
        [row(OPEN, outcome="interrupted", serving=0, cost=0)],
        [row(OPEN, outcome="client_closed", cost=0)],
        [row(OPEN)],
        [row(FIRST, serving=0, outcome="error")],
    ],
)
def test_books_that_balance_have_no_fault(more: list[dict[str, Any]]) -> None:
    found = books([*ROWS, *more])
    assert (found.faults, found.lost_rows, found.double_rows) == ([], 0, 0)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROWS[:1], "1 finished answers without a row"),
        ([*ROWS, row(FIRST, id="another")], "1 calls with more than one row"),
        ([*ROWS, row(FIRST, id="another", outcome="interrupted", serving=0)], "1 calls with more than one row"),
        ([ROWS[0], {**ROWS[1], "cost": ROWS[1]["cost"] + 1}], "1 rows that do not say what their call cost"),
        ([ROWS[0], {**ROWS[1], "tokens_out": 8}], "1 rows that do not say what their call cost"),
        ([ROWS[0], {**ROWS[1], "outcome": "interrupted"}], "1 rows that do not say what their call cost"),
        ([*ROWS, row(order())], "1 rows of calls that nobody made"),
        ([*ROWS, row(OPEN, cost=1)], "1 rows of unfinished calls that are not marked"),
        ([*ROWS, row(OPEN, outcome="error")], "1 rows of unfinished calls that are not marked"),
    ],
)
def test_books_that_are_wrong_by_one_row_are_found_out(rows: list[dict[str, Any]], says: str) -> None:
    assert [fault for fault in books(rows).faults if fault.startswith(says)] != []


def test_a_refused_call_with_a_row_is_found_out() -> None:
    found = compared([row(FIRST)], [answer(FIRST, status=429, code="RATE_LIMITED")], ASKED).found()
    assert found.faults != []


# -- one fact after the other ----------------------------------------------------------------------------------------


def several(judged: Callable[[Sequence[Any]], Found]) -> Callable[[Any], Found]:
    return lambda one: judged([one])


def table_of_one(one: prices.Priced) -> Found:
    return prices.judged([one], prices.CLASSES)


def store_alone(one: outage.Away) -> Found:
    return outage.judged([one], [])


def database_alone(one: outage.Gone) -> Found:
    return outage.judged([], [one])


RIGHT: dict[str, tuple[Any, Any]] = {
    "overshoot": (
        several(overshoot.judged),
        overshoot.Seen(purse="p", kind="cost", limit=1000, peak=1000, spent=985, ledger=985, billed=985),
    ),
    "limit": (
        several(limit.judged),
        limit.Rush(name="r", admitted=LIMIT, refused=95, at_provider=LIMIT),
    ),
    "refused": (
        several(refused.judged),
        refused.Seen(
            store="s",
            tried=[refused.Tried(name="t", codes=["RATE_LIMITED"], expected="RATE_LIMITED")],
            passed=LIMIT,
            at_provider=LIMIT,
            rows=LIMIT,
        ),
    ),
    "kill": (
        kill.judged,
        kill.Shot(
            books=compared([*ROWS, row(OPEN, outcome="interrupted", cost=3)], ANSWERS, ASKED),
            spent=FIRST.cost + SECOND.cost + 3,
            reserved=0,
            left_over=0,
        ),
    ),
    "disconnect": (
        disconnect.judged,
        disconnect.Left(
            cuts=[
                disconnect.Cut(
                    policy="drain", index=1, rows=[row(FIRST, outcome="client_closed")], provider_left=False
                ),
                disconnect.Cut(
                    policy="cancel",
                    index=1,
                    rows=[row(FIRST, outcome="client_closed", usage_source="counted", cost=5)],
                    provider_left=True,
                ),
            ],
            whole=row(FIRST),
            usage_index=9,
            spent=3,
            ledger=3,
        ),
    ),
    "restart": (
        several(restart.judged),
        restart.Counted(when="w", counters={"a cost": 5}, ledger={"a cost": 5}),
    ),
    "prices": (
        table_of_one,
        prices.Priced(name="n", said=7, by_hand=7, by_pricing=7, by_call=7),
    ),
    "idempotency": (
        several(idempotency.judged),
        idempotency.Seen(name="n", at_provider=1, rows=1, served=30, replayed=29, bodies=1),
    ),
    **{
        f"outage-{policy}": (
            store_alone,
            outage.Away(how="paused", policy=policy, codes=codes, seconds=[0.2, 0.01, 0.01], spent=5, ledger=5),
        )
        for policy, codes in (
            ("deny", ["STORE_UNAVAILABLE"]),
            ("allow", ["200"]),
            ("allow_bounded", ["200", "RATE_LIMITED"]),
        )
    },
    "outage-database": (
        database_alone,
        outage.Gone(
            how="stopped",
            seconds=1,
            books=compared(ROWS, ANSWERS, ASKED),
            meanwhile=3,
            refused=[],
            p99_before=0.1,
            p99_meanwhile=0.1,
        ),
    ),
}
CUT = disconnect.Cut(policy="drain", index=1, rows=[], provider_left=False)
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("overshoot", {"peak": 1001}),
    ("overshoot", {"spent": 979, "ledger": 979, "billed": 979}),
    ("overshoot", {"ledger": 984}),
    ("overshoot", {"billed": 984}),
    ("overshoot", {"reserved": 1}),
    ("limit", {"admitted": LIMIT + 1, "at_provider": LIMIT + 1, "refused": 94}),
    ("limit", {"admitted": LIMIT - 1, "at_provider": LIMIT - 1, "refused": 96}),
    ("limit", {"at_provider": LIMIT + 1}),
    ("limit", {"refused": 94, "odd": ["500 INTERNAL_ERROR"]}),
    ("refused", {"passed": LIMIT - 1, "at_provider": LIMIT - 1, "rows": LIMIT - 1}),
    ("refused", {"at_provider": LIMIT + 1}),
    ("refused", {"tried": [refused.Tried(name="t", codes=["200"], expected="RATE_LIMITED")]}),
    ("refused", {"tried": [refused.Tried(name="t", codes=["X"], expected="X", changed={"b": (0, 1)})]}),
    ("kill", {"reserved": 1}),
    ("kill", {"spent": 1}),
    ("kill", {"left_over": 1}),
    ("kill", {"books": compared(ROWS, ANSWERS, ASKED), "spent": FIRST.cost + SECOND.cost}),
    ("kill", {"books": compared(ROWS[:1], ANSWERS, ASKED)}),
    ("disconnect", {"cuts": [CUT]}),
    ("disconnect", {"cuts": [msgspec.structs.replace(CUT, rows=[row(FIRST), row(FIRST)])]}),
    ("disconnect", {"cuts": [msgspec.structs.replace(CUT, rows=[row(FIRST, cost=1)])]}),
    ("disconnect", {"cuts": [msgspec.structs.replace(CUT, rows=[row(FIRST)], provider_left=True)]}),
    ("disconnect", {"cuts": [msgspec.structs.replace(CUT, rows=[row(FIRST, usage_source="estimated")])]}),
    ("disconnect", {"cuts": [msgspec.structs.replace(CUT, policy="cancel", rows=[row(FIRST, cost=0)])]}),
    ("disconnect", {"spent": 4}),
    ("prices", {"by_hand": 8}),
    ("prices", {"by_pricing": 6}),
    ("prices", {"by_call": 8}),
    ("prices", {"by_call": None}),
    ("restart", {"counters": {"a cost": 4}}),
    ("restart", {"counters": {}}),
    ("restart", {"counters": {}, "ledger": {}}),
    ("idempotency", {"at_provider": 2}),
    ("idempotency", {"rows": 2}),
    ("idempotency", {"served": 29}),
    ("idempotency", {"replayed": 30}),
    ("idempotency", {"bodies": 2}),
    ("outage-deny", {"codes": ["200"]}),
    ("outage-deny", {"codes": ["INTERNAL_ERROR"]}),
    ("outage-deny", {"seconds": [0.2, 0.2, 0.2]}),
    ("outage-deny", {"seconds": [9.0, 0.01, 0.01]}),
    ("outage-deny", {"lost": 1}),
    ("outage-allow", {"codes": ["200", "STORE_UNAVAILABLE"]}),
    ("outage-allow", {"spent": 4}),
    ("outage-allow_bounded", {"codes": ["STORE_UNAVAILABLE"]}),
    ("outage-allow_bounded", {"codes": ["200"] * 101}),
    ("outage-database", {"refused": ["503 STORE_UNAVAILABLE"]}),
    ("outage-database", {"meanwhile": 0}),
    ("outage-database", {"books": compared(ROWS[:1], ANSWERS, ASKED)}),
]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_sample_has_no_fault(name: str) -> None:
    judged, sample = RIGHT[name]
    found: Found = judged(sample)
    assert found.faults == []


@pytest.mark.parametrize(("name", "changed"), WRONG)
def test_a_sample_that_is_wrong_in_one_place_is_found_out(name: str, changed: dict[str, Any]) -> None:
    judged, sample = RIGHT[name]
    found: Found = judged(msgspec.structs.replace(sample, **changed))
    assert found.faults != []


def test_a_table_without_a_class_is_found_out() -> None:
    (_, sample) = RIGHT["prices"]
    assert prices.judged([sample], prices.CLASSES - {"cache_write"}).faults != []


def test_a_limit_s_worst_number_is_the_one_that_is_told() -> None:
    rushes = [limit.Rush(name="r", admitted=number, refused=0, at_provider=number) for number in (5, 7, 4)]
    assert limit.judged(rushes).limit_admitted == 7


def test_the_last_line_has_the_worst_of_each_figure() -> None:
    found = [
        Found(overshoot_nano=0, usable_share=0.99, limit_admitted=5, lost_rows=1),
        Found(overshoot_nano=3, usable_share=0.98, limit_admitted=4, lost_rows=2),
    ]
    assert summed(found, ["kill"]) == {
        "overshoot_nano": 3,
        "usable_share": 0.98,
        "limit_admitted": 4,
        "lost_rows": 3,
        "double_rows": None,
        "unsettled": None,
        "not_run": ["kill"],
    }


# -- the arithmetic of orders, and the scale run ---------------------------------------------------------------------


def test_an_order_s_price_is_rounded_up_once_for_each_class() -> None:
    """3.123456789, 0.300000011 and 15.000000007 per million: 3,123.456789, 300.000011 and 15,000.000007 a token."""
    assert order(tokens_in=1, cached=1, tokens_out=1).cost == 3_124 + 301 + 15_001
    assert order(tokens_in=1000, cached=0, tokens_out=0).cost == 3_123_457
    assert least_reserved(10) == (3_123_457 + 150_001, 1010)


SUMS = {name: {"rows": 2, "cost": 10, "tokens": 7} for name in ("ledger", "hours", "days")}


def test_a_day_that_balances_has_no_fault() -> None:
    assert day.compared(2, 10, 7, 10, 0, SUMS) == []


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("what", ["rows", "cost", "tokens"])
def test_a_day_s_sum_that_is_wrong_by_one_is_found_out(name: str, what: str) -> None:
    wrong = {**SUMS, name: {**SUMS[name], what: SUMS[name][what] + 1}}
    assert len(day.compared(2, 10, 7, 10, 0, wrong)) == 1


def test_a_day_whose_counter_is_wrong_is_found_out() -> None:
    assert len(day.compared(2, 10, 7, 9, 0, SUMS)) == len(day.compared(2, 10, 7, 10, 1, SUMS)) == 1


def test_a_month_that_is_slow_or_does_not_balance_is_found_out() -> None:
    assert month.judged([("a", 0.3), ("b", 0.31)], 0.3) == ["b took 310 ms"]
    assert month.balanced([1, 2, 3], [1, 2, 3, 4], 4) == []
    assert len(month.balanced([1, 2, 2], [1, 2, 3, 4], 5)) == 2
