"""The state in the database: read whole, read on, and changed by one at a time; on both databases."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from scaigrid.control import documents as docs
from scaigrid.control.codec import Codec
from scaigrid.control.resource import Resource
from scaigrid.control.state import Gone
from scaigrid.control.store import ControlStore
from scaigrid.db.engine import create_engine
from scaigrid.db.models import resources
from scaigrid.errors import Code, GatewayError
from tests.harness.clock import StillClock
from tests.harness.deployment import VAULT, Deployment, deployment, made


def partner(name: str) -> Resource:
    return made(docs.Partner(name=name), "partner")


def renamed(resource: Resource, name: str) -> Resource:
    return Resource(kind=resource.kind, id=resource.id, origin=resource.origin, document=docs.Partner(name=name))


async def names(plane: Deployment) -> list[str]:
    return sorted(resource.name for resource in (await plane.load()).all("partner").values())


async def test_a_new_database_has_nothing_and_epoch_0(database_url: str) -> None:
    async with deployment(database_url) as plane:
        state = await plane.load()
        assert (len(state), state.epoch, await plane.store.config_hash()) == (0, 0, None)


async def test_what_was_put_is_read_as_it_was_kept(database_url: str) -> None:
    async with deployment(database_url) as plane:
        acme = partner("acme")
        async with plane.store.change(None) as change:
            kept = change.put(acme)
            assert change.state.get("partner", acme.id) == kept
        state = await plane.load()
        assert state.get("partner", acme.id) == kept
        assert (kept.revision, kept.created_at, kept.updated_at) == (1, plane.clock.now(), plane.clock.now())
        assert state.epoch == 1


async def test_a_change_of_a_resource_keeps_when_it_was_made(database_url: str) -> None:
    async with deployment(database_url) as plane:
        acme = partner("acme")
        await plane.put(acme)
        began = plane.clock.now()
        plane.clock.advance(10)
        await plane.put(renamed(acme, "other"))
        found = (await plane.load()).get("partner", acme.id)
    assert found is not None
    assert (found.name, found.created_at, found.updated_at, found.revision) == ("other", began, began + 10, 2)


async def test_a_block_that_raises_changes_nothing(database_url: str) -> None:
    async with deployment(database_url) as plane:

        async def fails() -> None:
            async with plane.store.change(None) as change:
                change.put(partner("acme"))
                raise RuntimeError("enough")

        with pytest.raises(RuntimeError, match="enough"):
            await fails()
        assert (await names(plane), await plane.store.epoch()) == ([], 0)


async def test_a_step_before_the_commit_is_taken_when_all_of_it_is_written(database_url: str) -> None:
    async with deployment(database_url) as plane:
        seen: list[int] = []
        async with plane.store.change(None) as change:
            change.put(partner("acme"))
            change.before_commit(lambda: seen.append(change.state.epoch))
            assert seen == []
        assert seen == [1]
        assert await names(plane) == ["acme"]


async def test_a_step_before_the_commit_that_raises_undoes_the_change(database_url: str) -> None:
    def refuse() -> None:
        raise GatewayError(Code.STORE_UNAVAILABLE, "it cannot be recorded")

    async def fails(plane: Deployment) -> None:
        async with plane.store.change(None) as change:
            change.put(partner("acme"))
            change.before_commit(refuse)

    async with deployment(database_url) as plane:
        with pytest.raises(GatewayError, match="it cannot be recorded"):
            await fails(plane)
        assert (await names(plane), await plane.store.epoch()) == ([], 0)


async def test_a_block_that_does_nothing_takes_no_epoch(database_url: str) -> None:
    async with deployment(database_url) as plane:
        async with plane.store.change(None):
            pass
        assert await plane.store.epoch() == 0


async def test_who_knows_an_earlier_state_reads_only_what_is_new(database_url: str) -> None:
    async with deployment(database_url) as plane:
        one, two, three = partner("one"), partner("two"), partner("three")
        await plane.put(one, two)
        known = await plane.load()
        await plane.delete(one)
        await plane.put(three)
        news = await plane.store.since(known.epoch)
        assert (news.epoch, [found.id for found in news.changed], news.gone) == (
            3,
            [three.id],
            [Gone("partner", one.id)],
        )
        state = await plane.store.advance(known)
        assert list(state) == list(await plane.load())
        assert await plane.store.advance(state) is state


async def test_a_change_begins_from_a_known_state_and_what_came_since(database_url: str) -> None:
    async with deployment(database_url) as plane:
        await plane.put(partner("one"))
        known = await plane.load()
        await plane.put(partner("two"))
        async with plane.store.change(known) as change:
            assert sorted(found.name for found in change.state.all("partner").values()) == ["one", "two"]


async def test_a_name_is_free_once_its_holder_is_gone(database_url: str) -> None:
    async with deployment(database_url) as plane:
        acme = partner("acme")
        await plane.put(acme)
        await plane.delete(acme)
        await plane.put(partner("acme"))
        await plane.put(renamed(acme, "again"))
        assert await names(plane) == ["acme", "again"]


async def test_what_is_gone_is_forgotten_after_a_day(database_url: str) -> None:
    async with deployment(database_url) as plane:
        one = partner("one")
        await plane.put(one)
        await plane.delete(one)
        async with plane.engine.connect() as connection:
            row = (await connection.execute(select(resources))).one()
            assert (row.deleted, row.name, row.document) == (True, None, "{}")
        plane.clock.advance(86_401)
        await plane.put(partner("two"))
        async with plane.engine.connect() as connection:
            assert (await connection.scalars(select(resources.c.deleted))).all() == [False]


async def test_names_are_changed_for_each_other_however_many_there_are(database_url: str) -> None:
    """They are written in pieces; no piece may stumble over a name that a later one gives up."""
    async with deployment(database_url) as plane:
        many = [partner(f"p{number:04}") for number in range(1100)]
        await plane.put(*many)
        await plane.put(*(renamed(one, other.name) for one, other in zip(many, reversed(many), strict=True)))
        state = await plane.load()
    assert [state.document(docs.Partner, one.id).name for one in many] == [one.name for one in reversed(many)]


async def test_two_who_change_at_once_do_it_one_behind_the_other(database_url: str) -> None:
    async with deployment(database_url) as one, deployment(database_url) as two:

        async def add(plane: Deployment, name: str) -> int:
            async with plane.store.change(None) as change:
                await asyncio.sleep(0)
                change.put(partner(name))
                return change.epoch

        epochs = await asyncio.gather(
            *(add(plane, f"{place}-{number}") for number in range(3) for place, plane in enumerate((one, two)))
        )
        assert sorted(epochs) == [1, 2, 3, 4, 5, 6]
        assert len(await names(one)) == 6


async def test_the_latest_use_of_a_key_is_kept(database_url: str) -> None:
    async with deployment(database_url) as plane:
        await plane.store.used({"a": 10.0, "b": 20.0})
        await plane.store.used({"a": 5.0, "b": 30.0})
        assert await plane.store.uses() == {"a": 10.0, "b": 30.0}
        assert await plane.store.uses(["b"]) == {"b": 30.0}


async def test_a_database_that_cannot_be_used_is_the_store_s_fault(tmp_path: Path) -> None:
    (tmp_path / "none.db").write_text("no database at all, but long enough to be looked into " * 20)
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'none.db'}")
    store = ControlStore(engine, Codec(VAULT), StillClock())
    for asked in (store.load(), store.epoch(), store.used({"a": 1.0})):
        with pytest.raises(GatewayError) as caught:
            await asked
        assert caught.value.code is Code.STORE_UNAVAILABLE
    with pytest.raises(GatewayError):
        async with store.change(None):
            raise AssertionError("there is nothing to change")
    await engine.dispose()
