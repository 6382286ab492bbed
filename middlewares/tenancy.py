"""Who calls: a key or a token becomes partner, tenant, user and permissions, from the headers alone."""

import hashlib

from scaigrid.addresses import Address, address, caller, networks, within
from scaigrid.asgi import ASGIApp, Receive, Scope, Send, header
from scaigrid.config.snapshot import Principal
from scaigrid.config.strict import Strict
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.middleware import Services, begin

PUBLIC = ("/health", "/health/ready", "/metrics", "/docs", "/docs/openapi.json")
"""Paths that answer without a key (contract, section 1); `/metrics` has its own switch."""
PUBLIC_FOLDERS = ("/docs/assets",)
"""What stands directly in one of these does too: the files of pages that anybody may open."""

_LONGEST_TOKEN = 8192


class TenancyConfig(Strict):
    """Every path but the public ones needs a key or a token."""

    trusted_proxies: tuple[str, ...] = ()
    """Proxies of yours in front of the gateway, by address or network (`10.0.0.0/8`): who calls through them is where
    their X-Forwarded-For says. None by default, for anybody can write that header."""

    def __post_init__(self) -> None:
        try:
            networks(self.trusted_proxies)
        except ValueError as error:
            raise ValueError(f"`trusted_proxies`: {error}") from None


class Tenancy:
    def __init__(self, app: ASGIApp, config: TenancyConfig, services: Services) -> None:
        self.app = app
        self._services = services
        self._proxies = networks(config.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _public(scope["path"]) or scope["path"] in self._services.open_paths:
            await self.app(scope, receive, send)
            return
        exchange, send = begin(scope, send, self._services, "tenancy")
        exchange.client_address = self._caller(scope)
        exchange.principal = principal = await self._identify(exchange, _token(scope, exchange.dialect.key_header))
        exchange.authenticated = True
        # First: who is not where the key may be used learns nothing more by it.
        if principal.addresses is not None and not within(_parsed(exchange.client_address), principal.addresses):
            raise GatewayError(Code.ADDRESS_NOT_ALLOWED)
        if principal.suspended:
            raise GatewayError(Code.TENANT_SUSPENDED)
        self._services.seen(principal)
        await self.app(scope, receive, send)

    def _caller(self, scope: Scope) -> str | None:
        client = scope.get("client")
        peer: str | None = client[0] if client else None
        if not self._proxies:
            return peer
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        found = caller(_parsed(peer), forwarded, self._proxies)
        return None if found is None else str(found)

    async def _identify(self, exchange: Exchange, token: bytes) -> Principal:
        if token.startswith(b"sgk_"):
            return _of_key(exchange, token, self._services.clock.now())
        if token.count(b".") == 2:
            return exchange.snapshot.sign_in(await self._services.identity.verify(token))
        raise GatewayError(Code.AUTH_TOKEN_INVALID)


def _public(path: str) -> bool:
    return path in PUBLIC or path.rpartition("/")[0] in PUBLIC_FOLDERS


def _token(scope: Scope, key_header: bytes | None) -> bytes:
    """The bearer token (RFC 6750, section 2.1), or what stands in the header that the dialect has for it."""
    value = header(scope, b"authorization")
    if value is None and key_header is not None and (key := header(scope, key_header)):
        return key.strip()[:_LONGEST_TOKEN]
    if value is None:
        raise GatewayError(Code.AUTH_TOKEN_MISSING, "Send your API key as `Authorization: Bearer sgk_...`.")
    scheme, _, token = value.partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or len(token) > _LONGEST_TOKEN:
        raise GatewayError(Code.AUTH_TOKEN_INVALID, "The Authorization header must be `Bearer sgk_...`.")
    return token


def _of_key(exchange: Exchange, token: bytes, now: float) -> Principal:
    # Found by digest: the lookup takes as long for a wrong key as for a right one, and no key is kept to compare with.
    principal = exchange.snapshot.keys.get(hashlib.sha256(token).digest())
    if principal is None:
        raise GatewayError(Code.AUTH_TOKEN_INVALID)
    if principal.expires_at is not None and now >= principal.expires_at:
        raise GatewayError(Code.SESSION_EXPIRED)
    return principal


def _parsed(text: str | None) -> Address | None:
    return None if text is None else address(text)
