from benchmarks.histogram import Histogram


def test_percentiles_are_nearest_ranks() -> None:
    latencies = Histogram.of([(10, 50), (20, 49), (1000, 1)])
    assert [latencies.percentile(percent) for percent in (1, 50, 51, 99, 99.5, 100)] == [10, 10, 20, 20, 1000, 1000]


def test_of_nothing_there_is_no_percentile() -> None:
    assert Histogram().percentile(50) is None


def test_adding_is_the_same_as_having_seen_both() -> None:
    whole = Histogram.of([(5, 1), (7, 2), (5, 3)])
    parts = Histogram.of([(5, 1)])
    parts.add(Histogram.of([(7, 2), (5, 3)]))
    assert parts == whole
    assert whole.total == 6


def test_two_histograms_share_no_counts() -> None:
    Histogram().add(Histogram.of([(1, 1)]))
    assert Histogram().counts == {}
