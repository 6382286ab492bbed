"""`scaigrid trace`: a request's steps for a person, and the answer as it is for programs."""

import json
from typing import Any

import msgspec
import pytest

from scaigrid.__main__ import main
from scaigrid.api.operations.requests import AREA
from tests.harness.provider import Endpoint
from tests.scaigrid.cli.gateway import KEY, refusal, told

TOLD: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(AREA.operations[0].example))["data"]


def test_each_step_has_its_line_and_its_bar(gateway: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.then(told(TOLD))
    assert main(["trace", TOLD["request_id"]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert gateway.seen().path.endswith(f"/v1/requests/{TOLD['request_id']}")
    assert lines[0] == f"{TOLD['request_id']}: chat of openai/gpt-4o: 200 ok"
    (first,) = [line for line in lines if line.startswith("attempt 1  ")]
    (second,) = [line for line in lines if line.startswith("attempt 2  ")]
    assert first.index("#") < second.index("#")
    assert "attempt 1: gpt-4o-us: first, failed with 503, server_error, BACKEND_ERROR" in lines
    assert "attempt 2: gpt-4o-eu: failover, served with 200" in lines
    assert lines[1:5] == [
        f"  at      {TOLD['created_at']}",
        f"  tenant  {TOLD['tenant_id']} (acme)",
        f"  user    {TOLD['user_id']} (ada)",
        f"  key     {TOLD['key_id']} (ada-laptop)",
    ]
    assert max(map(len, lines)) <= 80
    assert "Gateway 1.300 ms, providers 809.900 ms up to the first byte." in lines
    assert "10 tokens in, 2 out (provider), cost 0.000045." in lines
    assert "budget of the tenant, cost (monthly): 0.00126 taken, 0.000045 kept" in lines


def test_ids_stand_where_no_names_are_told(gateway: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    unnamed = {name: value for name, value in TOLD.items() if name not in ("tenant", "user", "key")}
    left_out = {"backend_id": "be_2", "reason": "breaker\x07 open"}
    attempt = {name: value for name, value in TOLD["attempts"][0].items() if name != "backend"}
    gateway.then(told({**unnamed, "key_id": None, "skipped": [left_out], "attempts": [attempt]}))
    assert main(["trace", TOLD["request_id"]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3:5] == [f"  user    {TOLD['user_id']}", "  key     none"]
    assert "left out: be_2: breaker\\x07 open" in lines
    assert f"attempt 1: {attempt['backend_id']}: first, failed with 503, server_error, BACKEND_ERROR" in lines


def test_what_rows_alone_tell_is_said_to_be_that(gateway: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = dict.fromkeys(
        ("status", "duration_ms", "upstream_ms", "overhead_ms", "settled_ms", "first_byte_ms", "tokens")
    )
    attempt = {**TOLD["attempts"][0], "because": None, "waited_ms": None, "started_ms": None, "ended_ms": None}
    rows = {**TOLD, **unknown, "source": "usage", "links": [], "limits": [], "attempts": [attempt]}
    gateway.then(told({**rows, "outcome": "interrupted", "model": "acme/\x1b[31mred"}))
    assert main(["trace", "req_12345678"]) == 0
    out = capsys.readouterr().out
    assert "what the ledger knows of its attempts" in out
    assert "interrupted" in out
    assert "STEP" not in out
    assert "\x1b" not in out


def test_programs_get_the_answer_as_it_is(gateway: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.then(told(TOLD))
    assert main(["trace", TOLD["request_id"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == TOLD


def test_what_there_is_not_is_said_in_one_line(gateway: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.then(refusal("NOT_FOUND", "There is no such request.", 404))
    assert main(["trace", "../users"]) == 1
    assert capsys.readouterr().err == "scaigrid: NOT_FOUND: There is no such request. [req_12345678]\n"
    assert gateway.seen().path.endswith("/v1/requests/..%2Fusers")


def test_no_key_is_taken_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["trace", "req_12345678", "--key", KEY])


def test_a_key_is_no_id_of_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", KEY]) == 2
    assert "give the id of a request" in (err := capsys.readouterr().err)
    assert KEY not in err
