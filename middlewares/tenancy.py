"""Who calls: a key becomes partner, tenant, user and permissions, from the headers alone."""

import hashlib

from scaigrid.asgi import ASGIApp, Receive, Scope, Send, header
from scaigrid.config.snapshot import Principal
from scaigrid.config.strict import Strict
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.middleware import Services, begin

PUBLIC = ("/health", "/health/ready", "/metrics", "/docs", "/docs/openapi.json")
"""Paths that answer without a key (contract, section 1); `/metrics` has its own switch."""

_LONGEST_TOKEN = 8192


class TenancyConfig(Strict):
    """Nothing to tune: every other path needs a key."""


class Tenancy:
    def __init__(self, app: ASGIApp, config: TenancyConfig, services: Services) -> None:
        self.app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PUBLIC:
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services)
        exchange.principal = _identify(exchange, _token(scope), self._services.clock.now())
        exchange.authenticated = True
        if exchange.principal.suspended:
            raise GatewayError(Code.TENANT_SUSPENDED)
        await self.app(scope, receive, send)


def _token(scope: Scope) -> bytes:
    """The bearer token (RFC 6750, section 2.1)."""
    value = header(scope, b"authorization")
    if value is None:
        raise GatewayError(Code.AUTH_TOKEN_MISSING, "Send your API key as `Authorization: Bearer sgk_...`.")
    scheme, _, token = value.partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or len(token) > _LONGEST_TOKEN:
        raise GatewayError(Code.AUTH_TOKEN_INVALID, "The Authorization header must be `Bearer sgk_...`.")
    return token


def _identify(exchange: Exchange, token: bytes, now: float) -> Principal:
    # Found by digest: the lookup takes as long for a wrong key as for a right one, and no key is kept to compare with.
    principal = exchange.snapshot.keys.get(hashlib.sha256(token).digest())
    if principal is None:
        raise GatewayError(Code.AUTH_TOKEN_INVALID)
    if principal.expires_at is not None and now >= principal.expires_at:
        raise GatewayError(Code.SESSION_EXPIRED)
    return principal
