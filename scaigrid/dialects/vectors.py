"""Embeddings between their two spellings: a JSON list of numbers, and base64 of little-endian float32s."""

import base64
import binascii
import math
import struct
from typing import Literal

import msgspec

from scaigrid.errors import Code, GatewayError

_numbers = msgspec.json.Decoder(list[float])
_text = msgspec.json.Decoder(str)


def spelled(value: msgspec.Raw, encoding: Literal["float", "base64"]) -> msgspec.Raw:
    """The vector as `encoding` wants it; untouched where it is already so.

    Raises UPSTREAM_SHAPE_MISMATCH where it is neither.
    """
    text = bytes(value)
    is_text = text.startswith(b'"')
    if is_text == (encoding == "base64"):
        return value
    try:
        return msgspec.Raw(_to_list(_text.decode(text)) if is_text else _to_base64(_numbers.decode(text)))
    except (msgspec.DecodeError, binascii.Error, ValueError, OverflowError, struct.error):
        raise GatewayError(Code.UPSTREAM_SHAPE_MISMATCH) from None


def _to_base64(numbers: list[float]) -> bytes:
    return b'"%b"' % base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers))


def _to_list(encoded: str) -> bytes:
    octets = base64.b64decode(encoded, validate=True)
    numbers = struct.unpack(f"<{len(octets) // 4}f", octets)
    if not all(map(math.isfinite, numbers)):
        raise ValueError("not a number")
    # Nine significant digits tell every float32 from its neighbours; the double's own seventeen only look more exact
    return ("[" + ",".join([f"{number:.9g}" for number in numbers]) + "]").encode()
