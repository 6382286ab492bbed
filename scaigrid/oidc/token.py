"""Reads a compact JSON Web Token (RFC 7519) without believing a word of it: what is needed to find the key.

Stricter than the RFCs ask, as RFC 8725 advises: base64url without a stray character, each name in an object once,
nothing that an extension of JWS would change the meaning of, and no kind of token that was made for another purpose.
"""

import base64
import json
import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn, cast

import msgspec

from scaigrid.errors import Code, GatewayError

LONGEST: Final = 8192
"""Bytes. A header of more does not pass most servers on the way."""

_SEGMENT: Final = rb"([A-Za-z0-9_-]+)"
_COMPACT: Final = re.compile(rb"\.".join([_SEGMENT] * 3))
_TYPES: Final = frozenset({"jwt", "at+jwt"})
"""What `typ` may say (RFC 7519, section 5.1; RFC 9068, section 2.1). Other types are proofs, logouts, events."""


class Token(msgspec.Struct, frozen=True):
    """What the token says of itself. `payload` is what was signed, if it was."""

    raw: bytes
    algorithm: str
    kid: str | None
    issuer: str
    payload: dict[str, Any]


def read(raw: bytes) -> Token:
    """Raises AUTH_TOKEN_INVALID for what cannot be a token that was made to sign in with."""
    match = _COMPACT.fullmatch(raw) if len(raw) <= LONGEST else None
    if match is None:
        raise invalid("it is not a JSON Web Token in compact form")
    header, payload = _object(match[1]), _object(match[2])
    if "crit" in header or "b64" in header:
        raise invalid("it asks for an extension that is not understood here")
    algorithm, kid, kind, issuer = header.get("alg"), header.get("kid"), header.get("typ", "JWT"), payload.get("iss")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES or "events" in payload:
        raise invalid("it is of a kind that nobody signs in with")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None) or not isinstance(issuer, str):
        raise invalid("`alg`, `kid` or `iss` is missing or no text")
    return Token(raw, algorithm, kid, issuer, payload)


def invalid(reason: str) -> GatewayError:
    """The refusal of a token; `reason` is for the one who sent it, and quotes nothing of it."""
    return GatewayError(Code.AUTH_TOKEN_INVALID, f"The token is not valid: {reason}.")


def _object(segment: bytes) -> dict[str, Any]:
    try:
        text = base64.b64decode(segment + b"=" * (-len(segment) % 4), b"-_", validate=True).decode()
        value: object = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise invalid("it is not made of JSON objects") from None
    if not isinstance(value, dict):
        raise invalid("it is not made of JSON objects")
    return cast("dict[str, Any]", value)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return made


def _refuse(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
