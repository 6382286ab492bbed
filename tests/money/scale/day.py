"""A day of simulated requests through the real limiter, journal and ledger writer; only their time is made up.

Each request reserves its worst case, is settled to its cost, and leaves a row in the journal, as the forwarder does
it. In the end the ledger, the sums by hour and by day and the budget's counter all say what the answers came to.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.clock import SystemClock
from scaigrid.db.engine import create_engine
from scaigrid.db.migrate import upgrade
from scaigrid.db.models import usage, usage_rollup
from scaigrid.ids import new_id
from scaigrid.ledger.journal import Journal
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.writer import LedgerWriter
from scaigrid.limiter import Bucket, Take
from scaigrid.stores.memory import MemoryLimiter
from tests.harness.postgres import apart
from tests.money.orders import WORST_COST, Order, dice, some
from tests.money.scale.shown import Shown

_DAY: Final = 86_400
_BEGAN: Final = 1_790_000_000 // _DAY * _DAY
_TENANTS: Final = 50
_USERS: Final = 200
_MODELS: Final = 8
_AHEAD: Final = 20_000
"""Records that may wait in the journal before the requests pause for the writer."""
_AT_ONCE: Final = 500
"""Requests between two turns of the loop."""
_FUND: Final = Bucket(
    key="budget:scale:cost:0", level="partner", kind="cost", limit=10**18, fund=True, until=inf, name="scale"
)
_WINDOW: Final = Bucket(key="limit:requests:60:scale", level="partner", kind="requests", limit=10**9)


async def simulated(url: str, directory: Path, requests: int, say: Callable[[str], object]) -> Shown:
    """Plays the day, and compares."""
    apart(lambda: upgrade(url))
    clock = SystemClock()
    engine = create_engine(url)
    journal = Journal(directory / "journal", new_id("worker", clock))
    writer = LedgerWriter(journal, engine, clock, interval=0.05)
    limiter = MemoryLimiter(clock)
    await writer.start()
    began = clock.monotonic()
    billed = tokens = 0
    for number, (order, row) in enumerate(_requests(requests), 1):
        decision = await limiter.acquire([Take(_WINDOW, 1), Take(_FUND, WORST_COST)])
        assert decision.lease is not None
        await limiter.settle(decision.lease, {_FUND.key: order.cost})
        journal.append(row)
        billed += order.cost
        tokens += order.tokens
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
            if writer.backlog > _AHEAD:
                await writer.drain(600)
    drained = await writer.drain(600)
    seconds = clock.monotonic() - began
    await writer.close()
    spent, reserved = (await limiter.spent([_FUND]))[_FUND.key]
    sums = await _sums(engine)
    await engine.dispose()
    figures: dict[str, Any] = {
        "requests": requests,
        "seconds": round(seconds, 1),
        "a_second": round(requests / seconds),
        "billed_nano": billed,
        **{f"{name}_nano": found["cost"] for name, found in sums.items()},
        "spent_nano": spent,
    }
    faults = [] if drained else ["the writer did not come to an end"]
    faults += compared(requests, billed, tokens, spent, reserved, sums)
    kind = "PostgreSQL" if url.startswith("postgresql") else "SQLite"
    say(f"day on {kind}: {requests} requests in {seconds:.1f} s; billed {billed}, {', '.join(_said(sums))}")
    return Shown(figures=figures, faults=faults)


def compared(
    requests: int, billed: int, tokens: int, spent: int, reserved: int, sums: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """What does not agree with what the answers came to."""
    wanted = {"rows": requests, "cost": billed, "tokens": tokens}
    faults = [
        f"{name}: {what} is {found[what]}, the answers came to {number}"
        for name, found in sums.items()
        for what, number in wanted.items()
        if found[what] != number
    ]
    if (spent, reserved) != (billed, 0):
        faults.append(f"the counter has {spent} spent and {reserved} reserved, the answers came to {billed}")
    return faults


def _requests(number: int) -> Iterator[tuple[Order, UsageRow]]:
    chance = dice(number)
    ids = dice(-number)
    for place in range(number):
        order = some(chance, "scale", stream=False)
        yield order, _row(order, place, number, ids)


def _row(order: Order, place: int, number: int, ids: random.Random) -> UsageRow:
    user = ids.randrange(_USERS)
    tenant = user % _TENANTS
    return UsageRow(
        id=f"usage_{place:032x}",
        request_id=order.id,
        created_at=_BEGAN + place * _DAY / number,
        partner_id="partner_one",
        tenant_id=f"tenant_{tenant}",
        user_id=f"user_{user}",
        key_id=f"apikey_{user}",
        model=f"model-{ids.randrange(_MODELS)}",
        backend_id="be_one",
        dialect="openai",
        operation="chat",
        stream=False,
        attempt=1,
        serving=True,
        outcome="ok",
        error_code=None,
        tokens_in=order.tokens_in,
        tokens_cache_read=order.cached,
        tokens_cache_write=0,
        tokens_cache_write_1h=0,
        tokens_out=order.tokens_out,
        tokens_reasoning=0,
        usage_source="provider",
        cost=order.cost,
        backend_cost=order.cost // 2,
        price_version="1",
        first_byte_us=1000,
        latency_us=2000,
    )


async def _sums(engine: AsyncEngine) -> Mapping[str, Mapping[str, int]]:
    """Rows, cost and tokens of the ledger itself, of the hours and of the days."""
    tokens = usage.c.tokens_in + usage.c.tokens_cache_read + usage.c.tokens_out
    rollup = usage_rollup.c
    questions: dict[str, Any] = {
        "ledger": select(func.count(), func.sum(usage.c.cost), func.sum(tokens)),
        **{
            name: select(func.sum(rollup.requests), func.sum(rollup.cost), func.sum(rollup.tokens)).where(
                rollup.span == span
            )
            for name, span in (("hours", 3600), ("days", _DAY))
        },
    }
    found: dict[str, Mapping[str, int]] = {}
    async with engine.connect() as connection:
        for name, question in questions.items():
            values: Sequence[Any] = (await connection.execute(question)).one()
            found[name] = dict(zip(("rows", "cost", "tokens"), (int(value or 0) for value in values), strict=True))
    return found


def _said(sums: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    return (f"{name} {found['cost']} in {found['rows']}" for name, found in sums.items())
