"""The scale run in a small edition: a day that balances, a month that is migrated, summed and asked."""

import asyncio
from pathlib import Path

import pytest

from tests.harness import databases
from tests.harness.databases import Kind
from tests.money.scale import day, month


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.mark.parametrize("kind", databases.KINDS)
def test_a_day_balances(kind: Kind, tmp_path: Path, lines: list[str]) -> None:
    url = databases.empty(kind, tmp_path)
    shown = asyncio.run(day.simulated(url, tmp_path, 3000, lines.append))
    databases.drop(url)
    assert shown.faults == []
    assert shown.figures["requests"] == 3000


@pytest.mark.parametrize("kind", databases.KINDS)
def test_a_month_is_migrated_and_balances(kind: Kind, tmp_path: Path, lines: list[str]) -> None:
    url = databases.empty(kind, tmp_path)
    shown = month.asked(url, tmp_path, 12_000, 60.0, lines.append)
    databases.drop(url)
    assert shown.faults == []
    assert shown.figures["rows"] == 12_000
