"""The streams of every adapter, however their bytes are cut and framed: the same events, and no end but the right one.

An adapter that has no exchange of its own reads those of the protocol that it speaks.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Final

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid.adapter import Decoder
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Event
from tests.conformance import cases, plans
from tests.conformance.plans import Play
from tests.conformance.streaming import streamed
from tests.conformance.ways import SLUG, Inside, question
from tests.harness.recordings import Recorded

LARGEST: Final = 6000
"""Bytes of a stream that is looked at here."""
PLACES: Final = 1200
"""At how many places at most one is cut; a small one is cut at each."""
SMALLEST: Final = 700
"""And of one that is cut at every two places of a grid."""
GRID: Final = 7
TRAILING: Final = (b"data: {", b"\x00\xff\xfe", b"\n\ndata: [DONE]\n\n", b"{}\n")


@cache
def streams() -> tuple[tuple[str, Play], ...]:
    """Each adapter's name, with the plays of streams that it decodes."""
    native = [
        one.play
        for one in plans.everything()
        if one.play is not None and one.client.name == "native" and _is_own(one.recorded)
    ]
    ours = [play for play in native if streamed(play.recorded) and play.recorded.status == 200]
    small = [play for play in ours if len(play.recorded.response_body) <= LARGEST]
    found = [(play.provider, play) for play in small]
    having = {name for name, _ in found}
    of_openai = [play for name, play in found if name == "openai" and play.surface == "openai/chat"]
    smallest = min(of_openai, key=lambda play: len(play.recorded.response_body))
    for name, adapter in sorted(ADAPTERS.items()):
        if adapter.transport == "http" and name not in having and "openai/chat" in adapter.speaks(_defaults(name)):
            found.append((name, smallest))
    return tuple(found)


def _is_own(one: Recorded) -> bool:
    return cases.is_fixture(one) and not cases.is_of_everybody(one)


def _defaults(name: str) -> object:
    try:
        return plans.configured(name, {})
    except ValueError:
        return None


def decoder(provider: str, play: Play) -> Decoder:
    made = Inside({provider: ADAPTERS[provider]})
    asked = question(play, SLUG)
    if provider != play.provider:
        asked = msgspec.structs.replace(asked, provider=provider, options={})
    return made.decoder(asked)


def told(made: Decoder, pieces: Sequence[bytes]) -> tuple[list[Event], Code | None]:
    """The events, and the failure that they end in."""
    found: list[Event] = []
    try:
        for piece in pieces:
            found += made.feed(piece)
        found += made.close()
    except GatewayError as failure:
        return found, failure.code
    return found, None


def cases_of(wanted: Callable[[Play], bool] = lambda play: True) -> list[pytest.ParameterSet]:
    return [pytest.param(name, play, id=f"{name}-{play}") for name, play in streams() if wanted(play)]


def is_sse(play: Play) -> bool:
    return dict(play.recorded.response_headers)["content-type"].startswith("text/event-stream")


def is_small(play: Play) -> bool:
    return len(play.recorded.response_body) <= SMALLEST


def places(body: bytes) -> range:
    return range(1, len(body), -(-len(body) // PLACES))


def two_cuts(body: bytes) -> Iterator[list[bytes]]:
    """In three pieces, with cuts at all pairs of places of a grid."""
    grid = range(1, len(body), GRID)
    return ([body[:one], body[one:other], body[other:]] for one in grid for other in grid if one < other)


@pytest.mark.parametrize(("provider", "play"), cases_of())
def test_a_stream_says_the_same_wherever_it_is_cut(provider: str, play: Play) -> None:
    """Inside of characters, lines and events too."""
    body = play.recorded.response_body
    whole = told(decoder(provider, play), [body])
    assert told(decoder(provider, play), [body[place : place + 1] for place in range(len(body))]) == whole, "bytewise"
    for place in places(body):
        got = told(decoder(provider, play), [body[:place], body[place:]])
        assert got == whole, f"cut at {place}: ...{body[max(0, place - 30) : place]!r} | {body[place : place + 30]!r}"


@pytest.mark.parametrize(("provider", "play"), cases_of(is_small))
def test_a_small_stream_says_the_same_whatever_two_cuts(provider: str, play: Play) -> None:
    body = play.recorded.response_body
    whole = told(decoder(provider, play), [body])
    for pieces in two_cuts(body):
        assert told(decoder(provider, play), pieces) == whole, f"cut into {pieces}"


_FRAME_END: Final = re.compile(rb"\n\n")


def crlf(body: bytes) -> bytes:
    return body.replace(b"\n", b"\r\n")


def carriage_returns(body: bytes) -> bytes:
    return body.replace(b"\n", b"\r")


def comments(body: bytes) -> bytes:
    return b": hello\n\n" + _FRAME_END.sub(b"\n\n: still here\n\n", body)


def with_mark(body: bytes) -> bytes:
    return b"\xef\xbb\xbf" + body


def lines_of_data(body: bytes) -> bytes:
    """A JSON text over two lines."""
    return re.sub(rb"(?m)^data: \{", b"data: {\ndata: ", body)


def other_fields(body: bytes) -> bytes:
    return re.sub(rb"(?m)^data:", b"id: 7\nretry: 1000\ndata:", body)


def without_spaces(body: bytes) -> bytes:
    return re.sub(rb"(?m)^(data|event): ", rb"\1:", body)


FRAMINGS: Final = (crlf, carriage_returns, comments, with_mark, lines_of_data, other_fields, without_spaces)


@pytest.mark.parametrize("framed", FRAMINGS, ids=lambda framed: str(framed.__name__))
@pytest.mark.parametrize(("provider", "play"), cases_of(is_sse))
def test_server_sent_events_say_the_same_however_they_are_written(
    provider: str, play: Play, framed: Callable[[bytes], bytes]
) -> None:
    body = play.recorded.response_body
    whole = told(decoder(provider, play), [body])
    other = framed(body)
    assert other != body
    assert told(decoder(provider, play), [other]) == whole
    assert told(decoder(provider, play), [other[place : place + 1] for place in range(len(other))]) == whole


@pytest.mark.parametrize("trailing", TRAILING)
@pytest.mark.parametrize(("provider", "play"), cases_of())
def test_what_follows_the_end_is_ignored(provider: str, play: Play, trailing: bytes) -> None:
    body = play.recorded.response_body
    if is_sse(play) and not body.endswith((b"\n\n", b"\r\n\r\n")):
        body += b"\n\n"
    made = decoder(provider, play)
    whole = told(made, [body])
    if whole[1] is None and not made.ended:
        pytest.skip("its protocol has no last event: the end is that of the connection")
    assert told(decoder(provider, play), [body, trailing]) == whole
    assert told(decoder(provider, play), [body + trailing]) == whole


@pytest.mark.parametrize(("provider", "play"), cases_of())
def test_a_stream_without_its_end_is_a_failure(provider: str, play: Play) -> None:
    """Wherever it stops: either all has been said by then, or the answer is cut short, and never a success."""
    body = play.recorded.response_body
    events, failure = told(decoder(provider, play), [body])
    if failure is not None:
        pytest.skip("it ends in a failure anyway")
    short = 0
    cuts = places(body)
    for place in cuts:
        got, code = told(decoder(provider, play), [body[:place]])
        if code is None:
            assert got == events, f"cut off at {place} it is a success that says less"
        else:
            assert code is Code.UPSTREAM_SHAPE_MISMATCH, f"cut off at {place}: {code}"
            assert got == events[: len(got)], f"cut off at {place} it says something else"
            short += 1
    assert short > len(cuts) // 2


def test_every_adapter_has_a_stream_here() -> None:
    """Those that can stream."""
    having = {name for name, _ in streams()}
    wanted = {name for name, one in ADAPTERS.items() if "stream" in one.can and one.transport == "http"}
    assert wanted <= having, f"no small stream among the fixtures of {sorted(wanted - having)}"
