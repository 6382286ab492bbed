"""A file is applied whole or not at all, and leaves one entry in the history."""

import pytest
from sqlalchemy import func, select

from scaigrid.control import documents as docs
from scaigrid.control.apply import Refused
from scaigrid.control.digest import config_hash
from scaigrid.control.history import Entry, entries
from scaigrid.control.vault import CannotOpen, Vault
from scaigrid.db.models import applied, resources
from scaigrid.ids import declared_id
from scaigrid.secrets import Secret
from tests.harness.deployment import VAULT, Deployment, declared, deployment, made

PROVIDER = {"type": "custom", "base_url": "http://up", "api_key": "pk-secret"}


async def history(plane: Deployment) -> list[Entry]:
    async with plane.engine.connect() as connection:
        return list(await entries(connection))


async def test_what_is_declared_is_there_afterwards(database_url: str) -> None:
    async with deployment(database_url) as plane:
        done = await plane.apply(users={"ann": {"email": "ann@example.test"}})
        state = await plane.load()
    assert (done.seq, len(done.plan.create)) == (1, 3)
    assert state.document(docs.User, declared_id("user", "ann")).email == "ann@example.test"
    assert {one.origin for one in state} == {"config"}
    assert {one.revision for one in state} == {1}


async def test_what_changes_nothing_leaves_no_trace(database_url: str) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(users={"ann": {}})
        again = await plane.apply(users={"ann": {}})
        assert (again.seq, again.plan.unchanged) == (None, 3)
        assert (await plane.store.epoch(), len(await history(plane))) == (1, 1)


async def test_one_refused_step_applies_nothing(database_url: str) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(tenants={"acme": {}})
        acme = declared_id("tenant", "acme")
        await plane.put(made(docs.User(name="theirs", tenant_id=acme), "user"))
        before = await plane.load()
        with pytest.raises(Refused, match=r"tenant acme .*: in use by user theirs") as caught:
            await plane.apply(tenants={"other": {}}, users={"ann": {"tenant": "other"}})
        after = await plane.load()
        assert list(after) == list(before)
        assert len(await history(plane)) == 1
    assert [step.name for step in caught.value.plan.refused] == ["acme"]


async def test_the_history_says_what_and_whence_and_who(database_url: str) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(users={"ann": {}}, actor="serve", source="c.yaml")
        plane.clock.advance(60)
        await plane.apply(users={"bob": {}}, actor="bob", source="d.yaml")
        second, first = await history(plane)
    assert (first.seq, first.source, first.actor, len(first.plan.create)) == (1, "c.yaml", "serve", 3)
    assert (second.seq, second.source, second.actor, second.epoch) == (2, "d.yaml", "bob", 2)
    assert second.applied_at - first.applied_at == 60
    assert [len(steps) for steps in (second.plan.create, second.plan.change, second.plan.delete)] == [1, 0, 1]


async def test_the_hash_is_that_of_the_file_alone(database_url: str) -> None:
    async with deployment(database_url) as plane:
        await plane.put(made(docs.Partner(name="theirs"), "partner"))
        await plane.apply(users={"ann": {}})
        expected = config_hash(declared(users={"ann": {}}), VAULT)
        assert await plane.store.config_hash() == expected
        (entry,) = await history(plane)
        assert entry.config_hash == expected


async def test_the_history_holds_no_credential(database_url: str) -> None:
    async with deployment(database_url) as plane:
        await plane.apply(providers={"up": PROVIDER})
        async with plane.engine.connect() as connection:
            (row,) = (await connection.execute(select(applied))).all()
    assert "pk-secret" not in "".join(map(str, row))


# -- another encryption key ------------------------------------------------------------------------------------------

OLD = Secret("the old key of a test, long enough")
NEW = Secret("the new key of a test, long enough")


async def test_a_new_key_encrypts_everything_anew(database_url: str) -> None:
    async with deployment(database_url, Vault([OLD])) as plane:
        await plane.apply(providers={"up": PROVIDER})
        theirs = docs.Provider(name="theirs", type="custom", api_key=Secret("pk-theirs"), headers={"x": Secret("y")})
        await plane.put(made(theirs, "provider"))
    async with deployment(database_url, Vault([NEW, OLD])) as plane:
        done = await plane.apply(providers={"up": PROVIDER})
        assert done.plan.empty
        assert (done.seq, done.sealed_anew) == (None, 3), "two providers and one entry of the history"
        again = await plane.apply(providers={"up": PROVIDER})
        assert again.sealed_anew == 0
    async with deployment(database_url, Vault([NEW])) as plane:
        state = await plane.load()
        keys = {provider.api_key for _, provider in state.documents(docs.Provider)}
        assert keys == {Secret("pk-secret"), Secret("pk-theirs")}
        assert (await plane.apply(providers={"up": PROVIDER})).plan.empty
    async with deployment(database_url, Vault([OLD])) as plane:
        with pytest.raises(CannotOpen):
            await plane.load()


async def test_encrypting_anew_changes_no_revision(database_url: str) -> None:
    async with deployment(database_url, Vault([OLD])) as plane:
        await plane.apply(providers={"up": PROVIDER})
        before = {one.id: (one.revision, one.updated_at) for one in await plane.load()}
    async with deployment(database_url, Vault([NEW, OLD])) as plane:
        plane.clock.advance(60)
        await plane.apply(providers={"up": PROVIDER})
        assert {one.id: (one.revision, one.updated_at) for one in await plane.load()} == before


async def test_a_credential_that_no_key_opens_is_an_error_that_names_the_setting(database_url: str) -> None:
    async with deployment(database_url, Vault([OLD])) as plane:
        await plane.apply(providers={"up": PROVIDER})
    async with deployment(database_url, Vault([NEW])) as plane:
        with pytest.raises(CannotOpen, match=r"database\.encryption_key"):
            await plane.apply(providers={"up": PROVIDER})
        async with plane.engine.connect() as connection:
            assert await connection.scalar(select(func.count()).select_from(resources)) == 3
