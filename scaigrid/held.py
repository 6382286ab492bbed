"""Names for what a provider keeps for its caller: signed, so that one leads to one backend, one tenant and one thing.

A provider's own name of a stored answer says neither which of several backends keeps it nor whose it is. So a caller
is told a name of ours instead, which holds both and the provider's own name besides. It needs no store: every worker
and instance that has the deployment's key reads it, and nobody without the key can make one.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

PURPOSE: Final = "held names"
"""For what the key of the vault is derived."""
_PREFIX: Final = "resp_"
"""What clients of the OpenAI protocol expect such a name to begin with."""
_VERSION: Final = b"\x01"
_SEAL: Final = 16
"""Bytes of the HMAC-SHA256 that are kept: 128 bits."""
_LONGEST: Final = 2048


class Held(msgspec.Struct, frozen=True, array_like=True):
    """What a name leads to."""

    backend: str
    """The id of the backend that keeps it."""
    tenant: str
    """The id of the tenant whose it is."""
    model: str
    """The slug by which the caller asked for it."""
    own: str
    """The provider's own name of it."""


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Held)


class Names:
    """Makes names and reads them. `keys`: the one that signs first, then older ones whose names still hold."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def passing(cls) -> "Names":
        """Names that hold as long as this process: for links that stand alone."""
        return cls((secrets.token_bytes(32),))

    def name(self, held: Held) -> str:
        """The same for the same thing, each time."""
        text = _VERSION + _encoder.encode(held)
        return _PREFIX + base64.urlsafe_b64encode(text + _seal(self._keys[0], text)).rstrip(b"=").decode()

    def opened(self, name: str) -> Held | None:
        """What `name` leads to; None where nobody was ever told it."""
        if not name.startswith(_PREFIX) or len(name) > _LONGEST:
            return None
        try:
            octets = name.removeprefix(_PREFIX).encode("ascii")
            whole = base64.b64decode(octets + b"=" * (-len(octets) % 4), altchars=b"-_", validate=True)
        except (UnicodeError, binascii.Error):
            return None
        text, seal = whole[:-_SEAL], whole[-_SEAL:]
        if not text.startswith(_VERSION) or not any(hmac.compare_digest(_seal(key, text), seal) for key in self._keys):
            return None
        return _decoder.decode(text[len(_VERSION) :])


def _seal(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")[:_SEAL]
