"""Asks an issuer for its keys: its discovery document where their address is not configured, then the key set.

Both answers are taken for what a stranger says: bounded in size and time, never redirected, and the address of the keys
must be one that nobody on the way can change (`scaigrid.config.identity.trusted`).
"""

import asyncio
import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx
import msgspec

from scaigrid.config.identity import Issuer, loopback, trusted
from scaigrid.upstream.http1 import machine_trust

LARGEST: Final = 256 * 1024
"""Bytes of an answer; a large issuer's key set has some 20 KiB."""
_WELL_KNOWN: Final = "/.well-known/openid-configuration"


class IssuerUnavailable(Exception):
    """The issuer did not answer, or not with what was asked for; the text is for the log."""


class _Discovery(msgspec.Struct):
    """What is read of a discovery document (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    jwks_uri: str


class IssuerDocuments:
    """One issuer's documents, over a client of its own that is made for the first question."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._client: httpx.AsyncClient | None = None

    async def key_set(self) -> bytes:
        """The key set as it came (RFC 7517, section 5). Raises IssuerUnavailable, at the latest after the timeout."""
        seconds = self._issuer.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._get(self._issuer.jwks_url or await self._discovered())
        except TimeoutError:
            raise IssuerUnavailable(f"no answer within {seconds:g} s") from None

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _discovered(self) -> str:
        """The address of the keys."""
        issuer = self._issuer.issuer
        try:
            found = msgspec.json.decode(await self._get(issuer.rstrip("/") + _WELL_KNOWN), type=_Discovery)
        except (msgspec.DecodeError, RecursionError):
            raise IssuerUnavailable("its discovery document is none") from None
        # Section 4.3: whoever answers for another issuer is not the one whose tokens are trusted.
        if found.issuer != issuer:
            raise IssuerUnavailable("its discovery document is that of another issuer")
        if not trusted(found.jwks_uri) or (loopback(found.jwks_uri) and not loopback(issuer)):
            raise IssuerUnavailable("its discovery document names an address for its keys that cannot be trusted")
        return found.jwks_uri

    async def _get(self, url: str) -> bytes:
        if self._client is None:
            # The machine's certificates are on the disk, and some hundred of them take a while to read.
            trust = await asyncio.to_thread(machine_trust)
            self._client = _client(trust, self._issuer.timeout_seconds)
        try:
            async with self._client.stream("GET", url) as response:
                if response.status_code != 200:
                    raise IssuerUnavailable(f"it answered {response.status_code}")
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise IssuerUnavailable("it encoded its answer, which it was not asked to do")
                pieces: list[bytes] = []
                size = 0
                async for piece in response.aiter_raw():
                    pieces.append(piece)
                    size += len(piece)
                    if size > LARGEST:
                        raise IssuerUnavailable(f"its answer passed {LARGEST} bytes")
                return b"".join(pieces)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            # A host that cannot be encoded (RFC 5891) is a ValueError of whatever library tried to.
            raise IssuerUnavailable(f"{type(error).__name__}: {error}") from error


def _client(trust: ssl.SSLContext, timeout: float) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        follow_redirects=False,
        trust_env=False,
        verify=trust,
        timeout=timeout,
        headers={"user-agent": "scaigrid", "accept": "application/json", "accept-encoding": "identity"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )
