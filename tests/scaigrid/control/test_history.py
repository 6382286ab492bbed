"""The configurations that were applied, in order, and all that each declared."""

from scaigrid.control import documents as docs
from scaigrid.control.history import KEPT, declared_by, entries, last
from tests.harness.deployment import declared, deployment

PROVIDER = {"type": "custom", "base_url": "http://up", "api_key": "pk-secret"}


async def test_the_latest_comes_first(database_url: str) -> None:
    async with deployment(database_url) as plane:
        for name in ("a", "b", "c"):
            await plane.apply(users={name: {}}, source=name)
        async with plane.engine.connect() as connection:
            assert [(one.seq, one.source) for one in await entries(connection)] == [(3, "c"), (2, "b"), (1, "a")]
            assert [one.seq for one in await entries(connection, most=1)] == [3]
            assert await last(connection) == 3


async def test_there_is_none_in_the_beginning(database_url: str) -> None:
    async with deployment(database_url) as plane, plane.engine.connect() as connection:
        assert list(await entries(connection)) == []
        assert await last(connection) == 0


async def test_what_an_entry_declared_can_be_had_again(database_url: str) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(providers={"up": PROVIDER}, users={"ann": {}})
        await plane.apply(users={"bob": {}})
        async with plane.engine.connect() as connection:
            found = await declared_by(connection, 1, plane.store.codec)
            missing = await declared_by(connection, 3, plane.store.codec)
    assert found is not None
    wanted = declared(providers={"up": PROVIDER}, users={"ann": {}})
    assert {one.id: one.document for one in found} == {one.id: one.document for one in wanted}
    (provider,) = (one.document for one in found if one.kind == "provider")
    assert isinstance(provider, docs.Provider)
    assert missing is None


async def test_the_oldest_go(database_url: str) -> None:
    async with deployment(database_url) as plane:
        for number in range(KEPT + 2):
            await plane.apply(users={f"u{number}": {}})
        async with plane.engine.connect() as connection:
            found = await entries(connection)
    assert [found[0].seq, found[-1].seq, len(found)] == [KEPT + 2, 3, KEPT]
