"""What is written to a provider and what is read from it, without a connection: what is refused, at every cut."""

import asyncio
import gc
import inspect
from collections.abc import Iterable

import httptools
import pytest

from scaigrid.adapter import UpstreamRequest
from scaigrid.upstream.http1_messages import MOST_BUFFERED, MOST_HEAD, Answer, Origin, address, head
from scaigrid.upstream.port import UpstreamFailure, UpstreamTooLarge

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
BRACES = b"content-length: 2\r\n\r\n{}"
SECRET = "sk-planted-0123456789"
MIB = 1024 * 1024


class StillWire:
    """Notes what an answer does to its connection."""

    def __init__(self) -> None:
        self.reusable = True
        self.aborted = False
        self.steps: list[str] = []

    def pause(self) -> None:
        self.steps.append("pause")

    def resume(self) -> None:
        self.steps.append("resume")

    def abort(self) -> None:
        self.aborted = True
        self.reusable = False


def cuts(data: bytes) -> Iterable[list[bytes]]:
    """Whole, byte by byte, and in two at every place."""
    yield [data]
    yield [data[place : place + 1] for place in range(len(data))]
    for place in range(1, len(data)):
        yield [data[:place], data[place:]]


async def taken(answer: Answer, *, streamed: bool = False) -> bytes:
    """The whole body, as a call comes by it."""
    await answer.begun()
    if not streamed:
        return await answer.read(MIB)
    pieces: list[bytes] = []
    while piece := await answer.chunk():
        pieces.append(piece)
    return b"".join(pieces)


async def told(pieces: Iterable[bytes]) -> tuple[int, dict[str, str], bytes, bool]:
    """Status, headers, body, and whether another call may follow. As a connection, feeds no answer that is complete."""
    wire = StillWire()
    answer = Answer(wire)
    for piece in pieces:
        if answer.complete:
            wire.abort()
        else:
            answer.feed(piece)
    body = await taken(answer)
    assert answer.leave()
    return answer.status, dict(answer.headers), body, wire.reusable


# -- answers that are taken ------------------------------------------------------------------------------------------

GOOD: dict[str, tuple[bytes, int, bytes, bool]] = {
    "a declared length": (OK + BRACES, 200, b"{}", True),
    "a length with zeros ahead and a space behind": (OK + b"Content-Length: 0002 \r\n\r\n{}", 200, b"{}", True),
    "no body": (OK + b"content-length: 0\r\n\r\n", 200, b"", True),
    "chunks": (OK + CHUNKED + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 200, b"{}", True),
    "capitals": (OK + b"Transfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, b"{}", True),
    "chunks with extensions": (OK + CHUNKED + b'2;a=b;c="d"\r\n{}\r\n0;e\r\n\r\n', 200, b"{}", True),
    "chunks with trailers": (OK + CHUNKED + b"2\r\n{}\r\n0\r\nx-sum: 1\r\n\r\n", 200, b"{}", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "304 with the length of what is not sent": (b"HTTP/1.1 304 x\r\ncontent-length: 9000000\r\n\r\n", 304, b"", True),
    "a status that nobody knows": (b"HTTP/1.1 999 x\r\n" + BRACES, 999, b"{}", True),
    "100 ahead of it": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + BRACES, 200, b"{}", True),
    "100, 102 and 103 ahead of it": (
        b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 103 x\r\nx-early: 1\r\n\r\n" + OK + BRACES,
        *(200, b"{}", True),
    ),
    "an empty line ahead of it": (b"\r\n" + OK + BRACES, 200, b"{}", True),
    "an upgrade that is offered": (OK + b"upgrade: h2\r\nconnection: upgrade\r\n" + BRACES, 200, b"{}", True),
    "identity": (OK + b"content-encoding: Identity\r\n" + BRACES, 200, b"{}", True),
    "a name without a value": (OK + b"x-empty:\r\n" + BRACES, 200, b"{}", True),
    "Connection: close": (OK + b"connection: close\r\n" + BRACES, 200, b"{}", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n" + BRACES, 200, b"{}", False),
    "HTTP/1.0 that keeps": (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n" + BRACES, 200, b"{}", True),
    "HTTP/1.0 in chunks": (
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
        *(200, b"{}", False),
    ),
}


@pytest.mark.parametrize("case", GOOD)
async def test_an_answer_is_the_same_however_it_is_cut(case: str) -> None:
    data, status, body, reusable = GOOD[case]
    for pieces in cuts(data):
        got = await told(pieces)
        assert (got[0], got[2], got[3]) == (status, body, reusable), pieces
        assert not {"x-early", "x-sum"} & set(got[1])


SURPLUS = {
    "another answer": b"HTTP/1.1 500 Oops\r\nx-other: 1\r\ncontent-length: 3\r\n\r\nbad",
    "an answer to nobody in chunks": b"HTTP/1.1 500 Oops\r\n" + CHUNKED + b"3\r\nbad\r\n0\r\n\r\n",
    "the beginning of one": b"H",
    "a head without its end": b"HTTP/1.1 500 Oops\r\nx-other: ",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "garbage": b"}",
    "zeros": b"\0\0",
    "an empty line and an answer": b"\r\nHTTP/1.1 500 Oops\r\ncontent-length: 3\r\n\r\nbad",
}


@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
@pytest.mark.parametrize("case", [name for name, good in GOOD.items() if good[3]])
async def test_what_follows_an_answer_changes_nothing_of_it_and_ends_the_connection(case: str, surplus: bytes) -> None:
    data, status, body, _ = GOOD[case]
    for pieces in cuts(data + surplus):
        got = await told(pieces)
        assert (got[0], got[2], got[3]) == (status, body, False), pieces
        assert "x-other" not in got[1]


@pytest.mark.parametrize("octet", [octet for octet in range(256) if octet not in b"\r\n"])
async def test_any_octet_after_an_answer_ends_the_connection(octet: int) -> None:
    assert await told([OK + BRACES + bytes([octet])]) == (200, {"content-length": "2"}, b"{}", False)


async def test_an_empty_line_after_an_answer_is_passed_over() -> None:
    """RFC 9112, section 2.2 has servers do so; the next answer's parser would do the same."""
    assert await told([OK + BRACES + b"\r\n"]) == (200, {"content-length": "2"}, b"{}", True)


async def test_headers_are_in_lower_case_and_several_of_a_name_are_one_list() -> None:
    data = OK + b"X-A: one\r\nx-b:\t two \r\nx-a: three\r\nX-Octet: \xe9\r\n" + BRACES
    for pieces in cuts(data):
        headers = (await told(pieces))[1]
        assert headers == {"x-a": "one, three", "x-b": "two", "x-octet": "é", "content-length": "2"}


async def test_a_trailer_is_no_header() -> None:
    trailers = b"content-encoding: gzip\r\nretry-after: 9\r\n"
    got = await told([OK + CHUNKED, b"2\r\n{}\r\n0\r\n", trailers, b"\r\n"])
    assert got == (200, {"transfer-encoding": "chunked"}, b"{}", True)


# -- answers that are refused ----------------------------------------------------------------------------------------

BAD = {
    "no HTTP": b"220 mail.example.test ESMTP\r\n\r\n",
    "HTTP/2": b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d\0\x04\0\x10\0\0",
    "a request": b"POST / HTTP/1.1\r\n\r\n",
    "a version that is none": b"HTTP/1.2 200 OK\r\n" + BRACES,
    "status 000": b"HTTP/1.1 000 x\r\n" + BRACES,
    "status 099": b"HTTP/1.1 099 x\r\n" + BRACES,
    "status 099 and a good answer": b"HTTP/1.1 099 x\r\n" + BRACES + OK + BRACES,
    "status 101": b"HTTP/1.1 101 x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    "status 101 without a word": b"HTTP/1.1 101 x\r\n\r\n" + OK + BRACES,
    "status 20": b"HTTP/1.1 20 x\r\n" + BRACES,
    "length and chunks": OK + b"content-length: 2\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
    "chunks and length": OK + b"transfer-encoding: chunked\r\n" + BRACES,
    "two lengths": OK + b"content-length: 2\r\n" + BRACES,
    "two different lengths": OK + b"content-length: 3\r\n" + BRACES,
    "a list of lengths": OK + b"content-length: 2, 2\r\n\r\n{}",
    "a negative length": OK + b"content-length: -2\r\n\r\n{}",
    "a length with a sign": OK + b"content-length: +2\r\n\r\n{}",
    "a length beyond 64 bits": OK + b"content-length: 18446744073709551618\r\n\r\n{}",
    "a folded line": OK + b"x-a: one\r\n two\r\n" + BRACES,
    "a folded length": OK + b"content-length:\r\n 2\r\n\r\n{}",
    "a space ahead of the colon": OK + b"content-length : 2\r\n\r\n{}",
    "a line without a colon": OK + b"content-length\r\n" + BRACES,
    "a zero in a value": OK + b"x-a: \0\r\n" + BRACES,
    "bare line feeds": (OK + BRACES).replace(b"\r", b""),
    "a content coding": OK + b"content-encoding: gzip\r\n" + BRACES,
    "a content coding and a good answer": OK + b"content-encoding: gzip\r\n" + BRACES + OK + BRACES,
    "a content coding after an empty header": OK + b"x-empty:\r\ncontent-encoding: br\r\n" + BRACES,
    "a transfer coding": OK + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a transfer coding alone": OK + b"transfer-encoding: gzip\r\n\r\n{}",
    "what is nearly chunks": OK + b"transfer-encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a chunk without a size": OK + CHUNKED + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk with a size in words": OK + CHUNKED + b"two\r\n{}\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": OK + CHUNKED + b"10000000000000002\r\n{}\r\n0\r\n\r\n",
    "a chunk that is longer than it says": OK + CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
    "an interim answer with a body": b"HTTP/1.1 102 x\r\n" + BRACES + OK + BRACES,
    "an interim answer that closes": b"HTTP/1.1 100 x\r\nconnection: close\r\n\r\n" + OK + BRACES,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
async def test_what_breaks_http_is_a_failure_however_it_is_cut(data: bytes) -> None:
    for pieces in cuts(data):
        wire = StillWire()
        answer = Answer(wire)
        for piece in pieces:
            answer.feed(piece)
        answer.ended()
        with pytest.raises(UpstreamFailure) as caught:
            await taken(answer)
        assert type(caught.value) is UpstreamFailure
        assert wire.aborted
        assert not answer.complete
        assert not wire.reusable


@pytest.mark.parametrize("status", [0, 99, 101])
async def test_a_status_that_is_no_answer_is_named(status: int) -> None:
    answer = Answer(StillWire())
    answer.feed(b"HTTP/1.1 %03d x\r\n\r\n" % status)
    with pytest.raises(UpstreamFailure, match=f"answered with status {status}$"):
        await answer.begun()


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("case", GOOD)
async def test_an_answer_that_ends_early_is_a_failure_at_every_place(case: str, streamed: bool) -> None:
    data = GOOD[case][0]
    for place in range(len(data)):
        answer = Answer(StillWire())
        answer.feed(data[:place])
        answer.ended()
        with pytest.raises(UpstreamFailure):
            await taken(answer, streamed=streamed)


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n"])
async def test_a_body_without_a_length_ends_with_the_connection(first: bytes) -> None:
    wire = StillWire()
    answer = Answer(wire)
    answer.feed(first + b"al")
    answer.feed(b"l")
    answer.ended()
    assert await answer.read(MIB) == b"all"
    assert not wire.reusable


async def test_a_body_without_a_length_does_not_end_with_a_connection_that_was_lost() -> None:
    answer = Answer(StillWire())
    answer.feed(b"HTTP/1.1 200 OK\r\n\r\nall")
    answer.broken("reset by the peer")
    answer.ended()
    assert await answer.chunk() == b"all"
    with pytest.raises(UpstreamFailure, match="reset by the peer"):
        await answer.chunk()


ENDLESS = {
    "head": (OK, b"x-a: b\r\n"),
    "name": (OK, b"a" * 1000),
    "value": (OK + b"x-a: ", b"a" * 1000),
    "reason": (b"HTTP/1.1 200 ", b"OK" * 500),
    "interim answers": (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "size of a chunk": (OK + CHUNKED + b"2\r\n{}\r\n", b"0" * 1000),
    "extension of a chunk": (OK + CHUNKED + b"2\r\n{}\r\n2;", b"a" * 1000),
    "trailers": (OK + CHUNKED + b"2\r\n{}\r\n0\r\n", b"x-a: b\r\n"),
    "trailer": (OK + CHUNKED + b"2\r\n{}\r\n0\r\nx-a: ", b"a" * 1000),
}


@pytest.mark.parametrize(("before", "again"), ENDLESS.values(), ids=ENDLESS)
async def test_what_has_no_end_is_a_failure(before: bytes, again: bytes) -> None:
    wire = StillWire()
    answer = Answer(wire)
    answer.feed(before)
    fed = 0
    while not wire.aborted:
        answer.feed(again)
        fed += len(again)
        assert fed <= MOST_HEAD + len(again)
    with pytest.raises(UpstreamFailure):
        await taken(answer)


@pytest.mark.parametrize(("length", "within"), [(MOST_HEAD - 100, True), (MOST_HEAD, False)])
async def test_a_head_has_one_bound_however_it_is_cut(length: int, within: bool) -> None:
    data = OK + b"x-a: " + b"a" * length + b"\r\n" + BRACES
    for size in (len(data), 1000, length):
        answer = Answer(StillWire())
        for place in range(0, len(data), size):
            answer.feed(data[place : place + size])
        if within:
            assert await taken(answer) == b"{}"
        else:
            with pytest.raises(UpstreamFailure):
                await answer.begun()


async def test_many_short_headers_count_as_what_they_are_on_the_wire() -> None:
    answer = Answer(StillWire())
    answer.feed(OK + b"a:\r\n" * 20_000 + BRACES)
    with pytest.raises(UpstreamFailure, match="too large a head"):
        await answer.begun()


async def test_a_stream_may_bring_any_number_of_small_chunks() -> None:
    """Their sizes and line ends come in packets of their own and are no body; together they pass the bound."""
    wire = StillWire()
    answer = Answer(wire)
    answer.feed(OK + CHUNKED)
    count = MOST_HEAD // 4
    for _ in range(count):
        for piece in (b"1\r\n", b"x", b"\r\n"):
            answer.feed(piece)
    answer.feed(b"0\r\n\r\n")
    assert await answer.read(MIB) == b"x" * count
    assert not wire.aborted


@pytest.mark.parametrize("zeros", [0, 10, 5000])
async def test_an_answer_that_declares_too_much_is_not_waited_for(zeros: int) -> None:
    """int() itself refuses more than 4300 digits."""
    answer = Answer(StillWire())
    answer.feed(OK + b"content-length: " + b"0" * zeros + b"2000" + b" " * 30 + b"\r\n\r\n{")
    with pytest.raises(UpstreamTooLarge, match="declares 2000 bytes"):
        await answer.read(1999)


@pytest.mark.parametrize("pieces", [[b"x" * 2001], [b"x" * 1000, b"x" * 1001]], ids=["at once", "in two"])
@pytest.mark.parametrize("whole", [False, True])
async def test_an_answer_that_grows_too_large_is_not_handed_out(pieces: list[bytes], whole: bool) -> None:
    answer = Answer(StillWire())
    answer.feed(OK + CHUNKED)
    for piece in pieces:
        answer.feed(b"%x\r\n%s\r\n" % (len(piece), piece))
    if whole:
        answer.feed(b"0\r\n\r\n")
    with pytest.raises(UpstreamTooLarge, match="passed 2000 bytes"):
        await answer.read(2000)


KINDS: list[type[Exception]] = [
    found for _, found in inspect.getmembers(httptools, inspect.isclass) if issubclass(found, Exception)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_every_failure_of_the_parser_is_one_of_the_port(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaking:
        def __init__(self, protocol: object) -> None:
            pass

        def feed_data(self, data: bytes) -> None:
            raise kind("why")

    monkeypatch.setattr(httptools, "HttpResponseParser", Breaking)
    wire = StillWire()
    answer = Answer(wire)
    answer.feed(OK)
    assert wire.aborted
    with pytest.raises(UpstreamFailure, match="why"):
        await answer.begun()


def test_the_parser_s_failures_are_all_known() -> None:
    assert {httptools.HttpParserError, httptools.HttpParserUpgrade} <= set(KINDS)


# -- waiting ---------------------------------------------------------------------------------------------------------


async def test_a_reader_waits_for_the_head_for_each_chunk_and_for_the_end() -> None:
    answer = Answer(StillWire())
    seen: list[bytes | int] = []

    async def follow() -> None:
        await answer.begun()
        seen.append(answer.status)
        while piece := await answer.chunk():
            seen.append(piece)
        seen.append(b"")

    task = asyncio.create_task(follow())
    steps: list[tuple[bytes, list[bytes | int]]] = [
        (b"HTTP/1.1 100 Continue\r\n\r\n", []),
        (OK + b"x-a: b\r\n", []),
        (CHUNKED, [200]),
        (b"3\r\no", [200, b"o"]),
        (b"ne\r\n", [200, b"o", b"ne"]),
        (b"3\r\ntwo\r\n0\r\n\r\n", [200, b"o", b"ne", b"two", b""]),
    ]
    for data, expected in steps:
        answer.feed(data)
        for _ in range(3):
            await asyncio.sleep(0)
        assert seen == expected
    await task


@pytest.mark.parametrize("before", [b"", OK, OK + CHUNKED], ids=["nothing", "half a head", "a head"])
async def test_who_waits_is_told_that_the_connection_was_lost(before: bytes) -> None:
    answer = Answer(StillWire())
    answer.feed(before)

    async def wait() -> None:
        await answer.begun()
        await answer.chunk()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    answer.broken("lost")
    with pytest.raises(UpstreamFailure, match="lost"):
        await task


async def test_a_reader_that_was_cancelled_may_come_again() -> None:
    answer = Answer(StillWire())
    answer.feed(OK + CHUNKED)
    task = asyncio.create_task(answer.chunk())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    answer.feed(b"3\r\none\r\n0\r\n\r\n")
    assert [await answer.chunk(), await answer.chunk()] == [b"one", b""]


async def test_a_slow_reader_stops_the_provider_and_reading_on_lets_it_continue() -> None:
    wire = StillWire()
    answer = Answer(wire)
    answer.feed(OK + b"content-length: %d\r\n\r\n" % (2 * MOST_BUFFERED + 2))
    answer.feed(b"x" * MOST_BUFFERED)
    assert wire.steps == []
    answer.feed(b"x")
    assert wire.steps == ["pause"]
    # What the transport had in hand already.
    answer.feed(b"x" * 1000)
    assert len(await answer.chunk()) == MOST_BUFFERED + 1001
    assert wire.steps == ["pause", "resume"]
    answer.feed(b"x" * (MOST_BUFFERED - 999))
    assert len(await answer.chunk()) == MOST_BUFFERED - 999
    assert (await answer.chunk(), wire.reusable, len(wire.steps)) == (b"", True, 2)


async def test_an_answer_that_was_left_gives_what_it_had_and_then_nothing() -> None:
    answer = Answer(StillWire())
    answer.feed(OK + CHUNKED + b"3\r\none\r\n")
    assert not answer.leave()
    answer.feed(b"5\r\nother\r\n0\r\n\r\n")
    assert await answer.chunk() == b"one"
    with pytest.raises(UpstreamFailure, match="the call is over"):
        await answer.chunk()


async def test_leaving_wakes_whoever_still_waits() -> None:
    answer = Answer(StillWire())
    answer.feed(OK + CHUNKED)
    task = asyncio.create_task(answer.chunk())
    await asyncio.sleep(0)
    answer.leave()
    with pytest.raises(UpstreamFailure, match="the call is over"):
        await task


@pytest.mark.parametrize("data", [OK + BRACES, OK + CHUNKED, b"nonsense"], ids=["whole", "abandoned", "broken"])
async def test_an_answer_that_was_left_is_no_work_for_the_collector(data: bytes) -> None:
    answer = Answer(StillWire())
    answer.feed(data)
    answer.leave()
    gc.collect()
    gc.disable()
    try:
        del answer
        assert not [one for one in gc.get_objects() if isinstance(one, Answer)]
    finally:
        gc.enable()


# -- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "origin", "line", "host"),
    [
        ("http://x.test/v1/chat", Origin(False, "x.test", 80), "/v1/chat", "x.test"),
        ("https://X.test", Origin(True, "x.test", 443), "/", "x.test"),
        ("https://x.test:443/", Origin(True, "x.test", 443), "/", "x.test"),
        ("https://x.test:80/", Origin(True, "x.test", 80), "/", "x.test:80"),
        ("http://127.0.0.1:8000/a?b=c&d", Origin(False, "127.0.0.1", 8000), "/a?b=c&d", "127.0.0.1:8000"),
        ("http://[::1]/a", Origin(False, "::1", 80), "/a", "[::1]"),
        ("http://[2001:DB8::1]:8000/a", Origin(False, "2001:db8::1", 8000), "/a", "[2001:db8::1]:8000"),
        ("http://x.test?b", Origin(False, "x.test", 80), "/?b", "x.test"),
        ("http://x.test/a%20b/../c;d#fragment", Origin(False, "x.test", 80), "/a%20b/../c;d", "x.test"),
        ("http://x.test//evil.test/", Origin(False, "x.test", 80), "//evil.test/", "x.test"),
        ("http://bücher.test/", Origin(False, "xn--bcher-kva.test", 80), "/", "xn--bcher-kva.test"),
    ],
)
def test_an_address_is_taken_apart(url: str, origin: Origin, line: str, host: str) -> None:
    found, addressed = address(url)
    assert found == origin
    assert addressed.startswith(f" {line} HTTP/1.1\r\nhost: {host}\r\n")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        f"/only/a/path?{SECRET}",
        f"ftp://x.test/{SECRET}",
        f"http:///{SECRET}",
        f"http://[::1/{SECRET}",
        f"http://[{SECRET}]/",
        f"http://x.test:{SECRET}/",
        f"http://x.test:65536/{SECRET}",
        f"http://user:{SECRET}@x.test/",
        f"http://{SECRET}@x.test/",
        f"http://x.test\\@{SECRET}/",
        f"http://x y.test/{SECRET}",
        f"http://x..test/{SECRET}",
        f"http://{'x' * 64}.test/{SECRET}",
        f"http://x.test%0d%0a/{SECRET}",
        f"http://x.test\uff0f{SECRET}@evil.test/",
        f"http://x.test/a b{SECRET}",
        f"http://x.test/a\r\nx-smuggled: {SECRET}",
        f"http://x.test/a\tb{SECRET}",
        f"http://x.test/\0{SECRET}",
        f"http://x.test/é{SECRET}",
        f"http://x.test/?q=é{SECRET}",
        f" http://x.test/{SECRET}\n",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_named(url: str) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        address(url)
    assert SECRET not in everything(caught.value)


def everything(error: BaseException | None) -> str:
    """All that a log could print of an error and of those behind it."""
    said = ""
    while error is not None:
        said += f"{error!r} {error} {vars(error)} {getattr(error, 'object', '')} {error.args}"
        error = error.__cause__ or error.__context__
    return said


def asked(*headers: tuple[str, str], body: bytes = b"{}") -> bytes:
    _, addressed = address("http://x.test/v1")
    return head(UpstreamRequest("POST", "http://x.test/v1", headers, body), addressed)


def test_a_head_says_what_it_was_given_and_the_client_s_own_once() -> None:
    assert asked(("authorization", "Bearer k"), ("x-latin", "é")).decode("latin-1").split("\r\n") == [
        *("POST /v1 HTTP/1.1", "host: x.test", "user-agent: scaigrid", "accept-encoding: identity"),
        *("content-length: 2", "authorization: Bearer k", "x-latin: é", "", ""),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("x-a", f"{SECRET}{bad}") for bad in ("\r\nx: y", "\n", "\r", "\0", "\x0b", "\x7f", "\x85", "\u2028", "€")],
        *[(f"{SECRET}{bad}", "v") for bad in ("\r\nx", "\n", " ", ":", "\0", "é", "(", "")[:-1]],
        *[("", SECRET), (" x", SECRET), ("x ", SECRET)],
        *[(name, SECRET) for name in ("Host", "content-length", "Transfer-Encoding", "connection", "expect", "TE")],
    ],
)
def test_a_header_that_would_say_more_than_itself_is_refused_and_not_named(name: str, value: str) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        asked(("authorization", f"Bearer {SECRET}"), (name, value))
    assert SECRET not in everything(caught.value)
