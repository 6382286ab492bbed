"""What commands do to the control plane: each opens the database, does one thing, and lets go of it."""

from pathlib import Path
from typing import Any

import pytest

from adapters import ADAPTERS
from scaigrid.control import documents as docs
from scaigrid.control import once
from scaigrid.control.apply import Applied, Refused
from scaigrid.control.declared import resources_of
from scaigrid.control.plan import Plan
from scaigrid.errors import Code, GatewayError
from scaigrid.ids import declared_id
from tests.harness.deployment import VAULT, configured, deployment, made


async def put_in_force(url: str, **sections: Any) -> Applied:
    config = configured(database={"url": url}, **sections)
    return await once.put_in_force(config, VAULT, resources_of(config), ADAPTERS, source="c.yaml", actor="ann")


async def plan(url: str, **sections: Any) -> Plan:
    config = configured(database={"url": url}, **sections)
    return await once.plan(config, VAULT, resources_of(config), ADAPTERS)


async def users(url: str) -> list[str]:
    state = await once.load(configured(database={"url": url}), VAULT)
    return sorted(user.name for _, user in state.documents(docs.User))


async def roll_back(url: str, seq: int | None = None) -> tuple[int, Applied]:
    return await once.roll_back(configured(database={"url": url}), VAULT, ADAPTERS, seq, actor="ann")


async def test_planning_changes_nothing(database_url: str) -> None:
    assert len((await plan(database_url, users={"ann": {}})).create) == 3
    assert await users(database_url) == []


async def test_what_was_put_in_force_is_planned_no_more(database_url: str) -> None:
    await put_in_force(database_url, users={"ann": {}})
    assert await users(database_url) == ["ann"]
    assert (await plan(database_url, users={"ann": {}})).empty


async def test_going_back_is_an_entry_of_its_own(database_url: str) -> None:
    await put_in_force(database_url, users={"ann": {}})
    await put_in_force(database_url, users={"bob": {}})
    seq, done = await roll_back(database_url)
    assert (seq, done.seq, await users(database_url)) == (1, 3, ["ann"])
    latest, *_ = await once.entries(configured(database={"url": database_url}))
    assert (latest.source, latest.actor) == ("rollback to 1", "ann")


async def test_going_back_twice_is_where_one_was(database_url: str) -> None:
    await put_in_force(database_url, users={"ann": {}})
    await put_in_force(database_url, users={"bob": {}})
    await roll_back(database_url)
    assert (await roll_back(database_url))[0] == 2
    assert await users(database_url) == ["bob"]


async def test_going_back_to_any_entry(database_url: str) -> None:
    for name in ("a", "b", "c"):
        await put_in_force(database_url, users={name: {}})
    await roll_back(database_url, 1)
    assert await users(database_url) == ["a"]


async def test_going_back_to_where_one_is_changes_nothing(database_url: str) -> None:
    await put_in_force(database_url, users={"ann": {}})
    assert (await roll_back(database_url, 1))[1].seq is None


async def test_an_entry_that_is_not_there_is_not_gone_back_to(database_url: str) -> None:
    with pytest.raises(once.NoSuchEntry, match="the history is empty"):
        await roll_back(database_url)
    await put_in_force(database_url, users={"ann": {}})
    with pytest.raises(once.NoSuchEntry, match="entries 1 to 1"):
        await roll_back(database_url)
    with pytest.raises(once.NoSuchEntry):
        await roll_back(database_url, 7)


async def test_what_is_in_use_by_now_stops_going_back(database_url: str) -> None:
    await put_in_force(database_url)
    await put_in_force(database_url, users={"ann": {}})
    async with deployment(database_url) as plane:
        theirs = docs.ApiKey(name="theirs", user_id=declared_id("user", "ann"), sha256="0" * 64)
        await plane.put(made(theirs, "api_key"))
    with pytest.raises(Refused, match="in use by API key theirs"):
        await roll_back(database_url)
    assert await users(database_url) == ["ann"]


async def test_a_database_that_cannot_be_used_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "none.db").write_text("no database at all, but long enough to be looked into " * 20)
    config = configured(database={"url": f"sqlite:///{tmp_path / 'none.db'}"})
    for asked in (once.load(config, VAULT), once.entries(config)):
        with pytest.raises(GatewayError) as caught:
            await asked
        assert caught.value.code is Code.STORE_UNAVAILABLE
