"""What a worker owns lives as long as its application: budgets come back, what is in the journal is written."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.harness.gateway import Gateway

KEY = "sgk_" + "r" * 32
CONFIG: dict[str, Any] = {
    "users": {"ann": {}},
    "keys": {"ann": {"user": "ann", "key": KEY}},
    "budgets": {"three-calls": {"scope": "user", "of": "ann", "period": "total", "request_limit": 3}},
    "providers": {"sim": {"type": "simulator"}},
    "backends": {"sim": {"provider": "sim", "model": "s"}},
    "models": {
        "sim/chat": {
            "prices": {"input": 1, "output": 2},
            "max_output_tokens": 50,
            "route": {"targets": [{"backend": "sim"}]},
        }
    },
}


def call(gateway: Gateway) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"model": "sim/chat", "messages": [{"role": "user", "content": "hello"}]}).encode()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    request = urllib.request.Request(f"{gateway.url}/v1/inference/chat", body, headers)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("end", ["stop", "kill_group"])
def test_a_budget_is_as_hard_after_a_restart_as_before_it(tmp_path: Path, end: str) -> None:
    with Gateway(CONFIG, tmp_path) as gateway:
        assert [call(gateway)[0] for _ in range(2)] == [200, 200]
        getattr(gateway, end)()
    with Gateway(CONFIG, tmp_path) as gateway:
        assert gateway.metrics().value("scaigrid_budget_spent", budget="three-calls", kind="requests") == 2
        assert call(gateway)[0] == 200
        status, refusal = call(gateway)
        assert (status, refusal["error"]["code"], refusal["error"]["level"]) == (429, "BUDGET_EXCEEDED", "user")
        assert len(gateway.usage(3)) == 3


def test_it_says_when_it_is_ready_and_what_that_rests_on(tmp_path: Path) -> None:
    with Gateway(CONFIG, tmp_path) as gateway:
        with urllib.request.urlopen(f"{gateway.url}/health/ready", timeout=20) as answer:  # noqa: S310 - loopback
            assert json.load(answer) == {
                "status": "ready",
                "checks": {"journal": "ok", "ledger": "ok", "store": "ok"},
            }
        assert gateway.metrics().value("scaigrid_ledger_backlog") == 0
        assert gateway.stop() == 0
    events = [line["event"] for line in gateway.lines() if line["event"] != "request"]
    assert events == ["worker_started", "worker_leaving", "worker_stopped"]
