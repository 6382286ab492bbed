"""Reloads are counted where the workers can read it."""

from pathlib import Path

from scaigrid.reloading.tally import NAME, Tally, counted

NOTHING = {"applied": 0, "unchanged": 0, "refused": 0, "invalid": 0, "failed": 0}


def test_every_outcome_is_there_from_the_start_and_counted_from_then_on(tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    assert counted(tmp_path) == NOTHING
    tally.count("invalid")
    tally.count("invalid")
    tally.count("applied")
    assert counted(tmp_path) == {**NOTHING, "invalid": 2, "applied": 1}
    Tally(tmp_path)
    assert counted(tmp_path) == NOTHING, "another process counts anew"


def test_where_nobody_counts_there_is_nothing(tmp_path: Path) -> None:
    assert counted(tmp_path) == {}
    (tmp_path / NAME).write_text("{")
    assert counted(tmp_path) == {}


def test_a_directory_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "nowhere")
    tally.count("applied")
    assert counted(tmp_path / "nowhere") == {}
