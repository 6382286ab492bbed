"""The margin over the API: for the operator alone, exact, below zero too."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine
from tests.harness import databases
from tests.scaigrid.api.accounts import CALLERS, HOUSE, Gone, Ledger, row
from tests.scaigrid.api.control_plane import ControlPlane

PATH = "/v1/accounting/margin"


@pytest.fixture
def engine(tmp_path: Path) -> AsyncEngine:
    return create_engine(databases.fresh("sqlite", tmp_path))


@pytest.fixture
async def ledger(engine: AsyncEngine) -> AsyncIterator[Ledger]:
    yield Ledger(engine)
    await engine.dispose()


async def test_what_is_charged_stands_beside_what_providers_charge(ledger: Ledger) -> None:
    await ledger.keep(
        row(1, "user", model="gain", cost=3_000_000_000, backend_cost=1_000_000_000),
        row(2, "user", model="gain", cost=0, backend_cost=1_000_000_000, serving=False),
        row(3, "stranger", model="loss", cost=3, backend_cost=4),
        row(4, "stranger", model="free", cost=0, backend_cost=0),
    )
    items = (await ControlPlane(HOUSE, ledger).get(PATH, "root")).json["data"]["items"]
    assert items == [
        {
            "group_key": "gain",
            "request_count": 1,
            "total_cost": "3",
            "backend_cost": "2",
            "margin": "1",
            "margin_pct": "33.33",
        },
        {
            "group_key": "loss",
            "request_count": 1,
            "total_cost": "0.000000003",
            "backend_cost": "0.000000004",
            "margin": "-0.000000001",
            "margin_pct": "-33.34",
        },
        {
            "group_key": "free",
            "request_count": 1,
            "total_cost": "0",
            "backend_cost": "0",
            "margin": "0",
            "margin_pct": None,
        },
    ]


@pytest.mark.parametrize("by", ["model", "backend", "tenant", "partner", "day"])
async def test_it_is_told_apart_by_what_is_asked_for(ledger: Ledger, by: str) -> None:
    await ledger.keep(row(1, "user", cost=2, backend_cost=1), row(2, "user", cost=2, backend_cost=1))
    (item,) = (await ControlPlane(HOUSE, ledger).get(f"{PATH}?group_by={by}", "root")).json["data"]["items"]
    assert (item["margin"], item["margin_pct"]) == ("0.000000002", "50.00")


@pytest.mark.parametrize("who", [who for who in CALLERS if who != "root"])
async def test_it_is_for_the_operator_alone(ledger: Ledger, who: str) -> None:
    answer = await ControlPlane(HOUSE, ledger).get(PATH, who)
    assert (answer.status, answer.code) == (403, "AUTHZ_PERMISSION_DENIED")


@pytest.mark.parametrize(("query", "field"), [("?group_by=user", "group_by"), ("?cursor=x", "cursor")])
async def test_a_parameter_at_fault_is_named(query: str, field: str) -> None:
    refused = await ControlPlane(HOUSE).get(f"{PATH}{query}", "root")
    assert (refused.status, list(refused.details)) == (422, [field])


async def test_a_ledger_that_cannot_be_read_is_said_to_be(engine: AsyncEngine) -> None:
    answer = await ControlPlane(HOUSE, Gone(engine)).get(PATH, "root")
    assert (answer.status, answer.code) == (503, "STORE_UNAVAILABLE")
