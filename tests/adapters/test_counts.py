import pytest

from adapters.counts import Count, tokens


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (None, 0),
        (0, 0),
        (7, 7),
        (7.0, 7),
        (7.9, 7),
        (-3, 0),
        (-0.5, 0),
        (10**18, 10**9),
        (1e300, 10**9),
        (2**70, 10**9),
    ],
)
def test_a_count_is_a_whole_number_that_can_be_meant(said: Count, meant: int) -> None:
    assert tokens(said) == meant
    assert type(tokens(said)) is int
