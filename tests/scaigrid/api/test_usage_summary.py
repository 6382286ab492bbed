"""What usage adds up to, over the API: each caller's own, exact, in pages."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine
from scaigrid.ids import declared_id
from tests.harness import databases
from tests.scaigrid.api.accounts import CALLERS, EVERYBODYS, HOUSE, NOW, Gone, Ledger, row
from tests.scaigrid.api.control_plane import Answer, ControlPlane

PATH = "/v1/accounting/usage/summary"


@pytest.fixture
def engine(tmp_path: Path) -> AsyncEngine:
    return create_engine(databases.fresh("sqlite", tmp_path))


@pytest.fixture
async def ledger(engine: AsyncEngine) -> AsyncIterator[Ledger]:
    yield Ledger(engine)
    await engine.dispose()


def counted(answer: Answer) -> dict[str, int]:
    assert answer.status == 200, answer.body
    return {item["group_key"]: item["request_count"] for item in answer.json["data"]["items"]}


async def test_a_row_says_what_the_contract_promises(ledger: Ledger) -> None:
    usage = {"tokens_in": 1, "tokens_cache_read": 2, "tokens_cache_write": 3, "tokens_cache_write_1h": 4}
    usage |= {"tokens_audio_in": 5, "tokens_image_in": 6, "tokens_out": 10, "tokens_audio_out": 20}
    usage |= {"tokens_image_out": 30, "tokens_reasoning": 7}
    await ledger.keep(
        row(1, "user", **usage, cost=1_500_000_000, backend_cost=1),
        row(2, "user", **usage, cost=1, backend_cost=2),
        row(3, "user", **usage, cost=9, backend_cost=5, serving=False),
    )
    plane = ControlPlane(HOUSE, ledger)
    own = {
        "group_key": "acme/large",
        "request_count": 2,
        "input_tokens": 42,
        "output_tokens": 120,
        "total_tokens": 162,
        "total_cost": "1.500000001",
    }
    assert (await plane.get(PATH, "user")).json["data"]["items"] == [own]
    everything = (await plane.get(PATH, "root")).json["data"]["items"]
    assert everything == [{**own, "backend_cost": "0.000000008"}]
    assert b"backend_cost" not in (await plane.get(PATH, "reseller")).body


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("viewer", 1),
        ("user", 1),
        ("admin", 6),
        ("reseller", 7),
        ("root", 8),
        ("stranger", 1),
    ],
)
async def test_each_caller_sees_as_far_as_its_widest_permission(ledger: Ledger, who: str, expected: int) -> None:
    await ledger.keep(*EVERYBODYS)
    plane = ControlPlane(HOUSE, ledger)
    assert counted(await plane.get(PATH, who)) == {"acme/large": expected}
    by_user = counted(await plane.get(f"{PATH}?group_by=user", who))
    assert (sum(by_user.values()), set(by_user.values())) == (expected, {1})


async def test_a_filter_never_reaches_beyond_the_callers_scope(ledger: Ledger) -> None:
    await ledger.keep(*EVERYBODYS)
    plane = ControlPlane(HOUSE, ledger)
    assert counted(await plane.get(f"{PATH}?user_id={declared_id('user', 'colleague')}", "user")) == {}
    assert counted(await plane.get(f"{PATH}?partner_id={declared_id('partner', 'south')}", "reseller")) == {}
    assert ledger.asked == 0
    assert counted(await plane.get(f"{PATH}?user_id={declared_id('user', 'colleague')}", "admin")) == {"acme/large": 1}


async def test_without_any_of_the_permissions_there_is_no_answer(ledger: Ledger) -> None:
    answer = await ControlPlane(HOUSE, ledger).get(PATH, "nobody")
    assert (answer.status, answer.code) == (403, "AUTHZ_PERMISSION_DENIED")


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("model", {"m1": 1, "m2": 2}),
        ("backend", {"be_b": 3}),
        ("user", {declared_id("user", "user"): 3}),
        ("tenant", {declared_id("tenant", "acme"): 3}),
        ("partner", {declared_id("partner", "north"): 3}),
        ("key", {"": 1, "apikey_2": 2}),
        ("group", {"g1": 2, "g2": 1}),
        ("tag", {"team:blue": 2, "team:red": 1, "ort:x": 1}),
        ("day", {"2027-01-14": 1, "2027-01-15": 2}),
    ],
)
async def test_usage_is_told_apart_by_what_is_asked_for(ledger: Ledger, by: str, expected: dict[str, int]) -> None:
    await ledger.keep(
        row(1, "user", model="m1", key_id=None, groups=(), tags={"team": "blue"}, created_at=NOW - 86_400),
        row(2, "user", model="m2", key_id="apikey_2", groups=("g1", "g2"), tags={"team": "blue", "ort": "x"}),
        row(3, "user", model="m2", key_id="apikey_2", groups=("g1",), tags={"team": "red"}),
    )
    assert counted(await ControlPlane(HOUSE, ledger).get(f"{PATH}?group_by={by}", "user")) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tag=team:blue", {"m1": 1}),
        ("tag=team", {"m1": 1, "m2": 1}),
        ("tag=team&group_by=tag", {"team:blue": 1, "team:red": 1}),
        ("model=m2", {"m2": 1}),
        ("start=2027-01-15T08:00:00Z", {"m1": 1}),
        ("end=2027-01-15T08:00:00Z", {"m2": 1}),
        ("start=2027-01-15T07:59:59.5Z&end=2027-01-15T08:00:00Z", {}),
        ("period=daily", {"m1": 1, "m2": 1}),
    ],
)
async def test_filters_let_through_what_fits_exactly(ledger: Ledger, query: str, expected: dict[str, int]) -> None:
    await ledger.keep(
        row(0, "user", model="m1", tags={"team": "blue"}),
        row(1, "user", model="m2", tags={"team": "red", "o": "x"}),
    )
    assert counted(await ControlPlane(HOUSE, ledger).get(f"{PATH}?{query}", "user")) == expected


@pytest.mark.parametrize("limit", [1, 2, 8])
async def test_a_walk_through_the_pages_meets_every_group_once_the_dearest_first(ledger: Ledger, limit: int) -> None:
    await ledger.keep(*(row(number, user, cost=number // 2) for number, user in enumerate(CALLERS)))
    plane = ControlPlane(HOUSE, ledger)
    met: list[tuple[float, str]] = []
    query = f"?group_by=user&limit={limit}"
    while query:
        answer = (await plane.get(f"{PATH}{query}", "root")).json
        met += [(-float(item["total_cost"]), item["group_key"]) for item in answer["data"]["items"]]
        cursor = answer["pagination"]["next_cursor"]
        query = f"?group_by=user&limit={limit}&cursor={cursor}" if cursor else ""
    assert met == sorted(met)
    assert len(met) == len(set(met)) == len(CALLERS)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?group_by=colour", "group_by"),
        ("?cursor=x", "cursor"),
        ("?cursor=" + b64encode(b'[%d,"m"]' % 2**63).decode(), "cursor"),
        ("?limit=0", "limit"),
        ("?request_id=x", "request_id"),
        ("?period=daily&start=2026-01-31T12:00:00Z", "period"),
        ("?start=2026-01-31T12:00:00Z&end=2026-01-31T12:00:00Z", "end"),
    ],
)
async def test_a_parameter_at_fault_is_named(query: str, field: str) -> None:
    refused = await ControlPlane(HOUSE).get(f"{PATH}{query}", "user")
    assert (refused.status, list(refused.details)) == (422, [field])


async def test_a_ledger_that_cannot_be_read_is_said_to_be(engine: AsyncEngine) -> None:
    answer = await ControlPlane(HOUSE, Gone(engine)).get(PATH, "user")
    assert (answer.status, answer.code) == (503, "STORE_UNAVAILABLE")
