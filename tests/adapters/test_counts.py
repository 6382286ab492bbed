import msgspec
import pytest

from adapters.counts import UNREADABLE, Count, tokens

MOST = 2**53


class Said(msgspec.Struct):
    count: Count = None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("null", 0),
        ("0", 0),
        ("7", 7),
        ("7.0", 7),
        ("7.9", 7),
        ("-0.5", 0),
        (str(10**12), 10**12),
    ],
)
def test_a_count_is_a_whole_number(said: str, meant: int) -> None:
    count = tokens(msgspec.json.decode(f'{{"count": {said}}}', type=Said).count)
    assert count == meant
    assert type(count) is int


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("-3", -3),
        ("9007199254740993", MOST),
        (str(10**18), MOST),
        (str(-(10**18)), -MOST),
        ("1e300", MOST),
        ("-1e300", -MOST),
        (str(2**70), MOST),
        ('"12"', -MOST),
        ("true", -MOST),
        ("[1]", -MOST),
        ('{"n": 1}', -MOST),
    ],
)
def test_a_count_that_cannot_be_stays_one_that_cannot_be(said: str, told: int) -> None:
    """It is not made into a number that could be meant, and the answer that it stands in is read all the same."""
    assert tokens(msgspec.json.decode(f'{{"count": {said}}}', type=Said).count) == told


def test_a_usage_that_cannot_be_read_is_one_that_cannot_be() -> None:
    assert UNREADABLE.total < 0
