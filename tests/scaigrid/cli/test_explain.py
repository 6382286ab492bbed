"""`scaigrid explain`: what it asks of the gateway, and what a person reads."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scaigrid.__main__ import main
from scaigrid.api.operations.routing import ROWS
from tests.harness.provider import Endpoint
from tests.scaigrid.cli.gateway import KEY, told

EXAMPLE = next(row for row in ROWS if row.name == "explainRouting").example
TOLD: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(EXAMPLE))["data"]
REFUSAL: dict[str, Any] = {
    "code": "BUDGET_EXCEEDED",
    "status": 429,
    "message": "No room.",
    "level": "user",
    "details": [],
}


def test_backends_and_limits_are_listed(gateway: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.then(told(TOLD))
    assert main(["explain", "openai/gpt-4o"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "A call of openai/gpt-4o at /v1/inference/chat would be made.",
        "",
        "Backends, weighted:",
        "RANK  TIER  BACKEND    HEALTH       SHARE  LEFT OUT BECAUSE",
        "1     0     gpt-4o-eu  healthy      100 %  -",
        "-     1     gpt-4o-us  unavailable  -      breaker open for 7.2 s",
        "",
        "Limits and budgets:",
        "LEVEL  OF              ASKED    LEFT  LIMIT",
        "user   cost (monthly)  0.04352  13.8  25     lets it pass",
        "",
        "It can use 5120 tokens, and cost 0.04352, at the most.",
    ]
    seen = gateway.seen()
    assert (seen.path.endswith("/v1/routing/explain"), seen.json) == (True, {"model": "openai/gpt-4o"})


def test_everything_that_a_call_may_be_can_be_said(
    gateway: Endpoint, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    refused = {**TOLD, "refusal": REFUSAL, "refusals": [REFUSAL], "route": None, "limits": [], "reserved": None}
    gateway.then(told(refused))
    body = tmp_path / "body.json"
    body.write_text('{"stream": true}')
    options = ("--key-id", "apikey_1", "--dialect", "openai", "--path", "/oai/v1/responses", "--session", "s")
    assert main(["explain", "openai/gpt-4o", *options, "--request", str(body)]) == 0
    assert gateway.seen().json == {
        "model": "openai/gpt-4o",
        "key_id": "apikey_1",
        "dialect": "openai",
        "path": "/oai/v1/responses",
        "session": "s",
        "request": {"stream": True},
    }
    assert capsys.readouterr().out.splitlines()[1] == "  429 BUDGET_EXCEEDED: No room."


def test_programs_get_the_answer_as_it_is(gateway: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.then(told(TOLD))
    assert main(["explain", "openai/gpt-4o", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == TOLD


def test_a_key_where_its_id_is_meant_is_refused_unseen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "acme/chat", "--key-id", KEY]) == 2
    with pytest.raises(SystemExit):
        main(["explain", "acme/chat", "--key", KEY])
    assert "k" * 32 not in capsys.readouterr().err.replace("unrecognized arguments: --key " + KEY, "")


@pytest.mark.parametrize("content", [None, b"[1]", b"{"])
def test_a_file_that_is_no_body_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "body.json"
    if content is not None:
        file.write_bytes(content)
    assert main(["explain", "acme/chat", "--request", str(file)]) == 2
    assert "--request" in capsys.readouterr().err
