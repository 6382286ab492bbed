"""The gateway on PostgreSQL through a real pooler of transactions: no two of them need be in one session of the server.

Left out where no PgBouncer is installed; CI installs one.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import databases
from tests.harness.behaviours import answer, completion
from tests.harness.databases import execute
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, UNLIMITED, chat, http_client, secret
from tests.harness.pooler import PROGRAM, SESSIONS, Pooler
from tests.harness.provider import Provider
from tests.harness.valkey import shared

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no pgbouncer")

CALLS = 60


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """Empty: the gateway makes its tables through the pooler, too."""
    made = databases.empty("postgres", tmp_path)
    yield made
    databases.drop(made)


@pytest.fixture
def pooler() -> Iterator[Pooler]:
    with Pooler(databases.server()) as running:
        yield running


def config(provider: Provider, url: str) -> dict[str, Any]:
    endpoint = provider.at("/pooler/v1").always(answer(completion()))
    return {
        "server": {"workers": 2},
        "database": {"url": url, "encryption_key": "k" * 32},
        "store": {"type": "valkey", "url": shared().url, "prefix": "pooler", "timeout_seconds": 2},
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {"root": {"roles": ["super_admin"], "limits": UNLIMITED}},
        "keys": {"root": {"user": "root", "key": secret("root"), "limits": UNLIMITED}},
        "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m"}},
        "models": {"m": {"unpriced": "free", "route": {"targets": [{"backend": "b"}]}}},
        "budgets": {"all": {"scope": "user", "of": "root", "period": "total", "request_limit": 10 * CALLS}},
    }


def test_two_gateways_with_more_connections_than_the_server_has_sessions_keep_all_they_should(
    provider: Provider, database: str, pooler: Pooler, tmp_path: Path
) -> None:
    """Tables, ledger, control plane, the look for changes, the rebuilding of budgets: four workers, three sessions."""
    told = config(provider, pooler.url(database))
    with Gateway(told, tmp_path / "one") as one, Gateway(told, tmp_path / "two") as two:
        with http_client(one, secret("root")) as admin:
            made = admin.post("/v1/api-keys", json={"name": "mine", "limits": UNLIMITED}).json()["data"]
        eventually(lambda: _ask(two, made["key"]).status_code == 200, "the other gateway has seen the change")
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(_ask, (one, two)[number % 2], secret("root")) for number in range(CALLS)]
            answers = [each.result() for each in asked]
        assert [got.status_code for got in answers] == [200] * CALLS
        ids = Counter(got.headers["x-request-id"] for got in answers)
        eventually(lambda: ids <= _kept(database), "each call has its row")
        assert max(_kept(database).values()) == 1, "and one"
        with http_client(one, secret("root")) as admin:
            assert admin.get("/v1/accounting/usage/summary?group_by=model").status_code == 200
            assert admin.post(f"/v1/api-keys/{made['id']}/revoke").status_code == 200
        eventually(lambda: _ask(two, made["key"]).status_code == 401, "the other gateway has heard of it")
        assert (one.stop(), two.stop()) == (0, 0)
        for gateway in (one, two):
            assert [line for line in gateway.lines() if line["level"] in ("warning", "error")] == []
    sessions = execute(database, "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'scaigrid'")
    assert sessions[0]["n"] <= SESSIONS


def _ask(gateway: Gateway, key: str) -> httpx.Response:
    with http_client(gateway, key) as client:
        return client.post(CHAT_URL["openai"], json=chat("m"))


def _kept(database: str) -> Counter[str]:
    return Counter(row["request_id"] for row in execute(database, "SELECT request_id FROM usage"))
