"""The database is gone under load: callers notice nothing, the control plane says so, and all of it recovers alone."""

from collections.abc import Iterator
from contextlib import suppress
from threading import Event
from typing import Any, Final

import httpx
import msgspec

from scaigrid.clock import SystemClock
from tests.chaos.event import Found
from tests.harness import databases
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import http_client, secret
from tests.money import site
from tests.money.books import Books, compared
from tests.money.callers import Crowd
from tests.money.fact import Room
from tests.money.facts.outage import without
from tests.money.orders import Order, dice, some
from tests.money.till import Till

SOON: Final = 10.0
"""Seconds within which all is as before once the database is back."""
_ROOT: Final = "root"
_clock = SystemClock()


class Gone(msgspec.Struct, kw_only=True):
    how: str
    seconds: float
    books: Books
    meanwhile: int
    """Answers while it was away."""
    failed: list[str]
    control: list[str]
    """What the control plane answered meanwhile."""
    slowest: float
    """Seconds, of these."""
    backlog: float
    """Records that waited in the journal in the end."""
    stalled: int
    resumed: int
    """Lines of the log that tell the change of state."""
    back: float
    """Seconds from its return until the control plane answered and nothing waited."""


def judged(gone: Gone) -> Found:
    name = f"database {gone.how}"
    found = Found(faults=[f"{name}: {fault}" for fault in gone.books.found().faults])
    found.measured.append(
        f"{gone.how} for {gone.seconds:.0f} s: {gone.meanwhile} calls served, {len(gone.failed)} failed; "
        f"{gone.backlog:.0f} records kept in the journal; control plane {', '.join(sorted(set(gone.control)))} "
        f"within {gone.slowest:.1f} s; all as before {gone.back:.1f} s later"
    )
    found.measured.append(f"{gone.how}: {gone.books}")
    found.expect(gone.meanwhile > 0, f"{name}: nobody was served meanwhile")
    found.expect(not gone.failed, f"{name}: {len(gone.failed)} calls failed: {sorted(set(gone.failed))}")
    found.expect(set(gone.control) == {"503 STORE_UNAVAILABLE"}, f"{name}: the control plane said {gone.control}")
    found.expect(gone.backlog > 0, f"{name}: nothing waited in the journal")
    # A lock that is over sooner than SQLite is waited for is no outage to tell of.
    told = {0, 1} if "SQLite" in gone.how else {1}
    once = gone.stalled == gone.resumed and gone.stalled in told
    found.expect(once, f"{name}: told {gone.stalled} and {gone.resumed} times in the log")
    found.expect(gone.back <= SOON, f"{name}: all was as before only after {gone.back:.1f} s")
    return found


def show(room: Room) -> Found:
    found = Found()
    for gone in _each(room):
        found.add(judged(gone))
    return found


def _each(room: Room) -> Iterator[Gone]:
    kinds = databases.KINDS if room.size != "small" else ("postgres",)
    for kind in kinds:
        url = databases.empty(kind, room.directory)
        try:
            endpoint = room.provider.at(f"/database-{kind}/v1").always(Till())
            users: dict[str, dict[str, Any]] = {"load": {}, _ROOT: {"roles": ["super_admin"]}}
            with Gateway(site.config(endpoint.url, users, database=url), room.place(kind)) as gateway:
                yield _gone(gateway, url, kind, seconds=room.pick(1, 6))
        finally:
            if kind == "postgres" and not databases.server().running:
                databases.server().start()
            databases.drop(url)


def _gone(gateway: Gateway, url: str, kind: databases.Kind, seconds: float) -> Gone:
    chance, pause = dice(kind), Event()
    control: list[str] = []
    times: list[float] = []

    def order() -> Order:
        return some(chance, "load", seconds=0.02)

    with (
        Crowd([gateway.port], order, callers=4) as crowd,
        http_client(gateway, secret(_ROOT)) as root,
    ):
        crowd.comes_to(50)
        began = _clock.monotonic()
        with without(url):
            for number in range(3):
                asked = _clock.monotonic()
                if control and asked > began + seconds:
                    break
                control.append(_told(root.post("/v1/tenants", json={"slug": f"t{number}"})))
                times.append(_clock.monotonic() - asked)
            pause.wait(max(0.0, began + seconds - _clock.monotonic()))
            backlog = gateway.metrics().value("scaigrid_ledger_backlog")
            ended = _clock.monotonic()
        eventually(lambda: root.get("/v1/tenants").status_code == 200, "the control plane answers")
        eventually(lambda: root.post("/v1/tenants", json={"slug": "after"}).status_code in (201, 409), "it writes")
        eventually(lambda: _resumed(gateway), "the ledger goes on")
        back = _clock.monotonic() - ended
        crowd.comes_to(crowd.served + 20)
        answers = crowd.stop()
    finished = {answer.order.id for answer in answers if answer.served}
    with suppress(AssertionError):
        eventually(lambda: finished <= {row["request_id"] for row in site.rows(url)}, "every answer has its row")
    gateway.stop()
    events = [line["event"] for line in gateway.lines()]
    return Gone(
        how="stopped (PostgreSQL)" if kind == "postgres" else "locked (SQLite)",
        seconds=ended - began,
        books=compared(site.rows(url), answers, crowd.asked),
        meanwhile=sum(answer.served for answer in answers if began < answer.began < ended),
        failed=[f"{one.status} {one.code}" for one in answers if not one.served],
        control=control,
        slowest=max(times),
        backlog=backlog,
        stalled=events.count("ledger_stalled"),
        resumed=events.count("ledger_resumed"),
        back=back,
    )


def _resumed(gateway: Gateway) -> bool:
    events = [line["event"] for line in gateway.lines()]
    return events.count("ledger_stalled") == events.count("ledger_resumed")


def _told(answer: httpx.Response) -> str:
    code: str = answer.json()["error"]["code"] if answer.status_code >= 400 else ""
    return f"{answer.status_code} {code}".strip()
