"""A real gateway while its Valkey is away: it does what its limits and budgets say, and every call counts once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.harness.behaviours import answer, completion
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, UNLIMITED, chat, http_client, secret
from tests.harness.provider import Endpoint, Provider
from tests.harness.valkey import Valkey

COST: Final = 100 * 2_000 + 20 * 10_000
"""Of one call, in nano-units."""
ALLOWED: Final[dict[str, str]] = {"free": "allow", "bounded": "allow_bounded", "hard": "deny"}
"""What each user's budget and limit say."""


def config(endpoint: Endpoint, store: Valkey) -> dict[str, Any]:
    return {
        "store": {"type": "valkey", "url": store.url, "timeout_seconds": 1, "local_share": 0.25},
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {
            name: {"limits": {"requests_per_minute": 40, "on_store_failure": on}} for name, on in ALLOWED.items()
        },
        "keys": {name: {"user": name, "key": secret(name), "limits": UNLIMITED} for name in ALLOWED},
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
        "budgets": {
            name: {"scope": "user", "of": name, "period": "total", "cost_limit": 1, "on_store_failure": on}
            for name, on in ALLOWED.items()
        },
    }


@pytest.fixture
def store() -> Iterator[Valkey]:
    with Valkey() as running:
        yield running


@pytest.fixture
def gateway(provider: Provider, store: Valkey, tmp_path: Path) -> Iterator[Gateway]:
    endpoint = provider.at("/away/v1").always(answer(completion(tokens=(100, 20))))
    with Gateway(config(endpoint, store), tmp_path / "gateway") as running:
        yield running


def ask(gateway: Gateway, name: str) -> httpx.Response:
    with http_client(gateway, secret(name)) as client:
        return client.post(CHAT_URL["native"], json=chat("m"))


def counted(gateway: Gateway, name: str) -> float:
    return gateway.metrics().value("scaigrid_budget_spent", budget=name, kind="cost")


@pytest.mark.parametrize("how", ["paused", "restarted"])
def test_each_call_is_answered_as_its_budgets_and_limits_say_and_counts_once(
    gateway: Gateway, store: Valkey, how: str
) -> None:
    """Where the server was paused it has its counters and is told; where it was restarted the ledger has them."""
    for name in ALLOWED:
        assert ask(gateway, name).status_code == 200
    eventually(lambda: counted(gateway, "free") == COST, "the counters have what was spent")
    if how == "paused":
        store.pause()
    else:
        store.kill()
    refused = ask(gateway, "hard")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "STORE_UNAVAILABLE")
    assert refused.headers["retry-after"] == "1"
    assert [ask(gateway, "free").status_code for _ in range(20)] == [200] * 20
    # A quarter of 40 in a minute
    assert [ask(gateway, "bounded").status_code for _ in range(15)] == [200] * 10 + [429] * 5
    with http_client(gateway) as client:
        assert client.get("/health/ready").status_code == 200
    if how == "paused":
        store.go_on()
    else:
        store.start()
    eventually(lambda: ask(gateway, "hard").status_code == 200, "the store is back")
    # While it comes back, calls are let through or counted
    assert [ask(gateway, "free").status_code for _ in range(9)] == [200] * 9
    spent = {"free": 30 * COST, "bounded": 11 * COST, "hard": 2 * COST}
    eventually(lambda: {name: counted(gateway, name) for name in spent} == spent, "the counters are right")
    gateway.usage(sum(spent.values()) // COST, serving=1)
    told = gateway.metrics()
    assert told.value("scaigrid_store_fallback_total", action="allow") >= 20
    assert told.value("scaigrid_store_fallback_total", action="allow_bounded") == 10
    assert told.value("scaigrid_store_fallback_total", action="exhausted") == 5
    assert told.value("scaigrid_store_fallback_total", action="deny") >= 1
    events = [line["event"] for line in gateway.lines()]
    assert events.count("calls_let_through_without_the_store") == events.count("calls_counted_again") == 1
