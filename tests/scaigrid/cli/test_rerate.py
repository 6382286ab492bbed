"""`scaigrid rerate`: told first, written when asked for, by times that are written out."""

import asyncio
from typing import Any

import msgspec
import pytest

from scaigrid.db.engine import create_engine
from scaigrid.db.url import database_url
from scaigrid.ids import declared_id
from scaigrid.ledger.store import LedgerStore
from tests.harness.deployment import configured
from tests.scaigrid.cli.conftest import Scene
from tests.scaigrid.ledger.rows import usage_row

SECTIONS: dict[str, Any] = {
    "providers": {"p": {"type": "simulator"}},
    "backends": {"b": {"provider": "p", "model": "m", "cost": {"request": 0.25}}},
    "models": {"m": {"route": None, "prices": {"request": 2}}},
}
SPAN = ("--from", "2027-01-15T00:00:00Z", "--to", "2027-01-16T00:00:00Z")


@pytest.fixture
def billed(scene: Scene) -> Scene:
    """A deployment whose one row was billed at nothing."""
    scene.apply(**SECTIONS)
    made = usage_row(1, model="m", backend_id=declared_id("be", "b"), tenant_id=declared_id("tenant", "default"))

    async def run() -> None:
        engine = create_engine(database_url(configured(database={"url": scene.url})))
        await LedgerStore(engine).insert("w", [msgspec.structs.replace(made, cost=0, backend_cost=0)])
        await engine.dispose()

    asyncio.run(run())
    return scene


def test_it_tells_what_would_change_and_writes_nothing(billed: Scene) -> None:
    for _ in range(2):
        assert billed.run("rerate", *SPAN) == 0
        assert "1 of 1 billed rows would cost something else." in billed.out
        assert "Nothing was written: repeat it with --apply." in billed.out
    lines = [line.split() for line in billed.out.splitlines()]
    assert ["m", "1", "0", "2", "2", "0", "0.25", "0.25"] in lines
    assert ["default", declared_id("tenant", "default"), "1", "0", "2", "2", "0", "0.25", "0.25"] in lines


def test_it_writes_when_it_is_asked_to(billed: Scene) -> None:
    assert billed.run("rerate", *SPAN, "--apply", "--actor", "ann") == 0
    assert "1 of 1 billed rows cost something else." in billed.out
    assert billed.run("rerate", *SPAN, "--json") == 0
    assert (billed.told["applied"], billed.told["rows"], billed.told["changed"]["rows"]) == (False, 1, 0)


def test_rows_of_another_time_are_left_alone(billed: Scene) -> None:
    assert billed.run("rerate", "--from", "2026-01-01T00:00:00+01:00", "--to", "2026-02-01T00:00:00Z") == 0
    assert "0 of 0 billed rows" in billed.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--from", "yesterday", "--to", "2027-01-16T00:00:00Z"), "is no time"),
        (("--from", "2027-01-15", "--to", "2027-01-16T00:00:00Z"), "needs an offset from UTC"),
    ],
)
def test_a_time_that_could_mean_another_is_refused(
    billed: Scene, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SystemExit):
        billed.run("rerate", *arguments)
    assert told in capsys.readouterr().err


def test_a_span_that_ends_before_it_begins_is_refused(billed: Scene) -> None:
    assert billed.run("rerate", "--from", SPAN[3], "--to", SPAN[1]) == 2
    assert "--to must be later than --from" in billed.err


def test_a_model_that_nobody_has_is_refused(billed: Scene) -> None:
    assert billed.run("rerate", *SPAN, "--model", "n") == 2
    assert "there is no model 'n'" in billed.err
