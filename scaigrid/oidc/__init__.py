"""Sign-in by JSON Web Tokens of OpenID Connect issuers; what it takes is imported only where one is configured."""

from scaigrid.clock import Clock
from scaigrid.config.identity import Identity
from scaigrid.identity import NO_ISSUER, TokenVerifier


def token_verifier(identity: Identity, clock: Clock) -> TokenVerifier:
    """The verifier for the configured issuers. It asks them for nothing before the first token comes."""
    if not identity.issuers:
        return NO_ISSUER
    from scaigrid.oidc.verifier import OidcVerifier

    return OidcVerifier(identity, clock)
