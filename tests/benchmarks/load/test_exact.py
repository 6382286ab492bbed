import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import pytest

from benchmarks.chat import ANSWER, Target, at_gateway
from benchmarks.load import exact

USAGE: dict[str, Any] = {
    "prompt_tokens": ANSWER.prompt_tokens,
    "completion_tokens": ANSWER.completion_tokens,
    "prompt_tokens_details": {"cached_tokens": ANSWER.cached_tokens},
}
COMPLETION: dict[str, Any] = {
    "model": "bench/chat",
    "choices": [{"message": {"content": "Yes."}}],
    "usage": USAGE,
}
CHANGES: list[tuple[int, dict[str, Any], str]] = [
    (429, {}, "status 429"),
    (200, {"model": "mock-large"}, "model 'mock-large'"),
    (200, {"usage": USAGE | {"prompt_tokens": 147}}, "another usage than the provider's"),
    (200, {"usage": None}, "no completion (TypeError)"),
    (200, {"choices": []}, "no completion (IndexError)"),
    (200, {"choices": [{"message": {"content": ""}}]}, "no text"),
]


def test_a_good_answer_has_no_fault() -> None:
    assert exact.fault_of(200, json.dumps(COMPLETION).encode(), "bench/chat", ANSWER) is None


@pytest.mark.parametrize(("status", "change", "fault"), CHANGES)
def test_what_is_wrong_with_an_answer_is_named(status: int, change: dict[str, Any], fault: str) -> None:
    text = json.dumps(COMPLETION | change).encode()
    assert exact.fault_of(status, text, "bench/chat", ANSWER) == fault


def test_bytes_that_are_no_json_are_a_fault() -> None:
    assert exact.fault_of(200, b"{", "bench/chat", ANSWER) == "no completion (JSONDecodeError)"


class _Gateway(ThreadingHTTPServer):
    """Answers every call, but each tenth with 503, and closes the connection without a word on each fiftieth."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls = 0
        self.lock = Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, _Gateway)
        self.rfile.read(int(self.headers["content-length"]))
        with server.lock:
            server.calls += 1
            number = server.calls
        if number % 50 == 0:
            self.close_connection = True
            return
        body = json.dumps(COMPLETION).encode()
        self.send_response(503 if number % 10 == 0 else 200)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-request-id", f"req_{number}")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: the test says what it found."""


@pytest.fixture
def gateway() -> Iterator[_Gateway]:
    with _Gateway() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_every_call_is_made_once_and_what_became_of_it_is_known(gateway: _Gateway) -> None:
    target: Target = at_gateway(gateway.server_address[1])
    seen = exact.call(target, ANSWER, requests=203, connections=7)
    assert gateway.calls == 203
    assert len(set(seen.ids)) == len(seen.ids) == 203 - 20
    assert seen.faults == {"status 503": 16, "RemoteDisconnected": 4}
