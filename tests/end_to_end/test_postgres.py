"""The gateway on PostgreSQL: its records are there, and when the server is away, its callers do not notice."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from tests.harness import databases
from tests.harness.behaviours import answer, completion
from tests.harness.databases import execute
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway, NotServing
from tests.harness.lanes import CHAT_URL, UNLIMITED, chat, http_client, secret
from tests.harness.ports import LOOPBACK, refusing_port
from tests.harness.provider import Provider

Start = Callable[..., Gateway]

KEY = secret("postgres")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    made = databases.empty("postgres", tmp_path)
    yield made
    databases.drop(made)


@pytest.fixture
def config(provider: Provider, url: str) -> dict[str, Any]:
    endpoint = provider.at("/postgres/v1").always(answer(completion()))
    return {
        "database": {"url": url.replace("postgresql+asyncpg", "postgres"), "encryption_key": "k" * 32},
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {"ann": {"limits": UNLIMITED}},
        "keys": {"ann": {"user": "ann", "key": KEY, "limits": UNLIMITED}},
        "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m"}},
        "models": {"m": {"unpriced": "free", "route": {"targets": [{"backend": "b"}]}}},
    }


def ask(client: httpx.Client) -> httpx.Response:
    return client.post(CHAT_URL["openai"], json=chat("m"))


def kept(url: str) -> Counter[str]:
    """How often each request stands in the ledger."""
    return Counter(row["request_id"] for row in execute(url, "SELECT request_id FROM usage"))


def test_what_was_spent_is_in_the_server_and_a_restart_forgets_nothing(
    config: dict[str, Any], url: str, start: Start
) -> None:
    budget = {"scope": "user", "of": "ann", "period": "total", "request_limit": 5}
    config["budgets"] = {"purse": budget}
    gateway = start(config)
    with http_client(gateway, KEY) as client:
        asked = [ask(client) for _ in range(3)]
    assert [got.status_code for got in asked] == [200] * 3
    assert gateway.stop() == 0
    assert kept(url) == Counter(got.headers["x-request-id"] for got in asked)
    assert execute(url, "SELECT count(*) AS n FROM audit") == [{"n": 3}]
    assert list(gateway.data.glob("*.db")) == [], "no file besides"
    again = start({**config, "server": {"data_dir": str(gateway.data)}}, directory="again")
    with http_client(again, KEY) as client:
        assert [ask(client).status_code for _ in range(4)] == [200, 200, 429, 429]


class Callers:
    """Four who call without a pause until they are told to stop; what each of them got is on record."""

    def __init__(self, gateway: Gateway) -> None:
        self.answers: list[httpx.Response] = []
        self._over = Event()
        self._pool = ThreadPoolExecutor(4)
        self._running = [self._pool.submit(self._call, gateway) for _ in range(4)]

    def _call(self, gateway: Gateway) -> None:
        with http_client(gateway, KEY) as client:
            while not self._over.is_set():
                self.answers.append(ask(client))

    def come_to(self, answers: int) -> None:
        eventually(lambda: len(self.answers) >= answers, f"{answers} answers")

    def stop(self) -> None:
        self._over.set()
        for one in self._running:
            one.result(timeout=PATIENCE)
        self._pool.shutdown()


@pytest.fixture
def away() -> Iterator[Callable[[], None]]:
    """Stops the server; it runs again for whoever comes next, whatever becomes of this test."""
    server = databases.server()
    yield server.stop
    if not server.running:
        server.start()


def readiness(gateway: Gateway) -> tuple[int, str]:
    """The status, and what it says of the ledger, without the number of the waiting records."""
    with http_client(gateway) as client:
        got = client.get("/health/ready")
    says: str = got.json()["checks"]["ledger"]
    return got.status_code, says.partition(";")[0]


def test_a_server_that_goes_away_under_load_is_noticed_by_no_caller(
    config: dict[str, Any], url: str, away: Callable[[], None], start: Start
) -> None:
    gateway = start(config)
    callers = Callers(gateway)
    callers.come_to(40)
    away()
    before = len(callers.answers)
    eventually(lambda: readiness(gateway) == (503, "the database cannot be written"), "it is not ready")
    callers.come_to(before + 100)
    assert gateway.metrics().value("scaigrid_ledger_backlog") > 0
    databases.server().start()
    eventually(lambda: readiness(gateway) == (200, "ok"), "it is ready again")
    callers.come_to(len(callers.answers) + 20)
    callers.stop()
    assert Counter(got.status_code for got in callers.answers) == {200: len(callers.answers)}
    asked = Counter(got.headers["x-request-id"] for got in callers.answers)
    eventually(lambda: kept(url) == asked, "each answer has its row, once")
    events = Counter(line["event"] for line in gateway.lines())
    assert (events["ledger_stalled"], events["ledger_resumed"]) == (1, 1), "one line a change of state"
    assert gateway.stop() == 0


def test_an_unreachable_server_is_told_in_one_line(config: dict[str, Any], tmp_path: Path) -> None:
    with refusing_port() as port:
        url = f"postgresql://ann:hidden-password@{LOOPBACK}:{port}/ledger"
        config["database"] = {"url": url, "encryption_key": "k" * 32}
        with pytest.raises(NotServing) as failed, Gateway(config, tmp_path / "gateway"):
            pass
    assert failed.value.code == 1
    (line,) = failed.value.text.splitlines()
    assert line.startswith(f"scaigrid: the database {LOOPBACK}:{port}/ledger cannot be opened: Connect call failed")
    assert "hidden-password" not in line
