"""The process: what it refuses to start with, how it stops, and what a kill leaves behind."""

import os
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from typing import Any

import httpx
import pytest

from tests.harness import behaviours
from tests.harness.behaviours import answer, stream
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway, NotServing, Row
from tests.harness.lanes import CHAT_URL, Lane, chat, http_client
from tests.harness.ports import LOOPBACK
from tests.harness.provider import Gate, Provider

Start = Callable[..., Gateway]


@pytest.fixture
def own(provider: Provider, request: pytest.FixtureRequest) -> Lane:
    """A lane for a gateway of the test's own."""
    return Lane(re.sub(r"\W+", "-", f"own-{abs(hash(request.node.nodeid)) % 10**8}"), provider)


@pytest.fixture
def config(own: Lane) -> dict[str, Any]:
    made: dict[str, Any] = {}
    own.declare(made)
    return made


# -- starting --------------------------------------------------------------------------------------------------------


def test_a_second_gateway_on_the_same_data_is_refused_and_names_the_first(start: Start, config: dict[str, Any]) -> None:
    first = start(config)
    second = {**config, "server": {"data_dir": str(first.data)}}
    with pytest.raises(NotServing) as caught:
        start(second, directory="second")
    assert caught.value.code == 1
    assert f"process {first.process.pid} " in caught.value.text
    assert str(first.data) in caught.value.text
    with http_client(first) as client:
        assert client.get("/health").status_code == 200


def test_the_data_is_free_again_once_the_first_has_stopped(start: Start, config: dict[str, Any]) -> None:
    first = start(config)
    assert first.stop() == 0
    assert start({**config, "server": {"data_dir": str(first.data)}}, directory="second").stop() == 0


def test_a_port_that_is_taken_is_refused(start: Start, config: dict[str, Any]) -> None:
    first = start(config)
    with pytest.raises(NotServing) as caught:
        start({**config, "server": {"port": first.port}}, directory="second")
    assert caught.value.code == 1
    assert f":{first.port} is taken" in caught.value.text


def test_more_workers_than_the_store_can_count_for_are_refused(start: Start, config: dict[str, Any]) -> None:
    with pytest.raises(NotServing) as caught:
        start(config, "--workers", "2")
    assert caught.value.code == 2
    assert "server.workers" in caught.value.text
    assert "memory store" in caught.value.text
    assert "set `store.type: valkey` with its `store.url`, or `server.workers: 1`" in caught.value.text


def test_a_wrong_file_is_refused_line_by_line(start: Start, config: dict[str, Any], own: Lane) -> None:
    config["models"][own.model("openai")]["route"]["targets"][0]["backend"] = "nobody"
    config["users"][own.name]["rolls"] = []
    with pytest.raises(NotServing) as caught:
        start(config)
    assert caught.value.code == 2
    assert re.search(
        r"gateway\.yaml:\d+: users\.\S+: .*rolls|gateway\.yaml:\d+: users\.\S+\.rolls: ", caught.value.text
    )


# -- stopping --------------------------------------------------------------------------------------------------------


def test_a_live_stream_ends_well_before_the_process_does(start: Start, config: dict[str, Any], own: Lane) -> None:
    gate = Gate()
    frames = behaviours.openai_frames("It ", "rains.", tokens=(9, 3))
    own.openai.then(stream(*frames[:2], gate, *frames[2:]))
    gateway = start(config)
    own.join(gateway)
    with own.client().stream("POST", CHAT_URL["openai"], json=chat(own.model("openai"), stream=True)) as got:
        lines = got.iter_lines()
        while "It " not in next(lines):
            pass
        gateway.terminate()
        eventually(lambda: refuses(gateway), "no new connection is taken")
        gate.open()
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert gateway.wait() == 0
    own.close()
    (row,) = gateway.rows("usage")
    assert (row["outcome"], row["tokens_out"]) == ("ok", 3)


def refuses(gateway: Gateway) -> bool:
    try:
        with socket.create_connection((LOOPBACK, gateway.port), timeout=1) as wire:
            wire.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            return wire.recv(1) == b""
    except OSError:
        return True


def test_everything_finished_is_in_the_database_once_it_has_stopped(
    start: Start, config: dict[str, Any], own: Lane
) -> None:
    own.openai.always(answer(behaviours.completion()))
    gateway = start(config)
    with http_client(gateway, own.key) as client:
        asked = [client.post(CHAT_URL["openai"], json=chat(own.model("openai"))) for _ in range(20)]
    assert gateway.stop() == 0
    assert sorted(row["request_id"] for row in gateway.rows("usage")) == sorted(
        got.headers["x-request-id"] for got in asked
    )
    assert len(gateway.rows("audit")) == 20
    assert "worker_stopped" in {line["event"] for line in gateway.lines()}


# -- being killed ----------------------------------------------------------------------------------------------------


class Load:
    """Clients that call without a pause until they are told to stop; what each of them finished is on record."""

    def __init__(self, gateway: Gateway, lane: Lane, clients: int) -> None:
        self.finished: list[str] = []
        self._over = Event()
        self._pool = ThreadPoolExecutor(clients)
        self._running = [
            self._pool.submit(self._call, gateway, lane, streamed=place % 2 == 1) for place in range(clients)
        ]

    def _call(self, gateway: Gateway, lane: Lane, *, streamed: bool) -> None:
        body = chat(lane.model("openai"), stream=streamed)
        with http_client(gateway, lane.key) as client:
            while not self._over.is_set():
                with suppress(httpx.HTTPError):
                    got = client.post(CHAT_URL["openai"], json=body)
                    if got.status_code == 200 and (not streamed or got.text.endswith("data: [DONE]\n\n")):
                        self.finished.append(got.headers["x-request-id"])

    def comes_to(self, answers: int) -> None:
        eventually(lambda: len(self.finished) >= answers, f"{answers} answers, here: {len(self.finished)}")

    def stop(self) -> None:
        self._over.set()
        for one in self._running:
            one.result(timeout=PATIENCE)
        self._pool.shutdown()


@pytest.fixture
def loaded(start: Start, config: dict[str, Any], own: Lane) -> Iterator[tuple[Gateway, Load]]:
    """A gateway under load from four clients, plain and streamed calls."""
    plain, streamed = answer(behaviours.completion()), stream(*behaviours.openai_frames("It ", "rains."))

    async def both(conversation: Any) -> None:
        await (streamed if conversation.request.json.get("stream") else plain)(conversation)

    own.openai.always(both)
    gateway = start(config)
    load = Load(gateway, own, 4)
    yield gateway, load
    load.stop()


def exactly_once(gateway: Gateway, finished: list[str]) -> None:
    """Every answer that a client finished has one row, and no row is there twice."""

    def complete() -> list[Row] | None:
        found = gateway.rows("usage")
        return found if set(finished) <= {row["request_id"] for row in found} else None

    rows = eventually(complete, "every finished answer is in the ledger")
    counted = Counter(row["request_id"] for row in rows)
    assert [one for one in counted if counted[one] != 1] == []
    assert len({row["id"] for row in rows}) == len(rows)


def test_a_killed_worker_loses_and_doubles_nothing(loaded: tuple[Gateway, Load]) -> None:
    gateway, load = loaded
    load.comes_to(40)
    before = gateway.worker
    gateway.kill_worker()
    eventually(lambda: gateway.worker != before, "another worker has started")
    load.comes_to(len(load.finished) + 20)
    load.stop()
    exactly_once(gateway, load.finished)
    assert gateway.stop() == 0
    exactly_once(gateway, load.finished)


def test_a_killed_gateway_loses_and_doubles_nothing(
    loaded: tuple[Gateway, Load], start: Start, config: dict[str, Any]
) -> None:
    gateway, load = loaded
    load.comes_to(60)
    gateway.kill_group()
    load.stop()
    again = start({**config, "server": {"data_dir": str(gateway.data)}}, directory="again")
    exactly_once(again, load.finished)
    assert again.stop() == 0
    exactly_once(again, load.finished)
    assert [path.name for path in (gateway.data / "journal").iterdir()] == []


def test_a_worker_does_not_outlive_a_killed_parent(start: Start, config: dict[str, Any]) -> None:
    gateway = start(config)
    worker = gateway.worker
    gateway.process.kill()
    gateway.process.wait()
    eventually(lambda: not alive(worker), "the worker is gone too")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
