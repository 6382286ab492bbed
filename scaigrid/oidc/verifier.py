"""Verifies tokens of the configured issuers, and remembers those that it has verified.

A token that comes again is found by its SHA-256, so that cryptography is paid for once. It is good only as long as its
issuer still has the key that signed it: a key that is withdrawn takes its tokens with it, after `refresh_seconds` at
the latest, or `stale_seconds` where the issuer does not answer (`scaigrid.oidc.source`).
"""

import asyncio
import hashlib
from collections import OrderedDict
from typing import Final

import msgspec

from scaigrid.clock import Clock
from scaigrid.config.identity import Identity, Issuer
from scaigrid.errors import Code, GatewayError
from scaigrid.identity import Claims
from scaigrid.oidc.claims import check, read_claims
from scaigrid.oidc.fetch import IssuerDocuments
from scaigrid.oidc.keys import Key, signed
from scaigrid.oidc.source import KeySource
from scaigrid.oidc.token import LONGEST, Token, invalid, read

REMEMBERED: Final = 10_000
"""Verified tokens at most; those that were not sent for the longest time are forgotten first."""


class _Trusted(msgspec.Struct, frozen=True, eq=False):
    """One issuer."""

    name: str
    rules: Issuer
    documents: IssuerDocuments
    keys: KeySource


class _Verified(msgspec.Struct, frozen=True, eq=False):
    """One token that was good when it came first."""

    claims: Claims
    issuer: _Trusted
    key: str
    """The id of the key that signed it."""


class OidcVerifier:
    """A `TokenVerifier` (scaigrid.identity)."""

    def __init__(self, identity: Identity, clock: Clock, *, remembered: int = REMEMBERED) -> None:
        self._clock = clock
        self._issuers = {
            rules.issuer: self._trusted(name, rules) for name, rules in identity.issuers.items()
        }  # by the URL that stands in tokens
        self._known: OrderedDict[bytes, _Verified] = OrderedDict()
        self._remembered = remembered

    async def verify(self, token: bytes) -> Claims:
        if len(token) > LONGEST:
            raise invalid("it is too long")
        digest = hashlib.sha256(token).digest()
        known = self._known.get(digest)
        if known is not None and known.key in (await known.issuer.keys.current()).ids:
            self._known.move_to_end(digest)
            if known.claims.expires_at + known.issuer.rules.leeway_seconds <= self._clock.now():
                raise GatewayError(Code.SESSION_EXPIRED, "The token has expired.")
            return known.claims
        return await self._first(digest, read(token))

    async def aclose(self) -> None:
        for issuer in self._issuers.values():
            await issuer.keys.aclose()
        await asyncio.gather(*(issuer.documents.aclose() for issuer in self._issuers.values()))

    def _trusted(self, name: str, rules: Issuer) -> _Trusted:
        documents = IssuerDocuments(rules)
        return _Trusted(name, rules, documents, KeySource(name, rules, documents.key_set, self._clock))

    async def _first(self, digest: bytes, token: Token) -> Claims:
        issuer = self._issuers.get(token.issuer)
        if issuer is None:
            raise invalid("its issuer is not one that is trusted here")
        if token.algorithm not in issuer.rules.algorithms:
            raise invalid("its signature is of a kind that is not accepted here")
        key = await _signer(token, issuer.keys)
        check(token.payload, issuer.rules, self._clock.now())
        claims = read_claims(token.payload, issuer.name, issuer.rules)
        self._known[digest] = _Verified(claims, issuer, key.id)
        self._known.move_to_end(digest)
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return claims


async def _signer(token: Token, source: KeySource) -> Key:
    """The key that signed the token. Raises AUTH_TOKEN_INVALID where none of the issuer's did."""
    keys = await source.current()
    key = keys.find(token.kid, token.algorithm)
    # A signature that does not fit a named key is forged; without a name it may be of the key that came after it.
    if key is None or (token.kid is None and not signed(token.raw, key, token.algorithm)):
        newer = await source.newer(keys)
        key = None if newer is None else newer.find(token.kid, token.algorithm)
    if key is None or not signed(token.raw, key, token.algorithm):
        raise invalid("it is not signed by a key of its issuer")
    return key
