"""More than a worker has room for is refused at once, in the caller's dialect, and its memory stays bounded."""

import json
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from scaigrid.clock import SystemClock
from tests.harness import behaviours
from tests.harness.behaviours import answer, gated
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, Lane, chat, http_client
from tests.harness.ports import LOOPBACK
from tests.harness.provider import Gate, Provider

Start = Callable[..., Gateway]

ROOM: Final = 4
MEBI: Final = 1024 * 1024
_clock = SystemClock()


@pytest.fixture
def own(provider: Provider) -> Lane:
    return Lane("crowded", provider)


@pytest.fixture
def gate(own: Lane) -> Iterator[Gate]:
    """Every answer of the provider waits at it."""
    gate = Gate()
    own.openai.always(gated(gate, answer(behaviours.completion())))
    yield gate
    gate.open()


def config(own: Lane, chain: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"chain": chain}
    own.declare(made)
    return made


def under_way(gateway: Gateway) -> float:
    return gateway.metrics().value("scaigrid_calls_under_way")


def test_one_call_too_many_is_refused_at_once_in_its_own_dialect_and_strangers_take_no_place(
    start: Start, own: Lane, gate: Gate
) -> None:
    gateway = start(config(own, {"overload": {"max_calls": ROOM}}))
    body = chat(own.model("openai"), max_tokens=10)

    def ask(path: str, key: str = own.key) -> httpx.Response:
        with http_client(gateway, key) as client:
            return client.post(path, json=body)

    with ThreadPoolExecutor(ROOM) as pool:
        running = [pool.submit(ask, CHAT_URL["openai"]) for _ in range(ROOM)]
        eventually(lambda: under_way(gateway) == ROOM, "there is no room left")
        since = _clock.monotonic()
        shapes = {path: ask(path) for path in (CHAT_URL["openai"], CHAT_URL["native"], "/anthropic/v1/messages")}
        assert _clock.monotonic() - since < 5
        for got in shapes.values():
            assert (got.status_code, got.headers["retry-after"]) == (503, "1")
        openai, native, anthropic = (got.json()["error"] for got in shapes.values())
        assert (openai["code"], native["code"], anthropic["type"]) == ("OVERLOADED", "OVERLOADED", "overloaded_error")
        assert ask(CHAT_URL["openai"], "sgk_" + "0" * 40).status_code == 401
        with http_client(gateway, own.key) as client:
            assert client.get("/health/ready").status_code == 200
            assert client.get("/v1/models").status_code == 200, "the control plane is not crowded out"
        assert gateway.metrics().value("scaigrid_shed_calls_total", reason="calls") == 3
        gate.open()
        assert {one.result(PATIENCE).status_code for one in running} == {200}
    assert ask(CHAT_URL["openai"]).status_code == 200
    assert under_way(gateway) == 0


def resident(pid: int) -> int:
    """Bytes of memory that a process has taken up at most."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_many_large_bodies_take_no_more_memory_than_they_may(start: Start, own: Lane, gate: Gate) -> None:
    """80 bodies of 4 MiB at once, which would be 320 MiB of bodies alone, where 16 MiB of them are allowed."""
    size, allowed, clients = 4 * MEBI, 16 * MEBI, 16
    gateway = start(config(own, {"overload": {"max_body_bytes_at_once": allowed}}))
    body = json.dumps(chat(own.model("openai"), "x" * size)).encode()
    before = resident(gateway.worker)

    def ask(_: int) -> int:
        with http_client(gateway, own.key) as client:
            try:
                got = client.post(CHAT_URL["openai"], content=body, headers={"content-type": "application/json"})
            except httpx.WriteError:
                # It was answered, and the connection closed, while we were still sending
                return 503
            return got.status_code

    with ThreadPoolExecutor(clients) as pool:
        statuses = pool.map(ask, range(80))
        eventually(
            lambda: len(own.openai.requests) >= allowed // size - 1, "those that are let in are with the provider"
        )
        eventually(lambda: gateway.metrics().value("scaigrid_shed_calls_total", reason="bytes") >= 20, "others are not")
        gate.open()
        counted = Counter(statuses)
    assert set(counted) == {200, 503}, counted
    grown = resident(gateway.worker) - before
    assert grown < 10 * allowed, f"{grown / MEBI:.0f} MiB"
    with http_client(gateway, own.key) as client:
        assert client.post(CHAT_URL["openai"], content=body).status_code == 200, "all of the room is free again"


def test_whoever_sends_a_body_slowly_loses_the_place(start: Start, own: Lane) -> None:
    own.openai.always(answer(behaviours.completion()))
    gateway = start(config(own, {"overload": {"max_calls": ROOM}, "intake": {"body_seconds": 0.5}}))
    head = (
        f"POST {CHAT_URL['native']} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {own.key}\r\n"
        "content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    ).encode()
    with ExitStack() as open_:
        wires = [
            open_.enter_context(socket.create_connection((LOOPBACK, gateway.port), timeout=PATIENCE))
            for _ in range(ROOM)
        ]
        for wire in wires:
            wire.sendall(head)
        answers = [wire.recv(65_536) for wire in wires]
    for told in answers:
        assert told.startswith(b"HTTP/1.1 422 ")
        assert b"VALIDATION_ERROR" in told
        assert b"The request body did not come within 0.5 s." in told
    with http_client(gateway, own.key) as client:
        assert client.post(CHAT_URL["openai"], json=chat(own.model("openai"))).status_code == 200
