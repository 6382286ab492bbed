"""A real Granian in the test's own loop, for what only a server does: stream over a socket, notice who leaves."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from granian.constants import Interfaces
from granian.server import embed

from scaigrid.asgi import ASGIApp, Receive, Scope, Send, respond
from tests.harness.eventually import PATIENCE
from tests.harness.ports import LOOPBACK, free_port


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncGenerator[int]:
    """The port on which `app` is served inside the block, lifespan included."""
    port, name = free_port(), secrets.token_hex(8)

    async def known(scope: Scope, receive: Receive, send: Send) -> None:
        # Two Granians can share a port without an error: this one tells that it is it.
        if scope["type"] == "http" and scope["path"] == f"/{name}":
            await respond(send, 200, (), name.encode())
        else:
            await app(scope, receive, send)

    server: Any = embed.Server(known, LOOPBACK, port, interface=Interfaces.ASGI, log_enabled=False)
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(PATIENCE):
            while not await _answers(port, name):
                assert not running.done(), "the server ended before it was ready"
        yield port
    finally:
        server.stop()
        await running


async def _answers(port: int, name: str) -> bool:
    with suppress(OSError):
        async with Wire(port) as wire:
            await wire.ask("GET", f"/{name}")
            return await wire.reads(name.encode())
    return False


class Wire:
    """A client with no library between it and its connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.got = b""

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(LOOPBACK, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        given = {"host": "gateway", "content-length": str(len(body)), **(headers or {})}
        lines = [f"{method} {path} HTTP/1.1", *(f"{key}: {value}" for key, value in given.items()), "", ""]
        self._writer.write("\r\n".join(lines).encode() + body)
        await self._writer.drain()

    async def reads(self, expected: bytes) -> bool:
        """Whether `expected` comes, before the connection ends."""
        async with asyncio.timeout(PATIENCE):
            while expected not in self.got:
                piece = await self._reader.read(65_536)
                if not piece:
                    return False
                self.got += piece
        return True
