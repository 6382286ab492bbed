"""What makes two calls the same one: the body as a JSON value, and whatever else of the request changes the answer."""

import hashlib
from typing import Final

import msgspec

from scaigrid.call import Call

_EXACT: Final = 2**53
"""Beyond it not every whole number is a float."""


def fingerprint(call: Call) -> str:
    """SHA-256, in hexadecimal. Bodies that are equal as JSON values are the same; of equal keys the last one counts."""
    parts = [_canonical(call.body), call.query.encode()]
    parts += [f"{name}:{value}".encode() for name, value in sorted(call.headers)]
    # Each with its length, so that no part can pose as two.
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()


def place(caller: str, path: str, key: str) -> str:
    """SHA-256, in hexadecimal, of where a key is known: `caller` names a key or a user, and its tenant."""
    return hashlib.sha256(f"{caller}\0{path}\0{key}".encode()).hexdigest()


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


_decode: Final = msgspec.json.Decoder(float_hook=_number).decode
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def _canonical(body: bytes) -> bytes:
    try:
        return _encode(_decode(body))
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        # Not ours to judge: it is then the same if its bytes are.
        return body
