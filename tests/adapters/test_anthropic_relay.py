import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.anthropic_relay import PlainRelay, StreamRelay, relay
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Usage
from tests.adapters.calls import SLUG, anthropic, byte_by_byte

BEGIN = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","model":"claude-x","content":[],'
    b'"usage":{"input_tokens":5,"cache_read_input_tokens":3,"output_tokens":1}}   }\n\n'
)
OURS = BEGIN.replace(b"claude-x", b"scailabs/best")
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
START = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
)
STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
DELTA = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":7}}\n\n'
)
END = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
NEW = b'event: brand_new\ndata: {"type":"brand_new","x":[1.50]}\n\n'
FAILED = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'


def text(said: str) -> bytes:
    delta = json.dumps({"type": "text_delta", "text": said}, ensure_ascii=False)
    return f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":0,"delta":{delta}}}\n\n'.encode()


WHOLE = BEGIN + PING + START + text("Hé") + PING + NEW + text("llo") + STOP + DELTA + END


def fed(pipe: StreamRelay, chunks: Iterable[bytes]) -> bytes:
    return b"".join([*[pipe.feed(chunk) for chunk in chunks], pipe.close()])


def broken(*chunks: bytes) -> Code:
    with pytest.raises(GatewayError) as caught:
        fed(StreamRelay(SLUG), chunks)
    return caught.value.code


def test_a_stream_relays_events_and_a_plain_call_an_answer() -> None:
    asked: dict[str, Any] = {"model": SLUG, "max_tokens": 9, "messages": []}
    assert isinstance(relay(anthropic({**asked, "stream": True})), StreamRelay)
    assert isinstance(relay(anthropic(asked)), PlainRelay)
    count = relay(anthropic(asked, counted=True))
    count.feed(b'{ "input_tokens" : 12 }')
    assert (count.close(), count.usage) == (b'{ "input_tokens" : 12 }', None)


# -- streams ---------------------------------------------------------------------------------------------------------


def test_bytes_go_through_but_for_the_name_of_the_model() -> None:
    pipe = StreamRelay(SLUG)
    assert fed(pipe, [WHOLE]) == WHOLE.replace(b"claude-x", b"scailabs/best")
    assert pipe.usage == Usage(input=5, cache_read=3, output=7)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_the_same_comes_out_however_the_bytes_are_cut(size: int) -> None:
    pipe = StreamRelay(SLUG)
    pieces = [WHOLE[at : at + size] for at in range(0, len(WHOLE), size)]
    assert fed(pipe, pieces) == OURS + WHOLE[len(BEGIN) :]
    assert pipe.usage == Usage(input=5, cache_read=3, output=7)


def test_the_same_comes_out_at_every_split() -> None:
    for at in range(len(WHOLE)):
        assert fed(StreamRelay(SLUG), [WHOLE[:at], WHOLE[at:]]) == OURS + WHOLE[len(BEGIN) :]


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_other_line_ends_stay(end: bytes) -> None:
    stream = WHOLE.replace(b"\n", end)
    assert fed(StreamRelay(SLUG), [stream]) == stream.replace(b"claude-x", b"scailabs/best")


def test_nothing_goes_out_before_content_and_the_end_waits_for_the_close() -> None:
    pipe = StreamRelay(SLUG)
    assert pipe.feed(PING) == b""
    assert pipe.feed(BEGIN) == b""
    assert pipe.usage == Usage(input=5, cache_read=3, output=1)
    assert pipe.feed(PING) == b""
    assert pipe.feed(START) == PING + OURS + PING + START
    assert pipe.feed(PING) == PING
    assert (pipe.feed(END), pipe.ended) == (b"", True)
    assert pipe.feed(b"whatever") == b""
    assert pipe.close() == END


def test_an_answer_without_content_still_begins() -> None:
    assert fed(StreamRelay(SLUG), [BEGIN + DELTA + END]) == OURS + DELTA + END


def test_an_end_without_its_blank_line_gets_one() -> None:
    assert fed(StreamRelay(SLUG), [BEGIN + END.rstrip()]) == OURS + END


def test_nothing_but_the_messages_own_model_is_renamed() -> None:
    inner = BEGIN.replace(b'"content":[]', b'"content":[{"model":"claude-x"}],"x":{"model":"claude-x"}')
    inner = inner.replace(b'{"type":"message_start"', b'{"model":"claude-x","type":"message_start"')
    wanted = inner.replace(b'"msg_1","model":"claude-x"', b'"msg_1","model":"scailabs/best"')
    assert fed(StreamRelay(SLUG), [inner + END]) == wanted + END


def test_data_on_several_lines_is_understood() -> None:
    data = BEGIN.replace(b',"message"', b',\ndata: "message"')
    out = fed(StreamRelay(SLUG), [data + END])
    assert b'"model":"scailabs/best"' in out
    assert out.startswith(b"event: message_start\ndata: ")


@pytest.mark.parametrize(
    "events",
    [
        [START],
        [END],
        [BEGIN, BEGIN],
        [BEGIN, START],
        [BEGIN, START, text("a")[:-9] + b"\n\n"],
        [BEGIN, START, text("a").replace(b'"a"', b'"\xff"')],
        [BEGIN, START, b"data: [1]\n\n"],
        [BEGIN, START, b"data: {}\n\n"],
        [b'data: {"type":"message_start"}\n\n'],
        [b'data: {"type":"message_start","message":[]}\n\n'],
        [b'data: {"type":"message_start","message":{"model":"a","model":"b"}}\n\n'],
        [b'data: {"type":"message_start","message":{"usage":{"input_tokens":"5"}}}\n\n'],
        [],
        [PING],
        [b": nothing\n\n"],
    ],
)
def test_a_broken_stream_is_not_passed_on(events: list[bytes]) -> None:
    assert broken(*events) is Code.UPSTREAM_SHAPE_MISMATCH


def test_a_failure_before_content_leaves_room_for_another_backend() -> None:
    pipe = StreamRelay(SLUG)
    assert pipe.feed(PING + BEGIN + PING) == b""
    with pytest.raises(GatewayError) as caught:
        pipe.feed(FAILED)
    assert caught.value.code is Code.BACKEND_ERROR


def test_a_failure_after_content_is_told_after_what_was_sound() -> None:
    pipe = StreamRelay(SLUG)
    assert pipe.feed(BEGIN + START + text("a") + FAILED) == OURS + START + text("a")
    with pytest.raises(GatewayError) as fed_on:
        pipe.feed(END)
    with pytest.raises(GatewayError) as closed:
        pipe.close()
    assert (fed_on.value.code, closed.value.code) == (Code.BACKEND_ERROR, Code.BACKEND_ERROR)


def test_a_failure_instead_of_a_stream_is_told() -> None:
    body = FAILED.removeprefix(b"event: error\ndata: ")
    assert broken(body) is Code.BACKEND_ERROR
    assert broken(*byte_by_byte(body.strip())) is Code.BACKEND_ERROR


def test_much_silence_is_let_go() -> None:
    """What is held back has a bound, and the beginning of an answer is never lost."""
    pipe = StreamRelay(SLUG)
    for _ in range(3000):
        assert pipe.feed(PING) == b""
    out = pipe.feed(BEGIN)
    out += b"".join([pipe.feed(PING) for _ in range(3000)]) + pipe.feed(START)
    assert out.count(OURS) == 1
    assert out.endswith(START)


@pytest.mark.parametrize("spaced", [True, False])
def test_what_has_passed_is_counted_for_a_stream_that_is_cut(spaced: bool) -> None:
    pipe = StreamRelay(SLUG)
    pipe.feed(BEGIN + START)
    for kind, field in (("text_delta", "text"), ("thinking_delta", "thinking"), ("input_json_delta", "partial_json")):
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": kind, field: "x" * 40}}
        data = json.dumps(delta, separators=None if spaced else (",", ":"))
        pipe.feed(f"event: content_block_delta\ndata: {data}\n\n".encode())
    pipe.feed(text(""))
    assert pipe.output_seen == 30


@given(st.lists(st.sampled_from([BEGIN, PING, START, text("a"), STOP, DELTA, END, NEW, FAILED, b"data: x\n\n"])))
@settings(max_examples=200, deadline=None)
def test_what_a_known_piece_becomes_does_not_depend_on_how_it_came(events: list[bytes]) -> None:
    """Byte by byte and all at once: the same bytes and the same end."""
    assert outcome(events) == outcome(byte_by_byte(b"".join(events)))


@given(st.lists(st.binary(max_size=30) | st.sampled_from([BEGIN, START, text("é"), DELTA, END]), max_size=6))
@settings(max_examples=200, deadline=None)
def test_whatever_comes_only_failures_come_out(chunks: list[bytes]) -> None:
    outcome(chunks)


def outcome(chunks: Iterable[bytes]) -> tuple[bytes, Code | None]:
    pipe, out = StreamRelay(SLUG), b""
    try:
        for chunk in chunks:
            out += pipe.feed(chunk)
        out += pipe.close()
    except GatewayError as failure:
        return out, failure.code
    return out, None


# -- plain answers ---------------------------------------------------------------------------------------------------


def plain(body: bytes) -> tuple[bytes, PlainRelay]:
    pipe = PlainRelay(SLUG, required="content", first=b"[")
    for piece in (body[:5], body[5:]):
        assert pipe.feed(piece) == b""
    return pipe.close(), pipe


def test_a_plain_answer_goes_through_but_for_the_name_of_the_model() -> None:
    body = (
        b'{ "id":"msg_1", "model" : "claude-x","content":[{"model":"claude-x"}],"usage":{"output_tokens":7},"x":1.50}'
    )
    out, pipe = plain(body)
    assert out == body.replace(b'"model" : "claude-x"', b'"model" : "scailabs/best"')
    assert (pipe.usage, pipe.ended) == (Usage(output=7), True)


def test_a_plain_answer_without_usage_is_guessed_by_its_length() -> None:
    body = b'{"content":[{"type":"text","text":"0123456789"}]}'
    out, pipe = plain(body)
    assert (out, pipe.usage) == (body, None)
    assert pipe.output_seen > 0


def test_a_plain_answer_whose_usage_is_nothing_is_guessed_too() -> None:
    body = b'{"content":[{"type":"text","text":"0123456789"}],"usage":{"input_tokens":0,"output_tokens":0}}'
    _, pipe = plain(body)
    assert pipe.usage == Usage()
    assert pipe.output_seen > 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"type":"error","error":{"type":"rate_limit_error","message":"m"}}', Code.BACKEND_RATE_LIMITED),
        (b'{"type":"error"}', Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"content":{}}', Code.UPSTREAM_SHAPE_MISMATCH),
        (b"{}", Code.UPSTREAM_SHAPE_MISMATCH),
        (b"[]", Code.UPSTREAM_SHAPE_MISMATCH),
        (b"", Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"content":["\xff"]}', Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"content":[],"model":"a","model":"b"}', Code.UPSTREAM_SHAPE_MISMATCH),
    ],
)
def test_a_plain_answer_that_is_none_is_not_passed_on(body: bytes, code: Code) -> None:
    with pytest.raises(GatewayError) as caught:
        plain(body)
    assert caught.value.code is code


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_of_any_body_only_failures_come_out(body: bytes) -> None:
    pipe = PlainRelay(SLUG, required="content", first=b"[")
    pipe.feed(b'{"content":[]' + body)
    try:
        pipe.close()
    except GatewayError:
        return
    assert pipe.ended


PLACES: dict[str, tuple[Callable[[bytes], list[bytes]], bool]] = {
    "alone, first": (lambda words: [words + b"\n", BEGIN, START, END], False),
    "ahead of the first": (lambda words: [BEGIN, words + START, END], False),
    "alone": (lambda words: [BEGIN, START, words + b"\n", END], True),
    "behind data": (lambda words: [BEGIN, START, text("Hi")[:-1] + words + b"\n", END], True),
    "at the end": (lambda words: [BEGIN, START, words + END], True),
}
"""What is said somewhere in a stream, and whether the caller has had its beginning by then."""


@pytest.mark.parametrize("words", [b"Authorization: Bearer k\n", b"database: k\n"])
@pytest.mark.parametrize("place", PLACES)
def test_lines_that_are_no_field_of_an_event_end_the_stream_and_are_passed_to_nobody(words: bytes, place: str) -> None:
    chunks, begun = PLACES[place]
    pipe, out = StreamRelay(SLUG), b""
    code: Code | None = None
    try:
        for chunk in chunks(words):
            out += pipe.feed(chunk)
        out += pipe.close()
    except GatewayError as error:
        code = error.code
    assert code is Code.UPSTREAM_SHAPE_MISMATCH
    assert out == (OURS + START if begun else b"")
