"""JSON on the wire: a provider's decoded or refused as broken, ours encoded, and where members stand in a text."""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard, TypeVar

import msgspec

from scaigrid import splice
from scaigrid.errors import Code, GatewayError
from scaigrid.splice import Span

T = TypeVar("T")

ABSENT: Final = msgspec.Raw(b"")
"""The default of a raw field: msgspec takes `Raw | None` for "null or nothing"."""
_FIELDS: Final = frozenset({b"", b"data", b"event", b"id", b"retry"})
"""The fields of an event stream; a comment is one without a name."""


def broken(reason: str) -> GatewayError:
    """UPSTREAM_SHAPE_MISMATCH, in words of ours: what the provider sent instead stays inside."""
    return GatewayError(Code.UPSTREAM_SHAPE_MISMATCH, f"The provider's answer broke its own format: {reason}.")


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether decoded JSON is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether decoded JSON is a list."""
    return isinstance(value, list)


def present(members: dict[str, Any]) -> dict[str, Any]:
    """The members that say something: all but those that are None."""
    return {name: value for name, value in members.items() if value is not None}


def given(raw: msgspec.Raw | None) -> bool:
    """Whether a raw member is there, and not null."""
    return raw is not None and bytes(raw) not in (b"", b"null")


def decoded(decoder: msgspec.json.Decoder[T], text: bytes | msgspec.Raw) -> T:
    """Decodes what a provider sent. Raises UPSTREAM_SHAPE_MISMATCH for all that is not JSON of that type."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        raise broken("a field has the wrong type") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise broken("no JSON where JSON is due") from None
    except RecursionError:
        raise broken("JSON nested too deep") from None


def encoded(value: Any) -> bytes:
    """Compact JSON. Raises VALIDATION_ERROR for a text that is no Unicode (half of a surrogate pair)."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise GatewayError(Code.VALIDATION_ERROR, "The request holds text that is not valid Unicode.") from None


def check_unicode(text: bytes) -> None:
    """Raises UPSTREAM_SHAPE_MISMATCH where `text` is no UTF-8: a raw value is passed on without a look inside."""
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            raise broken("no UTF-8") from None


def check_fields(event: bytes) -> None:
    """Raises UPSTREAM_SHAPE_MISMATCH where an event has lines that are no field of one.

    Those are somebody's words about a failure, and may say with which credentials he was called.
    """
    first = event.find(b"\n") + 1
    named = event.startswith(b"event:") and event.startswith(b"data:", first) and event.find(b"\r") < 0
    if named and event.find(b"\n", first) == len(event) - 2:
        # As nearly all are that have a name.
        return
    for line in event.splitlines():
        if line and line.partition(b":")[0] not in _FIELDS:
            raise broken("a line that is no field of an event")


def places(text: bytes, of: Mapping[str, msgspec.Raw]) -> Mapping[str, Span]:
    """`splice.spans` by arithmetic where `text` is written as encoders write, without white space; the walk elsewhere.

    A text as long as its members, their quotes and their punctuation has room for nothing else, so each member is
    where the lengths put it and none is there twice. Raises splice.DuplicateKey.
    """
    found: dict[str, Span] = {}
    position = 0
    for name, raw in of.items():
        start = position + len(name) + 4
        position = start + len(raw)
        found[name] = (start, position)
    if position + 1 == len(text):
        return found
    # Python's own encoder writes a space after each colon and comma. Here the length alone would prove nothing.
    if position + 2 * len(of) == len(text):
        spaced = b", ".join([b'"%b": %b' % (name.encode(), raw) for name, raw in of.items()])
        if text[1:-1] == spaced:
            return {
                name: (start + 2 * place + 1, end + 2 * place + 1)
                for place, (name, (start, end)) in enumerate(found.items())
            }
    return splice.spans(text, of)
