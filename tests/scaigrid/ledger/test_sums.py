"""Sums of any span are the sums of its rows, to the nano-unit, by whatever they are told apart; on either database."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine, writing
from scaigrid.db.models import usage, usage_rollup, usage_tag_rollup
from scaigrid.ledger.reading import Grouping, Rank, Tag, Total, UsageFilter
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.spans import DAY, HOUR
from scaigrid.ledger.store import LedgerStore
from scaigrid.ledger.sums import totals
from scaigrid.ledger.tag_bounds import OTHER
from tests.scaigrid.ledger.rows import usage_row

pytestmark = pytest.mark.anyio

BEGIN = 1_800_000_000 // DAY * DAY
"""A midnight in UTC."""
GROUPINGS: Sequence[Grouping] = ("model", "user", "backend", "tenant", "partner", "key", "group", "tag", "day")


@pytest.fixture
def made(database_url: str) -> AsyncEngine:
    return create_engine(database_url)


@pytest.fixture
async def engine(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    yield made
    await made.dispose()


def keys(row: UsageRow, by: Grouping, tag: Tag | None) -> Iterator[str]:
    """What a row counts for."""
    match by:
        case "day":
            yield datetime.fromtimestamp(int(row.created_at), UTC).date().isoformat()
        case "group":
            yield from row.groups
        case "tag":
            for name, value in row.tags.items():
                if tag is None or (tag.name == name and tag.value in (None, value)):
                    yield f"{name}:{value}"
        case "model":
            yield row.model
        case _:
            yield getattr(row, f"{by}_id") or ""


def fits(row: UsageRow, wanted: UsageFilter) -> bool:
    if wanted.start is not None and row.created_at < wanted.start:
        return False
    if wanted.end is not None and row.created_at >= wanted.end:
        return False
    if wanted.tag is not None and (
        wanted.tag.name not in row.tags or wanted.tag.value not in (None, row.tags[wanted.tag.name])
    ):
        return False
    asked = msgspec.structs.asdict(wanted)
    return all(asked[name] in (None, getattr(row, name)) for name in asked if name not in ("start", "end", "tag"))


def added(rows: Sequence[UsageRow], wanted: UsageFilter, by: Grouping) -> Sequence[Total]:
    """The totals, the plain way."""
    found: dict[str, Total] = {}
    for row in rows:
        if not fits(row, wanted):
            continue
        for key in keys(row, by, wanted.tag):
            known = found.get(key) or Total(
                key=key, requests=0, tokens_in=0, tokens_out=0, tokens=0, cost=0, backend_cost=0
            )
            tokens_in = (
                row.tokens_in
                + row.tokens_cache_read
                + row.tokens_cache_write
                + row.tokens_cache_write_1h
                + row.tokens_audio_in
                + row.tokens_image_in
            )
            tokens_out = row.tokens_out + row.tokens_audio_out + row.tokens_image_out
            found[key] = Total(
                key=key,
                requests=known.requests + row.serving,
                tokens_in=known.tokens_in + row.serving * tokens_in,
                tokens_out=known.tokens_out + row.serving * tokens_out,
                tokens=known.tokens + row.serving * (tokens_in + tokens_out),
                cost=known.cost + row.serving * row.cost,
                backend_cost=known.backend_cost + row.backend_cost,
            )
    return sorted(found.values(), key=lambda total: (-total.cost, total.key))


async def asked(
    engine: AsyncEngine, wanted: UsageFilter, by: Grouping, *, limit: int | None = None, after: Rank | None = None
) -> Sequence[Total]:
    async with engine.connect() as connection:
        return await totals(connection, wanted, by, limit=limit, after=after)


TIMES = st.one_of(
    st.floats(BEGIN - HOUR, BEGIN + 3 * DAY),
    st.integers(-2, 80).map(lambda hour: float(BEGIN + hour * HOUR)),
    st.integers(-2, 80).map(lambda hour: BEGIN + hour * HOUR - 2**-22),
    st.integers(-1, 3).map(lambda day: float(BEGIN + day * DAY)),
)
NUMBERS = st.integers(0, 5)
ROW: st.SearchStrategy[Mapping[str, Any]] = st.fixed_dictionaries(
    {
        "created_at": TIMES,
        "partner_id": st.sampled_from(["p1", "p2"]),
        "tenant_id": st.sampled_from(["t1", "t2"]),
        "user_id": st.sampled_from(["u1", "u2"]),
        "key_id": st.sampled_from(["k1", None]),
        "model": st.sampled_from(["m1", "m2"]),
        "backend_id": st.sampled_from(["b1", "b2"]),
        "groups": st.sampled_from([(), ("g1",), ("g1", "g2")]),
        "tags": st.sampled_from([{}, {"team": "blue"}, {"team": "red", "a:b": 'x"y'}, {'o"team': "blue", "t'": "ü:"}]),
        "serving": st.booleans(),
        "outcome": st.sampled_from(["ok", "error"]),
        "tokens_in": NUMBERS,
        "tokens_cache_write_1h": NUMBERS,
        "tokens_image_out": NUMBERS,
        "cost": st.integers(0, 2**40),
        "backend_cost": st.integers(0, 2**40),
    }
)


def maybe(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, None, None, *values])


WANTED = st.builds(
    UsageFilter,
    start=st.one_of(st.none(), TIMES),
    end=st.one_of(st.none(), TIMES),
    partner_id=maybe("p1"),
    tenant_id=maybe("t1"),
    user_id=maybe("u1"),
    key_id=maybe("k1"),
    model=maybe("m1"),
    backend_id=maybe("b1"),
    tag=maybe(Tag("team"), Tag("team", "blue"), Tag('o"team'), Tag("t'", "ü:"), Tag("a:b", 'x"y'), Tag("none")),
    outcome=maybe("ok"),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    rows=st.lists(ROW, max_size=25),
    wanted=st.lists(WANTED, min_size=3, max_size=6),
    by=st.lists(st.sampled_from(GROUPINGS), min_size=6, max_size=6),
)
def test_sums_are_those_of_the_rows(
    database_url: str, rows: Sequence[Mapping[str, Any]], wanted: Sequence[UsageFilter], by: Sequence[Grouping]
) -> None:
    kept = [usage_row(number, **row) for number, row in enumerate(rows)]
    engine = create_engine(database_url)

    async def found() -> Sequence[Sequence[Total]]:
        async with writing(engine).begin() as connection:
            for table in (usage, usage_rollup, usage_tag_rollup):
                await connection.execute(delete(table))
        store = LedgerStore(engine)
        for start in range(0, len(kept), 7):
            await store.insert("w", kept[start : start + 7])
        try:
            return [await asked(engine, one, grouping) for one, grouping in zip(wanted, by, strict=False)]
        finally:
            await engine.dispose()

    for answer, one, grouping in zip(asyncio.run(found()), wanted, by, strict=False):
        assert sorted(answer, key=lambda total: (-total.cost, total.key)) == added(kept, one, grouping), (one, grouping)


@pytest.mark.parametrize("by", ["model", "tag", "day", "group"])
async def test_a_walk_through_pages_meets_each_total_once_the_dearest_first(engine: AsyncEngine, by: Grouping) -> None:
    rows = [
        usage_row(
            number,
            model=f"m{number}",
            groups=(f"g{number}",),
            tags={"n": str(number)},
            created_at=BEGIN + number * DAY + 0.5,
            cost=number // 3,
        )
        for number in range(10)
    ]
    await LedgerStore(engine).insert("w", rows)
    met: list[Total] = []
    after: Rank | None = None
    while page := await asked(engine, UsageFilter(), by, limit=3, after=after):
        assert len(page) <= 3
        met += page
        after = Rank(page[-1].cost, page[-1].key)
    assert met == added(rows, UsageFilter(), by)


async def test_whole_hours_and_days_are_not_summed_from_rows(engine: AsyncEngine) -> None:
    """They stay as they are when the rows have gone, but for the edges of a span."""
    rows = [usage_row(number, created_at=BEGIN + number * HOUR / 2, cost=10**number) for number in range(12)]
    await LedgerStore(engine).insert("w", rows)
    async with writing(engine).begin() as connection:
        await connection.execute(delete(usage))
    (whole,) = await asked(engine, UsageFilter(start=BEGIN + HOUR, end=BEGIN + 2 * HOUR), "model")
    assert (whole.cost, whole.requests) == (1100, 2)
    (edged,) = await asked(engine, UsageFilter(start=BEGIN + HOUR / 2, end=BEGIN + 2 * HOUR + 1), "model")
    assert edged.cost == 1100
    (tagged,) = await asked(engine, UsageFilter(tag=Tag("team", "blue")), "tenant")
    assert tagged.requests == 12
    assert await asked(engine, UsageFilter(model=rows[0].model, tag=Tag("team")), "tenant") == []


async def test_values_that_were_counted_together_are_told_apart_from_the_rows(engine: AsyncEngine) -> None:
    rows = [usage_row(number, tags={"ticket": str(number)}, created_at=BEGIN + 1) for number in range(1003)]
    await LedgerStore(engine).insert("w", rows)
    (one,) = await asked(engine, UsageFilter(tag=Tag("ticket", "1002")), "tenant")
    assert one.requests == 1
    (all_of_them,) = await asked(engine, UsageFilter(tag=Tag("ticket")), "tenant")
    assert all_of_them.requests == 1003
    named = {total.key: total.requests for total in await asked(engine, UsageFilter(), "tag")}
    assert named[f"ticket:{OTHER}"] == 3
    assert len(named) == 1001


async def test_a_row_whose_tags_no_text_can_hold_stops_nobody(engine: AsyncEngine) -> None:
    """The first release kept a NUL sign as JSON writes it; PostgreSQL refuses to read such a text."""
    await LedgerStore(engine).insert("w", [usage_row(0), usage_row(1, tags={"team": "a\0b", "n\0": "x"})])
    async with writing(engine).begin() as connection:
        row = {name: value for name, value in msgspec.structs.asdict(usage_row(2)).items() if name != "groups"}
        await connection.execute(insert(usage), {**row, "groups": "", "tags": '{"team":"x\\u0000"}'})
    found = await asked(engine, UsageFilter(tag=Tag("team"), model="acme/large"), "tenant")
    assert found[0].requests in (2, 3)
    assert {total.key for total in await asked(engine, UsageFilter(model="acme/large"), "tag")} >= {
        "team:blue",
        "team:a\ufffdb",
        "n\ufffd:x",
    }
