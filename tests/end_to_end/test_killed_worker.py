"""A worker is killed (SIGKILL) among others: what it had open is marked by whoever follows it, with nobody's help."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from scaigrid.client_watch import WATCH_AFTER
from scaigrid.ledger.frames import read
from scaigrid.ledger.records import Begun
from tests.harness.behaviours import Then, answer, completion, openai_frames, silence, stream
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, UNLIMITED, chat, http_client, secret
from tests.harness.provider import Endpoint, Provider
from tests.harness.valkey import Valkey

USED = (9, 3)
COST = 9 * 3_000 + 3 * 15_000


def config(endpoint: Endpoint, store: Valkey, workers: int) -> dict[str, Any]:
    return {
        "server": {"workers": workers},
        "store": {"type": "valkey", "url": store.url, "timeout_seconds": 2},
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {"ann": {"limits": UNLIMITED}},
        "keys": {"ann": {"user": "ann", "key": secret("ann"), "limits": UNLIMITED}},
        "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m", "cost": {"input": 1, "output": 5}}},
        "models": {
            "m": {
                "context_window": 4_000,
                "max_output_tokens": 50,
                "prices": {"input": 3, "output": 15},
                "route": {"targets": [{"backend": "b"}]},
            }
        },
        "budgets": {"ann": {"scope": "user", "of": "ann", "period": "total", "cost_limit": 10}},
    }


@pytest.fixture
def store() -> Iterator[Valkey]:
    with Valkey() as running:
        yield running


def begun(gateway: Gateway) -> dict[str, Path]:
    """By request id, which journal tells that a call is under way."""
    found: dict[str, Path] = {}
    for path in (gateway.data / "journal").glob("*.jnl"):
        for record in read(path, 0, 1_000).records:
            if isinstance(record, Begun):
                found[record.row.request_id] = path
    return found


def asked(gateway: Gateway, request_id: str, *, streamed: bool) -> Thread:
    """A call that nobody will answer, from a thread that lives until its worker dies."""

    def ask() -> None:
        headers = {"x-request-id": request_id}
        with http_client(gateway, secret("ann")) as client:
            try:
                client.post(CHAT_URL["openai"], json=chat("m", stream=streamed), headers=headers)
            except httpx.HTTPError:
                return

    thread = Thread(target=ask, daemon=True)
    thread.start()
    return thread


def test_what_a_killed_worker_had_open_is_marked_without_a_restart_of_the_gateway(
    start: Callable[..., Gateway], provider: Provider, store: Valkey
) -> None:
    endpoint = provider.at("/killed/v1")
    gateway = start(config(endpoint, store, workers=2))
    pids = gateway.workers(2)
    endpoint.then(silence, stream(*openai_frames("It ")[:2], Then.STALL))
    for number, streamed in enumerate((False, True)):
        asked(gateway, f"still-open-{number}", streamed=streamed)
    eventually(lambda: len(begun(gateway)) == 2, f"both calls last for {WATCH_AFTER} s and are noted")
    endpoint.always(answer(completion(tokens=USED)))
    with http_client(gateway, secret("ann")) as client:
        assert client.post(CHAT_URL["openai"], json=chat("m")).status_code == 200
    assert len(gateway.usage(1)) == 1, "a call under way has no row"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    rows = gateway.usage(2, outcome="interrupted")
    assert sorted(row["request_id"] for row in rows) == ["still-open-0", "still-open-1"]
    assert {(row["serving"], row["cost"], row["tokens_out"], row["usage_source"]) for row in rows} == {
        (0, 0, 0, "estimated")
    }
    assert all(row["backend_cost"] == row["tokens_in"] * 1_000 > 0 for row in rows)
    gateway.workers(2)
    eventually(lambda: not begun(gateway), "what was left is taken, and its journals are gone")
    with http_client(gateway, secret("ann")) as client:
        assert client.post(CHAT_URL["openai"], json=chat("m")).status_code == 200
    assert len(gateway.usage(4)) == 4
    assert sum(row["cost"] for row in gateway.rows("usage")) == 2 * COST


def test_the_store_has_what_the_ledger_has_though_a_worker_dies_with_its_settling_unheard(
    start: Callable[..., Gateway], provider: Provider, store: Valkey
) -> None:
    """The store is paused while the call ends, so no settling is heard, and the worker is killed before it goes on.

    What lay in the store's buffer it hears after all, and once more from the worker that follows: it counts once.
    """
    endpoint = provider.at("/unsettled/v1")
    gateway = start(config(endpoint, store, workers=1))
    endpoint.always(answer(completion(tokens=USED)))
    with http_client(gateway, secret("ann")) as client:
        assert client.post(CHAT_URL["openai"], json=chat("m")).status_code == 200
        eventually(lambda: spent(store) == (COST, 0), "the first call is settled")

        async def paused(conversation: Any) -> None:
            store.pause()
            await answer(completion(tokens=USED))(conversation)

        endpoint.then(paused)
        assert client.post(CHAT_URL["openai"], json=chat("m")).status_code == 200
    gateway.kill_worker()
    store.go_on()
    rows = gateway.usage(2)
    assert sum(row["cost"] for row in rows) == 2 * COST
    eventually(lambda: spent(store) == (2 * COST, 0), "the store has what the ledger has, and nothing is reserved")


def spent(store: Valkey) -> tuple[int, int]:
    """What the store holds of the only budget: spent, and reserved."""
    (key,) = [key for key in store.keys("*b:*") if "cost" in key]
    return int(store.command("HGET", key, "s")), int(store.command("HGET", key, "r"))
