"""AWS event streams by test code of its own: whole messages made, and taken apart again.

A fixture is text, a message a line: the type of the event, a space, its payload. An exception has a `!` ahead of its
type.
"""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from zlib import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"


def message(headers: bytes, payload: bytes) -> bytes:
    """One message around headers that are bytes already."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def header(name: str, kind: int, value: bytes) -> bytes:
    """One header: its name, the number of its type, the value's bytes."""
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


def texts(headers: Mapping[str, str]) -> bytes:
    """Headers whose values are texts."""
    return b"".join(
        header(name, 7, struct.pack(">H", len(value.encode())) + value.encode()) for name, value in headers.items()
    )


def event(kind: str, payload: bytes) -> bytes:
    """An event as Bedrock sends it."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return message(texts(headers), payload)


def exception(kind: str, payload: bytes) -> bytes:
    """A failure in the midst of a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return message(texts(headers), payload)


def framed(fixture: str) -> bytes:
    """The stream that a fixture describes."""
    found: list[bytes] = []
    for line in fixture.splitlines():
        kind, _, payload = line.partition(" ")
        make = exception if kind.startswith("!") else event
        found.append(make(kind.removeprefix("!"), payload.encode()))
    return b"".join(found)


def described(events: Iterable[tuple[str, Any]]) -> str:
    """The fixture of events whose payloads are JSON."""
    return "".join(f"{kind} {json.dumps(payload, ensure_ascii=False)}\n" for kind, payload in events)


def read(stream: bytes) -> Iterator[tuple[str, Any]]:
    """The type and the JSON of each message of a whole stream; an exception's type has a `!` ahead of it."""
    while stream:
        length, size = struct.unpack_from(">II", stream)
        headers = dict(_headers(stream[12 : 12 + size]))
        kind = headers.get(":event-type") or "!" + headers[":exception-type"]
        yield kind, json.loads(stream[12 + size : length - 4])
        stream = stream[length:]


def _headers(block: bytes) -> Iterator[tuple[str, str]]:
    while block:
        name_end = 1 + block[0]
        (size,) = struct.unpack_from(">H", block, name_end + 1)
        end = name_end + 3 + size
        yield block[1:name_end].decode(), block[name_end + 3 : end].decode()
        block = block[end:]
