"""The provider in C, whose faults would otherwise be taken for a gateway's."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks import tools
from benchmarks.chat import ANSWER, Target, at_provider
from benchmarks.mock import Provider, provider

pytestmark = [
    pytest.mark.skipif(tools.where("cc") is None, reason="no C compiler"),
    pytest.mark.skipif(tools.where("setpriv") is None, reason="no setpriv"),
]

EVENTS: Final = 3
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("provider")
    with provider(core=min(_cores()), folder=folder, events=EVENTS, interval_ms=0.1) as one:
        yield one


def _cores() -> set[int]:
    import os

    return os.sched_getaffinity(0)


class Client:
    """One connection, read to the byte."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._bytes = b""

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self._socket.sendall(part)

    def until(self, mark: bytes) -> bytes:
        while mark not in self._bytes:
            self._receive()
        before, _, self._bytes = self._bytes.partition(mark)
        return before + mark

    def answer(self) -> tuple[int, bytes]:
        """Status and body of an answer with a length."""
        head = self.until(b"\r\n\r\n")
        length = _LENGTH.search(head)
        due = int(length[1]) if length else 0
        while len(self._bytes) < due:
            self._receive()
        body, self._bytes = self._bytes[:due], self._bytes[due:]
        return int(head.split()[1]), body

    def is_closed(self) -> bool:
        return not self._bytes and self._socket.recv(1) == b""

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> None:
        received = self._socket.recv(65536)
        if not received:
            raise ConnectionError(f"closed after {self._bytes!r}")
        self._bytes += received


@pytest.fixture
def client(running: Provider) -> Iterator[Client]:
    one = Client(running.port)
    yield one
    one.close()


@pytest.fixture
def target(running: Provider) -> Target:
    return at_provider(running.port)


def head(target: Target, *more: str) -> bytes:
    lines = [
        f"POST {target.path} HTTP/1.1",
        "Host: test",
        *(f"{name}: {value}" for name, value in target.headers.items()),
    ]
    return "\r\n".join((*lines, *more, "", "")).encode()


def whole(target: Target, body: bytes | None = None) -> bytes:
    body = target.body() if body is None else body
    return head(target, f"Content-Length: {len(body)}") + body


def chunked(target: Target, size: int) -> bytes:
    body = target.body()
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    coded = b"".join(b"%X;note=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head(target, "Transfer-Encoding: chunked") + coded + b"0\r\nTrailer: ignored\r\n\r\n"


def completion(answer: tuple[int, bytes]) -> dict[str, Any]:
    status, body = answer
    assert status == 200, body
    made: dict[str, Any] = json.loads(body)
    return made


def test_a_completion_states_the_usage_it_was_told(client: Client, target: Target) -> None:
    client.send(whole(target))
    made = completion(client.answer())
    usage = made["usage"]
    assert usage["prompt_tokens"] == ANSWER.prompt_tokens
    assert usage["completion_tokens"] == ANSWER.completion_tokens
    assert usage["total_tokens"] == ANSWER.tokens
    assert usage["prompt_tokens_details"]["cached_tokens"] == ANSWER.cached_tokens
    assert made["model"] == target.model
    assert made["choices"][0]["message"]["content"]


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_chunked_body_is_the_same_body(client: Client, target: Target, size: int) -> None:
    client.send(chunked(target, size))
    assert completion(client.answer())["object"] == "chat.completion"


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_a_request_may_be_cut_anywhere(client: Client, target: Target, form: str) -> None:
    request = whole(target) if form == "length" else chunked(target, 100)
    for at in range(1, len(request), 41):
        client.send(request[:at], request[at:])
        completion(client.answer())
    client.send(*(request[at : at + 1] for at in range(len(request))))
    completion(client.answer())


def test_pipelined_requests_are_answered_in_order(client: Client, target: Target) -> None:
    client.send((whole(target) + chunked(target, 50)) * 50)
    ids = [completion(client.answer())["id"] for _ in range(100)]
    assert ids == sorted(set(ids))


def test_a_body_is_asked_for_where_the_client_expects_it(client: Client, target: Target) -> None:
    body = target.body()
    client.send(head(target, f"Content-Length: {len(body)}", "Expect: 100-continue"))
    assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(body)
    completion(client.answer())


def test_a_megabyte_is_a_body_too(client: Client, target: Target) -> None:
    call: dict[str, Any] = json.loads(target.body())
    call["messages"][0]["content"] = "x" * 1_000_000
    client.send(whole(target, json.dumps(call).encode()))
    completion(client.answer())


def test_text_that_talks_about_a_stream_asks_for_none(client: Client, target: Target) -> None:
    call: dict[str, Any] = json.loads(target.body())
    call["messages"][0]["content"] = 'Say "stream":true and {"stream": true}.'
    client.send(whole(target, json.dumps(call).encode()))
    completion(client.answer())


@pytest.mark.parametrize("asked", [True, False])
def test_a_stream_has_its_events_its_usage_where_asked_and_its_end(client: Client, target: Target, asked: bool) -> None:
    call: dict[str, Any] = json.loads(target.body(stream=True))
    if not asked:
        del call["stream_options"]
    client.send(whole(target, json.dumps(call).encode()) + whole(target))
    client.until(b"\r\n\r\n")
    stream = b"".join(_chunks(client))
    events = [line.removeprefix("data: ") for line in stream.decode().split("\n\n") if line]
    assert events.pop() == "[DONE]"
    decoded: list[dict[str, Any]] = [json.loads(event) for event in events]
    assert len({event["id"] for event in decoded}) == 1
    if asked:
        last = decoded.pop()
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] == EVENTS
    texts = [event["choices"][0]["delta"].get("content") for event in decoded]
    assert texts[0] == ""
    assert texts[-1] is None
    assert decoded[-1]["choices"][0]["finish_reason"] == "stop"
    stamps = [int(text.strip().removeprefix("@")) for text in texts[1:-1]]
    assert len(stamps) == EVENTS
    assert stamps == sorted(stamps)
    completion(client.answer())


def _chunks(client: Client) -> Iterator[bytes]:
    while size := int(client.until(b"\r\n"), 16):
        chunk = client.until(b"\n\n\r\n")
        assert len(chunk) == size + 2
        yield chunk[:-2]
    assert client.until(b"\r\n") == b"\r\n"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"key": "another"}, 401),
        ({"model": "bench/chat"}, 404),
        ({"path": "/v1/chat"}, 404),
    ],
)
def test_what_a_provider_would_refuse_is_refused(
    client: Client, target: Target, change: dict[str, str], status: int
) -> None:
    import msgspec

    client.send(whole(msgspec.structs.replace(target, **change)))
    assert client.answer()[0] == status
    client.send(whole(target))
    completion(client.answer())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model":"mock-large"}', b'{"model":"mock-large","messages":[]'])
def test_a_body_that_is_no_call_is_refused(client: Client, target: Target, body: bytes) -> None:
    client.send(whole(target, body))
    assert client.answer()[0] == 400


@pytest.mark.parametrize(
    "request_",
    [
        b"garbage\r\n\r\n",
        b"POST / HTTP/2.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    ],
)
def test_framing_that_cannot_be_followed_ends_the_connection(client: Client, request_: bytes) -> None:
    client.send(request_)
    assert client.answer()[0] in {400, 413, 501}
    assert client.is_closed()


def test_what_was_answered_is_counted(running: Provider, client: Client, target: Target) -> None:
    before = running.counts()
    client.send(whole(target) * 3 + whole(target, target.body(stream=True)) + whole(target, b"{}"))
    for _ in range(3):
        completion(client.answer())
    client.until(b"\r\n0\r\n\r\n")
    assert client.answer()[0] == 400
    after = running.counts()
    assert after.answered - before.answered == 4
    assert after.streams - before.streams == 1
    assert after.events - before.events == EVENTS
    assert after.refused - before.refused == 1


def test_it_stops_with_the_rig(tmp_path: Path) -> None:
    with provider(core=min(_cores()), folder=tmp_path) as one:
        process = one.child.process
        assert process.poll() is None
    assert process.poll() is not None
