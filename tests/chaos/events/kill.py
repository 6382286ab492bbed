"""kill -9 of one of three instances: what was open in it ends, and looks whole to nobody; the books balance."""

from contextlib import suppress
from typing import Final

import msgspec

from scaigrid.clock import SystemClock
from tests.chaos.event import Found
from tests.chaos.fleet import Fleet, Orders, fleet, told
from tests.harness.eventually import eventually
from tests.money import site
from tests.money.books import Books, compared
from tests.money.callers import Crowd, together
from tests.money.fact import Room

CALLERS: Final = 12
NOTICED: Final = 3.0
"""Seconds within which the balancer has to have served somebody again."""
_clock = SystemClock()


class Killed(msgspec.Struct, kw_only=True):
    kills: int
    open: int
    """Calls that were under way at all instances in the moments of the kills."""
    broken: list[str]
    """What became of those that were not served."""
    elsewhere: list[str]
    """Of these, the ones that a living instance had answered or was answering."""
    whole: list[str]
    """Broken off, and yet looking like the whole of an answer."""
    served: int
    served_after: int
    """Begun after a kill, and served by those who were left."""
    gap: float
    """The longest time in seconds without an answer after a kill."""
    again: bool
    """The instances that were killed served again once they were started."""
    books: Books


def judged(killed: Killed) -> Found:
    kinds = {kind: killed.broken.count(kind) for kind in sorted(set(killed.broken))}
    found = Found(
        measured=[
            (
                f"{killed.kills} kills with {killed.open} calls under way in all: {len(killed.broken)} ended {kinds}, "
                f"{len(killed.elsewhere)} calls elsewhere failed"
            ),
            (
                f"{killed.served} served, {killed.served_after} by those left while one was dead; longest pause "
                f"{1000 * killed.gap:.0f} ms"
            ),
            str(killed.books),
        ],
        faults=killed.books.found().faults,
    )
    found.expect(killed.broken, "nothing was open at the killed instances, so this shows nothing")
    found.expect(len(killed.broken) < killed.open, f"{len(killed.broken)} calls of {killed.open} under way ended")
    found.expect(not killed.elsewhere, f"calls elsewhere failed: {killed.elsewhere[:3]}")
    found.expect(not killed.whole, f"cut off, and looking whole: {killed.whole[:3]}")
    found.expect(killed.served_after > 0, "nobody was served while one was dead")
    found.expect(killed.gap <= NOTICED, f"nobody was answered for {killed.gap:.1f} s")
    found.expect(killed.again, "a killed instance did not serve again")
    return found


def show(room: Room) -> Found:
    with fleet(room, 3, {}) as running:
        return judged(_killed(running, kills=room.pick(1, 3)))


def _killed(running: Fleet, kills: int) -> Killed:
    under_way_then = served_after = 0
    gaps: list[float] = []
    with Crowd([running.balancer.port], Orders("kill"), callers=CALLERS) as crowd:
        crowd.comes_to(60)
        for gateway in running.gateways[:kills]:
            before = len(crowd.answers)
            finished = {answer.order.id for answer in tuple(crowd.answers)}
            under_way = len([id_ for id_ in tuple(crowd.asked) if id_ not in finished])
            dies = _clock.monotonic()
            gateway.kill_group()
            under_way_then += under_way
            crowd.comes_to(crowd.served + 60)
            after = [one for one in tuple(crowd.answers)[before:] if one.served and one.began > dies]
            served_after += len(after)
            ends = sorted(one.began + one.seconds for one in tuple(crowd.answers)[before:] if one.served)
            gaps += [later - sooner for sooner, later in zip([dies, *ends], ends, strict=False)]
            gateway.start()
            running.finds(gateway.port)
            crowd.comes_to(crowd.served + 40)
        answers = crowd.stop()
    broken = [one for one in answers if not one.served]
    ids = {one.order.id for one in broken}
    finished = {answer.order.id for answer in answers if answer.served}

    def complete() -> bool:
        return finished <= {row["request_id"] for row in site.rows(running.database)}

    with suppress(AssertionError):
        eventually(complete, "every answer has its row")
    last = [Orders("afterwards")() for _ in range(kills)]
    pairs = zip(running.gateways, last, strict=False)
    again = [answer for gateway, one in pairs for answer in together([gateway.port], [one], 1)]
    answers += again
    eventually(lambda: len(site.rows(running.database)) >= len(finished) + len(again), "these have their rows too")
    for gateway in running.gateways:
        gateway.stop()
    # Whoever lives to its end writes a line for each call; of a call that broke elsewhere there would be one.
    elsewhere = [
        f"{line['request_id']} {line['status']} {line.get('code')}"
        for gateway in running.gateways
        for line in gateway.lines()
        if line["event"] == "request" and line["request_id"] in ids
    ]
    return Killed(
        kills=kills,
        open=under_way_then,
        broken=[told(one) for one in broken],
        elsewhere=elsewhere,
        whole=[one.order.id for one in broken if one.order.stream and b"[DONE]" in one.body],
        served=len(finished),
        served_after=served_after,
        gap=max(gaps, default=0.0),
        again=all(one.served for one in again),
        books=compared(site.rows(running.database), answers, crowd.asked | {one.id: one for one in last}),
    )
