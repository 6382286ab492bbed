"""A small load balancer on a real port: it asks each gateway whether it is ready, and sends new connections to those.

It passes bytes and knows nothing of HTTP, so a client that keeps its connection stays with one gateway until either of
them closes it. What is connected to a gateway that is no longer ready goes on; a gateway that refuses a connection is
passed over for the next one, as no byte was sent yet.

    with Balancer([one.port, other.port]) as balancer:
        httpx.post(f"{balancer.url}/v1/inference/chat", ...)
        one.stop()                # its clients are sent to the other one
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from tests.harness.eventually import PATIENCE, eventually
from tests.harness.ports import LOOPBACK

PROBE_SECONDS: Final = 0.1
"""Between two questions."""
ANSWER_SECONDS: Final = 2.0
"""For an answer; none within that time is a no."""
_PROBE: Final = b"GET /health/ready HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n"


class Balancer:
    """Between clients and gateways at these ports of the loopback address. As a context it listens and probes."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = tuple(ports)
        self.port = 0
        self.ready: frozenset[int] = frozenset()
        """The ports of those that said so when they were asked last."""
        self.sent: Counter[int] = Counter()
        """Connections by the port that they were sent to."""
        self.refused = 0
        """Connections that nobody took."""
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._started = Event()
        self._thread = Thread(target=self._run, name="balancer", daemon=True)
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(PATIENCE), "the balancer did not start"
        eventually(lambda: self.ready, "a gateway is ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the balancer did not stop"

    def _run(self) -> None:
        loop = self._loop
        server = loop.run_until_complete(asyncio.start_server(self._accept, LOOPBACK, 0))
        self.port = server.sockets[0].getsockname()[1]
        probes = [loop.create_task(self._probe(port)) for port in self.ports]
        self._started.set()
        loop.run_forever()
        server.close()
        tasks = [*probes, *self._open]
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()

    async def _probe(self, port: int) -> None:
        while True:
            found = False
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    reader, writer = await asyncio.open_connection(LOOPBACK, port)
                    try:
                        writer.write(_PROBE)
                        found = b" 200 " in await reader.readline()
                    finally:
                        writer.close()
            self.ready = self.ready | {port} if found else self.ready - {port}
            await asyncio.sleep(PROBE_SECONDS)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            there = await self._connected()
            if there is None:
                self.refused += 1
                return
            await self._joined(reader, writer, *there)
        finally:
            self._open.discard(task)
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        ready = [port for port in self.ports if port in self.ready]
        self._turn += 1
        for place in range(len(ready)):
            port = ready[(self._turn + place) % len(ready)]
            with suppress(OSError):
                there = await asyncio.open_connection(LOOPBACK, port)
                self.sent[port] += 1
                return there
        return None

    async def _joined(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        gateway_reader: asyncio.StreamReader,
        gateway_writer: asyncio.StreamWriter,
    ) -> None:
        """Whoever of the two ends first, ends both: neither of them speaks on once it has closed its half."""
        ways = {
            asyncio.ensure_future(_pass_on(reader, gateway_writer)),
            asyncio.ensure_future(_pass_on(gateway_reader, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            gateway_writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
