"""Calls under way in one worker: whoever repeats one of them is in the same process. Gone with it, as the calls are."""

import asyncio
from collections import deque
from typing import Final

from scaigrid.clock import Clock
from scaigrid.repeats.port import End, Own, Reader, Reading

_MOST_STAYING: Final = 256
"""Runs that are over and still to be had; beyond that many the oldest are forgotten."""


class MemoryRuns:
    """No step awaits anything, so each is one turn of the event loop. Times are the clock's monotonic seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runs: dict[str, _Run] = {}
        self._staying: deque[tuple[float, str, _Run]] = deque()
        """What is over and stays: until when, and where. All stay for the same time, so the first is the oldest."""

    async def claim(self, scope: str, fingerprint: str, lease: float) -> "Own | Reader":
        """`lease` means nothing here: nobody in this process has died."""
        self._forget()
        run = self._runs.get(scope)
        if run is not None:
            return _Reader(run)
        run = self._runs[scope] = _Run(fingerprint)
        return Own(_Claim(self, scope, run))

    async def aclose(self) -> None:
        self._runs.clear()
        self._staying.clear()

    def ended(self, scope: str, run: "_Run", stays: float) -> None:
        """A run is over, and is forgotten, or stays for so many seconds."""
        if stays > 0:
            self._staying.append((self._clock.monotonic() + stays, scope, run))
            self._forget()
        elif self._runs.get(scope) is run:
            del self._runs[scope]

    def _forget(self) -> None:
        staying = self._staying
        while staying and (staying[0][0] <= self._clock.monotonic() or len(staying) > _MOST_STAYING):
            _, scope, run = staying.popleft()
            if self._runs.get(scope) is run:
                del self._runs[scope]


class _Run:
    """What has been said, and who listens."""

    __slots__ = ("end", "fingerprint", "first", "news", "nobody", "pieces", "readers", "size")

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.pieces: deque[bytes] = deque()
        self.first = 0
        """The number of the oldest piece that is held."""
        self.size = 0
        self.end: End | None = None
        self.readers = 0
        self.news = asyncio.Event()
        """Another one for each piece: whoever waits has the one that was there when it looked."""
        self.nobody = asyncio.Event()
        self.nobody.set()

    def tell(self) -> None:
        self.news.set()
        self.news = asyncio.Event()


class _Claim:
    def __init__(self, runs: MemoryRuns, scope: str, run: _Run) -> None:
        self._runs = runs
        self._scope = scope
        self._run = run

    def add(self, piece: bytes, limit: int) -> None:
        run = self._run
        run.pieces.append(piece)
        run.size += len(piece)
        while run.size > limit:
            run.size -= len(run.pieces.popleft())
            run.first += 1
        run.tell()

    def end(self, end: End, stays: float = 0.0) -> None:
        self._run.end = end
        self._runs.ended(self._scope, self._run, stays)
        self._run.tell()

    async def deserted(self) -> None:
        while self._run.readers:
            await self._run.nobody.wait()


class _Reader:
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._next = 0
        self._reads = True
        run.readers += 1
        run.nobody.clear()

    @property
    def fingerprint(self) -> str:
        return self._run.fingerprint

    async def read(self) -> Reading:
        run = self._run
        while True:
            news, count = run.news, run.first + len(run.pieces)
            if self._next < run.first:
                return Reading(lost="outrun")
            if self._next < count or run.end is not None:
                pieces = list(run.pieces)[self._next - run.first :]
                self._next = count
                return Reading(pieces, run.end)
            await news.wait()

    def leave(self) -> None:
        if self._reads:
            self._reads = False
            self._run.readers -= 1
            if not self._run.readers:
                self._run.nobody.set()
