"""When the client leaves, the provider's connection closes at once, and one row says what was made until then."""

import json
import socket

import httpx
import pytest

from scaigrid.clock import SystemClock
from scaigrid.forwarder import WATCH_AFTER
from tests.harness import behaviours
from tests.harness.behaviours import Then, silence, stream
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Row
from tests.harness.lanes import CHAT_URL, Lane, chat
from tests.harness.ports import LOOPBACK
from tests.harness.provider import Gate

DIALECTS = sorted(CHAT_URL)
BOUND = 5.0
"""Seconds within which the provider has to notice. It takes a tenth of one; the rest is for a busy machine."""


def one_row(lane: Lane) -> Row:
    (row,) = lane.usage(1)
    assert (row["outcome"], row["error_code"]) == ("client_closed", "CLIENT_CLOSED")
    assert (row["serving"], row["usage_source"]) == (1, "estimated")
    return row


def watched(lane: Lane) -> None:
    """Returns once the open call has lasted so long that the gateway watches its client: others came and went."""
    clock = SystemClock()
    begun = clock.monotonic()
    while clock.monotonic() < begun + 2 * WATCH_AFTER:
        assert lane.client().get("/health").status_code == 200


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("model", ["openai", "anthropic"])
def test_a_client_leaves_in_the_middle_of_a_stream(lane: Lane, dialect: str, model: str) -> None:
    frames = behaviours.anthropic_frames("It ") if model == "anthropic" else behaviours.openai_frames("It ")
    endpoint = lane.anthropic if model == "anthropic" else lane.openai
    endpoint.then(stream(*[frame for frame in frames if b"It " in frame or b"start" in frame], Then.STALL))
    with lane.client().stream("POST", CHAT_URL[dialect], json=chat(lane.model(model), stream=True)) as got:
        for text in got.iter_text():
            if "It " in text:
                break
    assert endpoint.seen().left.wait(BOUND)
    row = one_row(lane)
    assert row["tokens_out"] >= 1
    assert row["cost"] > 0
    line = lane.gateway.line(got.headers["x-request-id"])
    assert (line["code"], line["status"], line["usage_source"]) == ("CLIENT_CLOSED", 200, "estimated")


def test_a_provider_that_writes_its_json_with_spaces_is_no_cheaper(lane: Lane) -> None:
    """What passed is guessed where a stream is cut; the guess must not rest on how a provider puts its commas."""
    chunk = json.dumps(json.loads(behaviours.openai_chunk({"content": "sixteen letters."}).removeprefix(b"data: ")))
    lane.openai.then(stream(f"data: {chunk}\n\n".encode(), Then.STALL))
    with lane.client().stream("POST", CHAT_URL["openai"], json=chat(lane.model("openai"), stream=True)) as got:
        for text in got.iter_text():
            if "sixteen" in text:
                break
    assert lane.openai.seen().left.wait(BOUND)
    assert one_row(lane)["tokens_out"] == 4


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_client_leaves_before_a_stream_has_begun(lane: Lane, dialect: str) -> None:
    """The provider has sent its head and nothing that is worth a byte to the client."""
    lane.openai.then(stream(b": wait\n\n", Then.STALL))
    request = {"x-request-id": f"{lane.name}-leaves-early"}
    with lane.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post(CHAT_URL[dialect], json=chat(lane.model("openai"), stream=True), headers=request, timeout=0.5)
    assert lane.openai.seen().left.wait(BOUND)
    row = one_row(lane)
    assert (row["request_id"], row["tokens_out"]) == (request["x-request-id"], 0)
    line = lane.gateway.line(request["x-request-id"])
    assert (line["code"], line["status"]) == ("CLIENT_CLOSED", 499)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_client_leaves_while_the_provider_says_nothing(lane: Lane, dialect: str, streamed: bool) -> None:
    lane.openai.then(silence)
    with lane.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post(CHAT_URL[dialect], json=chat(lane.model("openai"), stream=streamed), timeout=0.5)
    assert lane.openai.seen().left.wait(BOUND)
    row = one_row(lane)
    assert row["tokens_out"] == 0
    assert row["tokens_in"] > 0


def test_a_client_who_leaves_is_not_tried_elsewhere(lane: Lane) -> None:
    lane.openai.then(silence)
    with lane.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post(CHAT_URL["openai"], json=chat(lane.model("two")), timeout=0.5)
    one_row(lane)
    assert lane.second.requests == []


def test_a_client_who_has_everything_did_not_leave(lane: Lane) -> None:
    """The provider leaves its connection open after the end; the client closes its own as soon as it has it all."""
    gate = Gate()
    frames = behaviours.openai_frames("It ", "rains.")
    lane.openai.then(stream(*frames[:2], gate, *frames[2:], Then.STALL))
    with lane.client() as client:
        body = chat(lane.model("openai"), stream=True)
        with client.stream("POST", CHAT_URL["openai"], json=body, headers={"connection": "close"}) as got:
            for line in got.iter_lines():
                if "It " in line:
                    watched(lane)
                    gate.open()
    (row,) = lane.usage(1)
    assert (row["outcome"], row["usage_source"], row["tokens_out"]) == ("ok", "provider", 3)
    assert "code" not in lane.gateway.line(got.headers["x-request-id"])
    (audited,) = lane.audit(1)
    assert audited["status"] == "SUCCESS"


def test_a_reader_who_stops_reading_is_cut_off(lane: Lane) -> None:
    """Backpressure up to the idle deadline; then the call is over, and its connection too."""
    piece = behaviours.openai_chunk({"content": "x" * 60_000})
    lane.openai.then(stream(*[piece] * 400, *behaviours.openai_frames("end")[-3:]))
    head = json.dumps(chat(lane.model("hasty"), stream=True)).encode()
    with socket.create_connection((LOOPBACK, lane.gateway.port), timeout=PATIENCE) as wire:
        wire.sendall(
            f"POST {CHAT_URL['openai']} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {lane.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(head)}\r\n\r\n".encode()
            + head
        )
        row = one_row(lane)
        assert lane.openai.seen().left.wait(BOUND)
        assert row["tokens_out"] > 0
        read, last = 0, b""
        while piece := wire.recv(2**20):
            read, last = read + len(piece), piece
    assert read < 400 * 60_000
    assert not last.endswith(b"\r\n0\r\n\r\n"), "an answer that was cut off must not look whole"
