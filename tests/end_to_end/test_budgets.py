"""A hard budget is hard: it stops exactly, what it refuses is free, and a restart forgets nothing."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import pytest

from tests.harness.behaviours import Then, answer, completion, openai_frames, stream
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, chat, http_client, secret
from tests.harness.provider import Endpoint, Provider

Start = Callable[..., Gateway]

NANO: Final = 10**9
INPUT, OUTPUT = 2, 10
"""Prices, per million tokens."""
ASKED: Final = 50
"""`max_tokens` of each call."""
TOKENS: Final = (100, 20)
"""What the provider says that each call used."""
COST: Final = TOKENS[0] * INPUT * 1000 + TOKENS[1] * OUTPUT * 1000
"""Of one call, in nano-units."""


@pytest.fixture
def endpoint(provider: Provider, request: pytest.FixtureRequest) -> Endpoint:
    return provider.at(f"/budget-{abs(hash(request.node.nodeid))}/v1").always(answer(completion(tokens=TOKENS)))


def config(endpoint: Endpoint, **budget: Any) -> dict[str, Any]:
    none = {"requests_per_minute": None}
    made: dict[str, Any] = {
        "partners": {"default": {"limits": none}},
        "tenants": {"default": {"limits": none}},
        "users": {"u": {"limits": none}, "other": {"limits": none}},
        "keys": {name: {"user": name, "key": secret(name), "limits": none} for name in ("u", "other")},
        "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m", "cost": {"input": 1, "output": 5}}},
        "models": {
            "m": {
                "context_window": 4_000,
                "max_output_tokens": 400,
                "prices": {"input": INPUT, "output": OUTPUT},
                "route": {"targets": [{"backend": "b"}]},
            }
        },
        "budgets": {"purse": {"scope": "user", "of": "u", "period": "total", **budget}},
    }
    return made


def ask(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post(CHAT_URL["native"], json=chat("m", max_tokens=ASKED, **more))


def worst_input() -> int:
    """Input tokens of one call at the most: a byte each, and what providers add."""
    size = len(httpx.Request("POST", "http://gateway", json=chat("m", max_tokens=ASKED)).content)
    return min(size + 1024, 4_000)


WORST: Final = worst_input() * INPUT * 1000 + ASKED * OUTPUT * 1000 + 3
"""Cost of one call at the most, each of its classes rounded up."""


def test_a_cost_budget_stops_exactly_before_it_could_be_overrun(start: Start, endpoint: Endpoint) -> None:
    """The last call that is let in still had room for its worst case; the first refused one had not."""
    limit = 4_000_000
    gateway = start(config(endpoint, cost_limit=limit / NANO))
    with http_client(gateway, secret("u")) as client:
        answers = [ask(client) for _ in range(12)]
    served = sum(got.status_code == 200 for got in answers)
    assert [got.status_code for got in answers] == [200] * served + [429] * (12 - served)
    assert (served - 1) * COST + WORST <= limit < served * COST + WORST
    refused = answers[-1].json()["error"]
    assert (refused["code"], refused["level"]) == ("BUDGET_EXCEEDED", "user")
    assert "purse" in refused["message"]
    assert len(endpoint.requests) == served
    rows = gateway.usage(served)
    assert sum(row["cost"] for row in rows) == served * COST
    assert gateway.metrics().value("scaigrid_budget_spent", budget="purse", kind="cost") == served * COST


def test_calls_at_the_same_time_do_not_overrun_it_either(start: Start, endpoint: Endpoint) -> None:
    limit = 12_000_000
    gateway = start(config(endpoint, cost_limit=limit / NANO))

    def one(_: int) -> int:
        with http_client(gateway, secret("u")) as client:
            return ask(client).status_code

    with ThreadPoolExecutor(30) as pool:
        answers = Counter(pool.map(one, range(60)))
    assert set(answers) <= {200, 429}
    rows = gateway.usage(answers[200])
    assert sum(row["cost"] for row in rows) == answers[200] * COST <= limit
    assert gateway.metrics().value("scaigrid_budget_spent", budget="purse", kind="cost") == answers[200] * COST


@pytest.mark.parametrize("kind", ["request_limit", "token_limit"])
def test_budgets_of_other_kinds_stop_too(start: Start, endpoint: Endpoint, kind: str) -> None:
    limit = 3 if kind == "request_limit" else 2 * sum(TOKENS) + worst_input() + ASKED
    gateway = start(config(endpoint, **{kind: limit}))
    with http_client(gateway, secret("u")) as client:
        answers = [ask(client).status_code for _ in range(6)]
    assert answers == [200] * 3 + [429] * 3


def test_a_budget_is_nobody_else_s(start: Start, endpoint: Endpoint) -> None:
    gateway = start(config(endpoint, request_limit=0))
    with http_client(gateway, secret("u")) as poor, http_client(gateway, secret("other")) as other:
        assert (ask(poor).status_code, ask(other).status_code) == (429, 200)


def test_a_failed_call_costs_nothing(start: Start, endpoint: Endpoint) -> None:
    gateway = start(config(endpoint, request_limit=1, cost_limit=1))
    endpoint.then(answer({}, status=500))
    with http_client(gateway, secret("u")) as client:
        assert [ask(client).status_code for _ in range(3)] == [502, 200, 429]
    assert [row["cost"] for row in gateway.usage(2)] == [0, COST]


def test_a_refused_call_leaves_no_row_but_its_audit(start: Start, endpoint: Endpoint) -> None:
    gateway = start(config(endpoint, request_limit=0))
    with http_client(gateway, secret("u")) as client:
        refused = ask(client)
    (audited,) = gateway.audit(1)
    assert (audited["status"], audited["error_code"], audited["http_status"]) == ("FAILURE", "BUDGET_EXCEEDED", 429)
    assert audited["request_id"] == refused.headers["x-request-id"]
    assert gateway.stop() == 0
    assert gateway.rows("usage") == []


def test_a_restart_forgets_nothing(start: Start, endpoint: Endpoint) -> None:
    made = config(endpoint, request_limit=5, cost_limit=1)
    gateway = start(made)
    with http_client(gateway, secret("u")) as client:
        assert [ask(client).status_code for _ in range(3)] == [200] * 3
    assert gateway.stop() == 0
    again = start({**made, "server": {"data_dir": str(gateway.data)}}, directory="again")
    assert again.metrics().value("scaigrid_budget_spent", budget="purse", kind="cost") == 3 * COST
    with http_client(again, secret("u")) as client:
        assert [ask(client).status_code for _ in range(4)] == [200, 200, 429, 429]


def test_a_killed_gateway_forgets_nothing_that_it_answered(start: Start, endpoint: Endpoint) -> None:
    made = config(endpoint, request_limit=5)
    gateway = start(made)
    with http_client(gateway, secret("u")) as client:
        assert [ask(client).status_code for _ in range(3)] == [200] * 3
    gateway.kill_group()
    again = start({**made, "server": {"data_dir": str(gateway.data)}}, directory="again")
    with http_client(again, secret("u")) as client:
        assert [ask(client).status_code for _ in range(4)] == [200, 200, 429, 429]


def test_the_bound_is_what_the_provider_is_told(start: Start, endpoint: Endpoint) -> None:
    """The caller's own bound, cut down to the model's; the model's where the caller gave none."""
    gateway = start(config(endpoint, cost_limit=1))
    with http_client(gateway, secret("u")) as client:
        for bound in (50, 4_000, None):
            client.post(CHAT_URL["native"], json=chat("m", max_tokens=bound))
    assert [endpoint.seen().json["max_completion_tokens"] for _ in range(3)] == [50, 400, 400]


def test_what_was_cut_off_counts(start: Start, endpoint: Endpoint) -> None:
    """An answer that broke off in the middle was paid for; what was streamed until then is estimated."""
    gateway = start(config(endpoint, cost_limit=1))
    endpoint.then(stream(*openai_frames("four words of text")[:2], Then.CLOSE))
    with http_client(gateway, secret("u")) as client:
        assert "BACKEND_ERROR" in ask(client, stream=True).text
    (row,) = gateway.usage(1)
    assert row["cost"] == row["tokens_in"] * INPUT * 1000 + row["tokens_out"] * OUTPUT * 1000 > 0
    assert gateway.metrics().value("scaigrid_budget_spent", budget="purse", kind="cost") == row["cost"]
