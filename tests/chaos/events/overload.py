"""More callers than there is room for, in a worker and at a backend: the excess is refused at once."""

from collections.abc import Mapping
from contextlib import suppress
from threading import Event, Thread
from typing import Any, Final

import msgspec

from tests.chaos.event import Found
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.process_tree import weight
from tests.harness.provider import Conversation
from tests.money import site
from tests.money.books import Books, compared
from tests.money.callers import Answer, together
from tests.money.fact import Room
from tests.money.orders import Order, dice, some
from tests.money.till import Till

MIB: Final = 2**20
CALLS: Final = 24
"""A worker's bound."""
CAP: Final = 6
QUEUE: Final = 6
"""A backend's, and how many may wait for it."""
AT_ONCE: Final = 0.1
"""Seconds that the gateway itself may take to refuse."""
GROWN: Final = 96 * MIB
SERVED: Final = 0.4
"""Seconds that the provider takes."""


class Rush(msgspec.Struct, kw_only=True):
    """Many callers at once on one bound."""

    what: str
    callers: int
    bound: int
    """The most that may be served at a time, waiting ones included."""
    served: int
    refused: dict[str, int]
    peak: int
    """Calls at the provider at the same time."""
    most: int
    """Of them, as declared."""
    slowest: float
    """Seconds, of the refusals, by the gateway's own log."""
    hint: int
    """Refusals with a Retry-After."""
    grown: int
    """Bytes."""
    after: bool
    """A call is served as soon as the rush is over."""
    books: Books


def judged(rush: Rush) -> Found:
    found = Found(
        measured=[
            (
                f"{rush.what}: {rush.callers} at once on {rush.bound}: {rush.served} served, {rush.refused} within "
                f"{1000 * rush.slowest:.0f} ms; at most {rush.peak} at the provider ({rush.most} declared); "
                f"memory +{rush.grown / MIB:.1f} MiB"
            )
        ],
        faults=[f"{rush.what}: {fault}" for fault in rush.books.found().faults],
    )
    number = sum(rush.refused.values())
    found.expect(number > 0, f"{rush.what}: nobody was refused, so this shows nothing")
    found.expect(set(rush.refused) <= {"503 OVERLOADED"}, f"{rush.what}: callers were told {rush.refused}")
    found.expect(rush.hint == number, f"{rush.what}: {number - rush.hint} refusals do not say when to come again")
    found.expect(rush.served >= rush.bound, f"{rush.what}: {rush.served} were served, there was room for {rush.bound}")
    found.expect(0 < rush.peak <= rush.most, f"{rush.what}: {rush.peak} calls at the provider at the same time")
    found.expect(rush.slowest <= AT_ONCE, f"{rush.what}: a refusal took {rush.slowest:.2f} s")
    found.expect(rush.grown <= GROWN, f"{rush.what}: the gateway grew by {rush.grown / MIB:.0f} MiB")
    found.expect(rush.after, f"{rush.what}: nobody was served afterwards")
    return found


class Counted:
    """The till, which also knows how many stand at it at the same time."""

    def __init__(self) -> None:
        self._till = Till()
        self._now = 0
        self.peak = 0

    async def __call__(self, conversation: Conversation) -> None:
        self._now += 1
        self.peak = max(self.peak, self._now)
        try:
            await self._till(conversation)
        finally:
            self._now -= 1


def show(room: Room) -> Found:
    found = Found()
    backend = {"provider": "p", "model": "upstream-model"}
    capped = {**backend, "concurrency": CAP, "queue": QUEUE, "queue_seconds": 5}
    sections: Mapping[str, Mapping[str, Any]] = {
        "a worker": {"chain": {"overload": {"max_calls": CALLS}}},
        "a backend": {"backends": {"b": capped}},
    }
    bounds = {"a worker": (CALLS, CALLS), "a backend": (CAP + QUEUE, CAP)}
    for what, more in sections.items():
        counted = Counted()
        name = what.replace(" ", "-")
        url = room.provider.at(f"/{name}/v1").always(counted).url
        with Gateway(site.config(url, {"load": {}}, **more), room.place(name)) as gateway:
            found.add(judged(_rush(gateway, counted, what, *bounds[what], callers=room.pick(60, 150))))
    return found


def _rush(gateway: Gateway, counted: Counted, what: str, bound: int, most: int, *, callers: int) -> Rush:
    chance, over = dice(what), Event()
    orders = [msgspec.structs.replace(some(chance, "load", stream=False), seconds=SERVED) for _ in range(callers)]
    first = weight(gateway.process.pid).rss
    weights: list[int] = [first]

    def weighing() -> None:
        while not over.wait(0.1):
            weights.append(weight(gateway.process.pid).rss)

    thread = Thread(target=weighing, daemon=True)
    thread.start()
    answers: list[Answer] = together([gateway.port], orders, callers)
    over.set()
    thread.join()
    last: list[Order] = [some(chance, "load", stream=False)]
    answers += (after := together([gateway.port], last, 1))
    finished = {answer.order.id for answer in answers if answer.served}
    database = site.database_of(gateway)
    with suppress(AssertionError):
        eventually(lambda: finished <= {row["request_id"] for row in site.rows(database)}, "every answer has its row")
    refused = [one for one in answers if not one.served]
    kinds = [f"{one.status} {one.code}" for one in refused]
    gateway.stop()
    ids = {one.order.id for one in refused}
    times = [
        line["duration_ms"] for line in gateway.lines() if line["event"] == "request" and line["request_id"] in ids
    ]
    asked = {order.id: order for order in (*orders, *last)}
    return Rush(
        what=what,
        callers=callers,
        bound=bound,
        served=sum(one.served for one in answers) - len(after),
        refused={kind: kinds.count(kind) for kind in set(kinds)},
        peak=counted.peak,
        most=most,
        slowest=max(times, default=0.0) / 1000,
        hint=sum(one.header("retry-after") is not None for one in refused),
        grown=max(weights) - first,
        after=all(one.served for one in after),
        books=compared(site.rows(database), answers, asked),
    )
