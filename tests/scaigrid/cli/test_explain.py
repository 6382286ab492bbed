"""`scaigrid explain`: what it asks of the gateway, and what a person reads."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scaigrid.__main__ import main
from scaigrid.api.operations.routing import ROWS
from scaigrid.cli.explain import REFUSED
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
        "Models that stand in:",
        "MODEL           IF THE CALL  WOULD BE ASKED",
        "openai/gpt-4.1  is too long  yes, for 0.034816 at the most",
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
    assert main(["explain", "openai/gpt-4o", *options, "--request", str(body)]) == 3
    assert gateway.seen().json == {
        "model": "openai/gpt-4o",
        "key_id": "apikey_1",
        "dialect": "openai",
        "path": "/oai/v1/responses",
        "session": "s",
        "request": {"stream": True},
    }
    assert capsys.readouterr().out.splitlines()[1] == "  429 BUDGET_EXCEEDED: No room."


def test_a_script_knows_by_the_exit_code_that_the_call_would_be_refused(
    gateway: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.then(told({**TOLD, "refusal": REFUSAL, "refusals": [REFUSAL]}))
    assert main(["explain", "openai/gpt-4o", "--json"]) == REFUSED == 3
    assert json.loads(capsys.readouterr().out)["refusal"] == REFUSAL
    with pytest.raises(SystemExit):
        main(["explain", "--help"])
    assert "3 where it would be refused" in " ".join(capsys.readouterr().out.split())


def test_every_reason_for_which_a_model_does_not_stand_in_has_its_line(
    gateway: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = {**REFUSAL, "message": "No\x1b[31m room."}
    one = {**TOLD["stand_ins"][0], "because": "of_a_later_version", "refusals": [REFUSAL, hostile], "reserved": None}
    gateway.then(told({**TOLD, "stand_ins": [one]}))
    assert main(["explain", "openai/gpt-4o"]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("Models that stand in:")
    assert [line.split(maxsplit=2) for line in lines[place + 2 : place + 4]] == [
        ["openai/gpt-4.1", "of_a_later_version", "no: 429 BUDGET_EXCEEDED: No room."],
        ["no:", "429", "BUDGET_EXCEEDED: No\\x1b[31m room."],
    ]


def test_an_older_gateway_that_tells_of_no_stand_ins_is_understood(
    gateway: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.then(told({name: value for name, value in TOLD.items() if name != "stand_ins"}))
    assert main(["explain", "openai/gpt-4o"]) == 0
    assert "stand in" not in capsys.readouterr().out


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
