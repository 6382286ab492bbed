import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ndjson import Lines
from scaigrid.errors import Code, GatewayError


def cut(chunks: list[bytes], limit: int = 100) -> list[bytes]:
    lines = Lines(limit)
    found = [line for chunk in chunks for line in lines.feed(chunk)]
    return [*found, lines.close()]


def test_each_line_is_one_event() -> None:
    assert cut([b'{"a":1}\n{"b":', b"2}\r\n\n", b'{"c":3}']) == [b'{"a":1}\n', b'{"b":2}\r\n', b"\n", b'{"c":3}']


@given(st.binary(max_size=60).map(lambda text: text.replace(b"\0", b"\n")), st.integers(0, 60))
def test_lines_do_not_hang_on_how_they_are_cut(text: bytes, place: int) -> None:
    assert cut([text[:place], text[place:]]) == cut([text])
    assert b"".join(cut([text])) == text


def test_an_event_is_its_line_without_the_white_space_around_it() -> None:
    assert Lines().parse(b' {"a":1} \r\n') == (None, b'{"a":1}')
    assert Lines().parse(b" \r\n") == (None, b"")


@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"x" * 11 + b"\n"], [b"x" * 6, b"x" * 6], [b"x" * 10, b"\n"]])
def test_a_line_that_is_too_long_is_a_broken_format(chunks: list[bytes]) -> None:
    with pytest.raises(GatewayError) as caught:
        cut(chunks, 10)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_the_lines_ahead_of_one_that_is_too_long_come_out_first() -> None:
    lines = Lines(10)
    assert lines.feed(b"a\n" + b"x" * 20) == [b"a\n"]
    for read in (lines.close, lambda: lines.feed(b"b\n")):
        with pytest.raises(GatewayError):
            read()
