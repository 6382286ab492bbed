"""More than one process: workers of a gateway and gateways on one store count as one, and a scrape tells of all."""

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any, Final

import httpx
import pytest

from scaigrid.ids import declared_id
from tests.harness.behaviours import answer, completion, gated
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway, Metrics
from tests.harness.lanes import CHAT_URL, UNLIMITED, chat, http_client, secret
from tests.harness.ports import LOOPBACK
from tests.harness.provider import Endpoint, Gate, Provider
from tests.harness.valkey import Valkey

WORKERS: Final = 3
NANO: Final = 10**9
CALLERS: Final = 24
LIMIT: Final = 5
TOKENS: Final = (100, 20)
COST: Final = TOKENS[0] * 2_000 + TOKENS[1] * 10_000
"""Of one call, in nano-units."""
USERS: Final[dict[str, dict[str, Any]]] = {
    "limited": {"limits": {"requests_per_minute": LIMIT}},
    "counted": {"limits": UNLIMITED},
    "rich": {"limits": UNLIMITED},
    "free": {"limits": UNLIMITED},
}
BUDGETS: Final[dict[str, dict[str, Any]]] = {
    "counted": {"request_limit": 17},
    "rich": {"cost_limit": 12_000_000 / NANO},
    "free": {"cost_limit": 1_000},
}


def config(endpoint: Endpoint, store: Valkey, workers: int = WORKERS) -> dict[str, Any]:
    return {
        "server": {"workers": workers},
        # Here the machine is the slow one, not the store
        "store": {"type": "valkey", "url": store.url, "timeout_seconds": 2},
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": USERS,
        "keys": {name: {"user": name, "key": secret(name), "limits": UNLIMITED} for name in USERS},
        "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m"}},
        "models": {
            "m": {
                "context_window": 4_000,
                "max_output_tokens": 50,
                "prices": {"input": 2, "output": 10},
                "route": {"targets": [{"backend": "b"}]},
            }
        },
        "budgets": {name: {"scope": "user", "of": name, "period": "total", **bound} for name, bound in BUDGETS.items()},
    }


@pytest.fixture
def endpoint(provider: Provider) -> Endpoint:
    return provider.at("/workers/v1").always(answer(completion(tokens=TOKENS)))


@pytest.fixture
def store() -> Iterator[Valkey]:
    with Valkey() as running:
        yield running


@pytest.fixture
def gateway(endpoint: Endpoint, store: Valkey, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(config(endpoint, store), tmp_path / "gateway") as running:
        running.workers(WORKERS)
        yield running


@pytest.fixture(scope="module")
def gateways(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Gateway]]:
    """Two on one store, of two workers and of one, each with a database of its own."""
    endpoint, directory = provider.at("/workers/v1"), tmp_path_factory.mktemp("gateways")
    with Valkey() as store, ExitStack() as running:
        made = [running.enter_context(Gateway(config(endpoint, store, n), directory / f"of-{n}")) for n in (2, 1)]
        made[0].workers(2)
        yield made


def ask(gateway: Gateway, name: str, **more: Any) -> httpx.Response:
    """On a connection of its own, so that any worker may get it."""
    with http_client(gateway, secret(name)) as client:
        return client.post(CHAT_URL["native"], json=chat("m", **more))


def rush(gateways: Sequence[Gateway], name: str, calls: int) -> Counter[int]:
    """So many calls at the same time, spread over the gateways; how often which status came."""

    def one(number: int) -> int:
        return ask(gateways[number % len(gateways)], name).status_code

    with ThreadPoolExecutor(CALLERS) as pool:
        return Counter(pool.map(one, range(calls)))


def scrapes(gateway: Gateway, count: int = 12) -> Iterator[Metrics]:
    """Each on a connection of its own: no worker is left out for long."""
    return (gateway.metrics() for _ in range(count))


def requests(metrics: Metrics) -> float:
    return metrics.value("scaigrid_requests_total", model="m")


def spent(gateways: Sequence[Gateway], name: str) -> int:
    """What the ledgers have together, awaited by nobody."""
    user = declared_id("user", name)
    return sum(row["cost"] for gateway in gateways for row in gateway.rows("usage", user_id=user))


# -- limits and budgets ----------------------------------------------------------------------------------------------


def test_a_limit_is_exact_over_workers_and_gateways(gateways: list[Gateway], endpoint: Endpoint) -> None:
    before = len(endpoint.requests)
    assert rush(gateways, "limited", 60) == {200: LIMIT, 429: 60 - LIMIT}
    assert len(endpoint.requests) - before == LIMIT


def test_a_budget_is_exact_over_workers_and_gateways(gateways: list[Gateway], endpoint: Endpoint) -> None:
    assert rush(gateways, "counted", 60) == {200: 17, 429: 43}
    answers = rush(gateways, "rich", 90)
    assert set(answers) == {200, 429}
    eventually(lambda: spent(gateways, "rich") == answers[200] * COST, "every served call is in a ledger")
    assert answers[200] * COST <= 12_000_000
    for gateway in gateways:
        told = gateway.metrics()
        assert told.value("scaigrid_budget_spent", budget="rich", kind="cost") == answers[200] * COST
        assert told.value("scaigrid_budget_spent", budget="counted", kind="requests") == 17
    # One after the other, what is left is given out to the last call that fits
    while ask(gateways[0], "rich").status_code == 200:
        answers[200] += 1
    assert 12_000_000 - answers[200] * COST < worst(gateways[0])


def worst(gateway: Gateway) -> int:
    """What one call reserves: a token for each byte of its body and what providers add, and all of its output."""
    body = httpx.Request("POST", gateway.url, json=chat("m")).content
    return (len(body) + 1024) * 2_000 + 50 * 10_000 + 3


# -- a worker that dies ----------------------------------------------------------------------------------------------


def test_a_gateway_goes_on_when_a_worker_is_killed(gateway: Gateway) -> None:
    over, finished, failed = Event(), list[str](), Counter[str]()

    def load() -> None:
        while not over.is_set():
            try:
                got = ask(gateway, "free")
            except httpx.HTTPError as error:
                failed[type(error).__name__] += 1
            else:
                assert got.status_code == 200
                finished.append(got.headers["x-request-id"])

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(load) for _ in range(4)]
        eventually(lambda: len(finished) >= 40, "answers")
        before = gateway.workers(WORKERS)
        os.kill(before[-1], signal.SIGKILL)
        eventually(lambda: set(gateway.workers(WORKERS)) != set(before), "another worker has started")
        at = len(finished)
        eventually(lambda: len(finished) >= at + 40, "it goes on")
        over.set()
        for one in running:
            one.result(PATIENCE)
    assert gateway.stop() == 0
    rows = Counter(row["request_id"] for row in gateway.rows("usage"))
    assert [one for one in finished if rows[one] != 1] == []
    assert set(rows.values()) == {1}
    # What is lost is what was under way on the connections of the one that died
    assert sum(failed.values()) <= 8
    assert [path.name for path in (gateway.data / "journal").iterdir()] == []


def test_a_killed_worker_takes_nothing_with_it_that_was_counted(
    gateway: Gateway, endpoint: Endpoint, store: Valkey
) -> None:
    """Whoever is asked tells of all, the dead included; what was spent is no more and no less for the next one."""
    assert rush([gateway], "free", 60) == {200: 60}
    assert rush([gateway], "counted", 10) == {200: 10}
    assert len(list((gateway.data / "journal").glob("*.lock"))) == WORKERS
    for told in scrapes(gateway):
        assert requests(told) == 70
        assert told.value("scaigrid_request_duration_seconds_count", model="m") == 70
        assert told.value("scaigrid_tokens_total", model="m", direction="input") == 70 * TOKENS[0]
        assert told.value("scaigrid_taken_total", of="budget", kind="cost") == 60 * COST
        assert told.value("scaigrid_budget_spent", budget="free", kind="cost") == 60 * COST
        assert told.value("scaigrid_backend_health", backend_id=declared_id("be", "b")) == 1
    before = gateway.workers(WORKERS)
    os.kill(before[1], signal.SIGKILL)
    eventually(lambda: before[1] not in children(gateway), "it is gone")
    assert {requests(told) for told in scrapes(gateway)} == {70}
    eventually(lambda: set(gateway.workers(WORKERS)) != set(before), "another worker has started")
    assert gateway.metrics().value("scaigrid_budget_spent", budget="counted", kind="requests") == 10
    assert rush([gateway], "counted", 20) == {200: 7, 429: 13}
    assert {requests(told) for told in scrapes(gateway)} == {90}
    assert gateway.stop() == 0
    again = {**config(endpoint, store), "server": {"workers": 2, "data_dir": str(gateway.data)}}
    with Gateway(again, gateway.directory / "again") as second:
        assert requests(second.metrics()) == 0, "a gateway that starts counts from 0, as a process does"
        assert second.metrics().value("scaigrid_budget_spent", budget="counted", kind="requests") == 17


def children(gateway: Gateway) -> list[int]:
    """The pids of its workers, as the system has them."""
    text = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def test_calls_under_way_are_those_of_all_workers(gateways: list[Gateway], endpoint: Endpoint) -> None:
    gateway, gate = gateways[0], Gate()
    endpoint.always(gated(gate, answer(completion(tokens=TOKENS))))
    before = len(endpoint.requests)
    with ThreadPoolExecutor(CALLERS) as pool:
        running = [pool.submit(ask, gateway, "free") for _ in range(CALLERS)]
        eventually(lambda: len(endpoint.requests) == before + CALLERS, "all of them are under way")
        eventually(lambda: {under_way(told) for told in scrapes(gateway)} == {CALLERS}, "every scrape has all of them")
        gate.open()
        assert {one.result(PATIENCE).status_code for one in running} == {200}
    eventually(lambda: {under_way(told) for told in scrapes(gateway)} == {0}, "none is under way")


def under_way(metrics: Metrics) -> float:
    return metrics.value("scaigrid_backend_inflight_requests")


def test_a_gateway_that_is_told_to_stop_while_its_workers_start_stops(
    endpoint: Endpoint, store: Valkey, tmp_path: Path
) -> None:
    """Sooner than those are killed who do not listen."""
    gateway = Gateway(config(endpoint, store), tmp_path / "gateway")
    gateway.spawn()
    try:
        eventually(lambda: len(children(gateway)) == WORKERS, "the workers are born")
        gateway.terminate()
        assert gateway.wait() == 0
    finally:
        gateway.kill_group()


# -- the store goes away ---------------------------------------------------------------------------------------------


def test_a_store_that_is_gone_is_told_and_one_that_comes_back_empty_is_given_what_was_spent(
    gateway: Gateway, store: Valkey
) -> None:
    assert rush([gateway], "counted", 10) == {200: 10}
    store.kill()
    refused = ask(gateway, "counted")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "STORE_UNAVAILABLE")
    with http_client(gateway) as client:
        ready = client.get("/health/ready")
        assert ready.status_code == 503
        assert "the store cannot be reached" in ready.json()["checks"]["store"]
        assert client.get("/health").status_code == 200
    assert requests(gateway.metrics()) >= 10
    store.start()
    # Every worker finds it by itself
    eventually(lambda: rebuilt(gateway) == WORKERS, "each worker has given it the budgets")
    assert rush([gateway], "counted", 20) == {200: 7, 429: 13}
    told = [line["event"] for line in gateway.lines() if line["event"].startswith("store_")]
    assert Counter(told) == {"store_lost": WORKERS, "store_found": WORKERS}


def rebuilt(gateway: Gateway) -> int:
    return [line["event"] for line in gateway.lines()].count("budgets_rebuilt")


def test_a_gateway_starts_without_its_store_and_serves_when_it_is_there(
    endpoint: Endpoint, store: Valkey, tmp_path: Path
) -> None:
    store.stop()
    gateway = Gateway(config(endpoint, store, 2), tmp_path / "early")
    gateway.spawn()
    try:
        eventually(lambda: listens(gateway), "it listens")
        assert ask(gateway, "counted").status_code == 503
        store.start()
        eventually(lambda: ask(gateway, "counted").status_code == 200, "it serves")
    finally:
        gateway.kill_group()


def listens(gateway: Gateway) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, gateway.port)) == 0
