"""A restart forgets nothing: counters afterwards are the ledger's sums, of every scope and kind.

The memory store loses everything with its process; the Valkey is emptied while the gateway is away, and once more
while it runs.
"""

import random
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from tests.harness import databases
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.valkey import Valkey
from tests.money import site
from tests.money.callers import together
from tests.money.fact import Found, Room
from tests.money.orders import dice, some
from tests.money.till import Till

_USERS: Final = ("ann", "bob", "eve")
_KINDS: Final = ("cost", "tokens", "requests")
_SUMS: Final[Mapping[str, str]] = {
    "cost": "sum(cost)",
    "tokens": "sum(tokens_in + tokens_cache_read + tokens_cache_write + tokens_cache_write_1h + tokens_out)",
    "requests": "count(*)",
}
_PLENTY: Final = {"cost_limit": 1000, "token_limit": 10**9, "request_limit": 10**6}


class Counted(msgspec.Struct, kw_only=True):
    """What the counters say at one moment, and what the ledger says; by name and kind of the budget."""

    when: str
    counters: dict[str, int]
    ledger: dict[str, int]


def judged(seen: Sequence[Counted]) -> Found:
    found = Found(unsettled=0)
    for one in seen:
        wrong = {
            name: (one.counters.get(name), one.ledger.get(name))
            for name in one.counters.keys() | one.ledger.keys()
            if one.counters.get(name) != one.ledger.get(name)
        }
        found.unsettled = (found.unsettled or 0) + len(wrong)
        found.expect(not wrong, f"{one.when}: counters and ledger: {wrong}")
        found.expect(any(one.ledger.values()), f"{one.when}: the ledger is empty, so this shows nothing")
    return found


def show(room: Room) -> Found:
    seen: list[Counted] = []
    for name, make in (("valkey", _valkey), ("memory", _memory))[: room.pick(1, 2)]:
        with make(room) as scene:
            for counted in _lives(scene, room.pick(30, 120)):
                seen.append(msgspec.structs.replace(counted, when=f"{name}, {counted.when}"))
                room.say(f"{seen[-1].when}: {len(counted.ledger)} counters as in the ledger of {scene.kind}")
    return judged(seen)


class Scene(msgspec.Struct, kw_only=True):
    gateway: Gateway
    till: Till
    database: str
    kind: str
    store: Valkey | None


def scopes() -> dict[str, tuple[str, str]]:
    """By name of a budget, its scope and whose it is: one of each scope that there is, and two of users."""
    return {
        "of-partner": ("partner", "default"),
        "of-tenant": ("tenant", "default"),
        "of-ann": ("user", "ann"),
        "of-bob": ("user", "bob"),
        "of-key": ("key", "eve"),
        "of-model": ("model", "m"),
        "of-group": ("group", "two"),
    }


def _config(url: str, **more: Any) -> dict[str, Any]:
    budgets = {name: site.budget(scope, of, **_PLENTY) for name, (scope, of) in scopes().items()}
    # Another period has another part of the ledger.
    budgets["of-today"] = {**site.budget("user", "ann", **_PLENTY), "period": "daily", "timezone": "Asia/Tokyo"}
    made = site.config(url, {name: {} for name in _USERS}, budgets=budgets, **more)
    made["groups"] = {"two": {"users": ["ann", "eve"]}}
    return made


@contextmanager
def _memory(room: Room) -> Generator[Scene]:
    till = Till()
    url = room.provider.at("/restart-memory/v1").always(till).url
    with Gateway(_config(url), room.place("restart-memory")) as gateway:
        yield Scene(gateway=gateway, till=till, database=site.database_of(gateway), kind="SQLite", store=None)


@contextmanager
def _valkey(room: Room) -> Generator[Scene]:
    till = Till()
    url = room.provider.at("/restart-valkey/v1").always(till).url
    database = databases.empty("postgres", room.directory)
    try:
        with Valkey() as store:
            made = _config(url, store=store, database=database)
            with Gateway(made, room.place("restart-valkey")) as gateway:
                yield Scene(gateway=gateway, till=till, database=database, kind="PostgreSQL", store=store)
    finally:
        databases.drop(database)


def _lives(scene: Scene, calls: int) -> Iterator[Counted]:
    gateway, store = scene.gateway, scene.store
    chance = dice(scene.kind)

    def used() -> None:
        orders = [some(chance, chance.choice(_USERS)) for _ in range(calls)]
        answers = together([gateway.port], orders, 8)
        assert all(answer.served for answer in answers), {f"{one.status} {one.code}" for one in answers}

    def again() -> None:
        if store is not None:
            store.command("FLUSHALL")
        gateway.start()

    used()
    assert gateway.stop() == 0
    again()
    yield _counted(scene, "after a stop")
    used()
    gateway.kill_group()
    again()
    yield _counted(scene, "after a kill")
    used()
    if store is not None:
        store.command("FLUSHALL")
        used_again = eventually(lambda: _tries(gateway, chance), "the counters are there again")
        assert used_again
        yield _counted(scene, "after the store was emptied")


def _tries(gateway: Gateway, chance: random.Random) -> bool:
    return all(answer.served for answer in together([gateway.port], [some(chance, "ann")], 1))


def _counted(scene: Scene, when: str) -> Counted:
    """Awaited, because a settling may be on its way to the store; what is wrong stays wrong."""
    ledger = dict(_ledger(scene.database))

    def counters() -> dict[str, int]:
        return {f"{name} {kind}": amount for (name, kind), amount in site.spent(scene.gateway).items()}

    def same() -> dict[str, int] | None:
        told, now = counters(), dict(_ledger(scene.database))
        return told if told == now else None

    try:
        told = eventually(same, "counters are what the ledger says", seconds=5)
    except AssertionError:
        told = counters()
    ledger = dict(_ledger(scene.database))
    return Counted(when=when, counters=told, ledger=ledger)


def _ledger(database: str) -> Iterator[tuple[str, int]]:
    """By budget and kind, the sum of the rows that belong to it; past all of our code."""
    columns = ", ".join(f"{sums} AS {kind}" for kind, sums in _SUMS.items())
    for name, (scope, of) in {**scopes(), "of-today": ("user", "ann")}.items():
        where = site.of_scope(scope, of)
        (row,) = databases.execute(database, f"SELECT {columns} FROM usage WHERE serving AND {where}")  # noqa: S608
        for kind in _KINDS:
            yield f"{name} {kind}", int(row[kind] or 0)
