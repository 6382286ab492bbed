from collections.abc import Sequence

import pytest

from adapters.events import Streamed, Whole
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Event, Text
from tests.adapters.calls import byte_by_byte, decode, until_failure


class Echo:
    """A provider whose events are its text, but for `end` and `fail`."""

    def __init__(self) -> None:
        self.ended = False
        self.names: list[str | None] = []
        self.looked_at = 0

    def read(self, name: str | None, data: bytes) -> Sequence[Event]:
        self.names.append(name)
        if data == b"fail":
            raise GatewayError(Code.BACKEND_ERROR)
        self.ended = data == b"end"
        return () if self.ended else (Text(data.decode()),)

    def failure(self, body: bytes) -> GatewayError | None:
        self.looked_at = len(body)
        return GatewayError(Code.BACKEND_RATE_LIMITED) if body.startswith(b"{") else None


def test_each_event_is_read_once_and_the_end_ends_it() -> None:
    reader = Echo()
    assert decode(
        Streamed(reader), [b"event: x\ndata: a\n\n: note\n\ndata: b\n\ndata: end\n\ndata: c\n\ndata: fail\n\n"]
    ) == [
        Text("a"),
        Text("b"),
    ]
    assert reader.names == ["x", None, None]


def test_a_failure_comes_after_what_came_ahead_of_it() -> None:
    stream = b"data: a\n\ndata: fail\n\ndata: end\n\n"
    for chunks in ([stream], byte_by_byte(stream)):
        events, failure = until_failure(Streamed(Echo()), chunks)
        assert events == [Text("a")]
        assert failure is not None
        assert failure.code is Code.BACKEND_ERROR


def test_a_failure_stays() -> None:
    decoder = Streamed(Echo())
    assert decoder.feed(b"data: a\n\ndata: fail\n\n") == [Text("a")]
    for _ in range(2):
        with pytest.raises(GatewayError):
            decoder.feed(b"data: b\n\n")
        with pytest.raises(GatewayError):
            decoder.close()


@pytest.mark.parametrize("stream", [b"data: a\n\n", b"data: a", b"", b": note\n\n", b"data: {\n\n"])
def test_a_stream_without_its_end_is_cut_short(stream: bytes) -> None:
    _, failure = until_failure(Streamed(Echo()), [stream])
    assert failure is not None
    assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_the_end_counts_without_its_blank_line() -> None:
    assert decode(Streamed(Echo()), [b"data: a\n\ndata: end"]) == [Text("a")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error": 1}', Code.BACKEND_RATE_LIMITED),
        (b'\n\n{"error":\n\n 1}\n', Code.BACKEND_RATE_LIMITED),
        (b"<html>\n\n</html>", Code.UPSTREAM_SHAPE_MISMATCH),
        (b"data: a\n\n{}\n\n", Code.UPSTREAM_SHAPE_MISMATCH),
    ],
)
def test_a_body_that_is_no_stream_may_say_why(body: bytes, code: Code) -> None:
    for chunks in ([body], byte_by_byte(body)):
        _, failure = until_failure(Streamed(Echo()), chunks)
        assert failure is not None
        assert failure.code is code


def test_a_body_that_is_no_stream_does_not_fill_the_memory() -> None:
    reader = Echo()
    until_failure(Streamed(reader), [b"x" * 1000 + b"\n\n"] * 1000)
    assert 0 < reader.looked_at < 70_000


class Words:
    """A framing of its own: words between blanks, `!` is a fault."""

    def __init__(self) -> None:
        self.rest = b""
        self.fed = 0

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        self.fed += len(chunk)
        *whole, self.rest = (self.rest + chunk).split(b" ")
        return whole

    def close(self) -> bytes:
        return self.rest

    def parse(self, event: bytes) -> tuple[str | None, bytes]:
        if event == b"!":
            raise GatewayError(Code.UPSTREAM_SHAPE_MISMATCH)
        return "word", event


def test_a_reader_may_bring_a_framing_of_its_own() -> None:
    for chunks in ([b"a bc end"], byte_by_byte(b"a bc end")):
        reader = Echo()
        assert decode(Streamed(reader, Words()), chunks) == [Text("a"), Text("bc")]
        assert reader.names == ["word"] * 3
    events, failure = until_failure(Streamed(Echo(), Words()), [b"a ! end"])
    assert events == [Text("a")]
    assert failure is not None
    assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_what_follows_the_end_is_not_even_cut() -> None:
    framing = Words()
    decoder = Streamed(Echo(), framing)
    assert decoder.feed(b"a end ! !") == [Text("a")]
    assert decoder.feed(b" ! ") == []
    assert decoder.close() == []
    assert framing.fed == len(b"a end ! !")


def test_a_plain_answer_is_read_once_it_is_whole() -> None:
    seen: list[bytes] = []

    def read(body: bytes) -> Sequence[Event]:
        seen.append(body)
        return (Text(body.decode()),)

    decoder = Whole(read)
    assert [list(decoder.feed(chunk)) for chunk in (b"a", b"", b"b")] == [[], [], []]
    assert seen == []
    assert decoder.close() == (Text("ab"),)
