import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from benchmarks.prometheus import Sample, samples


def test_it_reads_what_the_gateways_library_writes() -> None:
    registry = CollectorRegistry()
    requests = Counter("requests", "Some.", ("model", "status"), registry=registry)
    requests.labels('a "quoted\\ {name}", with\nall', "200").inc(12_345_678)
    Gauge("backlog", "None.", registry=registry).set(0)
    Histogram("seconds", "Buckets.", buckets=(1, 2), registry=registry).observe(1.5)
    read = {(sample.name, tuple(sample.labels.values())): sample.value for sample in samples(_text(registry))}
    assert read["requests_total", ('a "quoted\\ {name}", with\nall', "200")] == 12_345_678
    assert read["backlog", ()] == 0
    assert read["seconds_bucket", ("+Inf",)] == 1


def _text(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def test_timestamps_spaces_and_infinities_are_part_of_the_format() -> None:
    assert list(samples('# HELP a b\n\na{x="1",} +Inf 1395066363000\nb 3e+09\n')) == [
        Sample("a", {"x": "1"}, float("inf")),
        Sample("b", {}, 3e9),
    ]


@pytest.mark.parametrize("line", ["a", "a{x=1} 2", "{} 1", "a b"])
def test_a_line_that_is_no_sample_is_not_passed_over(line: str) -> None:
    with pytest.raises(ValueError, match=r"no sample|no labels|could not convert"):
        list(samples(line))
