"""Servers that answer by a script what a real one says only for a moment, or only when it is wrong."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any, cast

import libvalkey

from tests.harness.ports import LOOPBACK


class Scripted:
    """One of them, and what it was asked.

    `script` has what is answered to a command, by its first words in capitals; to any other there is no such thing.
    """

    def __init__(self, port: int, script: dict[str, bytes]) -> None:
        self.port = port
        self.script = script
        self.asked: list[str] = []

    @property
    def host(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def answer(self, command: list[bytes]) -> bytes:
        text = b" ".join(command).decode()
        self.asked.append(text)
        found = [said for words, said in self.script.items() if text.upper().startswith(words)]
        return found[0] if found else b"-ERR no such thing\r\n"


@asynccontextmanager
async def scripted(script: dict[str, bytes] | None = None) -> AsyncGenerator[Scripted]:
    """It listens on loopback until the block is left."""
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(cast("asyncio.Task[None]", asyncio.current_task()))
        commands: Any = libvalkey.Reader(notEnoughData=Ellipsis)
        with closing(writer), suppress(ConnectionError):
            while piece := await reader.read(65_536):
                commands.feed(piece)
                while (command := commands.gets()) is not Ellipsis:
                    writer.write(one.answer(command))

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    one = Scripted(server.sockets[0].getsockname()[1], script or {})
    try:
        yield one
    finally:
        server.close()
        await server.wait_closed()
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)


def bulk(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return b"$%d\r\n%s\r\n" % (len(data), data)


def array(*parts: bytes) -> bytes:
    """Of parts as they go over the wire."""
    return b"*%d\r\n%s" % (len(parts), b"".join(parts))


def number(value: int) -> bytes:
    return b":%d\r\n" % value
