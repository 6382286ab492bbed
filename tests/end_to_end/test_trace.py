"""A request that was made, looked up again: over the API and in the terminal, whatever became of it."""

import json
import subprocess
import sys
from typing import Any

import httpx

from tests.harness import behaviours
from tests.harness.behaviours import answer, stream
from tests.harness.eventually import eventually
from tests.harness.lanes import CHAT_URL, Lane, chat, secret

FINE_STREAM = stream(*behaviours.openai_frames("From ", "the second."))


def looked_up(lane: Lane, request_id: str) -> dict[str, Any]:
    """What is told of a request, once its timeline is written."""
    client = lane.client()
    told: dict[str, Any] = {}

    def there() -> bool:
        got = client.get(f"/v1/requests/{request_id}")
        told.update(got.json().get("data", {}))
        return bool(got.status_code == 200 and told["source"] == "timeline")

    eventually(there, "the timeline is in the database")
    return told


def fail_over(lane: Lane) -> httpx.Response:
    lane.openai.then(answer({}, status=500))
    lane.second.then(FINE_STREAM)
    return lane.client().post(CHAT_URL["openai"], json=chat(lane.model("two"), "hush", stream=True))


def test_every_attempt_of_a_stream_is_told_with_its_reason(lane: Lane) -> None:
    got = fail_over(lane)
    told = looked_up(lane, got.headers["x-request-id"])
    assert (told["model"], told["outcome"], told["status"], told["stream"]) == (lane.model("two"), "ok", 200, True)
    assert [(one["backend"], one["because"], one["provider_status"], one["outcome"]) for one in told["attempts"]] == [
        (lane.backend("first"), "first", 500, "failed"),
        (lane.backend("second"), "failover", 200, "served"),
    ]
    first, second = told["attempts"]
    assert 0 < first["started_ms"] <= first["ended_ms"] <= second["started_ms"] <= told["first_byte_ms"]
    assert told["first_byte_ms"] <= told["settled_ms"] <= told["duration_ms"]
    assert [link["name"] for link in told["links"]][-3:] == ["rate_limit", "budget", "route_resolve"]
    assert told["tokens"]["output"] > 0
    assert told["cost"] != "0"
    assert "hush" not in json.dumps(told)


def test_a_failure_carries_the_headers_of_its_attempts(lane: Lane) -> None:
    lane.openai.then(answer({}, status=500))
    lane.second.then(answer({}, status=500))
    got = lane.client().post(CHAT_URL["openai"], json=chat(lane.model("two")))
    assert got.status_code == 502
    assert (got.headers["x-scaigrid-attempts"], got.headers["x-scaigrid-model"]) == ("2", lane.model("two"))
    assert got.headers["x-scaigrid-backend"] == lane.backend("second")
    assert float(got.headers["x-scaigrid-overhead-ms"]) >= 0
    told = looked_up(lane, got.headers["x-request-id"])
    assert (told["error_code"], told["status"], told["served_model"]) == ("BACKEND_ERROR", 502, None)


def test_what_was_refused_ahead_of_any_attempt_has_its_timeline_too(lane: Lane) -> None:
    got = lane.client().post(CHAT_URL["native"], json={"model": lane.model("two"), "messages": 1})
    assert "x-scaigrid-attempts" not in got.headers
    told = looked_up(lane, got.headers["x-request-id"])
    assert (told["error_code"], told["attempts"], told["surface"]) == ("VALIDATION_ERROR", [], CHAT_URL["native"])


def test_nobody_else_finds_it(lane: Lane) -> None:
    got = fail_over(lane)
    request_id = got.headers["x-request-id"]
    looked_up(lane, request_id)
    assert lane.client(secret("viewer")).get(f"/v1/requests/{request_id}").status_code == 404


def test_the_terminal_shows_it(lane: Lane) -> None:
    request_id = fail_over(lane).headers["x-request-id"]
    looked_up(lane, request_id)
    environment = {"SCAIGRID_URL": lane.gateway.url, "SCAIGRID_API_KEY": lane.key}
    done = subprocess.run(
        [sys.executable, "-m", "scaigrid", "trace", request_id],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"attempt 2: {lane.backend('second')}: failover, served with 200" in done.stdout
