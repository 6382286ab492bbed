"""A scripted OpenID issuer on a real port: it publishes and withdraws keys, signs what it is told, and goes away."""

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal

import msgspec
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from scaigrid.config.identity import Issuer
from tests.harness.behaviours import JSON, compact, reset
from tests.harness.provider import Behaviour, Conversation, Provider

NOW: Final = 1_800_000_000
"""Where a StillClock stands."""
AUDIENCE: Final = "scaigrid"

Kind = Literal["RSA", "P-256", "P-384", "P-521", "Ed25519"]
OF_KIND: Final[Mapping[Kind, tuple[str, ...]]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA", "Ed25519"),
}


class Signer(msgspec.Struct, frozen=True, eq=False):
    """A private key under a name."""

    kid: str
    material: RSAKey | ECKey | OKPKey

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """The public key as a set has it; a change to None leaves a member out."""
        made = {**self.material.as_dict(private=False), "kid": self.kid, "use": "sig", **changes}
        return {name: value for name, value in made.items() if value is not None}

    def sign(self, algorithm: str, message: bytes) -> bytes:
        return JWSRegistry.algorithms[algorithm].sign(message, self.material)


@cache
def signer(kid: str = "one", kind: Kind = "P-256") -> Signer:
    """The same key for the same name, made when it is asked for first."""
    match kind:
        case "RSA":
            return Signer(kid, RSAKey.generate_key(2048))
        case "Ed25519":
            return Signer(kid, OKPKey.generate_key("Ed25519"))
        case _:
            return Signer(kid, ECKey.generate_key(kind))


def segment(data: bytes | Mapping[str, Any]) -> bytes:
    """Base64url without padding (RFC 7515, section 2), of bytes as they are or of an object as JSON."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def signed(header: bytes | Mapping[str, Any], payload: bytes | Mapping[str, Any], by: Signer, algorithm: str) -> bytes:
    """A compact token with a true signature, whatever it says."""
    message = segment(header) + b"." + segment(payload)
    return message + b"." + segment(by.sign(algorithm, message))


def key_set(*keys: Signer | Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": [key.jwk() if isinstance(key, Signer) else key for key in keys]}).encode()


class ScriptedIssuer:
    """One issuer of a scripted server. It answers with the keys that are published when it is asked."""

    def __init__(self, provider: Provider, name: str = "acme") -> None:
        self.url = f"{provider.url}/{name}"
        self.jwks_url = f"{self.url}/keys"
        self.discovery = provider.at(f"/{name}/.well-known/openid-configuration")
        self.keys = provider.at(f"/{name}/keys")
        self.published: tuple[Signer | Mapping[str, Any], ...] = ()
        self.back()

    def publish(self, *keys: Signer | Mapping[str, Any]) -> None:
        """From now on these and no others."""
        self.published = keys

    def away(self, behaviour: Behaviour = reset) -> None:
        """Answers nothing of use any more."""
        self.discovery.always(behaviour)
        self.keys.always(behaviour)

    def back(self) -> None:
        self.discovery.always(self._discovery)
        self.keys.always(self._keys)

    @property
    def asked(self) -> int:
        """How often it was asked for its keys."""
        return len(self.keys.requests)

    def rules(self, **changes: Any) -> Issuer:
        """Its entry of a configuration, as the file would have it."""
        return msgspec.convert({"issuer": self.url, "audience": [AUDIENCE], **changes}, Issuer)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What an ordinary token says; a change to None leaves a claim out."""
        said = {"iss": self.url, "sub": "ann-1", "aud": AUDIENCE, "iat": NOW, "exp": NOW + 600, **changes}
        return {name: value for name, value in said.items() if value is not None}

    def token(self, by: Signer | None = None, algorithm: str = "ES256", **changes: Any) -> bytes:
        """An ordinary token, with changes to its claims."""
        by = by or signer()
        return signed({"alg": algorithm, "typ": "JWT", "kid": by.kid}, self.claims(**changes), by, algorithm)

    async def _discovery(self, conversation: Conversation) -> None:
        found = {"issuer": self.url, "jwks_uri": self.jwks_url, "response_types_supported": ["code"]}
        await conversation.answer(200, JSON, compact(found))

    async def _keys(self, conversation: Conversation) -> None:
        await conversation.answer(200, JSON, key_set(*self.published))
