"""Signs calls to Google Cloud with an access token: a service account's, or one that was given as it is.

Source: Google, "Using OAuth 2.0 for Server to Server Applications" (a JWT signed by the account's key is exchanged for
an access token, RFC 7523).
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import msgspec

from scaigrid.adapter import UpstreamRequest
from scaigrid.clock import Clock
from scaigrid.config.identity import trusted
from scaigrid.credentials.fetching import form
from scaigrid.credentials.scheme import Credentials, Fault, Fetch, NoToken, Taken
from scaigrid.credentials.tokens import Granted, Tokens, granted, with_bearer
from scaigrid.secrets import Secret

_ENDPOINT: Final = "https://oauth2.googleapis.com/token"
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SECONDS: Final = 3600
"""How long a token is asked for; Google gives none for longer."""
_TOKEN: Final = re.compile(r"[!-~]+")


class _Account(msgspec.Struct):
    """What is read of a service account's key file."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = _ENDPOINT


class Google:
    """An access token in the header `authorization`."""

    takes: ClassVar[tuple[Taken, ...]] = (Taken(("service_account",)), Taken(("access_token",)))
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, credentials: Credentials, options: Any, clock: Clock, fetch: Fetch) -> None:
        self._given = credentials.get("access_token")
        self._account = credentials.get("service_account")
        self._clock = clock
        self._fetch = fetch
        self._tokens = Tokens(self._asked, clock)

    @classmethod
    def faults(cls, credentials: Credentials) -> Iterator[Fault]:
        account, token = credentials.get("service_account"), credentials.get("access_token")
        if token is not None and not _TOKEN.fullmatch(token.reveal()):
            yield "access_token", "must be one word of ASCII text"
        if account is not None:
            fault = _account_fault(account)
            if fault is not None:
                yield "service_account", fault

    async def signed(self, request: UpstreamRequest) -> UpstreamRequest:
        if self._given is not None:
            return with_bearer(request, self._given.reveal())
        return await self._tokens.bearer(request)

    async def _asked(self) -> Granted:
        if self._account is None:
            raise NoToken("there is no service account")
        account = _read(self._account)
        # The library takes some tens of milliseconds to load, and a signature one.
        assertion = await asyncio.to_thread(_assertion, account, int(self._clock.now()))
        status, body = await self._fetch(form(account.token_uri, {"grant_type": _GRANT, "assertion": assertion}))
        return granted(status, body)


def _read(account: Secret) -> _Account:
    """Raises ValueError for what is no key file."""
    return msgspec.json.decode(account.reveal(), type=_Account)


def _account_fault(account: Secret) -> str | None:
    try:
        read = _read(account)
    except (ValueError, RecursionError):
        return "must be the JSON of a service account's key file, with client_email and private_key in it"
    if "PRIVATE KEY-----" not in read.private_key:
        return "has no private key in PEM form as its private_key"
    if not trusted(read.token_uri):
        return "has a token_uri that cannot be trusted: it has to be https"
    return None


def _assertion(account: _Account, now: int) -> str:
    """What the account says of itself. Raises NoToken where its key is none."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    claims = {
        "iss": account.client_email,
        "scope": _SCOPE,
        "aud": account.token_uri,
        "iat": now,
        "exp": now + _SECONDS,
    }
    head = {"alg": "RS256", "typ": "JWT", **({"kid": account.private_key_id} if account.private_key_id else {})}
    try:
        return jwt.encode(head, claims, RSAKey.import_key(account.private_key))
    except (JoseError, ValueError, TypeError):
        # What it says may quote the key.
        raise NoToken("the service account's private key is no RSA key") from None
