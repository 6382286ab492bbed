"""What a call leaves behind: its rows, its line, its metrics, and what the control plane tells of it."""

from typing import Any

import httpx
import pytest

from scaigrid.errors import TABLE, Code
from tests.harness.behaviours import answer, completion, embeddings, openai_frames, stream
from tests.harness.lanes import CHAT_URL, EMBED_URL, STRANGERS, Lane, chat, http_client, secret

DIALECTS = sorted(CHAT_URL)


def ask(lane: Lane, dialect: str = "native", model: str = "openai", **more: Any) -> httpx.Response:
    return lane.client().post(CHAT_URL[dialect], json=chat(lane.model(model), **more))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_usage_row_of_a_plain_call(lane: Lane, dialect: str) -> None:
    lane.openai.then(answer(completion(tokens=(100, 20))))
    got = ask(lane, dialect, metadata={"project": "blue"})
    (row,) = lane.usage(1)
    assert row["request_id"] == got.headers["x-request-id"]
    assert row["id"].startswith("usage_")
    assert (row["model"], row["backend_id"]) == (lane.model("openai"), lane.backend_id("first"))
    assert (row["dialect"], row["operation"], row["stream"]) == (dialect, "chat", 0)
    assert (row["attempt"], row["serving"], row["outcome"], row["error_code"]) == (1, 1, "ok", None)
    assert (row["tokens_in"], row["tokens_out"], row["usage_source"]) == (100, 20, "provider")
    assert (row["cost"], row["backend_cost"]) == (100 * 3_000 + 20 * 15_000, 100 * 1_000 + 20 * 5_000)
    assert row["price_version"]
    assert 0 < row["first_byte_us"] <= row["latency_us"]
    assert row["tags"] == '{"project":"blue"}'


def test_the_usage_row_of_a_stream_and_of_vectors(lane: Lane) -> None:
    lane.openai.then(stream(*openai_frames("Yes.", tokens=(8, 2))), answer(embeddings([0.5], tokens=7)))
    ask(lane, stream=True)
    lane.client().post(EMBED_URL["native"], json={"model": lane.model("embed"), "input": "x"})
    streamed, embedded = lane.usage(2)
    assert (streamed["stream"], streamed["tokens_in"], streamed["tokens_out"]) == (1, 8, 2)
    assert (embedded["operation"], embedded["tokens_in"], embedded["tokens_out"]) == ("embed", 7, 0)
    assert embedded["cost"] == 7 * 3_000


def test_a_stream_whose_provider_counts_nothing_is_estimated(lane: Lane) -> None:
    lane.openai.then(stream(*openai_frames("Some words that are streamed.", tokens=None)))
    ask(lane, stream=True)
    (row,) = lane.usage(1)
    assert (row["outcome"], row["usage_source"]) == ("ok", "estimated")
    assert row["tokens_in"] > 0
    assert row["tokens_out"] > 0


def test_the_caller_sees_its_own_usage(lane: Lane) -> None:
    lane.openai.always(answer(completion(tokens=(100, 20))))
    asked = [ask(lane).headers["x-request-id"] for _ in range(3)]
    lane.usage(3)
    got = lane.client().get("/v1/accounting/usage", params={"limit": 2}).json()
    more = lane.client().get("/v1/accounting/usage", params={"cursor": got["pagination"]["next_cursor"]}).json()
    items = [*got["data"]["items"], *more["data"]["items"]]
    assert (got["pagination"]["has_more"], more["pagination"]["has_more"]) == (True, False)
    assert sorted(item["request_id"] for item in items) == sorted(asked)
    for item in items:
        assert (item["tokens_in"], item["tokens_out"], item["cost"]) == (100, 20, "0.0006")
        assert (item["user_id"], item["model"], item["outcome"]) == (lane.user_id, lane.model("openai"), "ok")
        assert "backend_cost" not in item


def test_a_caller_sees_nobody_else_s_usage(lane: Lane) -> None:
    lane.openai.then(answer(completion()))
    request_id = ask(lane).headers["x-request-id"]
    lane.usage(1)
    with http_client(lane.gateway, secret("viewer")) as stranger:
        params = {"request_id": request_id}
        assert stranger.get("/v1/accounting/usage", params=params).json()["data"]["items"] == []
        assert stranger.get("/v1/accounting/usage", params={"user_id": lane.user_id}).json()["data"]["items"] == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_audit_row_of_a_call(lane: Lane, dialect: str) -> None:
    lane.openai.then(answer(completion()))
    got = lane.client().post(
        CHAT_URL[dialect],
        json=chat(lane.model("openai")),
        headers={"user-agent": "tester/1", "x-request-id": "audit-1234"},
    )
    (row,) = lane.audit(1)
    assert got.headers["x-request-id"] == row["request_id"] == "audit-1234"
    assert (row["action"], row["resource_type"], row["resource_id"]) == (
        "inference.chat",
        "model",
        lane.model("openai"),
    )
    assert (row["actor_type"], row["actor_email"]) == ("user", f"{lane.name}@example.test")
    assert (row["status"], row["http_status"], row["error_code"]) == ("SUCCESS", 200, None)
    assert (row["ip_address"], row["user_agent"]) == ("127.0.0.1", "tester/1")
    assert "Hello?" not in str(row)


REFUSALS = {
    "expired": Code.SESSION_EXPIRED,
    "suspended": Code.TENANT_SUSPENDED,
    "viewer": Code.AUTHZ_PERMISSION_DENIED,
    "confined": Code.MODEL_ACCESS_DENIED,
    "elsewhere": Code.ADDRESS_NOT_ALLOWED,
    "barred": Code.RATE_LIMITED,
    "poor": Code.BUDGET_EXCEEDED,
}


def test_every_stranger_is_among_the_refusals() -> None:
    assert REFUSALS.keys() == set(STRANGERS)


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_refused_call_is_audited_too(lane: Lane, stranger: str) -> None:
    with http_client(lane.gateway, secret(stranger)) as client:
        got = client.post(CHAT_URL["native"], json=chat(lane.model("openai")))
    code = REFUSALS[stranger]
    (row,) = lane.gateway.audit(1, request_id=got.headers["x-request-id"])
    assert (row["status"], row["error_code"], row["http_status"]) == ("FAILURE", code, TABLE[code].status)
    assert row["actor_type"] == ("anonymous" if stranger == "expired" else "user")
    assert lane.gateway.rows("usage", request_id=got.headers["x-request-id"]) == []


def test_what_only_reads_is_not_audited(lane: Lane) -> None:
    got = lane.client().get("/v1/models")
    lane.client().post("/v1/nowhere", json={})
    lane.audit(1, action="request.post")
    assert lane.gateway.rows("audit", request_id=got.headers["x-request-id"]) == []


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_the_line_of_a_call(lane: Lane, streamed: bool) -> None:
    frames = stream(*openai_frames("Yes.", tokens=(8, 2)))
    lane.openai.then(frames if streamed else answer(completion(tokens=(8, 2))))
    got = ask(lane, "openai", stream=streamed)
    line = lane.gateway.line(got.headers["x-request-id"])
    assert line["timestamp"].endswith("Z")
    expected = {
        "level": "info",
        "event": "request",
        "method": "POST",
        "path": CHAT_URL["openai"],
        "status": 200,
        "client": "127.0.0.1",
        "tenant": "default",
        "user": lane.name,
        "key": lane.name,
        "model": lane.model("openai"),
        "backend": lane.backend("first"),
        "attempts": 1,
        "tokens_in": 8,
        "tokens_out": 2,
        "usage_source": "provider",
        "cost": 8 * 3_000 + 2 * 15_000,
        "bytes": len(got.content),
    }
    assert {name: line.get(name) for name in expected} == expected
    assert line.get("stream", False) == streamed
    assert 0 < line["overhead_ms"] <= line["first_byte_ms"] <= line["duration_ms"]
    assert "code" not in line
    assert "tried" not in line


def test_a_request_of_nobody_known_names_nobody(lane: Lane) -> None:
    with http_client(lane.gateway) as client:
        got = client.get("/v1/models")
    line = lane.gateway.line(got.headers["x-request-id"])
    assert (line["status"], line["code"]) == (401, "AUTH_TOKEN_MISSING")
    assert not {"tenant", "user", "key"} & line.keys()


def test_the_metrics_of_a_call(lane: Lane) -> None:
    lane.openai.then(stream(*openai_frames("Yes.", tokens=(8, 2))), answer({}, status=500))
    ask(lane, "openai", stream=True)
    ask(lane, "native")
    metrics, model = lane.gateway.metrics(), lane.model("openai")
    assert metrics.value("scaigrid_requests_total", model=model, status="200", protocol="openai") == 1
    assert metrics.value("scaigrid_requests_total", model=model, status="502", protocol="native") == 1
    assert metrics.value("scaigrid_tokens_total", model=model, direction="input") == 8
    assert metrics.value("scaigrid_tokens_total", model=model, direction="output") == 2
    assert metrics.value("scaigrid_time_to_first_token_seconds_count", model=model) == 1
    backend = lane.backend_id("first")
    assert metrics.value("scaigrid_request_duration_seconds_count", model=model, backend=backend) == 2
    assert metrics.value("scaigrid_backend_inflight_requests", backend_id=backend) == 0
    assert metrics.value("scaigrid_backend_health", backend_id=backend) == 0.5
    assert metrics.value("scaigrid_overhead_seconds_count", link="all") >= 1
    assert metrics.value("scaigrid_backend_attempts_total", backend_id=backend, outcome="ok") == 1
    assert metrics.value("scaigrid_backend_attempts_total", backend_id=backend, outcome="BACKEND_ERROR") == 1


def test_a_made_up_model_is_one_constant_label(lane: Lane) -> None:
    for name in ("made/up-1", "made/up-2"):
        lane.client().post(CHAT_URL["native"], json=chat(name))
    metrics = lane.gateway.metrics()
    labels = {label["model"] for label in metrics.labels("scaigrid_requests_total")}
    assert "unknown" in labels
    assert not {label for label in labels if label.startswith("made/")}


def test_the_answer_tells_where_it_came_from(lane: Lane) -> None:
    lane.openai.then(answer(completion()))
    got = ask(lane)
    assert got.headers["x-scaigrid-model"] == lane.model("openai")
    assert got.headers["x-scaigrid-backend"] == lane.backend("first")
    assert got.headers["x-scaigrid-attempts"] == "1"
    assert float(got.headers["x-scaigrid-overhead-ms"]) > 0
