"""The routes as they are served: the whole gateway, a process of its own, asked over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.scaigrid.api.control_plane import key
from tests.scaigrid.api.validators import document_faults

UNLIMITED = {"limits": {"requests_per_minute": None}}
CONFIG: dict[str, Any] = {
    "users": {"ada": {"roles": ["tenant_admin"], **UNLIMITED}, "bob": UNLIMITED},
    "keys": {
        "ada": {"user": "ada", "key": key("ada"), **UNLIMITED},
        "bob": {"user": "bob", "key": key("bob"), **UNLIMITED},
        "meagre": {"user": "bob", "key": key("meagre"), "limits": {"requests_per_minute": 2}},
    },
    "providers": {"sim": {"type": "simulator"}},
    "backends": {"sim": {"provider": "sim", "model": "m", "cost": {"input": 1, "output": 1}}},
    "models": {
        "demo/chat": {"prices": {"input": 2, "output": 2}, "route": {"targets": [{"backend": "sim"}]}},
        "other": {"unpriced": "free", "route": {"targets": [{"backend": "sim"}]}},
    },
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(CONFIG, tmp_path_factory.mktemp("control-plane")) as running:
        yield running


def client(gateway: Gateway, who: str) -> httpx.Client:
    return httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {key(who)}"})


@pytest.fixture(scope="module")
def ada(gateway: Gateway) -> Iterator[httpx.Client]:
    with client(gateway, "ada") as asking:
        yield asking


@pytest.mark.parametrize("slug", ["demo/chat", "demo%2Fchat", "demo%2fchat"])
@pytest.mark.parametrize("prefix", ["/v1", "/oai/v1"])
def test_the_slash_of_a_slug_may_be_sent_both_ways(ada: httpx.Client, prefix: str, slug: str) -> None:
    answer = ada.get(f"{prefix}/models/{slug}")
    assert answer.status_code == 200
    assert answer.json().get("id") == "demo/chat" or answer.json()["data"]["slug"] == "demo/chat"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/me", "/v1/accounting/usage", "/health", "/v1/nowhere"])
def test_head_is_get_without_the_body(ada: httpx.Client, path: str) -> None:
    get, head = ada.get(path), ada.head(path)
    assert head.status_code == get.status_code
    assert (head.content, head.headers["content-length"]) == (b"", str(len(get.content)))


def test_options_says_what_a_path_takes(ada: httpx.Client) -> None:
    answer = ada.options("/v1/models")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, "GET, HEAD, OPTIONS, POST", b"")


def test_openais_own_client_lists_and_finds_models(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/oai/v1", api_key=key("ada"), max_retries=0) as asking:
        assert [model.id for model in asking.models.list()] == ["demo/chat", "other"]
        assert asking.models.retrieve("demo/chat").owned_by == "demo"
        with pytest.raises(openai.NotFoundError) as caught:
            asking.models.retrieve("nowhere")
    assert caught.value.code == "MODEL_NOT_FOUND"


def test_a_call_is_seen_by_its_caller_and_its_tenants_admin_with_what_each_may_see(
    gateway: Gateway, ada: httpx.Client
) -> None:
    with client(gateway, "bob") as bob:
        body = {"model": "demo/chat", "messages": [{"role": "user", "content": "hello"}], "metadata": {"ticket": "1"}}
        called = bob.post("/v1/inference/chat", json=body).json()
        request_id = called["meta"]["request_id"]

        def found(asking: httpx.Client) -> list[dict[str, Any]]:
            answer = asking.get("/v1/accounting/usage", params={"request_id": request_id, "period": "daily"})
            items: list[dict[str, Any]] = answer.json()["data"]["items"]
            return items

        (seen,) = eventually(lambda: found(bob), "the row of the call")
    assert found(ada) == [seen]
    usage = called["data"]["usage"]
    assert (seen["tokens_in"], seen["tokens_out"]) == (usage["input_tokens"], usage["output_tokens"])
    assert (seen["cost"], seen["tags"]) == (called["data"]["cost"], {"ticket": "1"})
    assert "backend_cost" not in seen


def test_what_is_governed_counts_against_the_request_limit_and_the_rest_does_not(gateway: Gateway) -> None:
    with client(gateway, "meagre") as asking:
        for path in ("/health", "/health/ready", "/metrics", "/docs/openapi.json"):
            answer = asking.get(path)
            assert (answer.status_code, "x-scaigrid-ratelimit-limit" in answer.headers) == (200, False)
        assert [asking.get(path).status_code for path in ("/v1/me", "/oai/v1/models")] == [200, 200]
        refused = asking.get("/v1/models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMITED")
    assert int(refused.headers["retry-after"]) == refused.json()["error"]["retry_after"] > 0


def test_a_refusal_is_in_the_log_under_its_id(gateway: Gateway, ada: httpx.Client) -> None:
    answer = ada.get("/v1/models?limit=0")
    line = gateway.line(answer.headers["x-request-id"])
    assert (line["status"], line["code"], line["user"]) == (422, "VALIDATION_ERROR", "ada")


def test_the_audit_log_is_exported_over_a_connection_that_goes_on(gateway: Gateway, ada: httpx.Client) -> None:
    called = ada.post("/v1/inference/chat", json={"model": "none", "messages": [{"role": "user", "content": "x"}]})
    request_id = called.headers["x-request-id"]
    gateway.audit(1, request_id=request_id)
    for form in ("json", "ndjson", "csv"):
        answer = ada.get("/v1/audit-log/export", params={"format": form, "request_id": request_id})
        assert (answer.status_code, request_id in answer.text) == (200, True)
        line = gateway.line(answer.headers["x-request-id"])
        assert (line["status"], line["bytes"]) == (200, len(answer.content))
    head = ada.head("/v1/audit-log/export")
    assert (head.status_code, head.content) == (200, b"")


def test_the_document_that_is_served_is_one(ada: httpx.Client) -> None:
    answer = ada.get("/docs/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert document_faults(answer.json()) == []


def test_a_scrape_counts_what_was_asked(gateway: Gateway, ada: httpx.Client) -> None:
    before = gateway.metrics().value("scaigrid_requests_total", protocol="native", status="404")
    assert ada.get("/v1/nowhere").status_code == 404
    assert gateway.metrics().value("scaigrid_requests_total", protocol="native", status="404") == before + 1
