"""Rating again by the names that an operator knows, on the record."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from sqlalchemy import select

from scaigrid.clock import SystemClock
from scaigrid.config.schema import Config
from scaigrid.control.funds import funds_of
from scaigrid.control.price_history import versions
from scaigrid.control.rerating import Asked, NoSuch, Rerated, rerate
from scaigrid.db.models import rerates
from scaigrid.ids import declared_id
from scaigrid.ledger.store import LedgerStore
from scaigrid.stores.valkey import ValkeyLimiter
from tests.harness.deployment import VAULT, Deployment, configured, deployment
from tests.harness.ports import free_port
from tests.harness.valkey import shared
from tests.scaigrid.ledger.rows import usage_row
from tests.scaigrid.stores.openers import prefix

pytestmark = pytest.mark.anyio

SPAN: dict[str, Any] = {"start": 0.0, "end": 1e12}


def sections(price: int, cost: int = 1) -> dict[str, Any]:
    return {
        "providers": {"p": {"type": "simulator"}},
        "backends": {"b": {"provider": "p", "model": "m", "cost": {"request": cost}}},
        "models": {"m": {"route": None, "prices": {"request": price}, "max_output_tokens": 9}},
    }


@pytest.fixture
def config(database_url: str) -> Config:
    return configured(database={"url": database_url})


async def one_row(plane: Deployment) -> None:
    """What was billed at nothing: a call of the model `m` at the backend `b`, by the tenant `default`."""
    made = usage_row(1, model="m", backend_id=declared_id("be", "b"), tenant_id=declared_id("tenant", "default"))
    await LedgerStore(plane.engine).insert("w", [msgspec.structs.replace(made, cost=0, backend_cost=0)])


async def asked(config: Config, **more: Any) -> Rerated:
    return await rerate(config, VAULT, Asked(**SPAN, actor="ann", **more))


async def test_it_rates_at_the_prices_that_hold_now(database_url: str, config: Config) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(**sections(2))
        await one_row(plane)
        done = await asked(config, apply=True)
    assert (done.report.changed.cost_after, done.report.changed.backend_cost_after) == (2 * 10**9, 10**9)
    assert done.tenants[declared_id("tenant", "default")] == "default"


async def test_it_rates_at_an_earlier_version(database_url: str, config: Config) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(**sections(2))
        await plane.apply(**sections(5))
        async with plane.engine.connect() as connection:
            first = (await versions(connection, kind="model"))[-1].prices.version
        await one_row(plane)
        done = await asked(config, version=first)
    assert done.report.changed.cost_after == 2 * 10**9


async def test_names_are_understood(database_url: str, config: Config) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(**sections(2))
        await one_row(plane)
        done = await asked(config, models=("m",), backends=("b",), tenants=("default",))
        by_id = await asked(config, backends=(declared_id("be", "b"),))
    assert (done.report.rows, by_id.report.rows) == (1, 1)


@pytest.mark.parametrize(
    "wrong", [{"models": ("n",)}, {"backends": ("n",)}, {"tenants": ("n",)}, {"version": "n"}], ids=str
)
async def test_a_name_that_nobody_has_is_told(database_url: str, config: Config, wrong: dict[str, Any]) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(**sections(2))
        with pytest.raises(NoSuch, match="'n'"):
            await asked(config, **wrong)


async def test_what_was_written_is_on_record(database_url: str, config: Config) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(**sections(2))
        await one_row(plane)
        await asked(config)
        await asked(config, apply=True)
        await asked(config, apply=True)
        async with plane.engine.connect() as connection:
            (kept,) = (await connection.execute(select(rerates))).all()
    assert kept.actor == "ann"
    assert msgspec.json.decode(kept.report)["changed"]["cost_after"] == 2 * 10**9


UTC = ZoneInfo("UTC")
"""Read here: in a loop it would hold everybody up, and what was read is kept."""
BUDGET: dict[str, Any] = {"budgets": {"b": {"scope": "model", "of": "m", "period": "total", "cost_limit": 9}}}


async def test_counters_that_workers_share_follow(database_url: str) -> None:
    store = {"type": "valkey", "url": shared().url, "prefix": prefix()}
    config = configured(database={"url": database_url}, store=store)
    async with deployment(database_url) as plane:
        await plane.apply(**sections(2), **BUDGET)
        await one_row(plane)
        (fund,) = funds_of(await plane.load())
        limiter = ValkeyLimiter(config.store, SystemClock())
        bucket = fund.at(SystemClock().now())
        await limiter.preset({bucket.key: 5})
        assert (await asked(config)).counters == "untouched"
        assert (await asked(config, apply=True)).counters == "amended"
        assert (await limiter.spent([bucket]))[bucket.key] == (5 + 2 * 10**9, 0)
        await limiter.aclose()


async def test_counters_of_the_gateway_itself_are_said_to_wait_for_its_start(database_url: str, config: Config) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(**sections(2), **BUDGET)
        await one_row(plane)
        assert (await asked(config, apply=True)).counters == "own"


async def test_counters_that_cannot_be_reached_are_told(database_url: str) -> None:
    config = configured(
        database={"url": database_url}, store={"type": "valkey", "url": f"valkey://127.0.0.1:{free_port()}"}
    )
    async with deployment(database_url) as plane:
        await plane.apply(**sections(2), **BUDGET)
        await one_row(plane)
        assert (await asked(config, apply=True)).counters == "away"


async def test_the_database_of_another_is_not_touched(tmp_path: Path) -> None:
    """Only what is there is asked: nothing is made where nothing was."""
    from scaigrid.errors import GatewayError

    url = f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
    with pytest.raises(GatewayError):
        await rerate(configured(database={"url": url}), VAULT, Asked(**SPAN))
