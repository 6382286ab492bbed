"""What a bucket is called where it is kept."""

import pytest

from scaigrid.limiter import Bucket
from scaigrid.stores.counters import TICKS as TICKS_IN_MEMORY
from scaigrid.stores.counters import Window
from scaigrid.stores.words import MOST_OF_FUND, MOST_OF_WINDOW, TICKS, Words, digits, end_of, width

MINUTE = Bucket(key="minute", level="user", kind="requests", limit=5)
FUND = Bucket(key="fund", level="tenant", kind="cost", limit=7, fund=True, until=1000.5)
CALLS = Bucket(key="calls", level="key", kind="concurrency", limit=2, fund=True)


def test_a_name_comes_back_from_the_key_that_was_made_of_it() -> None:
    words = Words("a prefix")
    for name in ("fund", "b:", "{other}:b:fund", "größer"):
        assert words.bucket(name).startswith("{a prefix}:b:")
        for _ in range(2):
            assert words.name(words.bucket(name).encode()) == name


@pytest.mark.parametrize(
    ("bucket", "head"),
    [(MINUTE, "w 5 1000002 "), (FUND, "f 7 1000500 "), (CALLS, "c 2 - ")],
    ids=str,
)
def test_what_stays_the_same_of_a_bucket_is_said_once(bucket: Bucket, head: str) -> None:
    words = Words("p")
    assert words.learn(bucket).head == head
    assert words.known[bucket.key].bucket is bucket


@pytest.mark.parametrize("period", [0.001, 1.0, 59.999999, 60.0, 86_400.0])
def test_slices_are_as_wide_as_those_in_memory(period: float) -> None:
    window = Bucket(key="window", level="user", kind="tokens", limit=1, period=period)
    assert (TICKS, width(window)) == (TICKS_IN_MEMORY, Window(period, 0).width)


def test_a_limit_is_as_large_as_can_be_counted() -> None:
    words = Words("p")
    huge = Bucket(key="huge", level="user", kind="tokens", limit=10**30)
    assert words.learn(huge).head == f"w {MOST_OF_WINDOW} 1000002 "
    assert words.learn(Bucket(key="h", level="user", kind="cost", limit=-1, fund=True)).head == "f 0 - "
    assert [digits(amount) for amount in (-1, 5, 10**30)] == ["0", "5", str(MOST_OF_FUND)]
    assert end_of(CALLS) == "-"
