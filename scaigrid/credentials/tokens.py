"""A token that somebody gives out for a while: asked for when it is first needed, and anew before it ends.

Whoever needs it while it is being asked for waits for the same answer. The question is nobody's own, so that a caller
who leaves takes it from nobody.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from scaigrid.adapter import UpstreamRequest
from scaigrid.clock import Clock
from scaigrid.credentials.scheme import NoToken
from scaigrid.errors import Code, GatewayError

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

EARLY: Final = 60.0
"""Seconds before its end from which on another token is asked for."""
AGAIN: Final = 1.0
"""Seconds for which a failure stands before anybody is asked again."""
_SHORTEST: Final = 5.0
"""Seconds that a token must still be good for to be used while another one is asked for."""
_TOKEN: Final = re.compile(r"[!-~]{1,16384}")
_REASON: Final = re.compile(r"[a-z_]{1,64}")


class Granted(msgspec.Struct, frozen=True):
    """What was given out."""

    token: str
    seconds: float
    """How long it is good for."""


class _Answer(msgspec.Struct):
    """What is read of a token endpoint's answer (RFC 6749, section 5.1)."""

    access_token: str
    expires_in: float | str = 300.0


class _Refusal(msgspec.Struct):
    """What is read of its error (RFC 6749, section 5.2)."""

    error: str = ""


def granted(status: int, body: bytes) -> Granted:
    """The token in the answer of a token endpoint. Raises NoToken without a word of the answer but its error code."""
    if status != 200:
        raise NoToken(f"it answered {status}{_reason(body)}")
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        # Some write it as text.
        seconds = float(answer.expires_in)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise NoToken("its answer is no token") from None
    if not _TOKEN.fullmatch(answer.access_token) or not 0 <= seconds < float("inf"):
        raise NoToken("its answer is no token")
    return Granted(answer.access_token, seconds)


def _reason(body: bytes) -> str:
    try:
        reason = msgspec.json.decode(body, type=_Refusal).error
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ""
    return f" ({reason})" if _REASON.fullmatch(reason) else ""


class Tokens:
    """The token of one provider in one worker. `ask` raises NoToken."""

    def __init__(self, ask: Callable[[], Awaitable[Granted]], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._token = ""
        self._renew = self._ends = self._not_before = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def current(self) -> str:
        """The token; nobody waits for another one while it is good. Raises BACKEND_ERROR where none is to be had."""
        now = self._clock.monotonic()
        asking = self._begun(now) if now >= self._renew else None
        if asking is not None and now + _SHORTEST >= self._ends:
            await asyncio.shield(asking)
            now = self._clock.monotonic()
        if now < self._renew or now + _SHORTEST < self._ends:
            return self._token
        raise GatewayError(Code.BACKEND_ERROR, "The gateway got no credential for the provider.")

    async def bearer(self, request: UpstreamRequest) -> UpstreamRequest:
        """The request with the token as its only `authorization`. Raises as `current` does."""
        return with_bearer(request, await self.current())

    def _begun(self, now: float) -> asyncio.Task[None] | None:
        """The question for another token; None while a failure stands."""
        if self._asking is None and now >= self._not_before:
            self._asking = asyncio.get_running_loop().create_task(self._asked())
        return self._asking

    async def _asked(self) -> None:
        try:
            found = await self._ask()
        except NoToken as error:
            self._not_before = self._clock.monotonic() + AGAIN
            _log.warning("no_token_for_a_provider", reason=str(error))
        else:
            now = self._clock.monotonic()
            self._token, self._ends = found.token, now + found.seconds
            self._renew = self._ends - min(EARLY, found.seconds / 2)
        finally:
            self._asking = None


def with_bearer(request: UpstreamRequest, token: str) -> UpstreamRequest:
    """The request with the token as its only `authorization`."""
    headers = tuple(pair for pair in request.headers if pair[0].lower() != "authorization")
    return UpstreamRequest(request.method, request.url, (*headers, ("authorization", f"Bearer {token}")), request.body)
