"""What a journal file gives back, whole, cut short or damaged."""

import string
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaigrid.ledger.frames import MARKER, count, frame, read
from scaigrid.ledger.records import AuditRow, Begun, Record, Settling, UsageRow
from tests.scaigrid.ledger.rows import audit_row, timeline_row, usage_row

RECORDS: list[Record] = [
    usage_row(0),
    audit_row(1),
    usage_row(2, tags={}),
    audit_row(3, actor_id=None),
    timeline_row(4),
]

_text = st.text(st.characters(codec="utf-8"), max_size=40)
_integer = st.integers(-(2**63), 2**63 - 1)
_json = st.recursive(
    st.none() | st.booleans() | _integer | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_raw = _json.map(lambda value: msgspec.Raw(msgspec.json.encode(value)))
_records = st.lists(
    st.builds(
        usage_row,
        st.integers(0, 999_999),
        model=_text,
        tokens_in=_integer,
        cost=_integer,
        created_at=st.floats(allow_nan=False),
        key_id=st.none() | _text,
        tags=st.dictionaries(_text, _text, max_size=4),
    )
    | st.builds(
        audit_row,
        st.integers(0, 999_999),
        user_agent=st.none() | _text,
        before=st.none() | _raw,
        after=st.none() | _raw,
    )
    | st.builds(timeline_row, st.integers(0, 999_999), key_id=st.none() | _text, document=_text),
    max_size=12,
).flatmap(lambda records: st.tuples(*(_told(record) for record in records)).map(list[Record]))


def _told(record: Record) -> st.SearchStrategy[Record]:
    """As it is, or a usage row as other records bring it."""
    if not isinstance(record, UsageRow):
        return st.just(record)
    used = st.dictionaries(_text, st.integers(0, 2**63 - 1), max_size=3)
    return st.just(record) | st.just(Begun(record)) | st.builds(Settling, st.just(record), _text, used)


def plain(record: Record) -> Any:
    """A record as values that compare: a Raw is compared by its bytes."""
    fields = msgspec.structs.asdict(record)
    return {name: bytes(value) if isinstance(value, msgspec.Raw) else value for name, value in fields.items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w-00000001.jnl"


def write(path: Path, *records: Record) -> list[int]:
    """Writes the frames and answers the offset at which each begins, and the end of the last."""
    offsets, data = [0], b""
    for record in records:
        data += frame(record)
        offsets.append(len(data))
    path.write_bytes(data)
    return offsets


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(records=_records, step=st.integers(1, 5))
def test_whatever_is_written_is_read_in_steps_of_any_size(path: Path, records: list[Record], step: int) -> None:
    ends = write(path, *records)
    found: list[Record] = []
    offset = 0
    while True:
        chunk = read(path, offset, step)
        found += chunk.records
        offset = chunk.next_offset
        assert offset == ends[len(found)]
        if chunk.end == "end":
            break
        assert chunk.end == "more"
    assert [plain(record) for record in found] == [plain(record) for record in records]
    assert count(path) == len(records)


def test_the_bodies_of_an_audit_row_come_back_as_the_json_they_were(path: Path) -> None:
    before = msgspec.Raw(b'{"limit": 1.0, "n":[1,2]}')
    write(path, audit_row(0, before=before), audit_row(1, after=msgspec.Raw(b"null")))
    first, second = read(path, 0, 10).records
    assert isinstance(first, AuditRow)
    assert isinstance(second, AuditRow)
    assert first.before is not None
    assert second.after is not None
    assert (bytes(first.before), first.after) == (b'{"limit": 1.0, "n":[1,2]}', None)
    assert (second.before, bytes(second.after)) == (None, b"null")


def test_an_empty_file_ends_at_once(path: Path) -> None:
    path.touch()
    chunk = read(path, 0, 10)
    assert (chunk.records, chunk.next_offset, chunk.end) == ([], 0, "end")


def test_a_record_larger_than_the_window_is_read(path: Path) -> None:
    large = usage_row(1, tags={"note": "x" * 300_000})
    write(path, usage_row(0), large, usage_row(2))
    found: list[Record] = []
    offset = 0
    while (chunk := read(path, offset, 10)).records:
        found += chunk.records
        offset = chunk.next_offset
    assert (found, chunk.end) == ([usage_row(0), large, usage_row(2)], "end")


def test_a_tail_torn_at_any_byte_costs_only_the_last_record(path: Path) -> None:
    *_, start, end = write(path, *RECORDS)
    data = path.read_bytes()
    for cut in range(start + 1, end):
        path.write_bytes(data[:cut])
        chunk = read(path, 0, 10)
        assert (chunk.records, chunk.next_offset, chunk.end) == (RECORDS[:-1], start, "more"), cut
        tail = read(path, start, 10)
        assert (tail.records, tail.next_offset, tail.end) == ([], start, "torn"), cut
        assert count(path) == len(RECORDS) - 1


def test_zeros_behind_the_last_record_are_a_torn_tail(path: Path) -> None:
    """Some file systems leave them after a power failure."""
    end = write(path, *RECORDS)[-1]
    path.write_bytes(path.read_bytes() + bytes(4096))
    assert read(path, 0, 10).records == RECORDS
    assert read(path, end, 10).end == "torn"


def test_a_byte_changed_anywhere_never_yields_another_record(path: Path) -> None:
    """And where it is not the last record, the reader says `corrupt` and goes no further."""
    offsets = write(path, *RECORDS)
    data = path.read_bytes()
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x41
        path.write_bytes(damaged)
        good = sum(1 for end in offsets[1:] if end <= at)
        chunk = read(path, 0, 10)
        assert chunk.records == RECORDS[:good], at
        stop = read(path, offsets[good], 10)
        assert (stop.records, stop.next_offset) == ([], offsets[good])
        assert stop.end == "corrupt" or (stop.end == "torn" and good == len(RECORDS) - 1), at


def test_a_length_that_points_past_the_end_is_corrupt_where_whole_records_follow(path: Path) -> None:
    write(path, *RECORDS)
    data = bytearray(path.read_bytes())
    data[4:8] = (2**31).to_bytes(4, "little")
    path.write_bytes(data)
    assert read(path, 0, 10).end == "corrupt"
    path.write_bytes(data[: len(frame(RECORDS[0]))])
    assert read(path, 0, 10).end == "torn"


def test_the_marker_inside_a_torn_record_does_not_look_like_one_behind_it(path: Path) -> None:
    write(path, usage_row(0, model=(MARKER * 5).decode()))
    path.write_bytes(path.read_bytes()[:-1])
    assert read(path, 0, 10).end == "torn"


def test_a_record_of_a_kind_that_this_release_does_not_know_stops_the_reader(path: Path) -> None:
    class Tomorrow(msgspec.Struct, tag="tomorrow", array_like=True):
        id: str

    known = frame(usage_row(0))
    unknown = frame(Tomorrow("t"))  # type: ignore[arg-type]  # what a newer release would append
    path.write_bytes(known + unknown + known)
    assert read(path, 0, 10).records == [usage_row(0)]
    assert read(path, len(known), 10).end == "corrupt"


def test_a_field_that_a_newer_release_adds_at_the_end_is_passed_over(path: Path) -> None:
    class Longer(UsageRow, frozen=True, kw_only=True, tag="usage", array_like=True):
        region: str = "eu"

    write(path, Longer(**msgspec.structs.asdict(usage_row(0))))
    assert read(path, 0, 10).records == [usage_row(0)]


def test_reading_what_is_not_there_is_an_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(path, 0, 10)


def test_a_frame_is_small() -> None:
    """The header adds twelve bytes to the MessagePack of the row, whose field names are not repeated."""
    assert len(frame(usage_row())) == 12 + len(msgspec.msgpack.encode(usage_row()))
    assert not any(name.encode() in frame(usage_row()) for name in ("partner_id", "tokens_in"))
    assert frame(usage_row())[:4] == MARKER
    assert set(MARKER.decode()) <= set(string.ascii_letters + string.digits)
