"""Where a body is cut into pieces: at random, but at the same places in every run."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import count
from typing import Final

_SMALL: Final = 3000
"""Bytes up to which a stream is also cut at every single one."""
_ONE_IN: Final = 8
"""Over HTTP a byte is a chunk and a system call, so not all of the small ones."""


def whole(body: bytes) -> Sequence[bytes]:
    return (body,)


def bytewise(body: bytes) -> Sequence[bytes]:
    return [body[place : place + 1] for place in range(len(body))]


def anyhow(body: bytes, seed: str) -> Sequence[bytes]:
    """Pieces of 1 to 255 bytes, short ones as likely as long ones; so they end inside of lines and of characters."""
    pieces: list[bytes] = []
    sizes = _sizes(seed)
    start = 0
    while start < len(body):
        end = start + next(sizes)
        pieces.append(body[start:end])
        start = end
    return pieces


def each(body: bytes, seed: str) -> dict[str, Sequence[bytes]]:
    """Every way that a body is cut in the process, by name."""
    ways = {"whole": whole(body), "anyhow": anyhow(body, seed), "otherwise": anyhow(body, f"{seed} again")}
    if len(body) <= _SMALL:
        ways["bytewise"] = bytewise(body)
    return ways


def over_http(body: bytes, seed: str) -> Sequence[bytes]:
    """How a body is cut for the gateway: some small ones byte by byte, the others anyhow."""
    some = len(body) <= _SMALL and sha256(seed.encode()).digest()[0] % _ONE_IN == 0
    return bytewise(body) if some else anyhow(body, seed)


def _sizes(seed: str) -> Iterator[int]:
    for block in count():
        for byte in sha256(f"{seed}/{block}".encode()).digest():
            # Its low bits say how many of its high bits count.
            yield 1 + (byte >> (byte & 7))
