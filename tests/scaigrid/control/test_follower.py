"""A worker follows the deployment: what one changes is in force in all of them, and a change is made once or not."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from adapters import ADAPTERS
from scaigrid.config import schema
from scaigrid.config.snapshot import Current, Party, Principal, Snapshot
from scaigrid.control import documents as docs
from scaigrid.control.codec import Codec
from scaigrid.control.compile import compile_state
from scaigrid.control.follower import Control
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.control.store import ControlStore
from scaigrid.control.vault import Vault
from scaigrid.db.engine import create_engine
from scaigrid.errors import Code, GatewayError
from scaigrid.ids import new_id
from scaigrid.secrets import Secret
from tests.harness.clock import StillClock
from tests.harness.eventually import PATIENCE


class Worker:
    """One follower with a database connection of its own."""

    def __init__(self, url: str) -> None:
        self.clock = StillClock()
        self.engine = create_engine(url)
        self.current = Current(self._compiled(State.of(())))
        self.adopted: list[int] = []
        self.heard: Callable[[int], None] = self.adopted.append
        store = ControlStore(self.engine, Codec(Vault([Secret("k" * 32)])), self.clock)
        self.control = Control(store, self._compiled, self.current, self.clock, self._adopt)

    def _compiled(self, state: State) -> Snapshot:
        return compile_state(state, schema.Config(), ADAPTERS)

    async def _adopt(self, snapshot: Snapshot) -> None:
        self.heard(snapshot.epoch)

    def partner(self, name: str) -> Resource:
        return Resource(
            kind="partner", id=new_id("partner", self.clock), origin="api", document=docs.Partner(name=name)
        )

    async def make(self, name: str) -> Resource:
        async with self.control.change() as change:
            return change.put(self.partner(name))

    @property
    def names(self) -> list[str]:
        return sorted(resource.name for resource in self.control.state.all("partner").values())


@asynccontextmanager
async def _worker(url: str) -> AsyncGenerator[Worker]:
    worker = Worker(url)
    await worker.control.open()
    try:
        yield worker
    finally:
        await worker.control.close()
        await worker.engine.dispose()


async def test_a_change_is_in_force_where_it_was_made_when_it_is_made(database_url: str) -> None:
    async with _worker(database_url) as one:
        epoch = one.current.snapshot.epoch
        made = await one.make("acme")
        assert (one.names, one.current.snapshot.epoch, made.revision) == (["acme"], epoch + 1, epoch + 1)
        assert one.adopted[-1] == epoch + 1


async def test_another_worker_sees_it_when_it_reads(database_url: str) -> None:
    async with _worker(database_url) as one, _worker(database_url) as two:
        made = await one.make("acme")
        await two.control.refresh()
        assert two.names == ["acme"]
        async with two.control.change() as change:
            change.delete(made)
        await one.control.refresh()
        assert one.names == []
        assert one.current.snapshot.epoch == two.current.snapshot.epoch


async def test_a_follower_comes_after_by_itself(database_url: str) -> None:
    async with _worker(database_url) as one, _worker(database_url) as two:
        seen = asyncio.Event()
        two.heard = lambda epoch: seen.set() if epoch == one.control.state.epoch else None
        two.control.follow()
        await one.make("acme")
        await asyncio.wait_for(seen.wait(), PATIENCE)
        assert two.names == ["acme"]


async def _fail(worker: Worker) -> None:
    async with worker.control.change() as change:
        change.put(worker.partner("acme"))
        raise ZeroDivisionError


async def test_a_change_that_fails_changes_nothing(database_url: str) -> None:
    async with _worker(database_url) as one:
        epoch = one.control.state.epoch
        with pytest.raises(ZeroDivisionError):
            await _fail(one)
        await one.control.refresh()
        assert (one.names, one.control.state.epoch) == ([], epoch)


async def test_changes_at_the_same_time_queue_and_none_is_lost(database_url: str) -> None:
    async with _worker(database_url) as one, _worker(database_url) as two:
        await asyncio.gather(
            *(worker.make(f"{at}{number}") for number in range(8) for at, worker in (("a", one), ("b", two)))
        )
        await asyncio.gather(one.control.refresh(), two.control.refresh())
        assert one.names == two.names
        assert len(one.names) == 16


async def test_a_name_that_was_given_up_is_free(database_url: str) -> None:
    async with _worker(database_url) as one:
        first = await one.make("acme")
        async with one.control.change() as change:
            change.delete(first)
        second = await one.make("acme")
        assert [resource.id for resource in one.control.state.all("partner").values()] == [second.id]


async def test_what_cannot_be_put_in_force_leaves_the_old_in_force(database_url: str) -> None:
    async with _worker(database_url) as one, _worker(database_url) as two:
        before = two.current.snapshot

        def refuses(_: int) -> None:
            raise GatewayError(Code.STORE_UNAVAILABLE)

        two.heard = refuses
        await one.make("acme")
        with pytest.raises(GatewayError):
            await two.control.refresh()
        assert two.current.snapshot is before


async def test_the_last_use_of_a_key_is_written_and_never_set_back(database_url: str) -> None:
    async with _worker(database_url) as reader:
        for moment in (1_800_000_060.0, 1_800_000_030.0):
            async with _worker(database_url) as worker:
                worker.clock.wall = moment
                worker.control.seen(_caller("apikey_1"))
                worker.control.seen(_caller(None))
        assert await reader.control.store.uses() == {"apikey_1": 1_800_000_060.0}


async def test_a_use_is_known_from_when_it_was_seen(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while it is being written, and after that has failed."""
    async with _worker(database_url) as worker:
        control = worker.control
        control.seen(_caller("apikey_1"))
        seen = dict(control.uses)
        assert seen == {"apikey_1": worker.clock.wall}
        known: list[dict[str, float]] = []

        async def fails(_: dict[str, float]) -> None:
            known.append(dict(control.uses))
            raise GatewayError(Code.STORE_UNAVAILABLE)

        with monkeypatch.context() as patched:
            patched.setattr(control.store, "used", fails)
            with pytest.raises(GatewayError):
                await control.write_uses()
        assert known == [seen]
        assert control.uses == seen
        await control.write_uses()
        assert (control.uses, await control.store.uses()) == ({}, seen)


def _caller(key: str | None) -> Principal:
    party = Party("x", "x", "x")
    return Principal(partner=party, tenant=party, user=party, key=None if key is None else Party(key, key, key))
