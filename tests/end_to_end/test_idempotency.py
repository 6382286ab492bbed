"""A call with an `Idempotency-Key` is made once, and its answer given to whoever repeats it: by unpatched clients."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol

import anthropic
import httpx
import openai
import pytest

from scaigrid.api.examples import asked
from scaigrid.dialects import DIALECTS
from scaigrid.types import FREE, Operation
from tests.harness import databases
from tests.harness.behaviours import (
    Then,
    answer,
    anthropic_frames,
    anthropic_message,
    completion,
    gated,
    openai_error,
    openai_frames,
    stream,
)
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, UNLIMITED, Lane, chat, http_client, secret
from tests.harness.provider import Endpoint, Gate, Provider
from tests.harness.valkey import Valkey

Start = Callable[..., Gateway]

KEY: Final = {"Idempotency-Key": "order-66"}
OWN: Final = {"x-request-id", "request-id", "date", "idempotent-replayed", "x-scaigrid-original-request-id"}
"""What a replay has for itself."""
FIRST_ONLY: Final = ("ratelimit", "overhead")
"""Parts of the names of headers that speak of the making of an answer."""
PAID: Final = [(path, what) for dialect in DIALECTS for path, what in dialect.operations.items() if what not in FREE]


class Response(Protocol):
    """Of any client: not every SDK has its answers from the same library."""

    @property
    def status_code(self) -> int: ...
    @property
    def content(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


def replayed(again: Response, first: Response) -> None:
    """Byte for byte, with an id of its own and that of the first."""
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["x-scaigrid-original-request-id"] == first.headers["x-request-id"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert told(again) == told(first)


def told(response: Response) -> dict[str, str]:
    """The headers that a replay has in common with the first answer."""
    own = {name: value for name, value in response.headers.items() if name not in OWN}
    own.pop("transfer-encoding", None)
    return {name: value for name, value in own.items() if not any(part in name for part in FIRST_ONLY)}


# -- the SDKs --------------------------------------------------------------------------------------------------------


def test_openais_client_gets_the_same_answer_again(lane: Lane) -> None:
    lane.openai.then(answer(completion("Once.")))
    client = lane.sdk()
    made = [
        client.chat.completions.with_raw_response.create(
            model=lane.model("openai"), messages=[{"role": "user", "content": "Hi"}], extra_headers=KEY
        )
        for _ in range(3)
    ]
    first, *others = [one.http_response for one in made]
    for other in others:
        replayed(other, first)
    assert {one.parse().choices[0].message.content for one in made} == {"Once."}
    assert len(lane.openai.requests) == 1
    (row,) = lane.usage(1)
    assert row["request_id"] == first.headers["x-request-id"]
    assert len(lane.audit(3, action="inference.chat")) == 3
    line = lane.gateway.line(others[0].headers["x-request-id"])
    assert line["repeats"] == first.headers["x-request-id"]
    assert not {"cost", "tokens_in", "tokens_out", "attempts", "code"} & line.keys()


def test_openais_client_gets_the_same_stream_again(lane: Lane) -> None:
    lane.openai.then(stream(*openai_frames("On", "ce.")))
    client = lane.sdk()
    texts: list[str] = []
    for _ in range(2):
        chunks = client.chat.completions.create(
            model=lane.model("openai"),
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            extra_headers=KEY,
        )
        texts.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
    assert texts == ["Once."] * 2
    lane.usage(1)
    assert len(lane.openai.requests) == 1


@pytest.mark.parametrize("model", ["openai", "anthropic"])
def test_anthropics_client_gets_the_same_answer_again(lane: Lane, model: str) -> None:
    endpoint = lane.openai if model == "openai" else lane.anthropic
    endpoint.then(answer(completion("Once.") if model == "openai" else anthropic_message("Once.")))
    client = lane.anthropic_sdk()
    made = [
        client.messages.with_raw_response.create(
            model=lane.model(model),
            messages=[{"role": "user", "content": "Hi"}],
            max_tokens=10,
            extra_headers=KEY,
        )
        for _ in range(2)
    ]
    replayed(made[1].http_response, made[0].http_response)
    assert [part.text for one in made for part in one.parse().content if part.type == "text"] == ["Once."] * 2
    assert len(endpoint.requests) == 1


def test_anthropics_client_gets_the_same_stream_again(lane: Lane) -> None:
    lane.anthropic.then(stream(*anthropic_frames("On", "ce.")))
    client = lane.anthropic_sdk()
    texts: list[str] = []
    for _ in range(2):
        with client.messages.stream(
            model=lane.model("anthropic"),
            messages=[{"role": "user", "content": "Hi"}],
            max_tokens=10,
            extra_headers=KEY,
        ) as events:
            texts.append(events.get_final_text())
    assert texts == ["Once."] * 2
    assert len(lane.anthropic.requests) == 1


def test_headers_that_change_the_answer_belong_to_the_request(lane: Lane) -> None:
    lane.anthropic.then(answer(anthropic_message("Once.")))
    client = lane.anthropic_sdk()

    def ask(beta: str) -> None:
        client.messages.create(
            model=lane.model("anthropic"),
            messages=[{"role": "user", "content": "Hi"}],
            max_tokens=10,
            extra_headers={**KEY, "anthropic-beta": beta},
        )

    ask("one-2025-01-01")
    with pytest.raises(anthropic.UnprocessableEntityError):
        ask("another-2025-01-01")


# -- every surface ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "operation"), PAID, ids=[path for path, _ in PAID])
def test_every_paid_operation_is_made_once(simulated: Gateway, path: str, operation: Operation) -> None:
    body = {**asked(path, operation), "model": operation}
    with http_client(simulated, secret("ann")) as client:
        first, again = (client.post(path, json=body, headers={"Idempotency-Key": path}) for _ in range(2))
        assert first.status_code == 200, first.text
        replayed(again, first)
        simulated.usage(1, request_id=first.headers["x-request-id"])
        assert simulated.rows("usage", request_id=again.headers["x-request-id"]) == []


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Every modality, by the simulator: its models are called as the operation that they serve."""

    def model(modality: str) -> dict[str, Any]:
        return {"unpriced": "free", "modality": modality, "route": {"targets": [{"backend": "b"}]}}

    modalities = {"chat": "chat", "embed": "embedding", "rerank": "rerank"}
    config = {
        **people(),
        "providers": {"p": {"type": "simulator"}},
        "backends": {"b": {"provider": "p", "model": "echo"}},
        "models": {name: model(modality) for name, modality in modalities.items()},
    }
    with Gateway(config, tmp_path_factory.mktemp("simulated")) as running:
        yield running


# -- what is kept ----------------------------------------------------------------------------------------------------


def test_another_body_under_the_key_is_refused(lane: Lane) -> None:
    lane.openai.then(answer(completion()))
    client = lane.client()
    client.post(CHAT_URL["openai"], json=chat(lane.model("openai")), headers=KEY)
    refused = client.post(CHAT_URL["openai"], json=chat(lane.model("openai"), "Something else"), headers=KEY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_a_failure_frees_the_key(lane: Lane) -> None:
    lane.openai.then(answer(openai_error("Oops"), status=500), answer(completion("Now.")))
    client = lane.client()
    body = chat(lane.model("openai"))
    failed, served, again = (client.post(CHAT_URL["openai"], json=body, headers=KEY) for _ in range(3))
    assert (failed.status_code, served.status_code) == (502, 200)
    replayed(again, served)


def test_what_the_provider_refuses_for_good_is_asked_once(lane: Lane) -> None:
    told = openai_error("It was flagged.", code="content_policy_violation")
    lane.openai.then(answer(told, status=400))
    client = lane.client()
    body = chat(lane.model("openai"))
    first, again = (client.post(CHAT_URL["openai"], json=body, headers=KEY) for _ in range(2))
    assert (first.status_code, again.status_code) == (422, 422)
    assert first.json()["error"]["code"] == again.json()["error"]["code"] == "CONTENT_REFUSED"
    assert again.headers["idempotent-replayed"] == "true"
    assert len(lane.openai.requests) == 1


def test_a_key_that_lost_the_model_gets_nothing_of_it(provider: Provider, start: Start) -> None:
    endpoint = provider.at("/lost/v1").always(answer(completion()))
    config = configured(endpoint)
    gateway = start(config)
    assert ask(gateway).status_code == 200
    gateway.stop()
    config["keys"]["ann"]["models"] = []
    refused = ask(start(config))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "MODEL_ACCESS_DENIED")


# -- many at once ----------------------------------------------------------------------------------------------------


def test_thirty_callers_with_one_key_are_one_call(lane: Lane) -> None:
    gate = Gate()
    lane.openai.then(gated(gate, answer(completion("Once."))))
    client = lane.client()

    def one(_: int) -> httpx.Response:
        return client.post(CHAT_URL["openai"], json=chat(lane.model("openai")), headers=KEY)

    with ThreadPoolExecutor(30) as pool:
        coming = [pool.submit(one, number) for number in range(30)]
        assert gate.reached.wait(20)
        gate.open()
        answers = [each.result() for each in coming]
    assert len({one.content for one in answers}) == 1
    assert Counter(one.headers.get("idempotent-replayed") for one in answers) == {None: 1, "true": 29}
    lane.usage(1)
    assert len(lane.openai.requests) == 1


@pytest.mark.parametrize("dialect", sorted(CHAT_URL))
def test_a_repeat_joins_a_running_stream_from_its_start(lane: Lane, dialect: str) -> None:
    gate = Gate()
    frames = openai_frames("On", "ce.")
    lane.openai.then(stream(*frames[:2], gate, *frames[2:]))
    body = chat(lane.model("openai"), stream=True)
    client, other = lane.client(), lane.client()
    with (
        client.stream("POST", CHAT_URL[dialect], json=body, headers=KEY) as first,
        other.stream("POST", CHAT_URL[dialect], json=body, headers=KEY) as second,
    ):
        reading = second.iter_raw()
        begun = next(reading)
        while b'"On"' not in begun:
            begun += next(reading)
        gate.open()
        whole = b"".join(first.iter_raw()), begun + b"".join(reading)
    assert whole[0] == whole[1]
    assert second.headers["idempotent-replayed"] == "true"
    replay = client.post(CHAT_URL[dialect], json=body, headers=KEY)
    assert replay.content == whole[0]
    lane.usage(1)


def test_a_call_goes_on_for_who_joined_it_when_the_first_leaves(lane: Lane) -> None:
    gate = Gate()
    frames = openai_frames("On", "ce.")
    lane.openai.then(stream(*frames[:2], gate, *frames[2:]))
    body = chat(lane.model("openai"), stream=True)
    client, other = lane.client(), lane.client()
    with other.stream("POST", CHAT_URL["openai"], json=body, headers=KEY) as first:
        next(first.iter_raw())
        joined = client.send(client.build_request("POST", CHAT_URL["openai"], json=body, headers=KEY), stream=True)
        reading = joined.iter_raw()
        begun = next(reading)
    assert not lane.openai.seen().left.wait(0.5)
    gate.open()
    assert (begun + b"".join(reading)).endswith(b"data: [DONE]\n\n")
    (row,) = lane.usage(1)
    assert (row["outcome"], row["tokens_out"]) == ("ok", 3)


def test_a_first_caller_who_leaves_alone_frees_the_key(lane: Lane) -> None:
    frames = openai_frames("Once.")
    lane.openai.then(stream(*frames[:2], Then.STALL), stream(*frames))
    body = chat(lane.model("openai"), stream=True)
    with lane.client().stream("POST", CHAT_URL["openai"], json=body, headers=KEY) as first:
        next(first.iter_raw())
    assert lane.openai.seen().left.wait(5)
    lane.usage(1, outcome="client_closed")
    again = lane.client().post(CHAT_URL["openai"], json=body, headers=KEY)
    assert again.content.endswith(b"data: [DONE]\n\n")
    lane.usage(1, outcome="ok")


# -- gateways of their own -------------------------------------------------------------------------------------------


def people() -> dict[str, Any]:
    return {
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {"ann": {"limits": UNLIMITED}},
        "keys": {"ann": {"user": "ann", "key": secret("ann"), "limits": UNLIMITED}},
    }


def configured(endpoint: Endpoint, **sections: Any) -> dict[str, Any]:
    return {
        **people(),
        "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m"}},
        "models": {"m": {"prices": {"input": 2, "output": 10}, "route": {"targets": [{"backend": "b"}]}}},
        **sections,
    }


def ask(gateway: Gateway, key: str | None = "one", text: str = "Hello?", **more: Any) -> httpx.Response:
    """On a connection of its own, so that any worker may get it."""
    headers = {} if key is None else {"Idempotency-Key": key}
    with http_client(gateway, secret("ann")) as client:
        return client.post(CHAT_URL["openai"], json=chat("m", text, **more), headers=headers)


def test_the_first_that_still_runs_is_told_as_a_conflict_and_sdks_come_again(provider: Provider, start: Start) -> None:
    gate = Gate()
    endpoint = provider.at("/conflict/v1").then(gated(gate, answer(completion("Once."))))
    gateway = start(configured(endpoint, chain={"idempotency": {"wait_seconds": 0.1}}))
    url = f"{gateway.url}/oai/v1"
    patient = openai.OpenAI(api_key=secret("ann"), base_url=url, max_retries=5)
    with ThreadPoolExecutor(2) as pool, patient:

        def call() -> str | None:
            made = patient.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hello?"}], extra_headers={"Idempotency-Key": "one"}
            )
            return made.choices[0].message.content

        running = pool.submit(call)
        assert gate.reached.wait(20)
        refused = ask(gateway)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
        assert int(refused.headers["retry-after"]) > 0
        assert "x-should-retry" not in refused.headers
        assert ask(gateway, text="Another body").json()["error"]["code"] == "IDEMPOTENCY_KEY_REUSED"
        coming = pool.submit(call)
        eventually(lambda: waiting(gateway), "the SDK was told to come again")
        gate.open()
        assert [running.result(), coming.result()] == ["Once."] * 2
    gateway.usage(1)


def waiting(gateway: Gateway) -> bool:
    return len([line for line in gateway.lines() if line.get("code") == "IDEMPOTENCY_IN_PROGRESS"]) >= 2


def test_a_tenant_that_forbids_stored_bodies_has_none(provider: Provider, start: Start) -> None:
    endpoint = provider.at("/forbidden/v1").always(answer(completion()))
    tenants = {"default": {"limits": UNLIMITED, "keep_bodies": False}}
    gateway = start(configured(endpoint, tenants=tenants))
    assert {ask(gateway).headers.get("idempotent-replayed") for _ in range(2)} == {None}
    gateway.usage(2)
    assert gateway.rows("idempotency") == []


def test_an_answer_outlives_a_restart(provider: Provider, start: Start) -> None:
    endpoint = provider.at("/restart/v1").then(answer(completion()))
    config = configured(endpoint)
    gateway = start(config)
    first = ask(gateway)
    gateway.stop()
    gateway = start(config)
    replayed(ask(gateway), first)
    gateway.usage(1)


def test_what_was_answered_outlives_a_kill(provider: Provider, start: Start) -> None:
    """A client that saw the end can always have it again, whatever happens in the moment after it."""
    endpoint = provider.at("/killed-after/v1").then(stream(*openai_frames("Once.")))
    config = configured(endpoint)
    gateway = start(config)
    first = ask(gateway, stream=True)
    gateway.kill_group()
    gateway = start(config)
    replayed(ask(gateway, stream=True), first)
    gateway.usage(1)


def test_a_key_is_free_again_after_a_kill_in_the_middle(provider: Provider, start: Start) -> None:
    gate = Gate()
    frames = openai_frames("Once.")
    endpoint = provider.at("/killed/v1").then(stream(*frames[:2], gate), stream(*frames))
    config = configured(endpoint)
    gateway = start(config)
    with (
        http_client(gateway, secret("ann")) as client,
        client.stream(
            "POST", CHAT_URL["openai"], json=chat("m", stream=True), headers={"Idempotency-Key": "one"}
        ) as first,
    ):
        next(first.iter_raw())
        gateway.kill_group()
        gate.open()
    gateway = start(config)
    again = ask(gateway, stream=True)
    assert again.content.endswith(b"data: [DONE]\n\n")
    assert "idempotent-replayed" not in again.headers


def test_an_answer_that_is_read_to_its_end_for_nobody_is_kept(provider: Provider, start: Start) -> None:
    """The model's answers are drained when their client leaves: the repeat gets what was paid for."""
    gate = Gate()
    frames = openai_frames("On", "ce.")
    endpoint = provider.at("/drained/v1").then(stream(*frames[:2], gate, *frames[2:]))
    config = configured(endpoint)
    config["models"]["m"]["on_disconnect"] = "drain"
    gateway = start(config)
    with (
        http_client(gateway, secret("ann")) as client,
        client.stream(
            "POST", CHAT_URL["openai"], json=chat("m", stream=True), headers={"Idempotency-Key": "one"}
        ) as first,
    ):
        next(first.iter_raw())
    assert not endpoint.seen().left.wait(0.5)
    gate.open()
    eventually(lambda: gateway.rows("idempotency"), "the answer is kept")
    again = ask(gateway, stream=True)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content.endswith(b"data: [DONE]\n\n")
    gateway.usage(1)


def test_a_worker_that_stops_reads_nothing_on_for_nobody_and_has_its_row(provider: Provider, start: Start) -> None:
    frames = openai_frames("On", "ce.")
    endpoint = provider.at("/stopped/v1").then(stream(*frames[:2], Then.STALL))
    config = configured(endpoint)
    config["models"]["m"]["on_disconnect"] = "drain"
    gateway = start(config)
    with (
        http_client(gateway, secret("ann")) as client,
        client.stream(
            "POST", CHAT_URL["openai"], json=chat("m", stream=True), headers={"Idempotency-Key": "one"}
        ) as first,
    ):
        next(first.iter_raw())
    assert not endpoint.seen().left.wait(0.5)
    assert gateway.stop() == 0
    (row,) = gateway.rows("usage")
    assert (row["outcome"], row["serving"], row["usage_source"]) == ("client_closed", 1, "estimated")
    assert len(gateway.rows("audit")) == 1


# -- workers and instances -------------------------------------------------------------------------------------------


@pytest.fixture
def store() -> Iterator[Valkey]:
    with Valkey() as running:
        yield running


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Asked for ahead of `start`: a gateway that stops without its database waits for it to the last."""
    made = databases.empty("postgres", tmp_path)
    yield made
    databases.drop(made)


def shared(endpoint: Endpoint, store: Valkey, url: str, **more: Any) -> dict[str, Any]:
    return configured(
        endpoint,
        database={"url": url.replace("postgresql+asyncpg", "postgres"), "encryption_key": "k" * 32},
        # Here the machine is the slow one, not the store
        store={"type": "valkey", "url": store.url, "timeout_seconds": 2},
        **more,
    )


def billed(url: str) -> int:
    return len(databases.execute(url, "SELECT id FROM usage"))


def test_two_instances_of_two_workers_make_a_call_once(
    provider: Provider, store: Valkey, url: str, start: Start
) -> None:
    """And whoever comes while it runs joins it, wherever that is; whoever comes after it gets it from the database."""
    gate = Gate()
    frames = openai_frames("On", "ce.")
    endpoint = provider.at("/shared/v1").then(stream(*frames[:2], gate, *frames[2:]))
    config = shared(endpoint, store, url, server={"workers": 2})
    gateways = [start(config, directory="one"), start(config, directory="two")]
    for gateway in gateways:
        gateway.workers(2)
    with ThreadPoolExecutor(30) as pool:
        coming = [pool.submit(ask, gateways[number % 2], stream=True) for number in range(30)]
        assert gate.reached.wait(20)
        eventually(lambda: len(asking(store)) == 1, "one call is under way")
        gate.open()
        answers = [each.result() for each in coming]
    whole = {one.content for one in answers}
    assert len(whole) == 1
    assert next(iter(whole)).endswith(b"data: [DONE]\n\n")
    assert Counter(one.headers.get("idempotent-replayed") for one in answers) == {None: 1, "true": 29}
    assert {ask(gateway, stream=True).content for gateway in gateways for _ in range(6)} == whole
    eventually(lambda: billed(url), "it is billed")
    assert (billed(url), len(endpoint.requests)) == (1, 1)


def asking(store: Valkey) -> set[str]:
    return store.keys("*:again:*")


def test_a_key_is_free_again_when_the_worker_that_had_it_is_killed(
    provider: Provider, store: Valkey, url: str, start: Start
) -> None:
    gate = Gate()
    endpoint = provider.at("/killed-worker/v1").then(gated(gate, answer(completion())), answer(completion("Anew.")))
    config = shared(endpoint, store, url, chain={"idempotency": {"lease_seconds": 2}})
    one, two = start(config, directory="one"), start(config, directory="two")
    with ThreadPoolExecutor(2) as pool:
        lost = pool.submit(ask, one)
        assert gate.reached.wait(20)
        waiting = pool.submit(ask, two)
        one.kill_group()
        assert isinstance(lost.exception(), httpx.HTTPError)
        served = waiting.result()
        gate.open()
    assert served.json()["choices"][0]["message"]["content"] == "Anew."
    assert "idempotent-replayed" not in served.headers
    assert ask(two).headers["idempotent-replayed"] == "true"


def test_without_the_store_a_key_is_refused_and_a_call_without_one_is_not_its_business(
    provider: Provider, store: Valkey, url: str, start: Start
) -> None:
    endpoint = provider.at("/away/v1").always(answer(completion()))
    gateway = start(shared(endpoint, store, url))
    first = ask(gateway)
    store.process.send_signal(signal.SIGSTOP)
    try:
        refused = eventually(lambda: away(gateway), "the store is known to be away")
    finally:
        store.process.send_signal(signal.SIGCONT)
    assert refused.headers["retry-after"] == "1"
    assert len(endpoint.requests) == 1
    replay = eventually(lambda: served(gateway), "the store is back")
    replayed(replay, first)


def away(gateway: Gateway) -> httpx.Response | None:
    got = ask(gateway)
    return got if got.status_code == 503 else None


def served(gateway: Gateway) -> httpx.Response | None:
    got = ask(gateway)
    return got if got.status_code == 200 else None
