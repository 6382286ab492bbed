"""Keeps an issuer's keys at hand: asks for them seldom, one question at a time, and lives on when it is away.

The rules, with the seconds of the configuration (`scaigrid.config.identity.Issuer`):

- While the issuer answers, no key is used that is older than `refresh_seconds`: from half of that age on a request
  starts a question in the background, and one that comes later waits for the answer. So a withdrawn key opens nothing
  after `refresh_seconds`, whether requests come often or once an hour.
- Once it has failed to answer nobody waits for it any more: the keys at hand serve until they are `stale_seconds` old,
  while it is asked in the background.
- A token that the keys at hand cannot judge (a new key, or a made-up one) has it asked at once.
- Between two questions lie at least `refetch_seconds`, whatever comes.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextvars import Context

import structlog

from scaigrid.clock import Clock
from scaigrid.config.identity import Issuer
from scaigrid.errors import Code, GatewayError
from scaigrid.oidc.fetch import IssuerUnavailable
from scaigrid.oidc.keys import BadKeySet, KeySet, read_key_set

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class KeySource:
    """The keys of one issuer. Times are monotonic."""

    def __init__(self, name: str, issuer: Issuer, fetch: Callable[[], Awaitable[bytes]], clock: Clock) -> None:
        """`fetch` brings a key set as it came, or raises IssuerUnavailable."""
        self._name = name
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._since = -math.inf
        """When the question was asked that `_keys` answered."""
        self._asked = -math.inf
        """When the last question was asked, or came to nothing."""
        self._failing = False
        self._flight: asyncio.Task[None] | None = None

    async def current(self) -> KeySet:
        """The keys at hand. Raises AUTH_BACKEND_UNAVAILABLE where there are none that may be used."""
        keys, age = self._keys, self._clock.monotonic() - self._since
        refresh = self._issuer.refresh_seconds
        if keys is not None:
            if age < refresh / 2:
                return keys
            if age < refresh or (self._failing and age < self._issuer.stale_seconds):
                self._ask()
                return keys
        await self._answer()
        if self._keys is None or self._clock.monotonic() - self._since >= self._issuer.stale_seconds:
            raise self._unavailable()
        return self._keys

    async def newer(self, keys: KeySet) -> KeySet | None:
        """Keys that the issuer has told after `keys`; None where it was asked a moment ago and had no others.

        Raises AUTH_BACKEND_UNAVAILABLE where it did not answer: it may have keys that nobody here knows.
        """
        if self._keys is keys:
            await self._answer()
        if self._keys is not keys:
            return self._keys
        if self._failing:
            raise self._unavailable()
        return None

    async def aclose(self) -> None:
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait([self._flight])

    async def _answer(self) -> None:
        """Waits for the question under way; asks one where there is none and it is time."""
        self._ask()
        if self._flight is not None:
            # Whoever waits may leave; the question goes on for the others.
            await asyncio.shield(self._flight)

    def _ask(self) -> None:
        if self._flight is None and self._clock.monotonic() - self._asked >= self._issuer.refetch_seconds:
            # In a context of its own: what it logs is not of the request that happened to start it.
            self._flight = asyncio.create_task(self._question(), context=Context())

    async def _question(self) -> None:
        asked = self._asked = self._clock.monotonic()
        try:
            keys = read_key_set(await self._fetch())
        except (IssuerUnavailable, BadKeySet) as error:
            if not self._failing:
                _log.warning("issuer_unavailable", issuer=self._name, reason=str(error))
            self._failing = True
            self._asked = self._clock.monotonic()
        else:
            if self._keys is None or self._failing or self._keys.ids != keys.ids:
                _log.info("issuer_keys", issuer=self._name, keys=len(keys.ids))
            self._keys, self._since, self._failing = keys, asked, False
        finally:
            self._flight = None

    def _unavailable(self) -> GatewayError:
        wait = self._asked + self._issuer.refetch_seconds - self._clock.monotonic()
        return GatewayError(Code.AUTH_BACKEND_UNAVAILABLE, retry_after=max(1, math.ceil(wait)))
