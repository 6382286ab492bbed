"""Bodies that are huge, slow or hostile: refused without being read on, each with the same 4xx code every time."""

import json
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from scaigrid.clock import SystemClock
from scaigrid.dialects import DIALECTS
from scaigrid.errors import TABLE
from tests.chaos.event import Found
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, http_client, secret
from tests.harness.ports import LOOPBACK
from tests.harness.process_tree import weight
from tests.money import site
from tests.money.callers import Crowd
from tests.money.fact import Room
from tests.money.orders import Order, dice, some
from tests.money.till import Till

MIB: Final = 2**20
LIMIT: Final = 4 * MIB
"""Of a body, in this gateway."""
OFFERED: Final = 256 * MIB
"""What a client goes on to send, if somebody takes it."""
TAKEN: Final = LIMIT + 24 * MIB
"""The most that may be taken of it: the limit, and what two kernels hold."""
GROWN: Final = 64 * MIB
AT_ONCE: Final = 1.0
"""Seconds."""
SURFACES: Final = tuple(path for dialect in DIALECTS for path in dialect.operations)
SMALL: Final = tuple(next(iter(dialect.operations)) for dialect in DIALECTS)
"""One of each dialect."""
_DEEP: Final = 100_000
_clock = SystemClock()


class Huge(msgspec.Struct, kw_only=True):
    """One body over the limit."""

    how: str
    status: int
    code: str
    seconds: float
    taken: int
    """Bytes of the body that could be sent, of OFFERED."""


class Seen(msgspec.Struct, kw_only=True):
    huge: list[Huge]
    slow: Huge
    """A body that stops in the middle."""
    hostile: dict[str, int]
    """How often each code was the answer to a hostile body."""
    odd: list[str]
    """Answers that are no 4xx with a code of ours, or another one the second time."""
    asked: int
    grown: int
    failed: list[str]
    """What others were told meanwhile that were not served."""
    served: int


def judged(seen: Seen) -> Found:
    codes = ", ".join(f"{number} {code}" for code, number in sorted(seen.hostile.items()))
    found = Found(
        measured=[
            *(
                f"{one.how}: {one.status} {one.code} after {1000 * one.seconds:.0f} ms, "
                f"{one.taken / MIB:.1f} of {OFFERED // MIB} MiB were taken"
                for one in seen.huge
            ),
            f"{seen.slow.how}: {seen.slow.status} {seen.slow.code} after {seen.slow.seconds:.1f} s",
            f"{seen.asked} hostile bodies: {codes}; {len(seen.odd)} odd answers",
            f"memory +{seen.grown / MIB:.1f} MiB; others meanwhile: {seen.served} served, {len(seen.failed)} failed",
        ]
    )
    for one in seen.huge:
        found.expect((one.status, one.code) == (413, "REQUEST_TOO_LARGE"), f"{one.how}: {one.status} {one.code}")
        found.expect(one.seconds <= AT_ONCE, f"{one.how}: answered after {one.seconds:.1f} s")
        found.expect(one.taken <= TAKEN, f"{one.how}: {one.taken / MIB:.0f} MiB were taken")
    found.expect(400 <= seen.slow.status < 500, f"{seen.slow.how}: {seen.slow.status} after {seen.slow.seconds:.1f} s")
    found.faults += seen.odd[:5]
    found.expect(seen.asked > 0, "nothing hostile was sent")
    found.expect(seen.grown <= GROWN, f"the gateway grew by {seen.grown / MIB:.0f} MiB")
    found.expect(not seen.failed, f"others failed: {sorted(set(seen.failed))}")
    return found


def show(room: Room) -> Found:
    url = room.provider.at("/bodies/v1").always(Till()).url
    chain = {"intake": {"max_body_bytes": LIMIT, "body_seconds": 1.0}}
    chance = dice("bodies")

    def order() -> Order:
        return some(chance, "load", seconds=0.02)

    with Gateway(site.config(url, {"load": {}, "foe": {}}, chain=chain), room.place("gateway")) as gateway:
        with Crowd([gateway.port], order, callers=2) as crowd:
            crowd.comes_to(20)
            first = weight(gateway.process.pid).rss
            huge = [_announced(gateway), _endless(gateway)]
            slow = _stalled(gateway)
            hostile, odd, asked = _hostile(gateway, SURFACES if room.size != "small" else SMALL)
            grown = weight(gateway.process.pid).rss - first
            crowd.comes_to(crowd.served + 20)
            answers = crowd.stop()
        odd += [f"unexpected_error: {line}" for line in gateway.lines() if line["event"] == "unexpected_error"]
    return judged(
        Seen(
            huge=huge,
            slow=slow,
            hostile=hostile,
            odd=odd,
            asked=asked,
            grown=grown,
            failed=[f"{one.status} {one.code}" for one in answers if not one.served],
            served=sum(one.served for one in answers),
        )
    )


# -- huge ------------------------------------------------------------------------------------------------------------


def _head(framing: str) -> bytes:
    return (
        f"POST {CHAT_URL['openai']} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {secret('foe')}\r\n"
        f"content-type: application/json\r\n{framing}\r\n\r\n"
    ).encode()


def _announced(gateway: Gateway) -> Huge:
    """The head says how large the body is; it follows once the answer has come."""
    with socket.create_connection((LOOPBACK, gateway.port), timeout=PATIENCE) as wire:
        began = _clock.monotonic()
        wire.sendall(_head(f"content-length: {OFFERED}"))
        status, code = _answer(wire)
        seconds = _clock.monotonic() - began
        return Huge(how="announced", status=status, code=code, seconds=seconds, taken=_pushed(wire, b"x" * 65_536))


def _endless(gateway: Gateway) -> Huge:
    """In chunks that say nothing of the whole; from the moment that it was too much the answer has to come at once."""
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with socket.create_connection((LOOPBACK, gateway.port), timeout=PATIENCE) as wire:
        wire.sendall(_head("transfer-encoding: chunked"))
        for _ in range(LIMIT // 65_536 + 1):
            wire.sendall(chunk)
        began = _clock.monotonic()
        status, code = _answer(wire)
        seconds = _clock.monotonic() - began
        taken = LIMIT + 65_536 + _pushed(wire, chunk)
        return Huge(how="in chunks", status=status, code=code, seconds=seconds, taken=taken)


def _pushed(wire: socket.socket, piece: bytes) -> int:
    """Bytes that are taken, until nobody takes any more for half a second, or the connection ends."""
    wire.settimeout(0.5)
    taken = 0
    with suppress(OSError):
        while taken < OFFERED:
            taken += wire.send(piece)
    return taken


def _stalled(gateway: Gateway) -> Huge:
    with socket.create_connection((LOOPBACK, gateway.port), timeout=PATIENCE) as wire:
        began = _clock.monotonic()
        wire.sendall(_head("content-length: 1000") + b'{"model":"m","messages":[')
        try:
            status, code = _answer(wire)
        except TimeoutError:
            status, code = 0, "nothing"
        return Huge(how="stops in the middle", status=status, code=code, seconds=_clock.monotonic() - began, taken=25)


def _answer(wire: socket.socket) -> tuple[int, str]:
    """The status and the code of an answer that has a length."""
    got = b""
    while True:
        head, ended, body = got.partition(b"\r\n\r\n")
        if ended and len(body) >= _length(head):
            break
        piece = wire.recv(65_536)
        if not piece:
            return 0, "closed"
        got += piece
    return int(head.split()[1]), str(json.loads(body)["error"]["code"])


def _length(head: bytes) -> int:
    found = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(found[0].partition(b":")[2]) if found else 0


# -- hostile ---------------------------------------------------------------------------------------------------------

JSON: Final[Mapping[str, str]] = {"content-type": "application/json"}


def texts() -> Iterator[tuple[str, bytes, Mapping[str, str]]]:
    """What nobody means well who sends it: a name, the body, its headers."""
    yield "nothing", b"", JSON
    yield "no object", b"[1]", JSON
    yield "half of it", b'{"model":"m","messages":[', JSON
    yield "two of them", b'{"model":"m"}{"model":"m"}', JSON
    yield "invalid UTF-8", b'{"model":"m\xff\xfe","messages":[{"role":"user","content":"\xc3\x28"}]}', JSON
    yield "a lone surrogate", rb'{"model":"\ud800","messages":[{"role":"user","content":"\udfff"}]}', JSON
    yield "UTF-16", '{"model":"m"}'.encode("utf-16"), JSON
    yield "a byte order mark", b'\xef\xbb\xbf{"model":"m"}', JSON
    yield "NUL in a name", rb'{"model":"m\u0000","messages":[],"input":"x","prompt":"x"}', JSON
    for word, more in (("arrays", b"["), ("objects", b'{"a":')):
        yield f"deep {word}", b'{"model":"m","messages":' + more * _DEEP, JSON
        yield f"deep {word} in what is passed on", b'{"model":"none","metadata":' + more * _DEEP, JSON
    closed = b"[" * _DEEP + b"]" * _DEEP
    yield "deep and closed", b'{"model":"none","messages":%b,"input":%b,"prompt":%b}' % (closed, closed, closed), JSON
    yield "a number without an end", b'{"model":"none","max_tokens":' + b"9" * 100_000 + b"}", JSON
    yield "a large exponent", b'{"model":"none","temperature":1e999999,"max_tokens":1e400}', JSON
    yield "no number", b'{"model":"none","temperature":NaN,"top_p":Infinity}', JSON
    yield "a negative bound", b'{"model":"none","max_tokens":-9223372036854775809,"n":-1}', JSON
    yield "a member twice", b'{"model":"none","model":"none","messages":"x","messages":[]}', JSON
    yield "a million members", json.dumps({f"k{n}": n for n in range(100_000)}).encode(), JSON
    yield (
        "wrong types",
        b'{"model":["none"],"messages":{"role":1},"input":{},"prompt":{},"query":[],"stream":"x"}',
        JSON,
    )
    yield "a form", b"model=m&messages=x", {"content-type": "application/x-www-form-urlencoded"}
    yield "a multipart form", b"--x\r\n\r\n--x--", {"content-type": "multipart/form-data; boundary=x"}
    yield (
        "XML",
        b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>",
        {"content-type": "application/xml"},
    )
    yield "compressed", b"\x1f\x8b\x08\x00" + b"\x00" * 64, {**JSON, "content-encoding": "gzip"}
    yield "another encoding", b"{}", {**JSON, "content-encoding": "br, gzip"}
    yield "a strange content type", b"{}", {"content-type": "application/json; charset=utf-7;;="}


def _hostile(gateway: Gateway, surfaces: Sequence[str]) -> tuple[dict[str, int], list[str], int]:
    codes: Counter[str] = Counter()
    told: dict[tuple[str, str], str] = {}
    odd: list[str] = []
    asked = 0
    with http_client(gateway, secret("foe")) as client:
        for path in surfaces:
            for _ in range(2):
                for name, body, headers in texts():
                    got = client.post(path, content=body, headers=dict(headers))
                    code = _code(got.content)
                    asked += 1
                    codes[code] += 1
                    if not 400 <= got.status_code < 500 or code not in TABLE:
                        odd.append(f"{path}, {name}: {got.status_code} {got.text[:100]}")
                    if told.setdefault((path, name), code) != code:
                        odd.append(f"{path}, {name}: {code} the second time")
    return dict(codes), odd, asked


def _code(content: bytes) -> str:
    """Of an error in whichever dialect: Anthropic's has none beside its type, so that stands in the headers."""
    try:
        error: Any = json.loads(content)["error"]
        return str(error["code"])
    except (ValueError, KeyError, TypeError):
        return "?"
