"""When the client leaves, the provider's answer is cut off or read on, as the model says; one row either way."""

import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from scaigrid.client_watch import WATCH_AFTER
from scaigrid.clock import SystemClock
from tests.harness import behaviours
from tests.harness.behaviours import Then, answer, gated, silence, stream
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway, Row
from tests.harness.lanes import CHAT_URL, Lane, chat
from tests.harness.ports import LOOPBACK
from tests.harness.provider import Gate, Provider, Seen

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


def test_a_reader_who_takes_his_time_holds_up_his_provider_and_nobody_else(lane: Lane) -> None:
    """What he has not read waits at the provider, not in the gateway; when he reads on, he gets all of it."""
    piece, gate = behaviours.openai_chunk({"content": "x" * 60_000}), Gate()
    lane.openai.then(stream(*[piece] * 400, gate, *behaviours.openai_frames("the end")))
    with lane.client().stream("POST", CHAT_URL["openai"], json=chat(lane.model("openai"), stream=True)) as got:
        watched(lane)
        lane.second.then(answer(behaviours.completion("Not held up.")))
        lane.openai.then(answer({}, status=500))
        assert "Not held up." in lane.client().post(CHAT_URL["openai"], json=chat(lane.model("two"))).text
        assert not gate.reached.is_set(), "24 MB lie somewhere between the provider and who does not read them"
        gate.open()
        last = ""
        for line in got.iter_lines():
            last = line or last
    assert last == "data: [DONE]"
    assert gate.reached.is_set()


# -- cut at every event, both policies -------------------------------------------------------------------------------

WORDS = ("word0001", "word0002", "word0003")
"""Eight bytes each: two tokens by the guess, in a relay and in a translation alike."""
USED = (9, 40)
"""What the provider says at the end."""
FRAMES = {
    "openai": behaviours.openai_frames(*WORDS, tokens=USED),
    "anthropic": behaviours.anthropic_frames(*WORDS, tokens=USED),
}


class Leaver:
    """A client that can go at any moment, in the middle of anything."""

    def __init__(self, lane: Lane, dialect: str, model: str, request_id: str, *, streamed: bool = True) -> None:
        self.body = json.dumps(chat(lane.model(model), stream=streamed)).encode()
        self._wire = socket.create_connection((LOOPBACK, lane.gateway.port), timeout=PATIENCE)
        self._wire.sendall(
            f"POST {CHAT_URL[dialect]} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {lane.key}\r\n"
            f"x-request-id: {request_id}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(self.body)}\r\n\r\n".encode()
            + self.body
        )
        self._got = b""

    def reads(self, text: str) -> None:
        """Returns once it has come."""
        while text.encode() not in self._got:
            piece = self._wire.recv(65_536)
            assert piece, self._got
            self._got += piece

    def leave(self) -> None:
        self._wire.close()


def leaves_at(lane: Lane, dialect: str, model: str, speaks: str, index: int) -> tuple[Gate, Seen, str, bytes]:
    """A call whose client has left when the provider had sent so many events, and the gateway had read them."""
    endpoint = lane.anthropic if speaks == "anthropic" else lane.openai
    frames, gate = FRAMES[speaks], Gate()
    endpoint.then(stream(*frames[:index], gate, *frames[index:]))
    request_id = f"{lane.name}-{dialect}-{index}"
    client = Leaver(lane, dialect, model, request_id)
    seen = endpoint.seen()
    assert gate.reached.wait(PATIENCE)
    for word in passed(speaks, index):
        client.reads(word)
    client.leave()
    return gate, seen, request_id, client.body


def passed(speaks: str, index: int) -> list[str]:
    return [word for word in WORDS if any(word.encode() in frame for frame in FRAMES[speaks][:index])]


def told(speaks: str, index: int, body: bytes) -> list[tuple[int, int]]:
    """Tokens that are billed of a stream cut there: what the provider has said of them, else what passed.

    Whether an event without a word in it had come through by then nobody can see from outside; both are right.
    """
    words = 2 * len(passed(speaks, index))
    guess = -(-len(body) // 4)
    if speaks == "anthropic":
        whole = any(b'"message_delta"' in frame for frame in FRAMES[speaks][:index])
        return [(9, max(1, words)), *([USED] if whole else []), *([(guess, 0)] if not words else [])]
    whole = any(b'"usage"' in frame for frame in FRAMES[speaks][:index])
    return [(guess, words), *([USED] if whole else [])]


@pytest.mark.parametrize(("dialect", "speaks"), [("openai", "openai"), ("native", "anthropic"), ("native", "openai")])
def test_cut_at_every_event_what_passed_is_billed(lane: Lane, dialect: str, speaks: str) -> None:
    for index in range(len(FRAMES[speaks])):
        gate, seen, request_id, body = leaves_at(lane, dialect, speaks, speaks, index)
        assert seen.left.wait(BOUND), index
        gate.open()
        (row,) = lane.usage(1, request_id=request_id)
        assert (row["outcome"], row["serving"], row["usage_source"]) == ("client_closed", 1, "estimated"), index
        assert (row["tokens_in"], row["tokens_out"]) in told(speaks, index, body), index
        assert row["cost"] == row["tokens_in"] * 3_000 + row["tokens_out"] * 15_000
    assert len(lane.usage(len(FRAMES[speaks]))) == len(FRAMES[speaks])


def drains(lane: Lane) -> bool:
    """Whether a call is being read on without its client: of this worker, where no other test leaves one."""
    return lane.gateway.metrics().value("scaigrid_draining_calls") == 1


@pytest.mark.parametrize(("dialect", "speaks"), [("openai", "openai"), ("native", "anthropic"), ("native", "openai")])
def test_cut_at_every_event_what_the_provider_says_is_billed_where_answers_are_drained(
    lane: Lane, dialect: str, speaks: str
) -> None:
    model = "drained-anthropic" if speaks == "anthropic" else "drained"
    for index in range(len(FRAMES[speaks])):
        gate, seen, request_id, _ = leaves_at(lane, dialect, model, speaks, index)
        eventually(lambda: drains(lane), "the gateway reads on")
        assert lane.gateway.rows("usage", request_id=request_id) == []
        gate.open()
        (row,) = lane.usage(1, request_id=request_id)
        assert not seen.left.is_set()
        assert (row["outcome"], row["serving"], row["usage_source"]) == ("client_closed", 1, "provider"), index
        assert (row["tokens_in"], row["tokens_out"]) == USED
        assert row["cost"] == USED[0] * 3_000 + USED[1] * 15_000
        eventually(lambda: not drains(lane), "the gateway is done")
        assert lane.gateway.line(request_id)["code"] == "CLIENT_CLOSED"
    assert len(lane.usage(len(FRAMES[speaks]))) == len(FRAMES[speaks])


def test_a_plain_answer_is_drained_too(lane: Lane) -> None:
    gate = Gate()
    lane.openai.then(gated(gate, answer(behaviours.completion("It rains.", tokens=USED))))
    client = Leaver(lane, "openai", "drained", f"{lane.name}-plain", streamed=False)
    assert gate.reached.wait(PATIENCE)
    client.leave()
    eventually(lambda: drains(lane), "the gateway reads on")
    gate.open()
    (row,) = lane.usage(1)
    assert (row["outcome"], row["usage_source"], row["tokens_out"]) == ("client_closed", "provider", 40)


def test_what_fails_while_it_is_drained_is_nobody_s_bill_and_not_asked_elsewhere(lane: Lane) -> None:
    gate = Gate()
    lane.openai.then(gated(gate, answer(behaviours.openai_error("Oops"), status=500)))
    client = Leaver(lane, "openai", "drained", f"{lane.name}-fails")
    assert gate.reached.wait(PATIENCE)
    client.leave()
    eventually(lambda: drains(lane), "the gateway reads on")
    gate.open()
    (row,) = lane.usage(1)
    assert (row["outcome"], row["error_code"], row["serving"], row["cost"]) == ("error", "BACKEND_ERROR", 0, 0)
    assert lane.gateway.line(f"{lane.name}-fails")["code"] == "CLIENT_CLOSED"


def test_a_gateway_that_stops_waits_for_no_drain_and_forgets_none(
    start: Callable[..., Gateway], provider: Provider
) -> None:
    lane = Lane("stopping", provider)
    config: dict[str, Any] = {}
    lane.declare(config)
    lane.join(start(config))
    lane.openai.then(stream(*FRAMES["openai"][:3], Then.STALL))
    client = Leaver(lane, "openai", "drained", "stopping-1")
    client.reads(WORDS[1])
    client.leave()
    eventually(lambda: drains(lane), "the gateway reads on")
    assert lane.gateway.stop() == 0
    (row,) = lane.gateway.rows("usage")
    assert (row["outcome"], row["usage_source"], row["tokens_out"]) == ("client_closed", "estimated", 4)
