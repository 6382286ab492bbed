"""A hard budget is hard: it stops exactly, what it refuses is free, and a restart forgets nothing."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import pytest

from scaigrid.ids import declared_id
from tests.harness.behaviours import Then, answer, completion, openai_frames, stream
from tests.harness.gateway import Gateway, Row
from tests.harness.lanes import CHAT_URL, UNLIMITED, chat, http_client, secret
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
BODY: Final = chat("m", max_tokens=ASKED)
WORST_INPUT: Final = min(len(httpx.Request("POST", "http://gateway", json=BODY).content) + 1024, 4_000)
"""Input tokens of one call at the most: one for each byte, and what providers add."""
WORST: Final = WORST_INPUT * INPUT * 1000 + ASKED * OUTPUT * 1000 + 3
"""Cost of one call at the most, each of its classes rounded up."""

PURSES: Final[Mapping[str, Mapping[str, Any]]] = {
    "cost": {"cost_limit": 4_000_000 / NANO},
    "rush": {"cost_limit": 12_000_000 / NANO},
    "requests": {"request_limit": 3},
    "tokens": {"token_limit": 2 * sum(TOKENS) + WORST_INPUT + ASKED},
    "nothing": {"request_limit": 0},
    "once": {"request_limit": 1, "cost_limit": 1},
    "bounded": {"cost_limit": 1},
    "cut": {"cost_limit": 1},
    "kept": {"request_limit": 5, "cost_limit": 1},
}
"""Budgets by the name of the one user whom each binds."""


def config(endpoint: Endpoint) -> dict[str, Any]:
    names = (*PURSES, "unbound")
    return {
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {name: {"limits": UNLIMITED} for name in names},
        "keys": {name: {"user": name, "key": secret(f"purse-{name}"), "limits": UNLIMITED} for name in names},
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
        "budgets": {name: {"scope": "user", "of": name, "period": "total", **purse} for name, purse in PURSES.items()},
    }


@pytest.fixture
def endpoint(provider: Provider) -> Endpoint:
    """The provider of all of them; nothing stays planned from one test to the next."""
    return provider.at("/budgets/v1").always(answer(completion(tokens=TOKENS)))


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(config(provider.at("/budgets/v1")), tmp_path_factory.mktemp("budgets")) as running:
        yield running


def caller(gateway: Gateway, name: str) -> httpx.Client:
    return http_client(gateway, secret(f"purse-{name}"))


def ask(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post(CHAT_URL["native"], json={**BODY, **more})


def usage(gateway: Gateway, name: str, count: int) -> list[Row]:
    return gateway.usage(count, user_id=declared_id("user", name))


def spent(gateway: Gateway, name: str) -> float:
    return gateway.metrics().value("scaigrid_budget_spent", budget=name, kind="cost")


def test_a_cost_budget_stops_exactly_before_it_could_be_overrun(gateway: Gateway, endpoint: Endpoint) -> None:
    """The last call that is let in still had room for its worst case; the first refused one had not."""
    limit = 4_000_000
    before = len(endpoint.requests)
    with caller(gateway, "cost") as client:
        answers = [ask(client) for _ in range(12)]
    served = sum(got.status_code == 200 for got in answers)
    assert [got.status_code for got in answers] == [200] * served + [429] * (12 - served)
    assert (served - 1) * COST + WORST <= limit < served * COST + WORST
    refused = answers[-1].json()["error"]
    assert (refused["code"], refused["level"]) == ("BUDGET_EXCEEDED", "user")
    assert "'cost'" in refused["message"]
    assert len(endpoint.requests) - before == served
    assert sum(row["cost"] for row in usage(gateway, "cost", served)) == served * COST == spent(gateway, "cost")


def test_calls_at_the_same_time_do_not_overrun_it_either(gateway: Gateway, endpoint: Endpoint) -> None:
    def one(_: int) -> int:
        with caller(gateway, "rush") as client:
            return ask(client).status_code

    with ThreadPoolExecutor(30) as pool:
        answers = Counter(pool.map(one, range(60)))
    assert set(answers) == {200, 429}
    rows = usage(gateway, "rush", answers[200])
    assert sum(row["cost"] for row in rows) == answers[200] * COST == spent(gateway, "rush") <= 12_000_000


@pytest.mark.parametrize("kind", ["requests", "tokens"])
def test_budgets_of_other_kinds_stop_too(gateway: Gateway, endpoint: Endpoint, kind: str) -> None:
    with caller(gateway, kind) as client:
        assert [ask(client).status_code for _ in range(6)] == [200] * 3 + [429] * 3


def test_a_budget_is_nobody_else_s(gateway: Gateway, endpoint: Endpoint) -> None:
    with caller(gateway, "nothing") as poor, caller(gateway, "unbound") as other:
        assert (ask(poor).status_code, ask(other).status_code) == (429, 200)


def test_a_refused_call_leaves_no_row_but_its_audit(gateway: Gateway, endpoint: Endpoint) -> None:
    with caller(gateway, "nothing") as client:
        refused = ask(client)
    request_id = refused.headers["x-request-id"]
    (audited,) = gateway.audit(1, request_id=request_id)
    assert (audited["status"], audited["error_code"], audited["http_status"]) == ("FAILURE", "BUDGET_EXCEEDED", 429)
    # Both come by the same journal, in order
    assert gateway.rows("usage", request_id=request_id) == []


def test_a_failed_call_costs_nothing(gateway: Gateway, endpoint: Endpoint) -> None:
    endpoint.then(answer({}, status=500))
    with caller(gateway, "once") as client:
        assert [ask(client).status_code for _ in range(3)] == [502, 200, 429]
    assert [row["cost"] for row in usage(gateway, "once", 2)] == [0, COST]


def test_the_bound_is_what_the_provider_is_told(gateway: Gateway, endpoint: Endpoint) -> None:
    """The caller's own bound, cut down to the model's; the model's where the caller gave none."""
    before = len(endpoint.requests)
    with caller(gateway, "bounded") as client:
        for bound in (50, 4_000, None):
            ask(client, max_tokens=bound)
    assert [seen.json["max_completion_tokens"] for seen in endpoint.requests[before:]] == [50, 400, 400]


def test_what_was_cut_off_counts(gateway: Gateway, endpoint: Endpoint) -> None:
    """An answer that broke off in the middle was paid for; what was streamed until then is estimated."""
    endpoint.then(stream(*openai_frames("four words of text")[:2], Then.CLOSE))
    with caller(gateway, "cut") as client:
        assert "BACKEND_ERROR" in ask(client, stream=True).text
    (row,) = usage(gateway, "cut", 1)
    assert row["cost"] == row["tokens_in"] * INPUT * 1000 + row["tokens_out"] * OUTPUT * 1000 > 0
    assert spent(gateway, "cut") == row["cost"]


@pytest.mark.parametrize("end", ["stop", "kill_group"])
def test_a_gateway_that_starts_again_has_forgotten_nothing(start: Start, endpoint: Endpoint, end: str) -> None:
    made = config(endpoint)
    gateway = start(made)
    with caller(gateway, "kept") as client:
        assert [ask(client).status_code for _ in range(3)] == [200] * 3
    getattr(gateway, end)()
    again = start({**made, "server": {"data_dir": str(gateway.data)}}, directory="again")
    assert spent(again, "kept") == 3 * COST
    with caller(again, "kept") as client:
        assert [ask(client).status_code for _ in range(4)] == [200, 200, 429, 429]
