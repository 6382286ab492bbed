"""Buckets in the words of the functions that a Valkey keeps (see `lua/steps.lua`): keys, kinds, and what is counted."""

import math
from typing import Final, NamedTuple

from scaigrid.limiter import Bucket

TICKS: Final = 1_000_000
"""In a second."""
MOST_OF_WINDOW: Final = 2**53 - 1
"""A window's limit above this counts as this, and an amount above it never fits."""
MOST_OF_FUND: Final = 10**24 - 1
"""Likewise a fund's: a thousand times the largest budget that can be declared, in nano-units."""
_REMEMBERED: Final = 100_000


class Known(NamedTuple):
    """A bucket's key at the server, and what of a take of it is always the same."""

    bucket: Bucket
    key: str
    head: str
    most: int


class Words:
    """Everything under one prefix, which is a hash tag: so it is on one node of a cluster."""

    def __init__(self, prefix: str) -> None:
        self.known: dict[str, Known] = {}
        """By the key of a bucket, as it was given last."""
        self._base = f"{{{prefix}}}:"
        self._buckets = f"{self._base}b:"
        self._names: dict[bytes, str] = {}

    def key(self, name: str) -> str:
        """Of something that the store keeps."""
        return self._base + name

    def bucket(self, key: str) -> str:
        """Where a bucket is kept."""
        return self._buckets + key

    def name(self, key: bytes) -> str:
        """Of the bucket that is kept there."""
        name = self._names.get(key)
        if name is None:
            if len(self._names) >= _REMEMBERED:
                self._names.clear()
            name = self._names[key] = key.decode().removeprefix(self._buckets)
        return name

    def learn(self, bucket: Bucket) -> Known:
        """A bucket that is not known, or not as it is now."""
        if len(self.known) >= _REMEMBERED:
            self.known.clear()
        if bucket.fund:
            kind, shape, most = "c" if bucket.kind == "concurrency" else "f", end_of(bucket), MOST_OF_FUND
        else:
            kind, shape, most = "w", str(width(bucket)), MOST_OF_WINDOW
        limit = max(0, min(bucket.limit, most))
        known = self.known[bucket.key] = Known(bucket, self.bucket(bucket.key), f"{kind} {limit} {shape} ", most)
        return known


def digits(amount: int) -> str:
    """So much of a fund, as a number that it can count."""
    return str(max(0, min(amount, MOST_OF_FUND)))


def end_of(fund: Bucket) -> str:
    """When its period ends, in milliseconds; `-` for never."""
    return "-" if fund.until == math.inf else str(int(fund.until * 1000))


def width(window: Bucket) -> int:
    """Of its slices, in ticks: as `counters.py` has it."""
    return int(window.period * TICKS) // 60 + 2
