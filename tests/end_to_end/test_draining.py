"""A gateway that is told to stop says so first, serves on for a while, then ends what is under way in good order."""

import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final

import httpx
import pytest

from scaigrid.clock import SystemClock
from tests.harness import behaviours
from tests.harness.behaviours import answer, gated, stream
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, Lane, chat, http_client
from tests.harness.ports import LOOPBACK
from tests.harness.provider import Gate, Provider
from tests.harness.valkey import Valkey

Start = Callable[..., Gateway]

MESSAGES: Final = "/anthropic/v1/messages"
LONG: Final = 60
"""Seconds that nobody waits for."""
_clock = SystemClock()


@pytest.fixture
def own(provider: Provider) -> Lane:
    return Lane("draining", provider)


def config(own: Lane, *, drain: float, shutdown: float, workers: int = 1) -> dict[str, Any]:
    made: dict[str, Any] = {
        "server": {"drain_seconds": drain, "shutdown_seconds": shutdown, "workers": workers},
    }
    own.declare(made)
    return made


def probe(gateway: Gateway) -> tuple[int, dict[str, Any]]:
    with http_client(gateway) as client:
        got = client.get("/health/ready")
        return got.status_code, got.json()


def not_ready(gateway: Gateway) -> bool:
    status, said = probe(gateway)
    return (status, said) == (503, {"status": "not_ready", "checks": {"stopping": "the gateway is stopping"}})


def begun(own: Lane) -> Gate:
    """Every stream of the lane's first backend stops at this gate, after its first words."""
    gate = Gate()
    frames = behaviours.openai_frames("It ", "rains.", tokens=(9, 3))
    held, plain = stream(*frames[:2], gate, *frames[2:]), gated(gate, answer(behaviours.completion()))

    async def both(conversation: Any) -> None:
        await (held if conversation.request.json.get("stream") else plain)(conversation)

    own.openai.always(both)
    return gate


class Calls:
    """Calls that go on while the test does something else."""

    def __init__(self, gateway: Gateway, own: Lane) -> None:
        self._gateway = gateway
        self._own = own
        self._pool = ThreadPoolExecutor(8)

    def ask(self, path: str, **more: Any) -> Future[httpx.Response]:
        body = chat(self._own.model("openai"), **more)

        def one() -> httpx.Response:
            with http_client(self._gateway, self._own.key) as client:
                return client.post(path, json=body)

        return self._pool.submit(one)

    def stop(self) -> None:
        self._pool.shutdown()


@pytest.fixture
def calls(own: Lane) -> Iterator[Callable[[Gateway], Calls]]:
    made: list[Calls] = []

    def begin(gateway: Gateway) -> Calls:
        made.append(Calls(gateway, own))
        return made[-1]

    yield begin
    for one in made:
        one.stop()


def test_it_says_that_it_stops_and_serves_whoever_comes_all_the_same(start: Start, own: Lane) -> None:
    own.openai.always(answer(behaviours.completion()))
    gateway = start(config(own, drain=1.0, shutdown=5))
    with http_client(gateway, own.key) as kept:
        before = kept.post(CHAT_URL["openai"], json=chat(own.model("openai")))
        assert (before.status_code, before.headers.get("connection")) == (200, None)
        told = _clock.monotonic()
        gateway.terminate()
        eventually(lambda: not_ready(gateway), "it is not ready")
        # On the connection that was there, and on one of its own
        with http_client(gateway, own.key) as fresh:
            for client in (kept, fresh):
                served = client.post(CHAT_URL["native"], json=chat(own.model("openai")))
                assert (served.status_code, served.headers.get("connection")) == (200, "close")
        assert _clock.monotonic() - told < 1.0, "the machine is too slow for this test"
    assert gateway.wait() == 0
    assert 1.0 <= _clock.monotonic() - told < 5
    assert [row["outcome"] for row in gateway.rows("usage")] == ["ok"] * 3
    events = [line["event"] for line in gateway.lines() if line["event"] != "request"]
    assert events == ["worker_started", "worker_leaving", "worker_stopped"]


@pytest.mark.parametrize("how", ["its time is over", "it is told again"])
def test_what_is_still_under_way_ends_with_an_error_in_its_own_dialect(
    start: Start, own: Lane, calls: Callable[[Gateway], Calls], how: str
) -> None:
    begun(own)
    given = config(own, drain=0, shutdown=0.5) if how == "its time is over" else config(own, drain=LONG, shutdown=LONG)
    gateway = start(given)
    client, before = calls(gateway), len(own.openai.requests)
    openai = client.ask(CHAT_URL["openai"], stream=True)
    native = client.ask(CHAT_URL["native"], stream=True)
    anthropic = client.ask(MESSAGES, stream=True, max_tokens=50)
    plain = client.ask(CHAT_URL["openai"])
    # Whoever holds a connection and has not asked for anything yet, or not to the end
    idle, half, slow = [socket.create_connection((LOOPBACK, gateway.port), timeout=PATIENCE) for _ in range(3)]
    with closing(idle), closing(half), closing(slow):
        half.sendall(b"POST /v1/infer")
        slow.sendall(
            f"POST {CHAT_URL['native']} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {own.key}\r\n"
            "content-type: application/json\r\ncontent-length: 100\r\n\r\n{".encode()
        )
        eventually(lambda: gateway.metrics().value("scaigrid_calls_under_way") == 5, "all of them are under way")
        eventually(lambda: len(own.openai.requests) == before + 4, "the provider has been asked")
        told = _clock.monotonic()
        gateway.terminate()
        if how == "it is told again":
            eventually(lambda: not_ready(gateway), "it is not ready")
            gateway.terminate()
        assert gateway.wait() == 0
        took = _clock.monotonic() - told
        refused = slow.recv(65_536)
    assert took < 8
    assert b"HTTP/1.1 503" in refused
    assert b"OVERLOADED" in refused
    for got, last in ((openai, '"code":"OVERLOADED"'), (native, "[DONE]"), (anthropic, "overloaded_error")):
        text = got.result(PATIENCE).text
        assert "It " in text
        assert "The gateway is stopping" in text
        assert last in text.strip().splitlines()[-1]
    told_plain = plain.result(PATIENCE)
    assert (told_plain.status_code, told_plain.json()["error"]["code"]) == (503, "OVERLOADED")
    rows = gateway.rows("usage")
    assert len(rows) == 4
    assert {row["outcome"] for row in rows} == {"error"}, rows
    assert [path.name for path in (gateway.data / "journal").iterdir()] == []
    codes = Counter(line.get("code") for line in gateway.lines() if line["event"] == "request" and line["status"])
    assert codes["OVERLOADED"] == 5
    assert "worker_stopped" in {line["event"] for line in gateway.lines()}


def test_a_person_at_a_terminal_does_not_wait_for_load_balancers(start: Start, own: Lane) -> None:
    gateway = start(config(own, drain=LONG, shutdown=LONG))
    # As a terminal does it: to the workers as well
    os.killpg(gateway.process.pid, signal.SIGINT)
    assert gateway.wait() == 0
    assert "Unexpected exit" not in gateway.stderr


def test_every_worker_learns_of_it_and_one_that_is_born_meanwhile_too(start: Start, own: Lane) -> None:
    own.openai.always(answer(behaviours.completion()))
    with Valkey() as store:
        store_config = {"store": {"type": "valkey", "url": store.url, "timeout_seconds": 2}}
        gateway = start({**config(own, drain=LONG, shutdown=LONG, workers=2), **store_config})
        before = gateway.workers(2)
        gateway.terminate()

        def leaving() -> set[int]:
            return {line["pid"] for line in gateway.lines() if line["event"] == "worker_leaving"}

        eventually(lambda: leaving() == set(before), "both say so")
        os.kill(before[0], signal.SIGKILL)
        after = eventually(
            lambda: found if (found := gateway.workers(2)) and set(found) != set(before) else None, "another is born"
        )
        eventually(lambda: set(after) <= leaving(), "it says so too")
        assert all(not_ready(gateway) for _ in range(12))
        with http_client(gateway, own.key) as client:
            assert client.post(CHAT_URL["openai"], json=chat(own.model("openai"))).status_code == 200
        gateway.terminate()
        assert gateway.wait() == 0
