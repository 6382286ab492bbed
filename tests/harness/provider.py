"""A scripted provider on a real port: each path is told what to answer next, byte by byte where it matters.

It runs a loop in a thread of its own, so that synchronous and asynchronous tests use it alike, and speaks HTTP/1.1 by
hand, so that it can be as rude as real providers are: reset, stall, cut a chunk, say nothing.
"""

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Final, Self

from tests.harness.eventually import PATIENCE, becomes, eventually
from tests.harness.ports import LOOPBACK

Headers = Sequence[tuple[str, str]]

_REASONS: Final = {200: "OK", 307: "Temporary Redirect", 400: "Bad Request", 429: "Too Many Requests", 500: "Oops"}
_NO_LINGER: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0: closing such a socket sends RST instead of FIN."""


class Gate:
    """Closed until the test opens it; a behaviour that comes to it waits."""

    def __init__(self) -> None:
        self._opened: Future[None] = Future()
        self._lock = Lock()
        self.reached = Event()
        """Set once a behaviour waits at it, so everything ahead of it has been sent."""

    def open(self) -> None:
        """From any thread; again is no error."""
        with self._lock:
            if not self._opened.done():
                self._opened.set_result(None)

    async def passed(self) -> None:
        self.reached.set()
        await asyncio.shield(asyncio.wrap_future(self._opened))


class Seen:
    """One request as it came. Header names are in lower case."""

    def __init__(self, method: str, path: str, headers: Headers, body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.left = Event()
        """Set where the caller closed the connection before it had the whole answer."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


class Conversation:
    """What a behaviour has in hand: the request, and the connection to do as it likes with."""

    def __init__(self, request: Seen, transport: asyncio.Transport, writable: asyncio.Event) -> None:
        self.request = request
        self.complete = False
        """The answer came to its end, so the connection may serve another one."""
        self._transport = transport
        self._writable = writable

    async def write(self, data: bytes) -> None:
        """Bytes as they are."""
        self._transport.write(data)
        await self._writable.wait()

    async def head(self, status: int, headers: Headers) -> None:
        lines = [
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Whatever')}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        await self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer."""
        await self.head(status, [*headers, ("content-length", str(len(body)))])
        await self.write(body)
        self.complete = True

    async def chunk(self, data: bytes) -> None:
        """One chunk of a body that was announced as `transfer-encoding: chunked`. One of no bytes would be its end."""
        if data:
            await self.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        """The end of such a body."""
        await self.write(b"0\r\n\r\n")
        self.complete = True

    def close(self) -> None:
        """FIN, after what was written."""
        self._transport.close()

    def reset(self) -> None:
        """RST; what was written may or may not arrive."""
        wire: socket.socket = self._transport.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    async def silence(self) -> None:
        """Nothing more, until the caller goes."""
        await asyncio.get_running_loop().create_future()


Behaviour = Callable[[Conversation], Awaitable[None]]


class Endpoint:
    """Everything under one path prefix: what it answers, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        """Where its paths begin: a provider's `base_url`."""
        self.requests: list[Seen] = []
        self._next: deque[Behaviour] = deque()
        self._otherwise: Behaviour | None = None
        self._taken = 0

    def then(self, *behaviours: Behaviour) -> Self:
        """The next requests are answered by these, one each."""
        self._next.extend(behaviours)
        return self

    def always(self, behaviour: Behaviour) -> Self:
        """Every request that nothing else is planned for."""
        self._otherwise = behaviour
        return self

    def take(self) -> Behaviour | None:
        return self._next.popleft() if self._next else self._otherwise

    @property
    def unused(self) -> int:
        """How many of the planned answers nobody came for."""
        return len(self._next)

    def seen(self, *, seconds: float = PATIENCE) -> Seen:
        """The next request that this has not told yet, awaited."""
        self._taken += 1
        return eventually(self._told, f"request {self._taken} to {self.url}", seconds=seconds)

    async def comes(self, *, seconds: float = PATIENCE) -> Seen:
        """`seen`, for a test that has a loop to keep turning."""
        self._taken += 1
        return await becomes(self._told, f"request {self._taken} to {self.url}", seconds=seconds)

    def _told(self) -> Seen | None:
        return self.requests[self._taken - 1] if len(self.requests) >= self._taken else None


class Provider:
    """The server. Use it as a context; its endpoints are made on demand."""

    def __init__(self) -> None:
        self._endpoints: dict[str, Endpoint] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name="scripted-provider", daemon=True)
        self._started = Event()
        self.connections: set[_Connection] = set()
        self.connected = 0
        """How many connections have been made."""
        self.unplanned: list[Seen] = []
        """Requests that nothing was planned for; they were answered with 599."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def at(self, prefix: str) -> Endpoint:
        """The endpoint of a path prefix (`/one/v1`)."""
        if prefix not in self._endpoints:
            self._endpoints[prefix] = Endpoint(self.url + prefix)
        return self._endpoints[prefix]

    def of(self, path: str) -> Endpoint | None:
        """The endpoint with the longest prefix that `path` lies under."""
        under = [prefix for prefix in self._endpoints if path == prefix or path.startswith(prefix.rstrip("/") + "/")]
        return self._endpoints[max(under, key=len)] if under else None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(PATIENCE), "the scripted provider did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the scripted provider did not stop"

    def _run(self) -> None:
        loop = self._loop
        server = loop.run_until_complete(loop.create_server(lambda: _Connection(self), LOOPBACK, 0))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        loop.run_forever()
        server.close()
        for connection in tuple(self.connections):
            connection.drop()
        loop.run_until_complete(_finished(asyncio.all_tasks(loop)))
        loop.close()


class _Connection(asyncio.Protocol):
    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._buffer = b""
        self._writable = asyncio.Event()
        self._writable.set()
        self._task: asyncio.Task[None] | None = None
        self._request: Seen | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._provider.connections.add(self)
        self._provider.connected += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._begin()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._provider.connections.discard(self)
        if self._task is not None:
            self._task.cancel()
            if self._request is not None:
                self._request.left.set()

    def drop(self) -> None:
        assert self._transport is not None
        self._transport.abort()

    def _begin(self) -> None:
        request, self._buffer = _request(self._buffer)
        if request is None:
            return
        assert self._transport is not None
        self._request = request
        endpoint = self._provider.of(request.path)
        behaviour = None
        if endpoint is not None:
            endpoint.requests.append(request)
            behaviour = endpoint.take()
        if behaviour is None:
            self._provider.unplanned.append(request)
            behaviour = _unplanned
        conversation = Conversation(request, self._transport, self._writable)
        self._task = asyncio.get_running_loop().create_task(self._behave(behaviour, conversation))

    async def _behave(self, behaviour: Behaviour, conversation: Conversation) -> None:
        try:
            await behaviour(conversation)
        finally:
            self._task = None
        if not conversation.complete:
            conversation.close()
        elif self._buffer:
            self._begin()


async def _finished(tasks: Iterable[asyncio.Task[Any]]) -> None:
    # What was dropped is cancelled in the next turn of the loop, and over in the one after that.
    await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _unplanned(conversation: Conversation) -> None:
    await conversation.answer(599, [("content-type", "text/plain")], b"nothing was planned for this request")


def _request(data: bytes) -> tuple[Seen | None, bytes]:
    """The first request in `data` and what follows it; None while it is not whole. Bodies have a content-length."""
    head, ended, rest = data.partition(b"\r\n\r\n")
    if not ended:
        return None, data
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = tuple(_header(lines))
    length = int(next((value for name, value in headers if name == "content-length"), "0"))
    assert not any(name == "transfer-encoding" for name, _ in headers), "the gateway sends bodies whole"
    if len(rest) < length:
        return None, data
    return Seen(method, path, headers, rest[:length]), rest[length:]


def _header(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()
