"""Signs calls to Azure with an access token of Microsoft Entra ID, which an application gets by its secret.

Source: Microsoft, "OAuth 2.0 client credentials flow on the Microsoft identity platform".
"""

import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from scaigrid.adapter import UpstreamRequest
from scaigrid.clock import Clock
from scaigrid.credentials.fetching import form
from scaigrid.credentials.scheme import Credentials, Fault, Fetch, Taken
from scaigrid.credentials.tokens import Granted, Tokens, granted

AUTHORITY: Final = "https://login.microsoftonline.com"
"""Who gives tokens out, unless the provider has an option `authority`."""
SCOPE: Final = "https://cognitiveservices.azure.com/.default"
"""What they are good for, unless it has an option `scope`."""
_TENANT: Final = re.compile(r"[A-Za-z0-9.-]+")


class Azure:
    """An access token in the header `authorization`."""

    takes: ClassVar[tuple[Taken, ...]] = (Taken(("tenant_id", "client_id", "client_secret")),)
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, credentials: Credentials, options: Any, clock: Clock, fetch: Fetch) -> None:
        self._credentials = credentials
        self._authority = str(getattr(options, "authority", None) or AUTHORITY).rstrip("/")
        self._scope = str(getattr(options, "scope", None) or SCOPE)
        self._fetch = fetch
        self._tokens = Tokens(self._asked, clock)

    @classmethod
    def faults(cls, credentials: Credentials) -> Iterator[Fault]:
        if not _TENANT.fullmatch(credentials["tenant_id"].reveal()):
            yield "tenant_id", "must be the id of a tenant, or a domain of it"

    async def signed(self, request: UpstreamRequest) -> UpstreamRequest:
        return await self._tokens.bearer(request)

    async def _asked(self) -> Granted:
        said = {name: self._credentials[name].reveal() for name in ("tenant_id", "client_id", "client_secret")}
        asked = form(
            f"{self._authority}/{said.pop('tenant_id')}/oauth2/v2.0/token",
            {"grant_type": "client_credentials", "scope": self._scope, **said},
        )
        return granted(*await self._fetch(asked))
