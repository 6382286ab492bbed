"""How a record lies in a journal file: a marker, its length, its checksum, and the record in MessagePack.

The marker makes one question decidable that a bare length cannot answer: whether a frame that cannot be read is the
last thing a dying process wrote (`torn`), or has whole records behind it (`corrupt`).
"""

import os
import struct
from pathlib import Path
from typing import Literal, cast
from zlib import crc32

import msgspec

from scaigrid.ledger.records import AuditRow, Begun, Record, Settling, TimelineRow, UsageRow

MARKER = b"SGj1"
"""Begins every frame. Its digit is the version of the format."""

_HEADER = struct.Struct("<4sII")
_WINDOW = 64 * 1024


class _Change(msgspec.Struct, frozen=True, tag="change", array_like=True):
    """An audit row with its bodies as text: a Raw is written as it stands, and JSON is no MessagePack."""

    row: AuditRow
    before: str | None
    after: str | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(UsageRow | AuditRow | TimelineRow | _Change | Begun | Settling).decode

End = Literal["more", "end", "torn", "corrupt"]
"""Why a read stopped: it had enough; the file ends after a whole record; the file ends within a record that was never
acknowledged; what follows cannot be read although the file goes on."""


class Chunk(msgspec.Struct, frozen=True):
    """Records of a segment in their order, and the offset in bytes at which to read on."""

    records: list[Record]
    next_offset: int
    end: End


def frame(record: Record) -> bytes:
    """One record as the journal appends it. The `before` and `after` of an audit row are JSON."""
    if type(record) is AuditRow and (record.before is not None or record.after is not None):
        bare = msgspec.structs.replace(record, before=None, after=None)
        payload = _encode(_Change(bare, _text(record.before), _text(record.after)))
    else:
        payload = _encode(record)
    return _HEADER.pack(MARKER, len(payload), crc32(payload)) + payload


def read(path: Path, offset: int, max_records: int) -> Chunk:
    """At most `max_records` whole records from `offset` on. Raises OSError where the file cannot be read.

    A tail is `torn` where the last frame is shorter than it says or the file ends in zeros (what some file systems
    leave after a power failure), with no whole frame behind. Anything else that does not check is `corrupt`. Both are
    only said by a read that starts there, so `records` is then empty.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        window = os.pread(fd, _WINDOW, offset)
        chunk = _parse(window, offset, max_records, whole=len(window) < _WINDOW)
        if chunk is None:
            # The first frame is larger than the window or does not check: the rest of the file tells which.
            window = os.pread(fd, max(os.fstat(fd).st_size - offset, 0), offset)
            chunk = _parse(window, offset, max_records, whole=True)
        return chunk or Chunk([], offset, _verdict(window))
    finally:
        os.close(fd)


def count(path: Path) -> int:
    """Whole frames of a segment up to the first that is not one, by their headers alone."""
    data = path.read_bytes()
    frames = at = 0
    while (length := _length(data, at)) is not None:
        at += _HEADER.size + length
        frames += 1
    return frames


def _parse(window: bytes, offset: int, max_records: int, *, whole: bool) -> Chunk | None:
    """What can be read from the start of `window`; None where not even one record can. `whole`: the file ends here."""
    records: list[Record] = []
    at = 0
    view = memoryview(window)
    while len(records) < max_records:
        length = _length(window, at)
        record = None if length is None else _record(view, at, length)
        if length is None or record is None:
            if at == len(window) and whole:
                return Chunk(records, offset + at, "end")
            return Chunk(records, offset + at, "more") if records else None
        records.append(record)
        at += _HEADER.size + length
    return Chunk(records, offset + at, "more")


def _length(data: bytes, at: int) -> int | None:
    """The payload's length of the frame at `at`, where the frame's header is one and its end lies in `data`."""
    if len(data) - at < _HEADER.size:
        return None
    marker, length, _ = _HEADER.unpack_from(data, at)
    if marker != MARKER or len(data) - at - _HEADER.size < length:
        return None
    return int(length)


def _record(view: memoryview, at: int, length: int) -> Record | None:
    payload = view[at + _HEADER.size : at + _HEADER.size + length]
    if crc32(payload) != int.from_bytes(view[at + 8 : at + 12], "little"):
        return None
    try:
        record = _decode(payload)
    except msgspec.DecodeError:
        return None
    if type(record) is _Change:
        return msgspec.structs.replace(record.row, before=_raw(record.before), after=_raw(record.after))
    return cast(Record, record)


def _verdict(rest: bytes) -> Literal["torn", "corrupt"]:
    """What `rest`, which does not begin with a readable frame and reaches to the end of the file, is."""
    if not rest.strip(b"\0"):
        return "torn"
    cut = MARKER.startswith(rest[: len(MARKER)]) and _length(rest, 0) is None
    return "torn" if cut and not _holds_a_frame(rest) else "corrupt"


def _holds_a_frame(rest: bytes) -> bool:
    view = memoryview(rest)
    at = rest.find(MARKER, 1)
    while at >= 0:
        length = _length(rest, at)
        if length is not None and _record(view, at, length) is not None:
            return True
        at = rest.find(MARKER, at + 1)
    return False


def _text(raw: msgspec.Raw | None) -> str | None:
    return None if raw is None else bytes(raw).decode()


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())
