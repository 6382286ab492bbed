"""Several gateways on one PostgreSQL and one Valkey behind a load balancer, and callers who call through that."""

import asyncio
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec

from tests.harness import behaviours, databases
from tests.harness.balancer import Balancer
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.ports import free_port
from tests.harness.provider import Conversation
from tests.harness.valkey import Valkey
from tests.money import site
from tests.money.callers import Answer
from tests.money.fact import Room
from tests.money.orders import Order, dice, some
from tests.money.till import frames_of, order_in, usage_of

CALLER = "load"


class Fleet(msgspec.Struct, kw_only=True):
    gateways: list[Gateway]
    balancer: Balancer
    database: str
    store: Valkey

    def finds(self, port: int) -> None:
        """Returns once the balancer sends calls to the gateway at `port`."""
        eventually(lambda: port in self.balancer.ready, "it is found again")


@contextmanager
def fleet(room: Room, count: int, server: Mapping[str, Any]) -> Generator[Fleet]:
    """So many gateways, each on a port that it keeps from life to life."""
    url = room.provider.at("/fleet/v1").always(paced).url
    database = databases.empty("postgres", room.directory)
    deadlines = {"connect": 1, "first_byte": 5, "idle": 5, "total": 10}
    model = {"route": {"targets": [{"backend": "b"}], "deadlines": deadlines}}
    budgets = {CALLER: site.budget("user", CALLER, cost_limit=1_000_000)}
    try:
        with ExitStack() as running:
            # A gateway ends with the thread that started it.
            pool = running.enter_context(ThreadPoolExecutor(count))
            store = running.enter_context(Valkey())
            made: list[Gateway] = []
            for place in range(count):
                config = site.config(
                    url,
                    {CALLER: {}},
                    budgets=budgets,
                    model=model,
                    store=store,
                    database=database,
                    server={"port": free_port(), **server},
                )
                made.append(Gateway(config, room.place(f"gateway{place}")))
            # The first one makes the tables.
            running.enter_context(made[0])
            for gateway in pool.map(Gateway.start, made[1:]):
                running.push(gateway)
            balancer = running.enter_context(Balancer([gateway.port for gateway in made]))
            yield Fleet(gateways=made, balancer=balancer, database=database, store=store)
    finally:
        databases.drop(database)


async def paced(conversation: Conversation) -> None:
    """Answers what the order says, a stream piece by piece over all of its time: some are always in the middle."""
    order = order_in(conversation.request.json)
    if not order.stream:
        await asyncio.sleep(order.seconds)
        body = {**behaviours.completion("word "), "usage": usage_of(order)}
        await conversation.answer(200, behaviours.JSON, behaviours.compact(body))
        return
    await conversation.head(200, [*behaviours.EVENTS, ("transfer-encoding", "chunked")])
    frames = frames_of(order)
    for frame in frames:
        await conversation.chunk(frame)
        await asyncio.sleep(order.seconds / len(frames))
    await conversation.end()


class Orders:
    """Calls of any size, some of them streams that last for a while: open whenever something happens."""

    def __init__(self, seed: str) -> None:
        self._chance = dice(seed)

    def __call__(self) -> Order:
        if self._chance.random() < 0.3:
            return msgspec.structs.replace(some(self._chance, CALLER, stream=True), seconds=0.6)
        return some(self._chance, CALLER, seconds=0.03)


def told(answer: Answer) -> str:
    """What became of a call that was not served."""
    return f"{answer.status} {answer.code}".strip() if answer.finished else f"{answer.status} broken off"
