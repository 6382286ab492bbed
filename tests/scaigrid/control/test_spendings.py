"""A corrected row changes what was spent of every budget that it counted against, and of no other."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scaigrid.config.snapshot import Fund
from scaigrid.control.spendings import Spendings
from scaigrid.errors import Level
from scaigrid.ledger.rerate import Changed
from scaigrid.limiter import Kind
from scaigrid.periods import Period
from tests.scaigrid.ledger.rows import usage_row

ROW = usage_row(1, cost=100)
NOW = ROW.created_at + 60


def fund(level: Level, subject: str, *, kind: Kind = "cost", period: Period = "total") -> Fund:
    return Fund(
        id=f"budget_{level}",
        name="b",
        level=level,
        subject=subject,
        kind=kind,
        limit=1,
        period=period,
        zone=ZoneInfo("UTC"),
    )


def changes(*funds: Fund, cost: int = 130, **row: Any) -> dict[str, int]:
    spendings = Spendings(funds, NOW)
    spendings.add(Changed(usage_row(1, **{"cost": 100, **row}), cost, 0, "", ""))
    return dict(spendings.changes)


@pytest.mark.parametrize(
    ("level", "subject"),
    [
        ("partner", ROW.partner_id),
        ("tenant", ROW.tenant_id),
        ("user", ROW.user_id),
        ("key", "apikey_k"),
        ("model", ROW.model),
        ("group", "group_b"),
    ],
)
def test_each_level_follows(level: Level, subject: str) -> None:
    one = fund(level, subject)
    assert changes(one, fund(level, "another")) == {one.at(NOW).key: 30}
    assert changes(one, cost=70) == {one.at(NOW).key: -30}


def test_tokens_and_requests_have_no_price() -> None:
    assert changes(fund("tenant", ROW.tenant_id, kind="tokens"), fund("tenant", ROW.tenant_id, kind="requests")) == {}


def test_a_row_of_an_earlier_period_is_over() -> None:
    daily = fund("tenant", ROW.tenant_id, period="daily")
    assert changes(daily) == {daily.at(NOW).key: 30}
    assert changes(daily, created_at=NOW - 2 * 86_400) == {}


def test_what_comes_to_nothing_is_no_change() -> None:
    spendings = Spendings([fund("tenant", ROW.tenant_id)], NOW)
    for cost in (130, 70):
        spendings.add(Changed(ROW, cost, 0, "", ""))
    assert spendings.changes == {}


def test_a_row_without_a_key_counts_against_none() -> None:
    assert changes(fund("key", "apikey_k"), key_id=None) == {}
