"""The section `identity`: who may sign in with a JSON Web Token, and what the token's claims mean here."""

from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from scaigrid.config.strict import Strict
from scaigrid.config.terms import Name, Seconds

Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s#@]+(?!\n)$", max_length=2048)]
Claim = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Signatures that only the holder of a private key can make. `none` and HMAC are not among them and never will be."""


class ClaimNames(Strict):
    """Where in a token things stand; a dot leads into an object, unless a claim has that very name."""

    user: Claim = "sub"
    """What names the user: a text that the issuer never gives to somebody else."""
    email: Claim | None = "email"
    """The user's email address."""
    email_verified: Claim | None = "email_verified"
    """Says by `true` that the address is the user's own; any other address is ignored. `null`: every address of this
    issuer is taken as verified. Only where nobody can choose it: users are found by it."""
    name: Claim | None = "name"
    """The user's name, for people."""
    tenant: Claim | None = None
    """The name of the user's tenant, instead of `tenant`. A token without it is refused."""
    roles: Claim | None = None
    """What `roles` maps (`realm_access.roles`): a list of texts, or one text whose words are set apart by blanks."""
    groups: Claim | None = None
    """The user's groups, in the same two forms."""


class Issuer(Strict):
    """An OpenID provider, or anything else that signs tokens and publishes its keys."""

    issuer: Url
    """Its URL, letter by letter as tokens have it in `iss`. https, but for one on a loopback address."""
    audience: Annotated[tuple[Claim, ...], msgspec.Meta(min_length=1)]
    """What tokens for this gateway say in `aud`; one of these has to be there."""
    jwks_url: Url | None = None
    """Where its keys are. Left out: asked for at `/.well-known/openid-configuration` below its URL."""
    algorithms: Annotated[tuple[Algorithm, ...], msgspec.Meta(min_length=1)] = (
        "RS256",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES384",
        "ES512",
        "EdDSA",
        "Ed25519",
    )
    """Signatures that are accepted."""
    leeway_seconds: Annotated[float, msgspec.Meta(ge=0, le=300)] = 30.0
    """How far the issuer's clock may be off."""
    refresh_seconds: Seconds = 300.0
    """How old its keys may get while it answers. A key that it has withdrawn opens nothing after this long."""
    refetch_seconds: Seconds = 10.0
    """The least time between two questions to it: a token with a new key is refused for up to this long, and made-up
    ones cannot make us flood it."""
    stale_seconds: Seconds = 14_400.0
    """How old its keys may get while it does not answer; then tokens are refused with AUTH_BACKEND_UNAVAILABLE."""
    timeout_seconds: Seconds = 5.0
    """How long to wait for its keys."""
    claims: ClaimNames = ClaimNames()
    """Where in a token things stand; a dot leads into an object, unless a claim has that very name."""
    tenant: Name | None = None
    """The name of the tenant of all its users, instead of a claim."""
    roles: dict[str, str] = {}
    """From a value of the claim `claims.roles` to the name of the role that it stands for here: a published one, or one
    of the file's `roles`. Values that are not here give nothing."""
    default_roles: tuple[str, ...] = ()
    """Names of roles that each of its users has."""
    users: Literal["declared", "any"] = "declared"
    """Who is let in. `declared`: users who are known here, by `external_id` (NAME-OF-ISSUER|user) or by their
    verified email address. `any`: others too, with the mapped roles alone and the default limits of users."""

    def __post_init__(self) -> None:
        for key, url in (("issuer", self.issuer), ("jwks_url", self.jwks_url)):
            if url is not None and not trusted(url):
                raise ValueError(f"`{key}` must be a https:// address: whoever can change what it answers can sign in")
        if "?" in self.issuer:
            raise ValueError("`issuer` must have no query (OpenID Connect Discovery 1.0, section 2)")
        if not self.refetch_seconds <= self.refresh_seconds <= self.stale_seconds:
            raise ValueError("`refetch_seconds`, `refresh_seconds` and `stale_seconds` go from short to long")
        if self.tenant is not None and self.claims.tenant is not None:
            raise ValueError("give at most one of `tenant` and `claims.tenant`")
        if self.roles and self.claims.roles is None:
            raise ValueError("`roles` maps the values of a claim: name it in `claims.roles`")


class Identity(Strict):
    """Who may sign in with a token instead of an API key."""

    issuers: dict[Name, Issuer] = {}
    """Issuers whose tokens are accepted. Left out: none are."""


def trusted(url: str) -> bool:
    """Whether nobody on the way can change what the address answers: it is https, or never leaves this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and loopback(url)))


def loopback(url: str) -> bool:
    """Whether the host of an address is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
