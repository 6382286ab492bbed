import pytest

from benchmarks.errors import RigError
from benchmarks.load.streams import parse

LINE = (
    'rig {"microseconds":3053715,"completed":2,"events":128,"merged":3,"faults":{"streams cut off":1},'
    '"transit":[[50,100],[900,28]],"first_event":[[5100,2]]}'
)


def test_the_summary_is_read_whole() -> None:
    summary = parse(f"{LINE}\n")
    assert (summary.completed, summary.events, summary.merged) == (2, 128, 3)
    assert summary.faults == {"streams cut off": 1}
    assert summary.transits().percentile(99) == 900
    assert summary.first_events().percentile(50) == 5100


@pytest.mark.parametrize("output", ["", "usage: streams", LINE[:-1]])
def test_a_run_without_a_summary_is_no_run(output: str) -> None:
    with pytest.raises(RigError, match="summary"):
        parse(output)
