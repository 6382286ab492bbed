import pytest

from benchmarks.errors import RigError
from benchmarks.load.wrk import parse

OUTPUT = """\
Running 2s test @ http://127.0.0.1:8000/v1/chat/completions
  1 threads and 32 connections
  180406 requests in 3.00s, 237.77MB read
rig {"microseconds":3003511,"requests":180406,"refused":%d,"connect":0,"read":%d,"write":0,"timeout":0,\
"latency":[[38,2],[371,180000],[524,900],[8540,5]]}
"""


def test_the_summary_is_one_line_among_others() -> None:
    summary = parse(OUTPUT % (0, 0))
    assert summary.answered == 180_406
    assert summary.microseconds == 3_003_511
    assert summary.faults == {}
    assert summary.histogram().percentile(50) == 371
    assert summary.histogram().percentile(99) == 371
    assert summary.histogram().total == 180_907


def test_refused_calls_are_not_answered_and_all_faults_are_named() -> None:
    summary = parse(OUTPUT % (6, 2))
    assert summary.answered == 180_400
    assert summary.faults == {"answers that are no success": 6, "failed reads": 2}


@pytest.mark.parametrize("output", ["", "unable to connect", "rig {", 'rig {"requests":1}'])
def test_a_run_without_a_summary_is_no_run(output: str) -> None:
    with pytest.raises(RigError, match="summary"):
        parse(output)
