"""The disk is full under load: no answer goes out that cannot be recorded, and it is said why; then all goes on."""

from contextlib import suppress
from threading import Event
from typing import Any, Final

import msgspec

from scaigrid.clock import SystemClock
from tests.chaos.event import Found
from tests.harness.eventually import eventually
from tests.harness.full_disk import Collected, no_room
from tests.harness.gateway import Gateway
from tests.harness.lanes import http_client
from tests.money import site
from tests.money.books import Books, compared
from tests.money.callers import Crowd
from tests.money.fact import Room
from tests.money.orders import Order, dice, some
from tests.money.till import Till

SOON: Final = 5.0
_clock = SystemClock()


class Full(msgspec.Struct, kw_only=True):
    seconds: float
    served: int
    """Answers to calls that were begun and ended while there was no room."""
    refused: dict[str, int]
    """What the others were told, and how often."""
    at_provider: int
    """Calls that went on to the provider all the same."""
    alive: int
    ready: int
    """Status of the health paths meanwhile."""
    check: str
    """What readiness says of the journal."""
    reasons: list[str]
    """Of the lines in the log that say so."""
    back: float
    """Seconds from there being room again to the first answer."""
    books: Books


def judged(full: Full) -> Found:
    found = Found(faults=full.books.found().faults)
    refused = ", ".join(f"{number} x {code}" for code, number in sorted(full.refused.items()))
    found.measured = [
        (
            f"full for {full.seconds:.1f} s: {full.served} served, {refused}; {full.at_provider} of them reached the "
            f"provider; /health {full.alive}, /health/ready {full.ready} ({full.check})"
        ),
        f"log: {'; '.join(full.reasons)}; served again after {full.back:.2f} s",
        str(full.books),
    ]
    found.expect(full.served == 0, f"{full.served} calls were answered that could not be recorded")
    found.expect(full.at_provider == 0, f"{full.at_provider} calls went to the provider, whose answers nobody can have")
    found.expect(set(full.refused) == {"503 STORE_UNAVAILABLE"}, f"callers were told {full.refused}")
    found.expect((full.alive, full.ready) == (200, 503), f"health {full.alive}, ready {full.ready}")
    found.expect("journal" in full.check, f"readiness does not say why: {full.check!r}")
    found.expect(len(full.reasons) == 1, f"{len(full.reasons)} lines of the log say so")
    found.expect(full.back <= SOON, f"served again only after {full.back:.1f} s")
    return found


def show(room: Room) -> Found:
    till = Till()
    url = room.provider.at("/disk/v1").always(till).url
    with Collected(site.config(url, {"load": {}}), room.place("gateway")) as gateway:
        return judged(_full(gateway, till, seconds=room.pick(1, 4)))


def _full(gateway: Gateway, till: Till, seconds: float) -> Full:
    chance, pause = dice("disk"), Event()

    def order() -> Order:
        return some(chance, "load", stream=False, seconds=0.01)

    with Crowd([gateway.port], order, callers=4) as crowd, http_client(gateway) as client:
        crowd.comes_to(30)
        with no_room(gateway):
            # What the kernel took in before may still be written.
            eventually(lambda: client.get("/health/ready").status_code == 503, "it says that it is not ready")
            began, first = _clock.monotonic(), len(till.seen)
            pause.wait(seconds)
            ready = client.get("/health/ready")
            alive = client.get("/health").status_code
            ended, reached = _clock.monotonic(), len(till.seen) - first
        served = crowd.served
        eventually(lambda: crowd.served > served, "calls are served again")
        back = _clock.monotonic() - ended
        crowd.comes_to(crowd.served + 20)
        answers = crowd.stop()
    finished = {answer.order.id for answer in answers if answer.served}
    database = site.database_of(gateway)
    with suppress(AssertionError):
        eventually(lambda: finished <= {row["request_id"] for row in site.rows(database)}, "every answer has its row")
    gateway.stop()
    meanwhile = [one for one in answers if began <= one.began and one.began + one.seconds <= ended]
    refused: dict[str, int] = {}
    for one in meanwhile:
        if not one.served:
            refused[f"{one.status} {one.code}"] = refused.get(f"{one.status} {one.code}", 0) + 1
    return Full(
        seconds=ended - began,
        served=sum(one.served for one in meanwhile),
        refused=refused,
        at_provider=reached,
        alive=alive,
        ready=ready.status_code,
        check=str(ready.json()["checks"]["journal"]),
        reasons=_reasons(gateway),
        back=back,
        books=compared(site.rows(database), answers, crowd.asked),
    )


def _reasons(gateway: Gateway) -> list[str]:
    lines: list[dict[str, Any]] = [line for line in gateway.lines() if line["event"] == "journal_not_writable"]
    return [f"{line['event']}: {line['reason']}" for line in lines]
