"""One connection, over real sockets, under the loop of the tests and under the gateway's own."""

import asyncio
import ssl
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trustme

from scaigrid.secrets import Secret
from scaigrid.stores import wire as subject
from scaigrid.stores.address import Address
from scaigrid.stores.wire import Away, Refused, Wire, connect, observe
from tests.harness.eventually import PATIENCE, becomes
from tests.harness.ports import LOOPBACK, refusing_port, silent_port
from tests.harness.valkey import Valkey, shared

ASYNCIO = ("asyncio", {"use_uvloop": False})
UVLOOP = ("asyncio", {"use_uvloop": True})
PING = b"*1\r\n$4\r\nPING\r\n"
LONG = 10.0


@pytest.fixture(scope="module", params=[ASYNCIO, UVLOOP], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Their transports differ in type and in temper."""
    return request.param


Speaker = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def speaking(speak: Speaker, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Address]:
    """The address of a server that does what it is told on its connections."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speak(reader, writer)
            await over.wait()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=tls)
    try:
        yield Address(host=LOOPBACK, port=server.sockets[0].getsockname()[1])
    finally:
        over.set()
        server.close()
        await server.wait_closed()


def answering(*pieces: bytes) -> Speaker:
    """Waits for something, then says all this, piece by piece."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return speak


@asynccontextmanager
async def wired(address: Address, patience: float = LONG) -> AsyncGenerator[Wire]:
    wire = await connect(address, patience)
    try:
        yield wire
    finally:
        wire.close("the test is over")


async def away(answer: Awaitable[object]) -> str:
    """Why a call had no answer."""
    with pytest.raises(Away) as caught:
        async with asyncio.timeout(PATIENCE):
            await answer
    return str(caught.value)


# -- answers ---------------------------------------------------------------------------------------------------------


async def test_what_is_called_in_one_turn_leaves_together_and_is_answered_in_order() -> None:
    read: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.read(65_536))
        writer.write(b"+one\r\n:2\r\n*2\r\n$-1\r\n$5\r\nthree\r\n")

    async with speaking(speak) as address, wired(address) as wire:
        answers = [wire.call("ONE"), wire.call("TWO", 2), wire.call("THREE", b"\xff")]
        assert await asyncio.gather(*answers) == [b"one", 2, [None, b"three"]]
    assert read == [b"*1\r\n$3\r\nONE\r\n*2\r\n$3\r\nTWO\r\n$1\r\n2\r\n*2\r\n$5\r\nTHREE\r\n$1\r\n\xff\r\n"]


async def test_an_answer_may_come_in_any_pieces() -> None:
    text = b"*2\r\n$5\r\nthree\r\n:3\r\n"
    for cut in range(1, len(text)):
        async with speaking(answering(text[:cut], text[cut:])) as address, wired(address) as wire:
            assert await wire.call("THREE") == [b"three", 3]


async def test_an_error_is_the_answer_of_one_call() -> None:
    async with speaking(answering(b"-ERR no such thing\r\n+PONG\r\n")) as address, wired(address) as wire:
        first, second = wire.call("NOTHING"), wire.call("PING")
        with pytest.raises(Refused, match="ERR no such thing"):
            await first
        assert await second == b"PONG"


async def test_a_caller_that_leaves_takes_nobody_elses_answer() -> None:
    async with speaking(answering(b"+one\r\n+two\r\n+three\r\n")) as address, wired(address) as wire:
        answers = [wire.call(word) for word in ("ONE", "TWO", "THREE")]
        answers[1].cancel()
        assert [await answers[0], await answers[2]] == [b"one", b"three"]


async def test_a_call_that_nobody_awaits_can_be_watched() -> None:
    heard: dict[str, tuple[object, Exception | None]] = {}

    def watch(word: str, reply: object, error: Exception | None) -> None:
        heard[word] = reply, error

    async with speaking(answering(b"+one\r\n-ERR two\r\n")) as address, wired(address) as wire:
        calls = {word: wire.call(word) for word in ("ONE", "TWO", "THREE", "FOUR")}
        for word, answer in calls.items():
            observe(answer, partial(watch, word))
        calls["FOUR"].cancel()
        await becomes(lambda: len(heard) == 3, "two answers, and one that is not awaited")
        wire.close("enough")
        await becomes(lambda: len(heard) == 4, "the rest has ended")
    assert heard["ONE"] == (b"one", None)
    assert heard["FOUR"] == (None, None)
    assert repr(heard["TWO"]) == "(None, Refused('ERR two'))"
    assert repr(heard["THREE"]) == "(None, Away('enough'))"


# -- the end ---------------------------------------------------------------------------------------------------------


async def test_a_call_waits_for_its_deadline_and_what_is_behind_it_does_not_wait_on() -> None:
    async with speaking(answering(b"+one\r\n")) as address, wired(address, 0.1) as wire:
        assert await wire.call("ONE") == b"one"
        answers = [wire.call("TWO"), wire.call("THREE")]
        assert [await away(answer) for answer in answers] == ["no answer within 0.1 s"] * 2
        assert wire.ended.result() == "no answer within 0.1 s"
        assert await away(wire.call("FOUR")) == "no answer within 0.1 s"


async def test_the_deadline_is_each_calls_own() -> None:
    """A connection in use is never cut, however long it is in use."""
    async with wired(Address(path=str(shared().socket)), 0.2) as wire:
        ends = asyncio.get_running_loop().time() + 0.7
        while asyncio.get_running_loop().time() < ends:
            assert await wire.call("PING") == b"PONG"
            await asyncio.sleep(0.01)


async def test_a_loop_that_was_busy_is_no_server_that_is_silent() -> None:
    async with wired(Address(path=str(shared().socket)), 0.1) as wire:
        answer = wire.call("PING")
        # Nothing turns for longer than it may wait, so it has not even been sent
        threading.Event().wait(0.3)
        assert await answer == b"PONG"


@pytest.mark.parametrize(
    "error",
    [
        "LOADING Valkey is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "MOVED 3999 127.0.0.1:6381",
        "ASK 3999 127.0.0.1:6381",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "CLUSTERDOWN The cluster is down",
        "ERR Function not found",
        "NOAUTH Authentication required.",
    ],
)
async def test_a_server_that_cannot_serve_now_ends_the_connection(error: str) -> None:
    async with speaking(answering(f"-{error}\r\n".encode())) as address, wired(address) as wire:
        answers = [wire.call("ONE"), wire.call("TWO")]
        assert [await away(answer) for answer in answers] == [error, error]
        assert wire.ended.result() == error


async def test_a_server_that_closes_ends_every_call() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.close()

    async with speaking(speak) as address, wired(address) as wire:
        assert await away(wire.call("ONE")) == "the connection was closed"


async def test_what_a_server_says_unasked_is_why_it_ends() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR max number of clients reached\r\n")

    async with speaking(speak) as address, wired(address) as wire:
        await becomes(wire.ended.done, "it has ended")
        assert await away(wire.call("ONE")) == "ERR max number of clients reached"


async def test_something_else_that_listens_there_is_told_apart() -> None:
    async with speaking(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as address, wired(address) as wire:
        assert await away(wire.call("ONE")) == "what answers there is no Valkey"


async def test_a_second_end_changes_nothing() -> None:
    async with wired(Address(path=str(shared().socket))) as wire:
        wire.close("first")
        wire.close("second")
        assert await away(wire.call("ONE")) == "first"


# -- connecting ------------------------------------------------------------------------------------------------------


async def test_the_server_is_told_who_we_are_and_which_database() -> None:
    with Valkey(password="right") as server:
        server.command("ACL", "SETUSER", "ann", "on", ">of-ann", "~*", "+@all")
        address = Address(host=LOOPBACK, port=server.port, database=3, password=Secret("right"))
        async with wired(address) as wire:
            await wire.call("SET", "key", "value")
        async with wired(Address(path=str(server.socket), username="ann", password=Secret("of-ann"))) as wire:
            assert await wire.call("ACL", "WHOAMI") == b"ann"
            assert await wire.call("GET", "key") is None
            await wire.call("SELECT", 3)
            assert await wire.call("GET", "key") == b"value"
        with pytest.raises(Refused, match="WRONGPASS"):
            await connect(Address(host=LOOPBACK, port=server.port, password=Secret("wrong")), LONG)
        with pytest.raises(Refused, match="DB index is out of range"):
            await connect(Address(host=LOOPBACK, port=server.port, database=99, password=Secret("right")), LONG)


async def test_a_port_that_refuses_is_told() -> None:
    with refusing_port() as port, pytest.raises(Away, match=r"[Cc]onnect"):
        await connect(Address(host=LOOPBACK, port=port), LONG)


async def test_a_socket_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Away, match="No such file"):
        await connect(Address(path=str(tmp_path / "none")), LONG)


async def test_a_port_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_CONNECT_SECONDS", 0.1)
    with silent_port() as port, pytest.raises(Away, match=r"no connection within 0\.1 s"):
        await connect(Address(host=LOOPBACK, port=port), LONG)


async def test_a_name_that_nobody_knows_is_told() -> None:
    with pytest.raises(Away, match=r"\S"):
        await connect(Address(host="no-such-host.invalid"), LONG)


async def test_a_secure_server_is_asked_for_its_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert(LOOPBACK).private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "server.pem")
    ours = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
    strangers = ssl.create_default_context()
    async with speaking(answering(b"+PONG\r\n"), server) as plain:
        address = Address(host=plain.host, port=plain.port, secure=True)
        wire = await connect(address, LONG, ours)
        assert await wire.call("PING") == b"PONG"
        wire.close("enough")
        with pytest.raises(Away, match=r"(?i)certificate"):
            await connect(address, LONG, strangers)
