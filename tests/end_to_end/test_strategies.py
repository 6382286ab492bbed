"""Which backend answers, seen from outside: strategies, conditions, sessions, and a provider that bears one call."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from scaigrid.ids import declared_id
from tests.end_to_end.conftest import sound
from tests.harness.behaviours import (
    OPENAI_DONE,
    answer,
    completion,
    gated,
    openai_chunk,
    openai_error,
    openai_frames,
    stream,
)
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import chat, code_of, http_client, secret
from tests.harness.provider import Endpoint, Gate, Provider

UNLIMITED: dict[str, Any] = {"requests_per_minute": None}
FREE: dict[str, Any] = {"unpriced": "free", "max_output_tokens": 100}
MODELS: dict[str, dict[str, Any]] = {
    "soonest": {"route": {"strategy": "least_latency"}},
    "idlest": {"route": {"strategy": "least_busy"}},
    "cheapest": {"route": {"strategy": "cheapest"}, "a": {"cost": {"input": 5}}, "b": {"cost": {"input": 1}}},
    "kept": {
        "route": {"strategy": "sticky", "sticky_by": "session", "max_attempts": 2},
        "targets": {"a": {}, "b": {}, "c": {}},
    },
    "conditional": {
        "targets": {"a": {"when": {"stream": True, "dialects": ["native"]}}, "b": {"when": {"max_input_tokens": 200}}}
    },
    "able": {"a": {"lacks": ["tools"]}, "targets": {"a": {}, "b": {"priority": 1}}},
    "narrow": {"a": {"concurrency": 1, "queue": 1, "queue_seconds": 20}, "targets": {"a": {}}},
    "beside": {"a": {"concurrency": 1}, "targets": {"a": {}, "b": {"priority": 1}}},
}
"""Each has backends `a` and `b`, of one tier, where nothing else is said. They are no other model's."""


def declared(provider: Provider) -> dict[str, Any]:
    config: dict[str, Any] = {
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {"root": {"roles": ["super_admin"], "limits": UNLIMITED}},
        "keys": {"root": {"user": "root", "key": secret("root"), "limits": UNLIMITED}},
        "providers": {},
        "backends": {},
        "models": {},
    }
    for model, given in MODELS.items():
        targets: dict[str, dict[str, Any]] = given.get("targets", {"a": {}, "b": {}})
        for name in targets:
            backend = f"{model}-{name}"
            url = at(provider, backend).url
            config["providers"][backend] = {"type": "openai", "base_url": url, "api_key": "pk"}
            config["backends"][backend] = {"provider": backend, "model": "m", **given.get(name, {})}
        route = {"targets": [{"backend": f"{model}-{name}", **more} for name, more in targets.items()]}
        config["models"][model] = {**FREE, "route": {**route, **given.get("route", {})}}
    return config


def at(provider: Provider, backend: str) -> Endpoint:
    return provider.at(f"/strategies-{backend}/v1")


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with sound(Gateway(declared(provider), tmp_path_factory.mktemp("gateway"))) as running:
        yield running


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with http_client(gateway, secret("root")) as made:
        yield made


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def asks(
    client: httpx.Client, model: str, *, at_: str = "/oai/v1/chat/completions", session: str | None = None, **more: Any
) -> httpx.Response:
    headers = {} if session is None else {"X-ScaiGrid-Session": session}
    return client.post(at_, json=chat(model, **more), headers=headers)


def served(answered: httpx.Response) -> str:
    """The last letter of the backend's name."""
    assert answered.status_code == 200, answered.text
    return answered.headers["x-scaigrid-backend"][-1]


def health(client: httpx.Client, backend: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/backends/{declared_id('be', backend)}/health").json()["data"]
    return found


def waits(client: httpx.Client, backend: str, count: int) -> None:
    eventually(lambda: health(client, backend)["waiting_requests"] == count, f"{count} calls wait for {backend}")


def test_the_cheapest_backend_answers(client: httpx.Client, provider: Provider) -> None:
    for name in "ab":
        at(provider, f"cheapest-{name}").always(answer(completion("Hi.")))
    assert {served(asks(client, "cheapest")) for _ in range(10)} == {"b"}


def test_while_one_backend_is_busy_the_other_answers(
    client: httpx.Client, provider: Provider, pool: ThreadPoolExecutor
) -> None:
    gate = Gate()
    for name in "ab":
        at(provider, f"idlest-{name}").then(gated(gate, answer(completion("Hi.")))).always(answer(completion("Hi.")))
    first = pool.submit(asks, client, "idlest")
    assert gate.reached.wait(20)
    gate.reached.clear()
    second = pool.submit(asks, client, "idlest")
    assert gate.reached.wait(20)
    gate.open()
    assert {served(first.result()), served(second.result())} == {"a", "b"}


def test_the_backend_whose_first_token_comes_sooner_answers(
    client: httpx.Client, provider: Provider, pool: ThreadPoolExecutor
) -> None:
    gate = Gate()
    frames = openai_frames("Hi.")
    for name in "ab":
        at(provider, f"soonest-{name}").then(stream(gate, *frames)).always(stream(*frames))
    slow = pool.submit(asks, client, "soonest", stream=True)
    assert gate.reached.wait(20)
    # Nobody has asked the other one yet, so the next call goes there; it does not keep that one waiting.
    for name in "ab":
        if at(provider, f"soonest-{name}").unused:
            at(provider, f"soonest-{name}").take()
    others = {served(asks(client, "soonest", stream=True)) for _ in range(5)}
    gate.open()
    slow_one = served(slow.result())
    (fast_one,) = others
    assert fast_one != slow_one
    took = eventually(lambda: health(client, f"soonest-{slow_one}")["first_token_ms"], "the slow one is measured")
    assert took > health(client, f"soonest-{fast_one}")["first_token_ms"]
    assert {served(asks(client, "soonest", stream=True)) for _ in range(5)} == {fast_one}


def test_a_session_stays_with_its_backend_and_only_those_of_one_that_fails_move(
    client: httpx.Client, provider: Provider
) -> None:
    for name in "abc":
        at(provider, f"kept-{name}").always(answer(completion("Hi.")))
    sessions = [f"session-{number}" for number in range(24)]
    homes = {session: served(asks(client, "kept", session=session)) for session in sessions}
    assert set(homes.values()) == set("abc")
    for session in sessions:
        native = asks(client, "kept", at_="/v1/inference/chat", session=session)
        assert served(native) == homes[session]
    at(provider, "kept-a").always(answer(openai_error("Broken."), status=500))
    homeless = {session for session in sessions if homes[session] == "a"}
    for _ in range(2):
        now = {session: served(asks(client, "kept", session=session)) for session in sessions}
        assert {session for session in sessions if now[session] != homes[session]} == homeless
        assert set(now.values()) == set("bc")


def test_targets_are_for_the_requests_that_they_are_for(client: httpx.Client, provider: Provider) -> None:
    frames = [*openai_frames("Hi.")[:-1], OPENAI_DONE]
    at(provider, "conditional-a").always(stream(openai_chunk({"content": ""}), *frames))
    at(provider, "conditional-b").always(answer(completion("Hi.")))
    assert served(asks(client, "conditional")) == "b"
    long = "x" * 4_000
    assert served(asks(client, "conditional", at_="/v1/inference/chat", stream=True, text=long)) == "a"
    refused = asks(client, "conditional", text=long)
    assert (refused.status_code, code_of(refused.json())) == (503, "MODEL_UNAVAILABLE")
    assert refused.json()["error"]["message"] == "No target of the model's route is for such a request."


def test_a_backend_that_lacks_what_a_request_uses_is_not_asked(client: httpx.Client, provider: Provider) -> None:
    for name in "ab":
        at(provider, f"able-{name}").always(answer(completion("Hi.")))
    assert served(asks(client, "able")) == "a"
    tools = [{"type": "function", "function": {"name": "f"}}]
    with_tools = asks(client, "able", tools=tools)
    assert (served(with_tools), with_tools.headers["x-scaigrid-attempts"]) == ("b", "1")


def test_a_backend_that_bears_one_call_gets_one_at_a_time_and_a_third_is_turned_away_at_once(
    client: httpx.Client, gateway: Gateway, provider: Provider, pool: ThreadPoolExecutor
) -> None:
    first, second = Gate(), Gate()
    narrow = at(provider, "narrow-a")
    narrow.then(gated(first, answer(completion("One."))), gated(second, answer(completion("Two."))))
    calls: list[Future[httpx.Response]] = [pool.submit(asks, client, "narrow")]
    assert first.reached.wait(20)
    calls.append(pool.submit(asks, client, "narrow"))
    waits(client, "narrow-a", 1)
    refused = asks(client, "narrow")
    assert (refused.status_code, code_of(refused.json())) == (503, "OVERLOADED")
    assert refused.headers["retry-after"] == "1"
    assert len(narrow.requests) == 1
    assert gateway.metrics().value("scaigrid_backend_turned_away_total", why="full") == 1
    first.open()
    assert second.reached.wait(20)
    waits(client, "narrow-a", 0)
    second.open()
    said = [call.result().json()["choices"][0]["message"]["content"] for call in calls]
    assert said == ["One.", "Two."]
    # Nothing was sent for the one that was turned away, so nothing is told against the backend.
    assert (health(client, "narrow-a")["status"], len(narrow.requests)) == ("healthy", 2)


def test_what_one_backend_has_no_room_for_the_next_one_answers(
    client: httpx.Client, provider: Provider, pool: ThreadPoolExecutor
) -> None:
    gate = Gate()
    at(provider, "beside-a").then(gated(gate, answer(completion("Hi."))))
    at(provider, "beside-b").always(answer(completion("Hi.")))
    first = pool.submit(asks, client, "beside")
    assert gate.reached.wait(20)
    assert served(asks(client, "beside")) == "b"
    gate.open()
    assert served(first.result()) == "a"
