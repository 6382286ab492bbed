import pytest

from benchmarks.__main__ import main
from benchmarks.lanes import LANES


def test_lanes_are_told_apart_by_their_names() -> None:
    assert len({lane.name for lane in LANES}) == len(LANES)


@pytest.mark.parametrize("lane", [lane.name for lane in LANES])
def test_every_lane_explains_itself(lane: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([lane, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "--changes" in told if lane == "tenants" else "--seconds" in told, "what bounds the run"


@pytest.mark.parametrize(
    "arguments", [[], ["no-such-lane"], ["governed", "--seconds", "0"], ["governed", "--connections", "x"]]
)
def test_what_is_misspelt_or_out_of_bounds_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
