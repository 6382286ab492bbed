"""One key, one call: of thirty callers with the same Idempotency-Key at the same time, the provider sees one."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec

from tests.harness import databases
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.valkey import Valkey
from tests.money import site
from tests.money.callers import Answer, together
from tests.money.fact import Found, Room
from tests.money.orders import Order, named
from tests.money.till import Till

CALLERS: Final = 30
_PURSE: Final = "again"
_SECONDS: Final = 0.3
"""How long the provider takes: so long that all of them come while it does."""


class Seen(msgspec.Struct, kw_only=True):
    name: str
    at_provider: int
    rows: int
    served: int
    replayed: int
    bodies: int
    """Different bodies among the answers."""
    odd: list[str] = []


def judged(seen: Sequence[Seen]) -> Found:
    found = Found(double_rows=0)
    for one in seen:
        found.double_rows = (found.double_rows or 0) + max(0, one.rows - 1)
        found.expect(one.at_provider == 1, f"{one.name}: {one.at_provider} calls came to the provider")
        found.expect(one.rows == 1, f"{one.name}: {one.rows} rows")
        found.expect(one.served == CALLERS, f"{one.name}: {one.served} of {CALLERS} were served; also {one.odd}")
        found.expect(one.replayed == CALLERS - 1, f"{one.name}: {one.replayed} answers say that they are repeats")
        found.expect(one.bodies == 1, f"{one.name}: {one.bodies} different answers")
    return found


def show(room: Room) -> Found:
    seen: list[Seen] = []
    for name, make in (("memory", _memory), ("valkey", _valkey))[: room.pick(1, 2)]:
        with make(room) as (gateways, till, database):
            for streamed in (False, True):
                one = _asked(gateways, till, database, f"{name}, {'streamed' if streamed else 'plain'}", streamed)
                seen.append(one)
                room.say(
                    f"{one.name}: {CALLERS} callers, {one.at_provider} call at the provider, {one.rows} row, "
                    f"{one.replayed} replayed"
                )
    return judged(seen)


@contextmanager
def _memory(room: Room) -> Generator[tuple[list[Gateway], Till, str]]:
    till = Till()
    url = room.provider.at("/again-memory/v1").always(till).url
    with Gateway(site.config(url, {_PURSE: {}}), room.place("again-memory")) as gateway:
        yield [gateway], till, site.database_of(gateway)


@contextmanager
def _valkey(room: Room) -> Generator[tuple[list[Gateway], Till, str]]:
    till = Till()
    url = room.provider.at("/again-valkey/v1").always(till).url
    database = databases.empty("postgres", room.directory)
    try:
        with Valkey() as store, ExitStack() as running:
            made = site.config(url, {_PURSE: {}}, store=store, database=database)
            gateways = [running.enter_context(Gateway(made, room.place(f"again-valkey-{n}"))) for n in range(2)]
            yield gateways, till, database
    finally:
        databases.drop(database)


def _asked(gateways: Sequence[Gateway], till: Till, database: str, name: str, streamed: bool) -> Seen:
    before_calls, before_rows = till.purses[_PURSE].calls, len(site.rows(database))
    first = Order(
        id="", purse=_PURSE, tokens_in=50, tokens_out=9, bound=50, stream=streamed, pieces=3, seconds=_SECONDS
    )
    # Each request has an id of its own, and the same body.
    body = msgspec.structs.replace(first, id="the-same").body
    orders = [msgspec.structs.replace(first, id=named(_PURSE)) for _ in range(CALLERS)]
    headers = (("idempotency-key", f"key-{named('again')}"),)
    answers = together([one.port for one in gateways], orders, CALLERS, body=body, headers=headers)
    return _told(name, till, database, answers, before_calls, before_rows)


def _told(name: str, till: Till, database: str, answers: Sequence[Answer], calls: int, rows: int) -> Seen:
    eventually(lambda: len(site.rows(database)) > rows, "the row is there")
    served = [answer for answer in answers if answer.served]
    return Seen(
        name=name,
        at_provider=till.purses[_PURSE].calls - calls,
        rows=len(site.rows(database)) - rows,
        served=len(served),
        replayed=sum(answer.header("idempotent-replayed") == "true" for answer in served),
        bodies=len({answer.body for answer in served}),
        odd=sorted({f"{one.status} {one.code}" for one in answers if not one.served}),
    )
