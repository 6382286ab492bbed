import itertools
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.errors import Code, GatewayError
from scaigrid.sse import Splitter, frame, parse, with_data

STREAM = (
    b": a comment\n\n"
    b"data: one\n\n"
    b"event: named\ndata: two\n\n"
    b"data: first line\ndata:second line\ndata:  third, indented\n\n"
    b"id: 7\nretry: 10\n\n"
    b"data\n\n"
    b"data: \xc3\xa9\xf0\x9f\x98\x80\n\n\n\n"
    b"database: no\ndata: last\n\n"
)
PARSED = [
    (None, b""),
    (None, b"one"),
    ("named", b"two"),
    (None, b"first line\nsecond line\n third, indented"),
    (None, b""),
    (None, b""),
    (None, "é😀".encode()),
    (None, b"last"),
]
LINE_ENDS = [b"\n", b"\r\n", b"\r"]


def events(chunks: Iterable[bytes], splitter: Splitter | None = None) -> list[bytes]:
    splitter = splitter or Splitter()
    found = [event for chunk in chunks for event in splitter.feed(chunk)]
    return [*found, splitter.close()]


def parsed(chunks: Iterable[bytes]) -> list[tuple[str | None, bytes]]:
    """Every event with data, so that blank lines to and fro do not matter."""
    return [pair for event in events(chunks) if (pair := parse(event))[1]]


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


WITH_DATA = [pair for pair in PARSED if pair[1]]


def test_every_kind_of_line_is_read() -> None:
    assert [parse(event) for event in events([STREAM])[:-1] if event.strip()] == PARSED


@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_whole_and_byte_by_byte_give_the_same_events(line_end: bytes) -> None:
    stream = STREAM.replace(b"\n", line_end)
    assert parsed([stream]) == WITH_DATA
    assert parsed(stream[place : place + 1] for place in range(len(stream))) == WITH_DATA


@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_every_cut_in_two_gives_the_same_events(line_end: bytes) -> None:
    stream = STREAM.replace(b"\n", line_end)
    for place in range(len(stream) + 1):
        assert parsed(cut(stream, [place])) == WITH_DATA, place


@given(st.lists(st.integers(0, len(STREAM) * 2)), st.sampled_from(LINE_ENDS))
def test_no_byte_is_lost_however_the_stream_is_cut(places: list[int], line_end: bytes) -> None:
    stream = STREAM.replace(b"\n", line_end)
    assert b"".join(events(cut(stream, [min(place, len(stream)) for place in places]))) == stream


@given(st.binary(), st.lists(st.integers(0, 64)))
def test_any_bytes_at_all_come_out_as_they_went_in(text: bytes, places: list[int]) -> None:
    chunks = cut(text, [min(place, len(text)) for place in places])
    assert b"".join(events(chunks)) == text.removeprefix(b"\xef\xbb\xbf")


@given(st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b":"]), max_size=20), st.data())
def test_line_ends_mix_and_no_cut_changes_what_is_read(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    places = data.draw(st.lists(st.integers(0, len(stream))))
    assert parsed(cut(stream, places)) == parsed([stream])


def test_an_event_is_there_as_soon_as_its_blank_line_is() -> None:
    for line_end in LINE_ENDS:
        splitter = Splitter()
        assert splitter.feed(b"data: a" + line_end) == []
        assert [parse(event) for event in splitter.feed(line_end)] == [(None, b"a")]


def test_the_line_feed_of_a_cut_line_end_begins_no_event() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: a\r\n\r") == [b"data: a\r\n\r"]
    assert splitter.feed(b"\ndata: b\r\n\r\n") == [b"\ndata: b\r\n\r\n"]
    assert parse(b"\ndata: b\r\n\r\n") == (None, b"b")


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_byte_order_mark_is_dropped_at_the_start_alone(place: int) -> None:
    mark = b"\xef\xbb\xbf"
    stream = mark + b"data: a\n\n" + mark + b"data: b\n\n"
    assert events(cut(stream, [place])) == [b"data: a\n\n", mark + b"data: b\n\n", b""]


def test_a_stream_that_only_looks_like_a_byte_order_mark_is_kept() -> None:
    assert events([b"\xef", b"\xbb"]) == [b"\xef\xbb"]
    assert events([b"\xef\xbb", b"\n\n"]) == [b"\xef\xbb\n\n", b""]


def test_what_has_no_blank_line_at_the_end_is_handed_over_at_the_close() -> None:
    assert events([b"data: a\n\ndata: b"]) == [b"data: a\n\n", b"data: b"]
    assert parse(b"data: b") == (None, b"b")
    assert parse(b"data: b\n") == (None, b"b")


def test_several_events_in_one_chunk_come_apart() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: first\n\n") == [b"data: first\n\n"]
    assert splitter.feed(b"data: a\n\ndata: b\n\n: c\n\n") == [b"data: a\n\n", b"data: b\n\n", b": c\n\n"]


def test_events_of_different_line_ends_in_one_chunk_come_apart() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: first\n\n") == [b"data: first\n\n"]
    assert splitter.feed(b"data: a\r\n\r\ndata: b\n\n") == [b"data: a\r\n\r\n", b"data: b\n\n"]


@pytest.mark.parametrize("begin", [b"", b"data: first\n\n"])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_event_over_the_limit_is_refused_however_it_comes(begin: bytes, step: int) -> None:
    for stream, fits in ((b"x" * 98 + b"\n\n", True), (b"x" * 99 + b"\n\n", False), (b"x" * 101, False)):
        splitter = Splitter(limit=100)
        if begin:
            splitter.feed(begin)
        if fits:
            assert events([stream[at : at + step] for at in range(0, len(stream), step)], splitter) == [stream, b""]
            continue
        with pytest.raises(GatewayError) as caught:
            events([stream[at : at + step] for at in range(0, len(stream), step)], splitter)
        assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_events_ahead_of_one_over_the_limit_still_come() -> None:
    splitter = Splitter(limit=100)
    assert splitter.feed(b"data: a\n\n" + b"x" * 200) == [b"data: a\n\n"]
    with pytest.raises(GatewayError):
        splitter.feed(b"y")
    with pytest.raises(GatewayError):
        splitter.close()


def test_the_limit_is_on_one_event_and_not_on_the_stream() -> None:
    splitter = Splitter(limit=100)
    assert sum(len(splitter.feed(b"data: " + b"x" * 80 + b"\n\n")) for _ in range(50)) == 50


def test_a_name_that_is_no_utf8_is_still_a_name() -> None:
    assert parse(b"event: \xff\ndata: a\n\n") == ("�", b"a")
    assert parse(b"event:\ndata: a\n\n") == (None, b"a")


def test_a_frame_reads_back_as_what_it_was_made_from() -> None:
    assert frame(b'{"a":1}') == b'data: {"a":1}\n\n'
    assert frame(b"{}", "error") == b"event: error\ndata: {}\n\n"
    assert parse(frame(b"a\nb\r\nc\rd\n", "x")) == ("x", b"a\nb\nc\nd\n")


@given(st.binary(min_size=1).filter(lambda data: b"\r" not in data), st.sampled_from([None, "name"]))
def test_any_data_survives_a_frame(data: bytes, name: str | None) -> None:
    framed = frame(data, name)
    assert events([framed]) == [framed, b""]
    assert parse(framed) == (name, data)


def test_other_data_leaves_the_rest_of_an_event() -> None:
    event = b": note\r\nevent: chunk\r\nid: 3\r\ndata: a\r\ndata: b\r\n\r\n"
    assert with_data(event, b"c") == b": note\nevent: chunk\nid: 3\ndata: c\n\n"
