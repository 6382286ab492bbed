from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.google_decode import AnswerStream
from adapters.google_framing import Framed, UntilClosed
from scaigrid import sse
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Done, Event, Text
from tests.adapters.calls import byte_by_byte, until_failure

ARRAY = b'[{"a": "]}\\"{["}\n,\r\n{"b": [{"c": {}}]},7 , [1],{}]'
ELEMENTS = [b'{"a": "]}\\"{["}', b'{"b": [{"c": {}}]}', b"[1]", b"{}"]
BEGUN = b'{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}'
ENDED = b'{"candidates":[{"content":{"parts":[{"text":"!"}]},"finishReason":"STOP"}]}'


def framed(chunks: Sequence[bytes]) -> list[tuple[str | None, bytes]]:
    framing = Framed()
    found = [framing.parse(event) for chunk in chunks for event in framing.feed(chunk)]
    assert framing.close() == b""
    return found


def read(*chunks: bytes) -> tuple[list[Event], GatewayError | None]:
    return until_failure(UntilClosed(AnswerStream(1)), chunks)


def test_the_elements_of_an_array_come_one_by_one_however_they_are_cut() -> None:
    wanted = [(None, element) for element in ELEMENTS]
    assert framed([ARRAY]) == wanted
    assert framed(byte_by_byte(ARRAY)) == wanted
    for place in range(len(ARRAY)):
        assert framed([ARRAY[:place], ARRAY[place:]]) == wanted, place


def test_an_element_comes_out_as_soon_as_it_is_whole() -> None:
    framing = Framed()
    assert list(framing.feed(b' [{"a":1')) == []
    assert list(framing.feed(b"}")) == [b'{"a":1}']


def test_events_are_events_whatever_blank_stands_in_front() -> None:
    assert framed([b"\n", b" \ndata: 1\n\n", b"event: e\ndata: 2\n\n"]) == [(None, b"1"), ("e", b"2")]


def test_an_answer_in_either_form_says_the_same() -> None:
    wanted = [Text("Hi"), Text("!"), Done("stop")]
    events = b"data: " + BEGUN + b"\n\ndata: " + ENDED + b"\n\n"
    array = b"[" + BEGUN + b"\n,\n" + ENDED + b"]"
    for body in (events, array):
        for chunks in ([body], byte_by_byte(body)):
            found, failure = read(*chunks)
            assert failure is None
            assert found[1:] == wanted


def test_a_stream_is_over_when_its_bytes_are_and_no_sooner() -> None:
    decoder = UntilClosed(AnswerStream(1))
    decoder.feed(b"data: " + ENDED + b"\n\n")
    assert not decoder.ended
    decoder.feed(b"data: " + ENDED + b"\n\n")
    assert list(decoder.close()) == [Done("stop")]


@pytest.mark.parametrize("body", [b"", b"[]", b"data: " + BEGUN + b"\n\n", b"[" + BEGUN + b"," + ENDED[:-1], b"<html>"])
def test_a_stream_that_ends_too_early_is_broken(body: bytes) -> None:
    found, failure = read(body)
    assert failure is not None
    assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH
    assert not any(isinstance(event, Done) for event in found)


@pytest.mark.parametrize("form", [b"%b", b"[%b]", b"data: %b\n\n"])
def test_a_failure_is_told_in_whatever_form_it_comes(form: bytes) -> None:
    _, failure = read(form % b'{"error":{"code":503,"status":"UNAVAILABLE","message":"Busy"}}')
    assert failure is not None
    assert failure.code is Code.BACKEND_ERROR


def test_an_element_without_an_end_is_not_kept_for_ever() -> None:
    framing = Framed()
    with pytest.raises(GatewayError) as caught:
        framing.feed(b'[{"a": "' + b"x" * sse.LIMIT)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


@given(body=st.binary(max_size=60), cut=st.integers(0, 60))
@settings(deadline=None, max_examples=150)
def test_any_array_is_cut_the_same_wherever_it_arrives_in_pieces(body: bytes, cut: int) -> None:
    text = b"[" + body
    assert framed([text]) == framed([text[:cut], text[cut:]])
