"""Request limits: exact, at each level, the tightest one named, and a refused call costs nothing anywhere."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import pytest

from tests.harness.behaviours import answer, completion
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, chat, http_client, secret
from tests.harness.provider import Provider

LEVELS: Final = ("key", "user", "tenant", "partner")
LIMIT: Final = 5
CALLERS: Final = 40
NONE: Final = {"requests_per_minute": None}


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """For each level a partner, tenant, user and key of which that level alone is limited; and three more."""
    endpoint = provider.at("/limits/v1").always(answer(completion()))
    config: dict[str, Any] = {
        "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m"}},
        "models": {"m": {"unpriced": "free", "route": {"targets": [{"backend": "b"}]}}},
        **{section: {} for section in ("partners", "tenants", "users", "keys")},
    }
    for name in (*LEVELS, "exact", "plane", "tight"):
        declare(config, name)
    for level in LEVELS:
        config[f"{level}s"][level]["limits"] = {"requests_per_minute": LIMIT}
    for name in ("exact", "plane", "tight"):
        config["users"][name]["limits"] = {"requests_per_minute": LIMIT}
        config["keys"][name]["limits"] = {"requests_per_minute": LIMIT + 1}
    with Gateway(config, tmp_path_factory.mktemp("limits")) as running:
        yield running


def declare(config: dict[str, Any], name: str) -> None:
    config["partners"][name] = {"limits": NONE}
    config["tenants"][name] = {"partner": name, "limits": NONE}
    config["users"][name] = {"tenant": name, "limits": NONE}
    config["keys"][name] = {"user": name, "key": secret(f"limits-{name}"), "limits": NONE}


def caller(gateway: Gateway, name: str) -> httpx.Client:
    return http_client(gateway, secret(f"limits-{name}"))


def ask(client: httpx.Client, dialect: str = "native") -> httpx.Response:
    return client.post(CHAT_URL[dialect], json=chat("m"))


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_keeps_its_own_limit_and_is_named(gateway: Gateway, level: str) -> None:
    with caller(gateway, level) as client:
        assert [ask(client).status_code for _ in range(LIMIT)] == [200] * LIMIT
        refused = ask(client)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["level"]) == (429, "RATE_LIMITED", level)
    assert 1 <= error["retry_after"] <= 60
    assert gateway.metrics().value("scaigrid_limit_decisions_total", outcome="limit", level=level) == 1


def test_of_many_callers_at_once_exactly_the_limit_is_let_in(gateway: Gateway, provider: Provider) -> None:
    before = len(provider.at("/limits/v1").requests)

    def one(_: int) -> int:
        with caller(gateway, "exact") as client:
            return ask(client).status_code

    with ThreadPoolExecutor(CALLERS) as pool:
        answers = Counter(pool.map(one, range(CALLERS)))
    assert answers == {200: LIMIT, 429: CALLERS - LIMIT}
    assert len(provider.at("/limits/v1").requests) - before == LIMIT


def test_a_refused_call_costs_nothing_at_the_other_levels(gateway: Gateway) -> None:
    """The key has little more room than its user: were it charged for what the user is refused, it would be full."""
    with caller(gateway, "tight") as client:
        answers = [ask(client) for _ in range(LIMIT + 20)]
    assert [got.status_code for got in answers] == [200] * LIMIT + [429] * 20
    assert {got.json()["error"]["level"] for got in answers[LIMIT:]} == {"user"}
    assert {got.headers["x-scaigrid-ratelimit-limit"] for got in answers} == {str(LIMIT)}


def test_the_control_plane_counts_too(gateway: Gateway) -> None:
    with caller(gateway, "plane") as client:
        assert [client.get("/v1/models").status_code for _ in range(LIMIT)] == [200] * LIMIT
        refused = client.get("/v1/models")
        assert (refused.status_code, refused.json()["error"]["level"]) == (429, "user")
        assert ask(client).status_code == 429
        assert client.get("/health").status_code == 200


def test_success_tells_what_is_left_in_both_families(provider: Provider, start: Callable[..., Gateway]) -> None:
    endpoint = provider.at("/limits/v1")
    gateway = start(
        {
            "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
            "backends": {"b": {"provider": "p", "model": "m"}},
            "models": {"m": {"unpriced": "free", "route": {"targets": [{"backend": "b"}]}}},
            "users": {"u": {}},
            "keys": {"k": {"user": "u", "key": secret("k")}},
        }
    )
    with http_client(gateway, secret("k")) as client:
        native, openai = ask(client), ask(client, "openai")
    assert native.headers["x-scaigrid-ratelimit-limit"] == "60"
    assert native.headers["x-scaigrid-ratelimit-remaining"] == "59"
    assert 0 < int(native.headers["x-scaigrid-ratelimit-reset"]) <= 61
    assert "x-ratelimit-limit-requests" not in native.headers
    assert openai.headers["x-ratelimit-limit-requests"] == "60"
    assert openai.headers["x-ratelimit-remaining-requests"] == "58"
    assert openai.headers["x-ratelimit-reset-requests"].endswith("s")
