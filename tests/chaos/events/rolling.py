"""Two instances are restarted one after the other under load, with streams open: no call fails."""

from contextlib import suppress
from typing import Final

import msgspec

from scaigrid.clock import SystemClock
from tests.chaos.event import Found
from tests.chaos.fleet import Fleet, Orders, fleet, told
from tests.harness.eventually import PATIENCE, eventually
from tests.money import site
from tests.money.books import Books, compared
from tests.money.callers import Crowd
from tests.money.fact import Room

CALLERS: Final = 6
_clock = SystemClock()


class Rolled(msgspec.Struct, kw_only=True):
    restarts: int
    codes: list[int]
    """Exit codes."""
    served: int
    streams: int
    """Of these: streamed."""
    open: int
    """Streams that were open when an instance was told to stop, together."""
    failed: list[str]
    seconds: float
    books: Books


def judged(rolled: Rolled) -> Found:
    found = Found(
        measured=[
            (
                f"{rolled.restarts} restarts in {rolled.seconds:.1f} s, exit codes {sorted(set(rolled.codes))}; "
                f"{rolled.open} streams were open at their start"
            ),
            f"{rolled.served} calls served, {rolled.streams} of them streamed; {len(rolled.failed)} failed",
            str(rolled.books),
        ],
        faults=rolled.books.found().faults,
    )
    found.expect(rolled.restarts >= 2, f"{rolled.restarts} restarts show nothing")
    found.expect(set(rolled.codes) == {0}, f"exit codes {rolled.codes}")
    found.expect(rolled.open > 0, "no stream was open when an instance was told to stop")
    found.expect(not rolled.failed, f"{len(rolled.failed)} calls failed: {sorted(set(rolled.failed))}")
    return found


def show(room: Room) -> Found:
    with fleet(room, 2, {"drain_seconds": 1, "shutdown_seconds": 10}) as running:
        return judged(_rolled(running, rounds=room.pick(1, 1, 3)))


def _rolled(running: Fleet, rounds: int) -> Rolled:
    codes: list[int] = []
    streams = 0
    began = _clock.monotonic()
    with Crowd([running.balancer.port], Orders("rolling"), callers=CALLERS) as crowd:
        crowd.comes_to(60)
        for _ in range(rounds):
            for gateway in running.gateways:
                # Who has not answered yet, and streams
                finished = {answer.order.id for answer in tuple(crowd.answers)}
                streams += sum(order.stream for id_, order in tuple(crowd.asked.items()) if id_ not in finished)
                gateway.terminate()
                codes.append(gateway.wait(seconds=2 * PATIENCE))
                gateway.start()
                running.finds(gateway.port)
                crowd.comes_to(crowd.served + 30)
        answers = crowd.stop()
    seconds = _clock.monotonic() - began
    finished = {answer.order.id for answer in answers if answer.served}

    def complete() -> bool:
        return finished <= {row["request_id"] for row in site.rows(running.database)}

    with suppress(AssertionError):
        eventually(complete, "every answer has its row")
    codes += [gateway.stop() for gateway in running.gateways]
    return Rolled(
        restarts=rounds * len(running.gateways),
        codes=codes,
        served=sum(one.served for one in answers),
        streams=sum(one.served and one.order.stream for one in answers),
        open=streams,
        failed=[told(one) for one in answers if not one.served],
        seconds=seconds,
        books=compared(site.rows(running.database), answers, crowd.asked),
    )
