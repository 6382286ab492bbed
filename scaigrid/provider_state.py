"""The model's reasoning as an opaque text, so that what a provider signed survives a round trip through its client.

Some providers sign their reasoning, or encrypt it, and want it back unchanged in the next turn. A client of another
dialect has no place for that; it is handed one text with the message and sends it back with the message.

The text is base64url (RFC 4648, section 5, without padding) of JSON with a version. It is not a secret and not proof of
anything: the provider checks its own signatures.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Literal

import msgspec

from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.types import ReasoningPart, Signs


class _Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part. A Struct of its own: clients hold these texts for long, and `ReasoningPart` may change meanwhile."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    provider: str | None = None
    id: str | None = None
    signs: Signs = "reasoning"
    call_id: str | None = None


class _State(msgspec.Struct, frozen=True):
    v: Literal[1]
    reasoning: tuple[_Kept, ...]


_decoder = msgspec.json.Decoder(_State)


def encode(parts: Sequence[ReasoningPart]) -> str | None:
    """The text for these parts; None where no provider needs any of them back."""
    if not any((part.signature, part.redacted, part.id) != (None, None, None) for part in parts):
        return None
    kept = tuple(
        _Kept(part.text, part.signature, part.redacted, part.provider, part.id, part.signs, part.call_id)
        for part in parts
    )
    return base64.urlsafe_b64encode(msgspec.json.encode(_State(1, kept))).rstrip(b"=").decode()


def decode(state: str, field: str = "provider_state") -> tuple[ReasoningPart, ...]:
    """The parts that `encode` was given. Raises VALIDATION_ERROR, with a detail for `field`, for any other text."""
    try:
        octets = state.encode("ascii")
        padded = octets + b"=" * (-len(octets) % 4)
        found = _decoder.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, msgspec.DecodeError, RecursionError):
        detail = Detail(field, "is not what an answer of this gateway gave")
        raise GatewayError(Code.VALIDATION_ERROR, details=(detail,)) from None
    return tuple(
        ReasoningPart(
            text=part.text,
            signature=part.signature,
            redacted=part.redacted,
            provider=part.provider,
            id=part.id,
            signs=part.signs,
            call_id=part.call_id,
        )
        for part in found.reasoning
    )
