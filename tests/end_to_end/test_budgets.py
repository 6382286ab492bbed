"""A hard budget is hard: it stops exactly, what it refuses is free, and a restart forgets nothing.

So of every scope; and what a budget does at its limit is what was declared: refuse, tell, or let few pass.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import pytest

from scaigrid.ids import declared_id
from tests.harness.behaviours import Then, answer, completion, openai_frames, stream
from tests.harness.eventually import eventually
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
TOLD: Final[Mapping[str, Mapping[str, Any]]] = {
    "notified": {"request_limit": 2, "hard_action": "notify"},
    "throttled": {"request_limit": 2, "hard_action": "throttle", "throttle_per_minute": 2},
    "warned": {"cost_limit": 30 * COST / NANO, "soft_limit_pct": 0.5},
    "billed": {"cost_limit": 0.01},
}
"""Likewise, of budgets that do more than refuse, or are told more than they allow."""
SCOPES: Final[Mapping[str, str]] = {
    "partner": "reseller",
    "tenant": "bounded",
    "user": "of-user",
    "group": "team",
    "key": "of-key",
    "model": "dear",
}
"""Whom a budget of each scope binds. Its caller is the user `of-` the scope."""
HOMES: Final[Mapping[str, str]] = {"of-partner": "resold", "of-tenant": "bounded"}
"""The tenants of callers who are not in the one that there always is."""
MODEL: Final[Mapping[str, Any]] = {
    "context_window": 4_000,
    "max_output_tokens": 400,
    "prices": {"input": INPUT, "output": OUTPUT},
    "route": {"targets": [{"backend": "b"}]},
}


def config(endpoint: Endpoint) -> dict[str, Any]:
    names = (*PURSES, *TOLD, *(f"of-{scope}" for scope in SCOPES), "in-team", "unbound")
    purses = {**PURSES, **TOLD}
    return {
        "partners": {"default": {"limits": UNLIMITED}, "reseller": {"limits": UNLIMITED}},
        "tenants": {
            "default": {"limits": UNLIMITED},
            "bounded": {"limits": UNLIMITED},
            "resold": {"partner": "reseller", "limits": UNLIMITED},
        },
        "users": {name: {"tenant": HOMES.get(name, "default"), "limits": UNLIMITED} for name in names},
        "groups": {"team": {"users": ["of-group", "in-team"]}},
        "keys": {name: {"user": name, "key": secret(f"purse-{name}"), "limits": UNLIMITED} for name in names},
        "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m", "cost": {"input": 1, "output": 5}}},
        "models": {"m": MODEL, "dear": MODEL},
        "budgets": {
            **{name: {"scope": "user", "of": name, "period": "total", **purse} for name, purse in purses.items()},
            **{
                f"by-{scope}": {"scope": scope, "of": of, "period": "total", "request_limit": 2}
                for scope, of in SCOPES.items()
            },
        },
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


def budget(client: httpx.Client, name: str) -> dict[str, Any]:
    """A budget of the caller, as the API shows it."""
    items = client.get("/v1/accounting/budgets").json()["data"]["items"]
    found: dict[str, Any] = next(item for item in items if item["name"] == name)
    return found


def told(gateway: Gateway, name: str) -> Counter[str]:
    """How often the log tells of each threshold of a budget."""
    return Counter(line["event"] for line in gateway.lines() if line.get("name") == name)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_budget_of_every_scope_stops_and_says_which(gateway: Gateway, endpoint: Endpoint, scope: str) -> None:
    with caller(gateway, f"of-{scope}") as client:
        answers = [ask(client, model="dear" if scope == "model" else "m") for _ in range(3)]
    assert [got.status_code for got in answers] == [200, 200, 429]
    refused = answers[-1].json()["error"]
    assert (refused["code"], refused["level"]) == ("BUDGET_EXCEEDED", scope)
    assert f"'by-{scope}' of the {scope}" in refused["message"]
    assert (answers[-1].headers["x-should-retry"], answers[-1].headers.get("retry-after")) == ("false", None)


def test_all_members_of_a_group_count_against_its_budget(gateway: Gateway, endpoint: Endpoint) -> None:
    """Also after another one has used it up; whoever is not in it goes on."""
    with caller(gateway, "of-group") as one, caller(gateway, "in-team") as another, caller(gateway, "unbound") as other:
        while ask(one).status_code == 200:
            pass
        assert (ask(another).status_code, ask(other).status_code) == (429, 200)


def test_a_budget_that_notifies_lets_everything_pass_and_tells_once(gateway: Gateway, endpoint: Endpoint) -> None:
    with caller(gateway, "notified") as client:
        assert [ask(client).status_code for _ in range(5)] == [200] * 5
        shown = budget(client, "notified")
    assert (shown["state"], shown["usage"]["requests"], shown["hard_action"]) == ("exhausted", 5, "notify")
    once = Counter(budget_soft_limit_reached=1, budget_hard_limit_reached=1)
    eventually(lambda: told(gateway, "notified") == once, "both limits are told, once")


def test_a_budget_that_throttles_lets_few_pass(gateway: Gateway, endpoint: Endpoint) -> None:
    with caller(gateway, "throttled") as client:
        answers = [ask(client) for _ in range(6)]
        shown = budget(client, "throttled")
    assert [got.status_code for got in answers] == [200] * 4 + [429] * 2
    refused = answers[-1].json()["error"]
    assert (refused["code"], refused["level"]) == ("RATE_LIMITED", "user")
    assert "'throttled'" in refused["message"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert (shown["state"], shown["usage"]["requests"]) == ("throttled", 4)


def test_of_thirty_calls_at_once_one_tells_that_the_soft_limit_is_reached(gateway: Gateway, endpoint: Endpoint) -> None:
    def one(_: int) -> int:
        with caller(gateway, "warned") as client:
            return ask(client).status_code

    with ThreadPoolExecutor(30) as pool:
        served = Counter(pool.map(one, range(30)))[200]
    with caller(gateway, "warned") as client:
        while ask(client).status_code == 200:
            served += 1
        shown = budget(client, "warned")
    assert shown["state"] == "soft_limit_reached"
    assert shown["usage"]["reserved"]["cost"] == "0"
    assert served * COST >= 15 * COST
    eventually(lambda: told(gateway, "warned") == Counter(budget_soft_limit_reached=1), "the soft limit is told, once")
    metrics = gateway.metrics()
    assert metrics.value("scaigrid_budget_thresholds_total", budget="warned", threshold="soft") == 1


def test_what_a_provider_bills_beyond_its_bound_counts_and_the_next_call_is_refused(
    gateway: Gateway, endpoint: Endpoint
) -> None:
    endpoint.then(answer(completion(tokens=(100, 10_000))))
    with caller(gateway, "billed") as client:
        assert [ask(client).status_code for _ in range(2)] == [200, 429]
        shown = budget(client, "billed")
    billed = 100 * INPUT * 1000 + 10_000 * OUTPUT * 1000
    assert billed > 10_000_000
    assert (shown["usage"]["cost"], shown["usage"]["remaining"]["cost"]) == ("0.1002", "0")
    assert shown["state"] == "exhausted"
    (row,) = usage(gateway, "billed", 1)
    assert row["cost"] == billed == spent(gateway, "billed")


def test_a_group_s_budget_is_as_hard_after_a_restart(start: Start, endpoint: Endpoint) -> None:
    made = config(endpoint)
    gateway = start(made)
    with caller(gateway, "of-group") as one:
        assert ask(one).status_code == 200
    gateway.kill_group()
    again = start({**made, "server": {"data_dir": str(gateway.data)}}, directory="again")
    with caller(again, "in-team") as another:
        assert [ask(another).status_code for _ in range(2)] == [200, 429]
