"""Clients who stop to read: the gateway holds back up to a bound, then cuts them; nobody else notices."""

import json
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

import msgspec

from scaigrid.clock import SystemClock
from tests.chaos.event import Found
from tests.harness.behaviours import openai_chunk, openai_frames, stream
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, chat, secret
from tests.harness.ports import LOOPBACK
from tests.harness.process_tree import weight
from tests.money import site
from tests.money.callers import Answer, Crowd
from tests.money.fact import Room
from tests.money.orders import Order, dice, some
from tests.money.till import Till

MIB: Final = 2**20
PIECE: Final = 60_000
PIECES: Final = 400
IDLE: Final = 2.0
"""Seconds that the gateway waits for a reader."""
HELD: Final = 8 * MIB
"""The most that a reader who does not read may make the gateway hold."""
WORSE: Final = 0.25
"""Seconds by which the 95th percentile of the others' time in the gateway may rise, on a machine that does it all."""
_clock = SystemClock()


class Seen(msgspec.Struct, kw_only=True):
    readers: int
    cut: list[float]
    """Seconds until each of those who did not read was cut off."""
    outcomes: dict[str, int]
    """What the ledger says of them."""
    grown: int
    """Bytes by which the gateway grew at the most."""
    kept: int
    """Bytes by which it is larger in the end."""
    before: float
    meanwhile: float
    """Seconds that the gateway itself took for the others: the 95th percentile."""
    served: int
    failed: list[str]


def judged(seen: Seen) -> Found:
    slowest = max(seen.cut, default=0.0)
    found = Found(
        measured=[
            (
                f"{seen.readers} readers of {PIECE * PIECES // MIB} MiB who stopped: cut after at most {slowest:.1f} s "
                f"({IDLE:.0f} s declared), in the ledger {seen.outcomes}"
            ),
            f"memory at most +{seen.grown / MIB:.1f} MiB, in the end +{seen.kept / MIB:.1f} MiB",
            (
                f"others: {seen.served} served, {len(seen.failed)} failed, 95 of 100 spent at the most "
                f"{1000 * seen.before:.1f} ms in the gateway before, {1000 * seen.meanwhile:.1f} ms meanwhile"
            ),
        ]
    )
    found.expect(len(seen.cut) == seen.readers, f"{seen.readers - len(seen.cut)} readers were never cut off")
    found.expect(IDLE * 0.9 <= slowest <= IDLE + 5, f"cut off after {slowest:.1f} s")
    found.expect(seen.outcomes == {"client_closed": seen.readers}, f"the ledger has {seen.outcomes}")
    found.expect(seen.grown <= seen.readers * HELD, f"the gateway grew by {seen.grown / MIB:.0f} MiB")
    found.expect(not seen.failed, f"others failed: {sorted(set(seen.failed))}")
    found.expect(seen.meanwhile <= seen.before + WORSE, f"others waited {1000 * seen.meanwhile:.0f} ms")
    return found


def show(room: Room) -> Found:
    flood = room.provider.at("/flood/v1")
    flood.always(stream(*[openai_chunk({"content": "x" * PIECE})] * PIECES, *openai_frames("end")[-3:]))
    url = room.provider.at("/beside/v1").always(Till()).url
    deadlines = {"connect": 5, "first_byte": 10, "idle": IDLE, "total": 60}
    config = site.config(
        url,
        {"load": {}, "slow": {}},
        providers={"flood": {"type": "openai", "base_url": flood.url, "api_key": "provider-key"}},
        backends={"flood": {"provider": "flood", "model": "m"}},
        models={"flood": {"unpriced": "free", "route": {"targets": [{"backend": "flood"}], "deadlines": deadlines}}},
    )
    with Gateway(config, room.place("gateway")) as gateway:
        return judged(_stopping(gateway, readers=room.pick(3, 8)))


def _stopping(gateway: Gateway, readers: int) -> Seen:
    chance = dice("slow-reader")
    weights: list[int] = []

    def order() -> Order:
        return some(chance, "load", seconds=0.02)

    def over() -> bool:
        weights.append(weight(gateway.process.pid).rss)
        return len(_cut(gateway)) >= readers

    with ExitStack() as wires, Crowd([gateway.port], order, callers=3) as crowd:
        crowd.comes_to(100)
        first, began = weight(gateway.process.pid).rss, _clock.monotonic()
        for _ in range(readers):
            _begins(gateway, wires)
        eventually(over, "every reader is cut off", seconds=2 * PATIENCE)
        ended = _clock.monotonic()
        crowd.comes_to(crowd.served + 20)
        answers = crowd.stop()
        last = weight(gateway.process.pid).rss
        rows = gateway.usage(readers, user_id=site.user_id("slow"))
    gateway.stop()
    outcomes: dict[str, int] = {}
    for row in rows:
        outcomes[row["outcome"]] = outcomes.get(row["outcome"], 0) + 1
    return Seen(
        readers=readers,
        cut=[line["duration_ms"] / 1000 for line in _cut(gateway)],
        outcomes=outcomes,
        grown=max(weights) - first,
        kept=last - first,
        before=_p95([one for one in answers if one.began < began]),
        meanwhile=_p95([one for one in answers if began <= one.began <= ended]),
        served=sum(one.served for one in answers),
        failed=[f"{one.status} {one.code}" for one in answers if not one.served],
    )


def _begins(gateway: Gateway, wires: ExitStack) -> None:
    """Asks, reads the head and no more."""
    wire = wires.enter_context(socket.socket())
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    wire.settimeout(PATIENCE)
    wire.connect((LOOPBACK, gateway.port))
    body = json.dumps(chat("flood", stream=True)).encode()
    wire.sendall(
        f"POST {CHAT_URL['openai']} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {secret('slow')}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    assert wire.recv(1_000).startswith(b"HTTP/1.1 200")


def _cut(gateway: Gateway) -> list[dict[str, Any]]:
    return [line for line in gateway.lines() if line["event"] == "request" and line.get("model") == "flood"]


def _p95(answers: Sequence[Answer]) -> float:
    """Of what the gateway says that it took itself: callers, provider and readers share this machine with it."""
    times = sorted(float(answer.header("x-scaigrid-overhead-ms") or 0) / 1000 for answer in answers)
    return times[int(0.95 * (len(times) - 1))] if times else 0.0
