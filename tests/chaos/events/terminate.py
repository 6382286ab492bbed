"""SIGTERM while streams are open: first it is said, then they finish, then those that go on are ended with an error."""

import json
import socket
from contextlib import ExitStack, suppress
from threading import Thread
from typing import Any, Final

import httpx
import msgspec

from scaigrid.clock import SystemClock
from tests.chaos.event import Found
from tests.harness.behaviours import Then, openai_frames, stream
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import chat, http_client, secret
from tests.harness.ports import LOOPBACK
from tests.harness.provider import Conversation, Gate
from tests.money import site
from tests.money.fact import Room

DIALECTS: Final = {
    "openai": "/oai/v1/chat/completions",
    "native": "/v1/inference/chat",
    "anthropic": "/anthropic/v1/messages",
}
DRAIN: Final = 1.0
SHUTDOWN: Final = 2.0
MARGIN: Final = 4.0
"""Seconds that the end may take besides, the flush included."""
_ENDS: Final = {"openai": "data: [DONE]", "native": "data: [DONE]", "anthropic": "event: message_stop"}
_clock = SystemClock()


class Told(msgspec.Struct, kw_only=True):
    """What one client read."""

    dialect: str
    lasts: bool
    """Its answer would never have ended."""
    text: str = ""
    broken: bool = False
    """The connection ended in the middle of the body."""

    @property
    def complete(self) -> bool:
        """It looks like a whole answer."""
        failed = "OVERLOADED" in self.text or "event: error" in self.text
        return not self.broken and not failed and _ENDS[self.dialect] in self.text

    @property
    def refused(self) -> bool:
        """It says in the client's dialect that the gateway was at its end."""
        if self.dialect == "anthropic":
            return '"type":"error"' in self.text and "stopping" in self.text
        return "OVERLOADED" in self.text and (self.dialect == "native" or "[DONE]" not in self.text)


class Seen(msgspec.Struct, kw_only=True):
    told: list[Told]
    ready: list[int]
    """What `/health/ready` answered while the port was still open."""
    meanwhile: int
    """Calls that were still served then."""
    closed: bool
    """Afterwards the port refused."""
    code: int
    seconds: float
    rows: dict[str, int]
    """Outcomes in the ledger."""
    left: int
    """Files in the journal."""


def judged(seen: Seen) -> Found:
    short = [one for one in seen.told if not one.lasts]
    long = [one for one in seen.told if one.lasts]
    finished, ended = sum(one.complete for one in short), sum(one.refused for one in long)
    found = Found(
        measured=[
            (
                f"/health/ready {sorted(set(seen.ready))} at once, {seen.meanwhile} calls served till it closed; "
                f"exit code {seen.code} after {seen.seconds:.1f} s ({DRAIN:.0f} + {SHUTDOWN:.0f} s declared)"
            ),
            (
                f"{finished} of {len(short)} streams finished; {ended} of {len(long)} that went on were ended in their "
                f"dialect; ledger {seen.rows}, {seen.left} files left in the journal"
            ),
        ]
    )
    found.expect(set(seen.ready) == {503}, f"readiness said {seen.ready}")
    found.expect(seen.meanwhile > 0, "nobody was served before the port was closed")
    found.expect(seen.closed, "the port stayed open")
    for one in short:
        found.expect(one.complete, f"{one.dialect}: a stream did not finish: {one.text[-200:]!r}")
    for one in long:
        found.expect(one.refused, f"{one.dialect}: a stream ended so: {one.text[-200:]!r}")
        found.expect(not one.complete, f"{one.dialect}: a stream that was cut looks whole")
    found.expect(seen.code == 0, f"exit code {seen.code}")
    found.expect(seen.seconds <= DRAIN + SHUTDOWN + MARGIN, f"it took {seen.seconds:.1f} s")
    found.expect(sum(seen.rows.values()) == len(seen.told) + seen.meanwhile, f"the ledger has {seen.rows}")
    found.expect(seen.left == 0, f"{seen.left} files were left in the journal")
    return found


def show(room: Room) -> Found:
    gate = Gate()
    first, *rest = openai_frames("It ", "rains.")
    endings = {"finishes": stream(first, rest[0], gate, *rest[1:]), "lasts": stream(first, rest[0], Then.STALL)}

    async def behave(conversation: Conversation) -> None:
        asked = conversation.request.json["messages"][-1]["content"]
        text = asked if isinstance(asked, str) else asked[0]["text"]
        await endings.get(text, stream(first, *rest))(conversation)

    url = room.provider.at("/terminate/v1").always(behave).url
    server = {"drain_seconds": DRAIN, "shutdown_seconds": SHUTDOWN}
    with Gateway(site.config(url, {"ann": {}}, server=server), room.place("gateway")) as gateway:
        return judged(_stopped(gateway, gate, each=room.pick(1, 4)))


def _stopped(gateway: Gateway, gate: Gate, each: int) -> Seen:
    told = [Told(dialect=dialect, lasts=lasts) for dialect in DIALECTS for lasts in (False, True) for _ in range(each)]
    threads = [Thread(target=_read, args=(gateway.url, one), daemon=True) for one in told]
    for thread in threads:
        thread.start()
    eventually(lambda: all("It " in one.text for one in told), "every stream has begun")
    with ExitStack() as stack:
        # Connections from before: whoever probes has them, and callers do.
        client = stack.enter_context(http_client(gateway, secret("ann")))
        assert client.get("/health/ready").status_code == 200
        began = _clock.monotonic()
        gateway.terminate()
        eventually(
            lambda: client.get("/health/ready").status_code == 503, "it says that it is not ready", seconds=DRAIN
        )
        ready, meanwhile = _until_closed(gateway)
    closed = not _listens(gateway)
    gate.open()
    code = gateway.wait()
    seconds = _clock.monotonic() - began
    for thread in threads:
        thread.join(PATIENCE)
    rows: dict[str, int] = {}
    for row in gateway.rows("usage"):
        rows[row["outcome"]] = rows.get(row["outcome"], 0) + 1
    return Seen(
        told=told,
        ready=ready,
        meanwhile=meanwhile,
        closed=closed,
        code=code,
        seconds=seconds,
        rows=rows,
        left=len(site.journal(gateway.data)),
    )


def _until_closed(gateway: Gateway) -> tuple[list[int], int]:
    """What new connections hear while there are any: a probe's answers, and how many calls are served."""
    ready: list[int] = []
    served = 0
    with suppress(httpx.HTTPError):
        while True:
            with http_client(gateway, secret("ann")) as client:
                ready.append(client.get("/health/ready").status_code)
            with http_client(gateway, secret("ann")) as client:
                served += client.post(DIALECTS["openai"], json=chat("m", stream=True)).status_code == 200
    return ready, served


def _listens(gateway: Gateway) -> bool:
    try:
        with socket.create_connection((LOOPBACK, gateway.port), timeout=1) as wire:
            wire.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            return wire.recv(1) != b""
    except OSError:
        return False


def _read(url: str, told: Told) -> None:
    body: dict[str, Any] = chat("m", "lasts" if told.lasts else "finishes", stream=True)
    if told.dialect == "anthropic":
        body["max_tokens"] = 10
    headers = {"authorization": f"Bearer {secret('ann')}", "content-type": "application/json"}
    try:
        with (
            httpx.Client(base_url=url, headers=headers, timeout=PATIENCE, trust_env=False) as client,
            client.stream("POST", DIALECTS[told.dialect], content=json.dumps(body)) as got,
        ):
            for piece in got.iter_text():
                told.text += piece
    except httpx.HTTPError:
        told.broken = True
