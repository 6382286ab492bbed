"""Hostile requests by hand, on a socket of the real gateway: smuggling, huge heads, what would break out of a header.

RFC 9112, sections 6.1 to 6.3 and 11.2: a message whose length can be read in two ways is refused, and its connection
is closed, so that nothing behind it is taken for another request.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import pytest

from scaigrid.errors import TABLE
from tests.harness.behaviours import answer, completion
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, UNLIMITED, chat, http_client, secret
from tests.harness.ports import LOOPBACK
from tests.harness.provider import Endpoint, Provider

BODY: Final = json.dumps(chat("m")).encode()
HIDDEN: Final = (
    b"POST /v1/inference/chat HTTP/1.1\r\nhost: gateway\r\nx-request-id: smuggled-inside\r\ncontent-length: 2\r\n\r\n{}"
)
URL: Final = CHAT_URL["openai"]


class Wired:
    """A gateway, and the provider behind it."""

    def __init__(self, gateway: Gateway, endpoint: Endpoint) -> None:
        self.gateway = gateway
        self.endpoint = endpoint

    def say(self, head: list[str | bytes], body: bytes = b"", *, url: str = URL, key: str = "ann") -> list[bytes]:
        """Sends a request as it is, and reads to the end; the answers, each from its status line on."""
        lines = [
            f"POST {url} HTTP/1.1".encode(),
            b"host: gateway",
            f"authorization: Bearer {secret(key)}".encode(),
            b"content-type: application/json",
            b"connection: close",
            *(line if isinstance(line, bytes) else line.encode() for line in head),
        ]
        return self.send(b"\r\n".join([*lines, b"", b""]) + body)

    def send(self, data: bytes) -> list[bytes]:
        got = b""
        with socket.create_connection((LOOPBACK, self.gateway.port), timeout=PATIENCE) as wire:
            with suppress(OSError):
                wire.sendall(data)
            # Whoever keeps the connection has answered all that it will once it is silent.
            wire.settimeout(0.5)
            with suppress(OSError):
                while piece := wire.recv(65_536):
                    got += piece
        return [b"HTTP/1.1 " + one for one in got.split(b"HTTP/1.1 ")[1:]]


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    with Provider() as provider:
        endpoint = provider.at("/sockets/v1").always(answer(completion()))
        target = {"targets": [{"backend": "b"}]}
        config: dict[str, Any] = {
            "partners": {"default": {"limits": UNLIMITED}},
            "tenants": {"default": {"limits": UNLIMITED}},
            "users": {"ann": {"limits": UNLIMITED}},
            "keys": {"ann": {"user": "ann", "key": secret("ann"), "limits": UNLIMITED}},
            "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
            "backends": {"b": {"provider": "p", "model": "upstream-model"}},
            "models": {"m": {"unpriced": "free", "max_output_tokens": 100, "route": target}},
        }
        with Gateway(config, tmp_path_factory.mktemp("sockets")) as gateway:
            yield Wired(gateway, endpoint)
            assert [line for line in gateway.lines() if line["event"] == "unexpected_error"] == []


def statuses(answers: list[bytes]) -> list[int]:
    return [int(one.split()[1]) for one in answers]


def test_a_plain_request_by_hand_is_served(wired: Wired) -> None:
    """So that what follows is refused for what is wrong with it."""
    assert statuses(wired.say([f"content-length: {len(BODY)}"], BODY)) == [200]


AMBIGUOUS: Final[dict[str, list[str | bytes]]] = {
    "two lengths": [f"content-length: {len(BODY)}", f"content-length: {len(BODY) + len(HIDDEN)}"],
    "two lengths, the shorter behind": [f"content-length: {len(BODY) + len(HIDDEN)}", f"content-length: {len(BODY)}"],
    "a list of lengths": [f"content-length: {len(BODY)}, {len(BODY) + 5}"],
    "a length with a sign": [f"content-length: +{len(BODY)}"],
    "a length in hexadecimal": [f"content-length: {len(BODY):#x}"],
    "a length below nothing": ["content-length: -1"],
    "a length of words": ["content-length: many"],
    "an unknown coding": ["transfer-encoding: xchunked"],
    "chunked is not the last coding": ["transfer-encoding: chunked, gzip"],
    "a space ahead of the colon": [b"content-length : %d" % len(BODY)],
    "a folded line": [b"x-folded: a\r\n content-length: 5", f"content-length: {len(BODY)}"],
    "a bare line feed": [b"x-a: b\nx-b: c\r\nx c: d", f"content-length: {len(BODY)}"],
    "a name with a space": [b"x y: z", f"content-length: {len(BODY)}"],
    "NUL in a value": [b"x-a: b\x00c", f"content-length: {len(BODY)}"],
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_answered(wired: Wired, name: str) -> None:
    before = len(wired.endpoint.requests)
    told = statuses(wired.say(AMBIGUOUS[name], BODY + HIDDEN))
    assert all(400 <= status < 500 for status in told[:1]), told
    assert len(told) <= 1, "what was hidden behind it was answered"
    assert len(wired.endpoint.requests) == before
    assert "smuggled-inside" not in wired.gateway.stdout


def test_a_length_beside_chunks_does_not_count(wired: Wired) -> None:
    """RFC 9112, 6.3: the coding goes ahead of the length, or the message is refused; never is the rest a request."""
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    told = wired.say(["content-length: 4", "transfer-encoding: chunked"], chunked)
    assert len(told) == 1
    assert statuses(told)[0] in {200, 400}


@pytest.mark.parametrize(
    "lines",
    [
        ["x-large: " + "x" * 2_000_000],
        [f"x-{number}: y" for number in range(5_000)],
        ["x" * 1_000_000 + ": y"],
    ],
    ids=["a huge value", "thousands of headers", "a huge name"],
)
def test_a_head_without_an_end_is_refused_and_the_gateway_goes_on(wired: Wired, lines: list[str | bytes]) -> None:
    told = statuses(wired.say([*lines, f"content-length: {len(BODY)}"], BODY))
    assert told in ([], [400], [431]), "closed, or refused"
    assert statuses(wired.say([f"content-length: {len(BODY)}"], BODY)) == [200]


@pytest.mark.parametrize(
    "value",
    [
        b"abc\r\nx-injected: yes",
        b"abcdefgh\x0d\x0aset-cookie: a=b",
        b"abcdefgh%0d%0aset-cookie: a=b",
        b"../../../etc/passwd",
        "unicode-\u2028-line".encode(),
        b"x" * 129,
        b"<script>alert(1)</script>",
        b"short",
    ],
)
def test_an_id_of_the_caller_s_own_never_writes_a_header(wired: Wired, value: bytes) -> None:
    """What is no id is replaced by one of ours; what ends a line ends the caller's own header, and no more."""
    (got,) = wired.say([b"x-request-id: " + value, f"content-length: {len(BODY)}"], BODY)
    head = got.partition(b"\r\n\r\n")[0].lower()
    assert b"set-cookie" not in head
    assert b"x-injected" not in head
    (own,) = [line for line in head.split(b"\r\n") if line.startswith(b"x-request-id:")]
    assert own.startswith((b"x-request-id: req_", b"x-request-id: abc")), own
    passed = wired.endpoint.requests[-1].header("x-request-id") or ""
    assert passed.startswith(("req_", "abc")), "the provider hears the same one"


NAMES: Final = (
    "m\r\nx-injected: yes",
    "m\nset-cookie: a=b",
    "../../v1/files",
    "m?key=value",
    "m\u0000",
    "m\u2028",
    "' OR 1=1 --",
    "x" * 100_000,
)


@pytest.mark.parametrize("model", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("url", [*CHAT_URL.values(), "/anthropic/v1/messages"])
def test_the_name_of_a_model_is_a_name_and_nothing_else(wired: Wired, model: str, url: str) -> None:
    before = len(wired.endpoint.requests)
    body = json.dumps({**chat(model), "max_tokens": 5}).encode()
    (got,) = wired.say([f"content-length: {len(body)}"], body, url=url)
    head, _, text = got.partition(b"\r\n\r\n")
    assert statuses([got])[0] in {404, 422}
    assert not {b"set-cookie", b"x-injected"} & {line.partition(b":")[0] for line in head.lower().split(b"\r\n")}
    error = json.loads(text)["error"]
    assert error["code"] in TABLE
    assert len(text) < 4_000, "a name is not given back at any length"
    assert len(wired.endpoint.requests) == before


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/v1/models", "//evil.example/v1/models", "/v1/models/%0d%0ax:y"])
def test_where_a_request_goes_is_for_its_path_alone(wired: Wired, target: str) -> None:
    """The gateway is nobody's proxy: the host of an absolute target is not asked."""
    head = f"GET {target} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {secret('ann')}\r\n\r\n"
    told = wired.send(head.encode())
    assert len(told) == 1
    assert statuses(told)[0] in {200, 400, 404}
    assert b"\r\nx:y" not in told[0].lower()


def test_after_all_of_this_it_still_serves(wired: Wired) -> None:
    with http_client(wired.gateway, secret("ann")) as client:
        assert client.post(URL, json=chat("m")).status_code == 200
