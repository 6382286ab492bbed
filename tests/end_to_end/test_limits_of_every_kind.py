"""Limits on tokens, on requests in a day and at the same time, and those of models: exact, over a real gateway."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import httpx
import pytest

from scaigrid.ids import declared_id
from tests.harness.behaviours import answer, completion, gated, openai_frames, stream
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, http_client, secret
from tests.harness.provider import Gate, Provider

NONE: Final = {"requests_per_minute": None}
BODY: Final = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 50}
SENT: Final = json.dumps(BODY).encode()
WORST: Final = len(SENT) + 1024 + 50
"""Of that body: a token for each byte, what providers add, and the answer."""
USED: Final = 12
"""What the provider says that it was: 9 and 3."""
CALLERS: Final = 100
AT_ONCE: Final = 5

LIMITS: Final[dict[str, dict[str, Any]]] = {
    "crowd": {"concurrent_requests": AT_ONCE},
    "next": {"concurrent_requests": AT_ONCE},
    "words": {"tokens_per_minute": WORST + USED},
    "stream": {"tokens_per_day": WORST + USED},
    "many": {"tokens_per_minute": 10 * WORST},
    "small": {"tokens_per_minute": WORST - 1},
    "day": {"requests_per_day": 3},
    "nothing": {"tokens_per_day": 0},
    "free": {},
    "other": {},
}


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A user and a key for each of `LIMITS`, each model with an endpoint of its own, and an administrator."""
    models: dict[str, Any] = {name: {} for name in (*LIMITS, "m")}
    models |= {"tight": {"requests_per_day": 2}, "wordy": {"tokens_per_day": WORST}}
    keys = {name: {"user": name, "key": secret(name), "limits": {**NONE, **limits}} for name, limits in LIMITS.items()}
    config: dict[str, Any] = {
        "partners": {"default": {"limits": NONE}},
        "tenants": {"default": {"limits": NONE}, "elsewhere": {"limits": NONE}},
        "users": {name: {"limits": NONE} for name in LIMITS} | {"root": {"roles": ["super_admin"], "limits": NONE}},
        "keys": {**keys, "root": {"user": "root", "key": secret("root"), "limits": NONE}},
        "providers": {},
        "backends": {},
        "models": {},
    }
    config["users"]["other"]["tenant"] = "elsewhere"
    for name, limits in models.items():
        endpoint = provider.at(f"/kinds-{name}/v1").always(answer(completion()))
        config["providers"][name] = {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}
        config["backends"][name] = {"provider": name, "model": "upstream"}
        config["models"][name] = {
            "unpriced": "free",
            "max_output_tokens": 1_000,
            "limits": limits,
            "route": {"targets": [{"backend": name}]},
        }
    with Gateway(config, tmp_path_factory.mktemp("kinds")) as running:
        yield running


def ask(gateway: Gateway, caller: str, model: str = "m", *, dialect: str = "native", **more: Any) -> httpx.Response:
    """Each time over a connection of its own."""
    with http_client(gateway, secret(caller)) as client:
        body = json.dumps({**BODY, "model": model, **more}).encode()
        return client.post(CHAT_URL[dialect], content=body, headers={"content-type": "application/json"})


def used(gateway: Gateway, caller: str) -> dict[str, int | None]:
    with http_client(gateway, secret("root")) as client:
        told = client.get(f"/v1/rate-limits/key/{declared_id('apikey', caller)}")
    found: dict[str, int | None] = told.json()["data"]["used"]
    return found


# -- at the same time ------------------------------------------------------------------------------------------------


def test_of_a_hundred_at_once_exactly_five_are_let_in(gateway: Gateway, provider: Provider) -> None:
    gate = Gate()
    endpoint = provider.at("/kinds-crowd/v1").always(gated(gate, answer(completion())))
    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(ask, gateway, "crowd", "crowd") for _ in range(CALLERS)]

        def refused() -> list[Future[httpx.Response]] | None:
            over = [call for call in calls if call.done()]
            return over if len(over) == CALLERS - AT_ONCE else None

        try:
            over = eventually(refused, "all but five are refused")
            assert used(gateway, "crowd")["concurrent_requests"] == AT_ONCE
            assert len(endpoint.requests) == AT_ONCE
        finally:
            gate.open()
        answers = Counter(call.result().status_code for call in calls)
    assert answers == {200: AT_ONCE, 429: CALLERS - AT_ONCE}
    error = over[0].result().json()["error"]
    assert (error["code"], error["level"], error["retry_after"]) == ("RATE_LIMITED", "key", 1)
    assert "at the same time" in error["message"]
    assert len(endpoint.requests) == AT_ONCE


def test_the_next_one_is_let_in_as_soon_as_one_is_over(gateway: Gateway, provider: Provider) -> None:
    gates = [Gate() for _ in range(AT_ONCE)]
    endpoint = provider.at("/kinds-next/v1").then(*(gated(gate, answer(completion())) for gate in gates))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        calls = [pool.submit(ask, gateway, "next", "next") for _ in range(AT_ONCE)]
        try:
            eventually(lambda: len(endpoint.requests) == AT_ONCE, "five are under way")
            assert ask(gateway, "next", "next").status_code == 429
            gates[2].open()
            eventually(lambda: any(call.done() for call in calls), "one is over")
            eventually(lambda: used(gateway, "next")["concurrent_requests"] == AT_ONCE - 1, "there is room")
            assert ask(gateway, "next", "next").status_code == 200
            assert sum(call.done() for call in calls) == 1
        finally:
            for gate in gates:
                gate.open()
        assert {call.result().status_code for call in calls} == {200}
    eventually(lambda: used(gateway, "next")["concurrent_requests"] == 0, "all are over")


# -- tokens ----------------------------------------------------------------------------------------------------------


def test_tokens_are_taken_ahead_and_corrected_to_what_was_used(gateway: Gateway, provider: Provider) -> None:
    gate = Gate()
    provider.at("/kinds-words/v1").then(gated(gate, answer(completion())))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(ask, gateway, "words", "words")
        try:
            assert gate.reached.wait(20)
            # The name of this model has four letters more
            assert used(gateway, "words")["tokens_per_minute"] == WORST + 4
            refused = ask(gateway, "words", "words")
            assert (refused.status_code, refused.json()["error"]["level"]) == (429, "key")
            assert used(gateway, "words")["tokens_per_minute"] == WORST + 4, "a refused call costs nothing"
        finally:
            gate.open()
        assert call.result().status_code == 200
    eventually(lambda: used(gateway, "words")["tokens_per_minute"] == USED, "what was used is what counts")
    assert ask(gateway, "words").status_code == 200
    eventually(lambda: used(gateway, "words")["tokens_per_minute"] == 2 * USED, "and adds up")
    assert ask(gateway, "words").status_code == 429


def test_a_stream_is_corrected_when_it_is_over(gateway: Gateway, provider: Provider) -> None:
    provider.at("/kinds-stream/v1").then(stream(*openai_frames("Hel", "lo")))
    assert ask(gateway, "stream", "stream", dialect="openai", stream=True, max_tokens=9).status_code == 200
    eventually(lambda: used(gateway, "stream")["tokens_per_day"] == USED, "what was used is what counts")


def test_of_many_at_once_no_more_are_under_way_than_the_limit_holds(gateway: Gateway, provider: Provider) -> None:
    gate = Gate()
    endpoint = provider.at("/kinds-many/v1").always(gated(gate, answer(completion())))
    room = 10 * WORST // (WORST + len("many") - 1)
    with ThreadPoolExecutor(40) as pool:
        calls = [pool.submit(ask, gateway, "many", "many") for _ in range(40)]
        try:
            eventually(lambda: sum(call.done() for call in calls) == 40 - room, "the others are refused")
            assert len(endpoint.requests) == room
        finally:
            gate.open()
        assert Counter(call.result().status_code for call in calls) == {200: room, 429: 40 - room}
    eventually(lambda: used(gateway, "many")["tokens_per_minute"] == room * USED, "each is corrected")


def test_a_call_that_can_never_fit_is_told_so(gateway: Gateway) -> None:
    refused = ask(gateway, "small")
    error = refused.json()["error"]
    says = f"The key's limit is {WORST - 1} tokens in 60 s, and this request may use {WORST}: lower max_tokens, or send"
    assert error["message"] == f"{says} less."
    assert (refused.headers["x-should-retry"], "retry-after" in refused.headers) == ("false", False)
    assert ask(gateway, "small", max_tokens=40).status_code == 200


def test_a_limit_of_no_tokens_refuses_calls_and_nothing_else(gateway: Gateway) -> None:
    assert ask(gateway, "nothing").json()["error"]["code"] == "RATE_LIMITED"
    with http_client(gateway, secret("nothing")) as client:
        assert client.get("/v1/models").status_code == 200


# -- days and models -------------------------------------------------------------------------------------------------


def test_a_day_has_a_limit_of_its_own(gateway: Gateway) -> None:
    answers = [ask(gateway, "day") for _ in range(5)]
    assert [got.status_code for got in answers] == [200, 200, 200, 429, 429]
    assert answers[0].headers["x-scaigrid-ratelimit-limit"] == "3"
    assert 86_400 <= int(answers[0].headers["x-scaigrid-ratelimit-reset"]) <= 86_400 * 61 / 60 + 1
    assert answers[3].json()["error"]["retry_after"] == 60


def test_a_models_limit_holds_for_everybody_together_and_is_named(gateway: Gateway) -> None:
    answers = [ask(gateway, caller, "tight") for caller in ("free", "other", "free", "other")]
    assert [got.status_code for got in answers] == [200, 200, 429, 429]
    assert {got.json()["error"]["level"] for got in answers[2:]} == {"model"}
    assert ask(gateway, "free").status_code == 200
    with http_client(gateway, secret("other")) as client:
        told = client.get("/v1/rate-limits/model/tight").json()["data"]
    assert (told["requests_per_day"], told["used"]["requests_per_day"]) == (2, 2)


def test_what_is_left_of_a_models_tokens_is_told_in_every_dialect(gateway: Gateway) -> None:
    native = ask(gateway, "free", "wordy", max_tokens=10)
    left = WORST - (WORST + len("wordy") - len("m") - 40)
    assert native.headers["x-scaigrid-ratelimit-limit-tokens"] == str(WORST)
    assert native.headers["x-scaigrid-ratelimit-remaining-tokens"] == str(left)
    eventually(lambda: _tokens(gateway) == USED, "it is corrected")
    openai = ask(gateway, "free", "wordy", dialect="openai", max_tokens=10)
    assert openai.headers["x-ratelimit-limit-tokens"] == str(WORST)
    assert openai.headers["x-ratelimit-remaining-tokens"] == str(left - USED)
    assert openai.headers["x-ratelimit-reset-tokens"].startswith("24h")
    eventually(lambda: _tokens(gateway) == 2 * USED, "it is corrected")
    with http_client(gateway, secret("free")) as client:
        sent = {**BODY, "model": "wordy", "max_tokens": 1}
        anthropic = client.post("/anthropic/v1/messages", content=json.dumps(sent).encode())
    assert anthropic.headers["anthropic-ratelimit-tokens-limit"] == str(WORST)
    assert anthropic.headers["anthropic-ratelimit-tokens-reset"].endswith("Z")


def _tokens(gateway: Gateway) -> int:
    with http_client(gateway, secret("root")) as client:
        count: int = client.get("/v1/rate-limits/model/wordy").json()["data"]["used"]["tokens_per_day"]
    return count
