"""What a recording file turns into, on files made here; the real ones are read by the conformance suite."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness import recordings

CASSETTE = """
interactions:
- request:
    method: POST
    uri: https://api.example.test/v1/chat/completions?trace=1
    headers: {Content-Type: [application/json], Accept: [a, b]}
    parsed_body: {model: m, temperature: 0.5}
  response:
    status: {code: 200, message: OK}
    headers: {Content-Type: [application/json]}
    parsed_body: {zeta: "é", alpha: [1, null]}
- request:
    method: POST
    uri: https://other.example.test/v1/chat/completions
    headers: {}
    body: '{"stream": true}'
  response:
    status: {code: 429, message: Too Many Requests}
    headers: {}
    body: {string: "data: {}\\n\\n"}
- request_sample: {json: {}}
  response_sample: {json: {}}
- request: {method: GET, uri: "https://api.example.test/v1/models", headers: {}, body: ''}
  response:
    status: {code: 200, message: OK}
    headers: {}
    body: {string: !!binary "AP8="}
version: 1
"""


@pytest.fixture(autouse=True)
def tally(monkeypatch: pytest.MonkeyPatch) -> recordings.Tally:
    """A count of its own, so that files made here are not reported as recordings of real providers."""
    own = recordings.Tally()
    monkeypatch.setattr(recordings, "TALLY", own)
    return own


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "example").mkdir()
    (tmp_path / "example" / "chat.yaml").write_text(CASSETTE)
    monkeypatch.setenv(recordings.VARIABLE, str(tmp_path))
    return tmp_path


def test_an_exchange_is_read_with_its_names_lower_case_and_its_keys_in_order(folder: Path) -> None:
    first = recordings.read(folder / "example" / "chat.yaml").exchanges[0]
    assert (first.method, first.status, str(first)) == ("POST", 200, "example/chat#0")
    assert first.request_headers == (("content-type", "application/json"), ("accept", "a"), ("accept", "b"))
    assert first.request_json == {"model": "m", "temperature": 0.5}
    assert first.response_body == '{"zeta":"é","alpha":[1,null]}'.encode()


def test_text_and_bytes_stay_as_recorded(folder: Path) -> None:
    _, stream, binary = recordings.read(folder / "example" / "chat.yaml").exchanges
    assert (stream.request_json, stream.status, stream.response_body) == ({"stream": True}, 429, b"data: {}\n\n")
    assert (binary.request_json, binary.index, binary.response_body) == (None, 3, b"\x00\xff")


def test_exchanges_are_chosen_by_host_and_end_of_path(folder: Path) -> None:
    assert [one.index for one in recordings.exchanges("api.example.test", "/chat/completions")] == [0]
    assert [one.index for one in recordings.exchanges(None, "/chat/completions")] == [0, 1]
    assert [case.id for case in recordings.cases(None, "/models")] == ["example/chat#3"]


def test_a_claim_that_matches_no_recording_is_an_error(folder: Path) -> None:
    with pytest.raises(LookupError, match="no recorded exchange with any host"):
        recordings.exchanges(None, "/nowhere")


def test_without_the_folder_one_named_case_is_left_to_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(recordings.VARIABLE, raising=False)
    assert recordings.exchanges(None, "/chat/completions") == []
    (case,) = recordings.cases("api.example.test", "/chat/completions")
    (mark,) = case.marks
    assert isinstance(mark, pytest.MarkDecorator)
    assert (case.id, mark.name) == ("not-run", "skip")
    assert "api.example.test /chat/completions" in mark.kwargs["reason"]


def test_the_tally_joins_processes_without_counting_twice(folder: Path, tally: recordings.Tally) -> None:
    recordings.exchanges(None, "/chat/completions")
    tally.add(recordings.Tally(read={"example/chat#1", "example/embeddings#0"}, left_out={"example/chat#2"}))
    assert str(tally) == "recordings: 3 exchanges read, 1 left out (gRPC, no HTTP request)"


def test_the_tally_says_why_nothing_was_read(monkeypatch: pytest.MonkeyPatch, tally: recordings.Tally) -> None:
    monkeypatch.delenv(recordings.VARIABLE, raising=False)
    assert str(tally) == "recordings: none read, SCAIGRID_RECORDINGS is unset"


@pytest.mark.skipif(recordings.folder() is None, reason=f"{recordings.VARIABLE} is unset: its files are not read")
def test_every_recorded_exchange_has_an_address_a_status_and_a_body_of_its_type() -> None:
    for one in recordings.exchanges(None, ""):
        assert urlsplit(one.uri).hostname, one
        assert 200 <= one.status < 600, one
        if dict(one.response_headers).get("content-type", "").startswith("application/json"):
            json.loads(one.response_body)
