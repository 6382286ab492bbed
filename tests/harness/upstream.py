"""A way to providers without a provider: each call is told what to answer, piece by piece."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream.port import UpstreamResponse

Piece = bytes | asyncio.Event | Exception
"""Bytes are handed on, an event is waited for, an exception is raised."""


class Planned:
    """One answer: what comes ahead of its head, the head, and the body in pieces."""

    def __init__(
        self,
        *body: Piece,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        ahead: asyncio.Event | Exception | None = None,
    ) -> None:
        self.status = status
        self.headers: Mapping[str, str] = headers or {}
        self.left = 0
        """Pieces that nobody has read."""
        self.closed = asyncio.Event()
        """The call is over, in whatever way."""
        self._ahead = ahead
        self._body = deque(body)

    async def head(self) -> None:
        await _come(self._ahead)

    async def read(self, limit: int) -> bytes:
        pieces: list[bytes] = []
        while piece := await self.chunk():
            pieces.append(piece)
        return b"".join(pieces)

    async def chunk(self) -> bytes:
        while self._body:
            piece = self._body.popleft()
            if isinstance(piece, bytes):
                return piece
            await _come(piece)
        return b""

    def close(self) -> None:
        self.left = len(self._body)
        self.closed.set()


async def _come(piece: asyncio.Event | Exception | None) -> None:
    if isinstance(piece, Exception):
        raise piece
    if piece is not None:
        await piece.wait()


class ScriptedUpstream:
    """Plays the planned answers in turn, and keeps what it was asked."""

    def __init__(self, *plans: Planned) -> None:
        self.plans: Sequence[Planned] = plans
        self.requests: list[UpstreamRequest] = []
        self.asked = asyncio.Event()
        """Somebody has asked."""

    @asynccontextmanager
    async def send(
        self, request: UpstreamRequest, *, connect_timeout: float, stream: bool
    ) -> AsyncGenerator[UpstreamResponse]:
        plan = self.plans[len(self.requests)]
        self.requests.append(request)
        self.asked.set()
        try:
            await plan.head()
            yield plan
        finally:
            plan.close()

    async def aclose(self) -> None:
        return None
