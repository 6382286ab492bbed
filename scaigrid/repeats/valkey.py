"""Calls under way of many workers and instances, in a Valkey that they share (see `lua/runs.lua`).

The server is told of pieces and ends without anybody waiting for its answer: commands on one connection are done in
their order. Pieces have numbers, so that a reader never gets two with one missing between them: what was said while
the server was away ends the reading. The holder of a claim says that it lives, again and again; where it does not, the
claim expires.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias, cast

from scaigrid.clock import Clock
from scaigrid.config.schema import Store
from scaigrid.errors import Code, GatewayError
from scaigrid.repeats.port import End, Own, Reader, Reading, end_of, pack
from scaigrid.stores.address import read_address
from scaigrid.stores.functions import library
from scaigrid.stores.link import Link
from scaigrid.stores.wire import Away, Part, Refused, Reply, Wire, observe

_RUNS: Final = library("scaigrid.repeats", "runs")
_BEATS: Final = 4
"""How often within its time a claim is renewed."""
_BETWEEN: Final = 0.03
"""Seconds between two looks of one who reads along."""
_AT_ONCE: Final = 32
"""Pieces of one reading."""
_THERE: Final = 3.0
"""Seconds that somebody counts as reading along after a look."""
_AFTERWARDS: Final = 30.0
"""Seconds that those who read along have for the rest once a run is over."""

Command: TypeAlias = tuple[Part, ...]


class ValkeyRuns:
    """Raises GatewayError(STORE_UNAVAILABLE) while the server is away.

    It has a connection of its own, so that no answer is in the way of what limits and budgets ask.
    """

    def __init__(
        self, config: Store, clock: Clock, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Raises ValueError for a URL that is none."""
        if config.url is None:
            raise ValueError("a Valkey has a URL")
        self._base = f"{{{config.prefix}}}:"
        self.sleep = sleep
        address = read_address(config.url.reveal())
        self._link = Link(address, config.timeout_seconds, clock, greet=self._greet, tag=config.prefix)
        self._claims: set[_Claim] = set()
        self._ending: dict[_Claim, Command] = {}
        """What the server has not yet said that it heard of claims that are over."""
        self._beating: asyncio.Task[None] | None = None

    async def claim(self, scope: str, fingerprint: str, lease: float) -> Own | Reader:
        await self._link.tried()
        if self._link.wire is None:
            # Nothing was asked, so there is nothing to end either.
            raise _unavailable()
        holder = secrets.token_hex(16)
        claim = _Claim(self, (self._key("again", scope), *self._run(holder)), f"{holder} {fingerprint}", lease)
        try:
            said = await claim.taken()
        except BaseException:
            # It may be ours all the same, and nobody would end it before its time.
            claim.end(End(whole=False))
            raise
        if said:
            holder, _, fingerprint = said.partition(" ")
            return _Reader(self, fingerprint, *self._run(holder))
        self._claims.add(claim)
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat(), name="claims")
        return Own(claim)

    async def aclose(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        await self._link.aclose()

    @property
    def connected(self) -> bool:
        """The server is there."""
        return self._link.wire is not None

    # -- for the runs ------------------------------------------------------------------------------------------------

    def tell(self, command: Command) -> None:
        """Tells the server, where it is there. What does not reach it shows in the reading."""
        wire = self._link.wire
        if wire is not None:
            observe(wire.call(*command), _unheard)

    def over(self, claim: "_Claim", command: Command) -> None:
        """The claim is renewed no more; the server hears of its end even where it is away now."""
        self._claims.discard(claim)
        self._ending[claim] = command
        if self._link.wire is not None:
            observe(self._link.wire.call(*command), partial(self._heard, claim))

    async def ask(self, command: Command) -> Reply:
        """What the server answers. Raises STORE_UNAVAILABLE."""
        await self._link.tried()
        wire = self._link.wire
        if wire is None:
            raise _unavailable()
        try:
            return await wire.call(*command)
        except (Away, Refused) as error:
            raise _unavailable() from error

    def _heard(self, claim: "_Claim", _reply: Reply, error: Exception | None) -> None:
        if not isinstance(error, Away):
            self._ending.pop(claim, None)

    def _key(self, kind: str, name: str) -> str:
        return f"{self._base}{kind}:{name}"

    def _run(self, holder: str) -> tuple[str, str]:
        return self._key("run", holder), self._key("pieces", holder)

    async def _beat(self) -> None:
        while self._claims:
            await self.sleep(min(claim.lease for claim in self._claims) / _BEATS)
            for claim in self._claims:
                self.tell(claim.held())

    async def _greet(self, wire: Wire) -> None:
        await _RUNS.load(wire)
        # Behind these comes whatever is asked by anybody here.
        for claim in self._claims:
            observe(wire.call(*claim.held()), _unheard)
        for claim, command in self._ending.items():
            observe(wire.call(*command), partial(self._heard, claim))


class _Claim:
    def __init__(self, runs: ValkeyRuns, keys: tuple[str, str, str], text: str, lease: float) -> None:
        self.lease = lease
        self._runs = runs
        self._key, self._run, self._pieces = keys
        self._text = text
        """What the claim says: who holds it, and the fingerprint."""
        self._count = 0

    async def taken(self) -> str:
        """Takes the key; answers what the claim of somebody else says, where there is one."""
        command = _function("claim", (self._key, self._run), self._text, _ms(self.lease))
        return cast("bytes", await self._runs.ask(command)).decode()

    def held(self) -> Command:
        """What says that the holder lives."""
        return _function("hold", (self._key, self._run, self._pieces), self._text, _ms(self.lease), self._count)

    def add(self, piece: bytes, limit: int) -> None:
        keys = (self._run, self._pieces)
        self._runs.tell(_function("add", keys, self._count, limit, _ms(self.lease), piece))
        self._count += 1

    def end(self, end: End, stays: float = 0.0) -> None:
        keys = (self._key, self._run, self._pieces)
        command = _function("finish", keys, self._text, pack(end), self._count, _ms(_AFTERWARDS), _ms(stays))
        self._runs.over(self, command)

    async def deserted(self) -> None:
        while True:
            with suppress(GatewayError):
                if not await self._runs.ask(_function("read_along", (self._run,))):
                    return
            await self._runs.sleep(_BETWEEN)


class _Reader:
    def __init__(self, runs: ValkeyRuns, fingerprint: str, run: str, pieces: str) -> None:
        self._runs = runs
        self._fingerprint = fingerprint
        self._keys = (run, pieces)
        self._next = 0

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    async def read(self) -> Reading:
        while True:
            asked = await self._runs.ask(_function("read", self._keys, self._next, _AT_ONCE, _ms(_THERE)))
            state, *rest = cast("list[bytes]", asked)
            if state == b"died":
                return Reading(lost="died")
            if state == b"outrun":
                return Reading(lost="outrun")
            end, *pieces = rest
            self._next += len(pieces)
            if pieces or end:
                return Reading(pieces, end_of(end) if end else None)
            await self._runs.sleep(_BETWEEN)

    def leave(self) -> None:
        """The server forgets it by itself."""


def _function(name: str, keys: tuple[str, ...], *arguments: Part) -> Command:
    return ("FCALL", f"{_RUNS.name}_{name}", len(keys), *keys, *arguments)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _unheard(_reply: Reply, _error: Exception | None) -> None:
    """Nobody waits for it."""


def _unavailable() -> GatewayError:
    return GatewayError(Code.STORE_UNAVAILABLE, "The store of calls under way is unavailable.", retry_after=1)
