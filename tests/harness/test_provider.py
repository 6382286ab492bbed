"""The scripted provider keeps its word: what the tests believe about it, asked by a client that reads raw bytes."""

import socket
from collections.abc import Iterator

import pytest

from tests.harness.behaviours import Then, answer, cut, raw, reset, silence, stream
from tests.harness.ports import LOOPBACK, refusing_port, silent_port
from tests.harness.provider import Gate, Provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


def ask(provider: Provider, path: str = "/one/x", body: bytes = b"{}") -> socket.socket:
    """A connection on which one request was sent."""
    wire = socket.create_connection((LOOPBACK, provider.port), timeout=10)
    wire.sendall(
        b"POST %b HTTP/1.1\r\nHost: x\r\nX-A: b\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
    )
    return wire


def everything(wire: socket.socket) -> bytes:
    pieces: list[bytes] = []
    while piece := wire.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def until(wire: socket.socket, end: bytes) -> bytes:
    got = b""
    while not got.endswith(end):
        piece = wire.recv(65536)
        assert piece, got
        got += piece
    return got


def test_it_records_what_it_was_asked(provider: Provider) -> None:
    endpoint = provider.at("/one").then(answer({"a": 1}))
    with ask(provider, body=b'{"q": 2}') as wire:
        assert until(wire, b'{"a":1}').startswith(b"HTTP/1.1 200 OK\r\n")
    seen = endpoint.seen()
    assert (seen.method, seen.path, seen.json, seen.header("x-a")) == ("POST", "/one/x", {"q": 2}, "b")
    assert endpoint.unused == 0


def test_planned_answers_come_in_turn_on_one_connection(provider: Provider) -> None:
    provider.at("/one").then(answer(b"first"), answer(b"second")).always(answer(b"rest"))
    with ask(provider) as wire:
        until(wire, b"first")
        for expected in (b"second", b"rest", b"rest"):
            wire.sendall(b"GET /one/x HTTP/1.1\r\n\r\n")
            until(wire, expected)
    assert provider.connected == 1


def test_what_nobody_planned_is_noticed(provider: Provider) -> None:
    with ask(provider, "/elsewhere") as wire:
        assert b" 599 " in until(wire, b"request")
    assert [str(one) for one in provider.unplanned] == ["POST /elsewhere"]


def test_nothing_passes_a_gate_until_it_is_opened(provider: Provider) -> None:
    gate = Gate()
    provider.at("/one").then(stream(b"one", gate, b"two"))
    with ask(provider) as wire:
        until(wire, b"3\r\none\r\n")
        assert gate.reached.wait(10)
        wire.setblocking(False)
        with pytest.raises(BlockingIOError):
            wire.recv(1)
        wire.settimeout(10)
        gate.open()
        assert until(wire, b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"


def test_it_knows_when_the_caller_left(provider: Provider) -> None:
    endpoint = provider.at("/one").then(silence)
    wire = ask(provider)
    seen = endpoint.seen()
    assert not seen.left.is_set()
    wire.close()
    assert seen.left.wait(10)


def test_a_caller_who_has_the_whole_answer_did_not_leave(provider: Provider) -> None:
    endpoint = provider.at("/one").always(answer(b"all"))
    with ask(provider) as wire:
        until(wire, b"all")
        wire.sendall(b"GET /one/x HTTP/1.1\r\n\r\n")
        until(wire, b"all")
    assert [one.left.is_set() for one in endpoint.requests] == [False, False]


def test_it_can_reset(provider: Provider) -> None:
    provider.at("/one").then(reset, stream(b"one", Then.RESET))
    for _ in range(2):
        with ask(provider) as wire, pytest.raises(ConnectionResetError):
            everything(wire)


def test_it_can_break_off_and_babble(provider: Provider) -> None:
    provider.at("/one").then(stream(b"one", Then.CLOSE), cut(b"abc", declared=9), raw(b"\x00babble"))
    with ask(provider) as wire:
        assert everything(wire).endswith(b"\r\n\r\n3\r\none\r\n")
    with ask(provider) as wire:
        assert everything(wire).endswith(b"content-length: 9\r\n\r\nabc")
    with ask(provider) as wire:
        assert everything(wire) == b"\x00babble"


def test_a_refusing_port_refuses() -> None:
    with refusing_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port), timeout=10)


def test_a_silent_port_never_connects() -> None:
    with silent_port() as port, pytest.raises(TimeoutError):
        socket.create_connection((LOOPBACK, port), timeout=0.1)
