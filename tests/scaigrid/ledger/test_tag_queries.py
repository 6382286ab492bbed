"""Rows are found by what their tags are, and by nothing that merely looks like it; on either database."""

from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.db.engine import create_engine, writing
from scaigrid.db.models import usage
from scaigrid.ledger.reading import Tag
from scaigrid.ledger.store import LedgerStore
from scaigrid.ledger.tag_queries import each_tag, has_tag
from tests.scaigrid.ledger.rows import usage_row

pytestmark = pytest.mark.anyio

TAGS: Sequence[dict[str, str]] = (
    {},
    {"team": "blue"},
    {"team": "Blue", "ort": "Köln"},
    {'o"team': "blue"},
    {"note": '{"team":"blue"}'},
    {"note": 'a,"team":"blue",'},
    {"team": ""},
    {"team": "a\\b%_'"},
    {"t.e[0]am": "blue", "": "empty"},
)


@pytest.fixture
def made(database_url: str) -> AsyncEngine:
    return create_engine(database_url)


@pytest.fixture
async def engine(made: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    rows = [usage_row(number, tags=tags) for number, tags in enumerate(TAGS)]
    await LedgerStore(made).insert("w", rows)
    yield made
    await made.dispose()


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        (Tag("team"), [1, 2, 6, 7]),
        (Tag("team", "blue"), [1]),
        (Tag("team", "Blue"), [2]),
        (Tag("team", ""), [6]),
        (Tag("team", "a\\b%_'"), [7]),
        (Tag("ort", "Köln"), [2]),
        (Tag('o"team'), [3]),
        (Tag('o"team', "blue"), [3]),
        (Tag("note", 'a,"team":"blue",'), [5]),
        (Tag("t.e[0]am", "blue"), [8]),
        (Tag("", "empty"), [8]),
        (Tag("TEAM"), []),
        (Tag("blue"), []),
        (Tag("%"), []),
    ],
)
async def test_a_row_is_found_by_its_own_tags(engine: AsyncEngine, tag: Tag, found: list[int]) -> None:
    query = select(usage.c.id).where(has_tag(tag, engine.dialect.name)).order_by(usage.c.id)
    async with engine.connect() as connection:
        assert list(await connection.scalars(query)) == [usage_row(number).id for number in found]


async def test_each_tag_of_each_row_is_read(engine: AsyncEngine) -> None:
    rows, name, value = each_tag(engine.dialect.name)
    async with engine.connect() as connection:
        found = (await connection.execute(select(name, value).select_from(rows))).all()
    assert sorted(map(tuple, found)) == sorted(pair for tags in TAGS for pair in tags.items())


async def test_a_text_that_the_database_cannot_read_finds_nothing_and_stops_nobody(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        (row,) = (await connection.execute(select(usage).limit(1))).mappings()
    async with writing(engine).begin() as connection:
        await connection.execute(insert(usage), {**row, "id": "odd", "tags": '{"odd":"a\\u0000b","team":"blue"}'})
    rows, name, _ = each_tag(engine.dialect.name)
    async with engine.connect() as connection:
        blue = await connection.scalars(select(usage.c.id).where(has_tag(Tag("team", "blue"), engine.dialect.name)))
        assert set(blue) - {"odd"} == {usage_row(1).id}
        assert "team" in set(await connection.scalars(select(name).select_from(rows)))
