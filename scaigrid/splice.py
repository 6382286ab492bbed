"""Edits a JSON object's members in place, so that every byte that nobody had to change stays the sender's own.

Same-dialect traffic is passed on byte for byte but for a few permitted splices. Decoding and encoding again would
lose key order, number spelling and unknown fields; here the object is decoded one level deep into raw values, the
place of each member is found from their lengths, and only the named ones are replaced.
"""

import re
from collections.abc import Mapping

import msgspec

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
# Possessive (++, *+): a key of megabytes must not leave a place to come back to for each of its characters.
_KEY = re.compile(rb'[\s{,]*"((?:[^"\\]++|\\.)*+)"\s*:\s*')
_END = re.compile(rb"\s*}\s*")
_START = re.compile(rb"\s*{")

Span = tuple[int, int]


class DuplicateKey(ValueError):
    """A member is given twice: two readers of the text could each see another value."""


def members(text: bytes) -> dict[str, msgspec.Raw]:
    """The members of the JSON object `text`, undecoded; what is inside of values is not checked for its encoding.

    Raises msgspec.DecodeError for anything but an object, UnicodeDecodeError for a key that is not UTF-8, and
    RecursionError for values nested deeper than the interpreter goes.
    """
    return _members.decode(text)


def spans(text: bytes, of: Mapping[str, msgspec.Raw]) -> dict[str, Span]:
    """Where the value of each member stands in `text`: start and end, in bytes.

    `of` is `members(text)`, which keeps one value of a repeated key, so the walk over the text then fails to meet it.
    Raises DuplicateKey with the key that is repeated.
    """
    found: dict[str, Span] = {}
    position = 0
    for name, raw in of.items():
        match = _KEY.match(text, position)
        if match is None:
            raise _duplicate(text, position, found)
        start = match.end()
        value = bytes(raw)
        if not text.startswith(value, start) or (b"\\" not in match[1] and match[1] != name.encode()):
            raise _duplicate(text, position, found)
        position = start + len(value)
        found[name] = (start, position)
    if of and not _END.fullmatch(text, position):
        raise _duplicate(text, position, found)
    return found


def _duplicate(text: bytes, position: int, found: Mapping[str, Span]) -> DuplicateKey:
    """Names the key that comes next, or the last one met, where a value that begins like its own stood in its place."""
    match = _KEY.match(text, position)
    return DuplicateKey(list(found)[-1] if match is None else msgspec.json.decode(b'"%b"' % match[1], type=str))


def replace(text: bytes, at: Mapping[str, Span], values: Mapping[str, bytes]) -> bytes:
    """`text` with the members of `values` set to that JSON: in place where they are, else added at the front.

    At the front, because the end of a prompt is what providers' prompt caches see change, and a member that comes
    before the messages does not move between two turns of one conversation.
    """
    new = b"".join(b"%b:%b," % (msgspec.json.encode(name), value) for name, value in values.items() if name not in at)
    pieces: list[bytes] = []
    position = 0
    if new:
        match = _START.match(text)
        position = match.end() if match else 0
        pieces += (text[:position], new if at else new[:-1])
    for (start, end), value in sorted((at[name], value) for name, value in values.items() if name in at):
        pieces += (text[position:start], value)
        position = end
    pieces.append(text[position:])
    return b"".join(pieces)


def remove(text: bytes, at: Mapping[str, Span], name: str) -> bytes:
    """`text` without the member `name`, its key and one comma; `at` must be the spans of the whole object."""
    order = list(at)
    place = order.index(name)
    start = at[order[place - 1]][1] if place else _opening(text)
    end = at[name][1]
    if place == 0 and len(order) > 1:
        end = text.index(b",", end) + 1
    return text[:start] + text[end:]


def _opening(text: bytes) -> int:
    match = _START.match(text)
    return match.end() if match else 0
