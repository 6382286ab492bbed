import contextlib
import struct
from collections.abc import Iterable
from uuid import UUID
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.errors import Code, GatewayError
from scaigrid.eventstream import Message, Splitter, parse
from tests.harness import amazon
from tests.harness.eventstreams import event, header, message

ID = UUID("01234567-89ab-cdef-0123-456789abcdef")
EVERY_TYPE = b"".join(
    [
        header("yes", 0, b""),
        header("no", 1, b""),
        header("byte", 2, b"\xff"),
        header("short", 3, struct.pack(">h", -300)),
        header("int", 4, struct.pack(">i", 70_000)),
        header("long", 5, struct.pack(">q", -(2**40))),
        header("bytes", 6, b"\x00\x03\x00\xff\x01"),
        header("text", 7, b"\x00\x02\xc3\xa9"),
        header("time", 8, struct.pack(">q", 1_700_000_000_123)),
        header("id", 9, ID.bytes),
    ]
)
WHOLE = [message(EVERY_TYPE, b"all"), message(b"", b""), event("delta", b'{"a":1}'), message(b"", b"\x00" * 40)]
STREAM = b"".join(WHOLE)


def fed(chunks: Iterable[bytes], splitter: Splitter) -> tuple[list[bytes], GatewayError | None]:
    found: list[bytes] = []
    try:
        for chunk in chunks:
            found += splitter.feed(chunk)
        assert splitter.close() == b""
    except GatewayError as failure:
        return found, failure
    return found, None


def both_ways(stream: bytes, limit: int = 1000) -> tuple[list[bytes], GatewayError | None]:
    """The messages and the failure of a stream, which are the same whole and byte by byte."""
    whole, failure = fed([stream], Splitter(limit))
    single, again = fed([stream[place : place + 1] for place in range(len(stream))], Splitter(limit))
    assert whole == single
    assert (failure is None) == (again is None)
    assert failure is None or failure.code is Code.UPSTREAM_SHAPE_MISMATCH
    return whole, failure


def test_a_header_of_each_type_is_read() -> None:
    assert parse(WHOLE[0]) == Message(
        {
            "yes": True,
            "no": False,
            "byte": -1,
            "short": -300,
            "int": 70_000,
            "long": -(2**40),
            "bytes": b"\x00\xff\x01",
            "text": "é",
            "time": 1_700_000_000_123,
            "id": ID,
        },
        b"all",
    )
    assert parse(WHOLE[1]) == Message({}, b"")


def test_amazons_own_reader_finds_the_same() -> None:
    found = [(dict(one.headers), one.payload) for one in map(parse, WHOLE)]
    found[0][0]["id"] = ID.bytes  # It leaves the bytes of an id as they are.
    assert found == amazon.messages(STREAM)


def test_messages_are_the_same_wherever_the_stream_is_cut() -> None:
    assert both_ways(STREAM) == (WHOLE, None)
    for place in range(len(STREAM) + 1):
        assert fed([STREAM[:place], STREAM[place:]], Splitter()) == (WHOLE, None), place


def test_a_message_that_is_not_whole_is_none() -> None:
    for end in range(len(WHOLE[0])):
        assert fed([WHOLE[1] + WHOLE[0][:end]], Splitter()) == ([WHOLE[1]], None)


def test_each_byte_is_proved() -> None:
    for place in range(len(WHOLE[2])):
        damaged = bytearray(WHOLE[2])
        damaged[place] ^= 0x10
        found, failure = both_ways(WHOLE[1] + bytes(damaged))
        assert found == [WHOLE[1]]
        assert failure is not None, place


def test_a_failure_stays() -> None:
    splitter = Splitter()
    assert splitter.feed(WHOLE[1] + b"\xff" * 12) == [WHOLE[1]]
    for _ in range(2):
        with pytest.raises(GatewayError):
            splitter.feed(WHOLE[1])
        with pytest.raises(GatewayError):
            splitter.close()


def prelude(length: int, headers: int) -> bytes:
    begin = struct.pack(">II", length, headers)
    return begin + struct.pack(">I", crc32(begin))


@pytest.mark.parametrize(("length", "headers"), [(0, 0), (15, 0), (16, 1), (40, 25), (2**32 - 1, 0), (17, 2**32 - 1)])
def test_lengths_that_cannot_be_are_refused_before_anything_is_kept(length: int, headers: int) -> None:
    found, failure = both_ways(prelude(length, headers))
    assert found == []
    assert failure is not None


def test_a_message_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert both_ways(message(b"", b"x" * 84), limit=100) == ([message(b"", b"x" * 84)], None)
    found, failure = both_ways(WHOLE[1] + message(b"", b"x" * 85), limit=100)
    assert found == [WHOLE[1]]
    assert failure is not None
    assert "more than 100 bytes" in failure.message


@pytest.mark.parametrize(
    "headers",
    [
        b"\x05abc",
        b"\x01a\x0a",
        b"\x01a",
        header("a", 7, b"\x00\x09short"),
        header("a", 7, b"\x00\x01\xff"),
        header("\x00", 9, b"short"),
        header("a", 8, b"short"),
        header("a", 4, b"\x00"),
        b"\x01\xff\x00",
    ],
)
def test_headers_that_are_damaged_are_refused(headers: bytes) -> None:
    for payload in (b"", b"\x00" * 30):
        with pytest.raises(GatewayError) as caught:
            parse(message(headers, payload))
        assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


@given(stream=st.binary(max_size=60), headers=st.binary(max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_bytes_at_all_end_in_messages_or_in_a_refusal(stream: bytes, headers: bytes) -> None:
    both_ways(stream)
    with contextlib.suppress(GatewayError):
        parse(message(headers, stream))
