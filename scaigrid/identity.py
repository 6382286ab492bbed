"""The port of sign-in by token: who an issuer of JSON Web Tokens says that somebody is."""

from typing import Protocol

import msgspec

from scaigrid.errors import Code, GatewayError


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token that was verified says, in the words of the configuration that its issuer stands in.

    `issuer` and `subject` together name somebody for ever; everything else may be another tomorrow.
    """

    issuer: str
    """The name of the issuer in the configuration, not its URL."""
    subject: str
    email: str | None = None
    """Only where the issuer says that it is verified; to be shown and to be matched."""
    name: str | None = None
    """For people."""
    tenant: str | None = None
    """The name of a tenant. None: the configuration leaves it to the user, or to the tenant `default`."""
    roles: tuple[str, ...] = ()
    """Names of roles of ours, published ones and custom ones, mapped from the token's; no word of the token itself."""
    groups: tuple[str, ...] = ()
    """The issuer's own words."""
    expires_at: float
    """Seconds since the epoch, as the token says it, without the leeway that is granted beyond."""


class TokenVerifier(Protocol):
    async def verify(self, token: bytes) -> Claims:
        """What the token says; raises GatewayError.

        - AUTH_TOKEN_INVALID: malformed, not signed by an issuer that is trusted, or not meant for this gateway.
        - SESSION_EXPIRED: good once, expired.
        - AUTH_BACKEND_UNAVAILABLE: the issuer's keys are not known and cannot be had at the moment.
        """
        ...

    async def aclose(self) -> None:
        """Ends what runs in the background; nothing is verified after it."""
        ...


class NoIssuer:
    """Stands where no issuer is configured: every token is refused."""

    async def verify(self, token: bytes) -> Claims:
        raise GatewayError(Code.AUTH_TOKEN_INVALID, "Tokens are not accepted here: send an API key.")

    async def aclose(self) -> None:
        return None


NO_ISSUER = NoIssuer()
