"""kill -9: workers at random moments under load, and now and then the whole gateway, lose and double nothing.

A call that is open when its worker dies has at the most one row, and that one says so. What it had reserved is given
back once the lease is over, at the latest after the route's total deadline; then the counters are the ledger's sums.
"""

import os
import random
import signal
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.harness import databases
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.ports import free_port
from tests.harness.valkey import Valkey
from tests.money import counters, site
from tests.money.books import Books, compared
from tests.money.callers import Answer, Crowd
from tests.money.fact import Found, Room
from tests.money.orders import Order, dice, some
from tests.money.till import Till

CALLERS: Final = 8
DEADLINE: Final = 2.0
"""Seconds: the route's total deadline, by which a lease is over."""
_SWEPT: Final = 140.0
"""Seconds within which a lease of a call that may take DEADLINE is over."""
_PURSE: Final = "kill"
_LONG: Final = 0.8
_LONG_ONES: Final = 0.2
_LIMIT: Final = 10**15
"""Nano-units: more than anybody spends here."""


class Shot(msgspec.Struct, kw_only=True):
    """What one gateway came to."""

    books: Books
    spent: int
    """By the counters."""
    reserved: int
    left_over: int
    """Records that were still in a journal in the end."""
    many: bool = True
    """So many were killed that some of the open calls had lasted."""


def judged(shot: Shot) -> Found:
    found = shot.books.found()
    found.unsettled = (shot.spent != shot.books.ledger) + (shot.reserved != 0)
    found.expect(shot.spent == shot.books.ledger, f"the counters have {shot.spent}, the ledger {shot.books.ledger}")
    found.expect(shot.reserved == 0, f"{shot.reserved} nano-units are still reserved")
    found.expect(shot.books.marked or not shot.many, "no call that was open has a row that says so")
    found.expect(shot.left_over == 0, f"{shot.left_over} files were left in the journal")
    return found


def show(room: Room) -> Found:
    workers, groups = room.pick(2, 20, 40), room.pick(1, 3, 6)
    total = Found(lost_rows=0, double_rows=0, unsettled=0)
    with ExitStack() as running:
        # In small there is no time for leases to be over. Those of the first scene grow old during the second.
        makes = (_memory,) if room.size == "small" else (_valkey, _memory)
        scenes = [running.enter_context(make(room)) for make in makes]
        for scene in scenes:
            _fire(scene, workers // len(scenes), groups)
        for scene in scenes:
            shot = _shot(scene)
            shot.many = room.size != "small"
            found = judged(shot)
            room.say(f"{scene.name}: {workers // len(scenes)} workers and {groups} gateways killed; {shot.books}")
            room.say(f"{scene.name}: counters {shot.spent}, reserved {shot.reserved}")
            total.faults += [f"{scene.name}: {fault}" for fault in found.faults]
            total.lost_rows = (total.lost_rows or 0) + (found.lost_rows or 0)
            total.double_rows = (total.double_rows or 0) + (found.double_rows or 0)
            total.unsettled = (total.unsettled or 0) + (found.unsettled or 0)
    return total


class Scene(msgspec.Struct, kw_only=True):
    name: str
    gateway: Gateway
    workers: int
    database: str
    store: Valkey | None
    chance: random.Random
    answers: list[Answer] = []
    asked: dict[str, Order] = {}


def _config(url: str, **more: Any) -> dict[str, Any]:
    route = {"targets": [{"backend": "b"}], "deadlines": {"connect": 1, "first_byte": 1, "idle": 1, "total": DEADLINE}}
    budgets = {_PURSE: site.budget("user", _PURSE, cost_limit=site.money(_LIMIT))}
    # The port is the same in every life, so that the callers need not be told.
    server = {"port": free_port()}
    return site.config(url, {_PURSE: {}}, budgets=budgets, model={"route": route}, server=server, **more)


@contextmanager
def _memory(room: Room) -> Generator[Scene]:
    url = room.provider.at("/kill-memory/v1").always(Till()).url
    with Gateway(_config(url), room.place("memory")) as gateway:
        yield Scene(
            name="memory",
            gateway=gateway,
            workers=1,
            database=site.database_of(gateway),
            store=None,
            chance=dice("memory"),
        )


@contextmanager
def _valkey(room: Room) -> Generator[Scene]:
    url = room.provider.at("/kill-valkey/v1").always(Till()).url
    database = databases.empty("postgres", room.directory)
    try:
        with ExitStack() as running:
            store = running.enter_context(Valkey())
            made = _config(url, store=store, database=database, workers=2)
            gateway = running.enter_context(Gateway(made, room.place("valkey")))
            yield Scene(
                name="valkey", gateway=gateway, workers=2, database=database, store=store, chance=dice("valkey")
            )
    finally:
        databases.drop(database)


def _fire(scene: Scene, workers: int, groups: int) -> None:
    """Kills under load, from one life of the gateway to the next."""
    gateway, chance = scene.gateway, scene.chance

    def order() -> Order:
        # Some last so long that the gateway leaves word of them; most are over too soon for that.
        return some(chance, _PURSE, seconds=_LONG if chance.random() < _LONG_ONES else 0.03)

    for life in range(groups + 1):
        with Crowd([gateway.port], order, callers=CALLERS) as crowd:
            for _ in range(workers // (groups + 1) + (life < workers % (groups + 1))):
                crowd.comes_to(crowd.served + chance.randint(1, 60))
                _kill_a_worker(scene)
            crowd.comes_to(crowd.served + chance.randint(1, 60))
            if life < groups:
                gateway.kill_group()
            scene.answers += crowd.stop()
        scene.asked |= crowd.asked
        if life < groups:
            gateway.start()


def _shot(scene: Scene) -> Shot:
    """What came of it, once every lease has had its time."""
    gateway = scene.gateway
    if scene.store is not None:
        _swept(gateway, scene.store)
    finished = {answer.order.id for answer in scene.answers if answer.served}

    def complete() -> list[dict[str, Any]] | None:
        rows = site.rows(scene.database)
        return rows if finished <= {row["request_id"] for row in rows} else None

    with suppress(AssertionError):
        eventually(complete, "every finished answer is in the ledger")
    spent = site.spent(gateway)[_PURSE, "cost"]
    reserved = 0
    if scene.store is not None:
        (held,) = counters.funds(scene.store, site.budget_id(_PURSE)).values()
        spent, reserved = held.spent, held.reserved
    gateway.stop()
    return Shot(
        books=compared(site.rows(scene.database), scene.answers, scene.asked),
        spent=spent,
        reserved=reserved,
        left_over=len(site.journal(gateway.data)),
    )


def _kill_a_worker(scene: Scene) -> None:
    """Returns once another one serves. A worker that dies young takes its gateway along: then that is started again."""
    gateway = scene.gateway
    living = set(gateway.workers(scene.workers))
    os.kill(scene.chance.choice(sorted(living)), signal.SIGKILL)

    def over() -> bool:
        if gateway.process.poll() is not None:
            gateway.start()
            return True
        return len(_alive(gateway) - living) > 0

    eventually(over, "another worker serves")


def _alive(gateway: Gateway) -> set[int]:
    """Pids of workers that have started and are there."""
    started = {line["pid"] for line in gateway.lines() if line["event"] == "worker_started"}
    return {pid for pid in started if Path(f"/proc/{pid}").exists()}


def _swept(gateway: Gateway, store: Valkey) -> None:
    """Returns once no lease is left, or it has lasted too long. A lease that is over goes with the next step."""

    def over() -> bool:
        # Asking what is spent is a step too.
        return bool(site.spent(gateway)) and not counters.leases(store)

    with suppress(AssertionError):
        eventually(over, "every lease is over", seconds=_SWEPT)
