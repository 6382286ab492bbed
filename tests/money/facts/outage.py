"""Outages: what was declared for them happens at once, nothing is lost, and afterwards the counters are right again.

The store is stopped, paused and slow, while callers of three kinds call: `deny` is refused with STORE_UNAVAILABLE,
`allow` passes, `allow_bounded` passes within a share. The database is stopped (PostgreSQL) and locked (SQLite) under
load, which no caller notices.
"""

import random
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from statistics import median
from threading import Event, Thread
from typing import Any, Final

import msgspec

from scaigrid.clock import SystemClock
from scaigrid.db.url import sqlite_path
from tests.harness import databases
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway
from tests.harness.valkey import Valkey
from tests.money import site
from tests.money.books import Books, compared
from tests.money.callers import Answer, Caller, Crowd
from tests.money.fact import Found, Room
from tests.money.orders import WORST_COST, Order, dice, some
from tests.money.till import Till

STORE_SECONDS: Final = 0.2
"""How long a call waits for the store."""
MARGIN: Final = 0.3
"""Seconds that a call may take besides, on a busy machine."""
AT_ONCE: Final = 0.1
"""Seconds within which half of the calls are over while the store is away: half of a deadline."""
_CALLS: Final = 20
POLICIES: Final = ("deny", "allow", "allow_bounded")
_BOUNDED: Final = 100
"""The limit of those who go on within a share: so many requests."""

_clock = SystemClock()


class Away(msgspec.Struct, kw_only=True):
    """One way for the store to be away, and one kind of caller."""

    how: str
    policy: str
    codes: list[str]
    """Of each call meanwhile: `200`, or the code of its refusal."""
    seconds: list[float]
    spent: int
    """In the end, by the counters."""
    ledger: int
    lost: int = 0

    @property
    def waits(self) -> int:
        """Calls that waited for the store."""
        return sum(seconds >= STORE_SECONDS for seconds in self.seconds)


class Gone(msgspec.Struct, kw_only=True):
    """The database, away under load for so many seconds."""

    how: str
    seconds: float
    books: Books
    meanwhile: int
    """Answers while it was away."""
    refused: list[str]
    p99_before: float
    p99_meanwhile: float


def judged(away: Sequence[Away], gone: Sequence[Gone]) -> Found:
    found = Found(lost_rows=0, double_rows=0, unsettled=0)
    for one in away:
        name = f"store {one.how}, {one.policy}"
        codes = set(one.codes)
        passed = one.codes.count("200")
        if one.policy == "deny":
            # A slow store may answer in time now and then.
            allowed = {"STORE_UNAVAILABLE", "200"} if one.how == "slow" else {"STORE_UNAVAILABLE"}
            found.expect(codes <= allowed and "STORE_UNAVAILABLE" in codes, f"{name}: {sorted(codes)}")
        elif one.policy == "allow":
            found.expect(codes == {"200"}, f"{name}: {sorted(codes)}")
        else:
            found.expect(passed > 0, f"{name}: nobody got through")
            found.expect(codes <= {"200", "RATE_LIMITED", "BUDGET_EXCEEDED"}, f"{name}: {sorted(codes)}")
            found.expect(passed <= _BOUNDED, f"{name}: {passed} got through")
        slowest = max(one.seconds)
        found.expect(slowest <= STORE_SECONDS + MARGIN, f"{name}: a call took {slowest:.3f} s")
        found.expect(median(one.seconds) <= AT_ONCE, f"{name}: half of the calls took over {median(one.seconds):.3f} s")
        if one.how != "slow":
            found.expect(one.waits <= 2, f"{name}: {one.waits} calls waited for the store")
        found.lost_rows = (found.lost_rows or 0) + one.lost
        found.expect(one.lost == 0, f"{name}: {one.lost} answers have no row")
        found.unsettled = (found.unsettled or 0) + (one.spent != one.ledger)
        found.expect(one.spent == one.ledger, f"{name}: counters {one.spent}, ledger {one.ledger}")
    for each in gone:
        books = each.books.found()
        found.faults += [f"database {each.how}: {fault}" for fault in books.faults]
        found.lost_rows = (found.lost_rows or 0) + (books.lost_rows or 0)
        found.double_rows = (found.double_rows or 0) + (books.double_rows or 0)
        found.expect(not each.refused, f"database {each.how}: callers were told {each.refused}")
        found.expect(each.meanwhile > 0, f"database {each.how}: nobody was served meanwhile, so this shows nothing")
    return found


def show(room: Room) -> Found:
    away = list(store_away(room))
    gone = [*_database(room)]
    return judged(away, gone)


# -- the store -------------------------------------------------------------------------------------------------------


def _config(url: str, store: Valkey) -> dict[str, Any]:
    users: dict[str, dict[str, Any]] = {}
    budgets: dict[str, dict[str, Any]] = {}
    for name, policy in ((_who(policy, how), policy) for policy in POLICIES for how in _WAYS):
        limit = _BOUNDED if policy == "allow_bounded" else 10**6
        users[name] = {"limits": {"requests_per_minute": limit, "on_store_failure": policy}}
        budgets[name] = {
            **site.budget("user", name, cost_limit=site.money(10**6 * WORST_COST), request_limit=10**6),
            "on_store_failure": policy,
        }
    return site.config(url, users, budgets=budgets, store=store, store_seconds=STORE_SECONDS)


def _who(policy: str, how: str) -> str:
    """Each outage has callers of its own: what one of them has used of a share is gone for a minute."""
    return f"{policy}-{how}".replace("_", "-")


def store_away(room: Room) -> Iterator[Away]:
    ways = ("stopped", "paused", "slow") if room.size != "small" else ("paused",)
    url = room.provider.at("/outage-store/v1").always(Till()).url
    with ExitStack() as running:
        store = running.enter_context(Valkey(enable_debug_command="yes"))
        gateway = running.enter_context(Gateway(_config(url, store), room.place("outage-store")))
        for how in ways:
            for one in _away(gateway, store, how):
                passed = one.codes.count("200")
                room.say(
                    f"store {how:8} {one.policy:13} {passed:3} of {len(one.codes)} passed; "
                    f"median {1000 * median(one.seconds):6.1f} ms, slowest {1000 * max(one.seconds):6.1f} ms, "
                    f"{one.waits} waited; afterwards counters {one.spent}, ledger {one.ledger}"
                )
                yield one


def _away(gateway: Gateway, store: Valkey, how: str) -> list[Away]:
    chance = dice(how)
    served: dict[str, list[Answer]] = {policy: _asked(gateway, _who(policy, how), 3, chance) for policy in POLICIES}
    assert all(answer.served for answers in served.values() for answer in answers), "before the outage all are served"
    with _WAYS[how](store):
        meanwhile = {policy: _asked(gateway, _who(policy, how), _CALLS, chance) for policy in POLICIES}
    back = _who("deny", how)
    eventually(lambda: _asked(gateway, back, 1, chance, into=served["deny"])[0].served, "the store is back")
    told: list[Away] = []
    for policy, answers in meanwhile.items():
        kept = {answer.order.id for answer in (*served[policy], *answers) if answer.served}
        spent, ledger, lost = _settled(gateway, _who(policy, how), kept)
        told.append(
            Away(
                how=how,
                policy=policy,
                codes=["200" if answer.served else answer.code or str(answer.status) for answer in answers],
                seconds=[answer.seconds for answer in answers],
                spent=spent,
                ledger=ledger,
                lost=lost,
            )
        )
    return told


def _asked(
    gateway: Gateway, who: str, calls: int, chance: random.Random, *, into: list[Answer] | None = None
) -> list[Answer]:
    with Caller(gateway.port) as caller:
        answers = [caller.ask(some(chance, who, stream=False)) for _ in range(calls)]
    if into is not None:
        into += answers
    return answers


def _settled(gateway: Gateway, who: str, kept: set[str]) -> tuple[int, int, int]:
    """What counters and ledger have of a caller, once they agree or have had time to; and how many rows are missing."""
    database = site.database_of(gateway)

    def both() -> tuple[int, int, int]:
        rows = [row for row in site.rows(database) if row["user_id"] == site.user_id(who)]
        lost = len(kept - {row["request_id"] for row in rows})
        return site.spent(gateway).get((who, "cost"), -1), sum(row["cost"] for row in rows), lost

    def agree() -> tuple[int, int, int] | None:
        spent, ledger, lost = both()
        return (spent, ledger, lost) if spent == ledger and not lost else None

    try:
        return eventually(agree, "counters and ledger agree", seconds=8)
    except AssertionError:
        return both()


@contextmanager
def _stopped(store: Valkey) -> Generator[None]:
    store.stop()
    try:
        yield
    finally:
        store.start()


@contextmanager
def _paused(store: Valkey) -> Generator[None]:
    store.pause()
    try:
        yield
    finally:
        store.go_on()


@contextmanager
def _slow(store: Valkey) -> Generator[None]:
    """It answers, and takes several deadlines for it."""
    over = Event()

    def sleeping() -> None:
        while not over.is_set():
            store.command("DEBUG", "SLEEP", str(5 * STORE_SECONDS))

    thread = Thread(target=sleeping, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE)


_WAYS: Final[Mapping[str, Callable[[Valkey], Any]]] = {"stopped": _stopped, "paused": _paused, "slow": _slow}


# -- the database ----------------------------------------------------------------------------------------------------


def _database(room: Room) -> Iterator[Gone]:
    seconds = {"small": 1.0, "full": 15.0, "long": 60.0}[room.size]
    kinds = databases.KINDS if room.size != "small" else ("postgres",)
    for kind in kinds:
        url = databases.empty(kind, room.directory)
        try:
            endpoint = room.provider.at(f"/outage-{kind}/v1").always(Till())
            made = site.config(endpoint.url, {"load": {}}, database=url)
            with Gateway(made, room.place(f"outage-{kind}")) as gateway:
                gone = _gone(gateway, url, kind, seconds if kind == "postgres" else min(seconds, 5.0))
        finally:
            if kind == "postgres" and not databases.server().running:
                databases.server().start()
            databases.drop(url)
        room.say(
            f"{kind} {gone.how} for {gone.seconds:.0f} s: {gone.meanwhile} served meanwhile, p99 "
            f"{1000 * gone.p99_before:.0f} ms before, {1000 * gone.p99_meanwhile:.0f} ms meanwhile; {gone.books}"
        )
        yield gone


def _gone(gateway: Gateway, url: str, kind: str, seconds: float) -> Gone:
    chance = dice(kind)
    how = "stopped" if kind == "postgres" else "locked"
    pause = Event()

    def order() -> Order:
        return some(chance, "load", seconds=0.02)

    with Crowd([gateway.port], order, callers=4) as crowd:
        crowd.comes_to(100)
        began = _clock.monotonic()
        with without(url):
            pause.wait(seconds)
            ended = _clock.monotonic()
        crowd.comes_to(crowd.served + 50)
        answers = crowd.stop()
    finished = {answer.order.id for answer in answers if answer.served}

    def complete() -> bool:
        return finished <= {row["request_id"] for row in site.rows(url)}

    with suppress(AssertionError):
        eventually(complete, "every finished answer is in the ledger")
    gateway.stop()
    meanwhile = [answer for answer in answers if began < answer.began < ended]
    return Gone(
        how=how,
        seconds=seconds,
        books=compared(site.rows(url), answers, crowd.asked),
        meanwhile=sum(answer.served for answer in meanwhile),
        refused=sorted({f"{one.status} {one.code}" for one in answers if not one.served}),
        p99_before=_p99([answer for answer in answers if answer.began < began]),
        p99_meanwhile=_p99(meanwhile),
    )


@contextmanager
def without(url: str) -> Generator[None]:
    path = sqlite_path(url)
    if path is None:
        databases.server().stop()
        try:
            yield
        finally:
            databases.server().start()
        return
    with closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def _p99(answers: Sequence[Answer]) -> float:
    times = sorted(answer.seconds for answer in answers)
    return times[int(0.99 * (len(times) - 1))] if times else 0.0
