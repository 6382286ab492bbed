import pytest

from benchmarks.measure import Cost, noise, slices


@pytest.mark.parametrize(
    ("seconds", "rounds", "parts"),
    [(10, 5, [2] * 5), (12, 5, [3, 3, 2, 2, 2]), (3, 5, [1, 1, 1]), (1, 5, [1]), (600, 5, [120] * 5)],
)
def test_no_second_is_lost_and_none_is_split(seconds: int, rounds: int, parts: list[int]) -> None:
    assert slices(seconds, rounds) == parts


def test_the_cost_of_several_slices_is_their_sum() -> None:
    total = Cost()
    for _ in range(2):
        total.add(Cost(cpu_seconds=1.5, others_seconds=0.5, core_seconds=5, upstream=10, upstream_refused=1))
    assert total.microseconds_each(30_000) == 100
    assert total.others_share == 0.1
    assert (total.upstream, total.upstream_refused) == (20, 2)


def test_nothing_costs_nothing() -> None:
    assert Cost(cpu_seconds=1).microseconds_each(0) == 0
    assert Cost().others_share == 0


def test_numbers_that_others_have_made_are_called_so() -> None:
    (sentence,) = noise({"bare": None, "nginx": 0.1, "governed": 0.76})
    assert sentence.startswith("others had 76% of the core while governed was measured")
