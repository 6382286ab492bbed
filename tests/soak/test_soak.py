"""A gateway does not grow under a mix of callers, in the short form; and what would speak against it is found out."""

import os
from pathlib import Path

import msgspec
import pytest

from tests.harness.process_tree import Weight
from tests.soak.__main__ import run
from tests.soak.measure import MIB, Sample, Soaked, line, soaked

SECONDS = float(os.environ.get("SCAIGRID_SOAK_SECONDS", "180"))
"""Of the short form. Only the environment shortens it, for whoever is in a hurry."""
RATE = 15.0
"""Calls a second: light, for it runs beside all other tests."""


def test_the_short_form_holds(tmp_path: Path) -> None:
    lines: list[object] = []
    figures, failures = run(tmp_path, SECONDS, rate=RATE, say=lines.append)
    assert failures == []
    assert figures.faults == [], lines
    assert figures.calls > SECONDS


FLAT = [Sample(float(at), Weight(2, 200 * MIB, 60)) for at in range(0, 1800, 5)]


def test_a_flat_line_is_sound() -> None:
    figures = soaked(FLAT, calls=10, failures=0)
    assert (figures.faults, figures.slope, figures.grown) == ([], 0.0, 0.0)
    assert (figures.rss_first, figures.rss_last, figures.descriptors_last) == (200.0, 200.0, 60)


@pytest.mark.parametrize(
    ("mib_a_minute", "descriptors_a_minute", "says"),
    [(4, 0, "memory grew by"), (0, 2, "descriptors are open"), (1, 0, None), (0, 0.5, None)],
)
def test_what_grows_is_found_out(mib_a_minute: float, descriptors_a_minute: float, says: str | None) -> None:
    samples = [
        Sample(at, Weight(2, int((200 + mib_a_minute * at / 60) * MIB), int(60 + descriptors_a_minute * at / 60)))
        for at, _ in FLAT
    ]
    figures = soaked(samples, calls=10, failures=0)
    assert figures.slope == pytest.approx(60 * mib_a_minute, abs=0.01)
    assert [fault for fault in figures.faults if says is None or says not in fault] == [
        fault for fault in figures.faults if "memory is" in fault
    ]
    assert bool(figures.faults) == (says is not None)


def test_the_warm_up_does_not_count() -> None:
    warm = [Sample(at, Weight(2, 100 * MIB, 10)) if at < 400 else Sample(at, weight) for at, weight in FLAT]
    assert soaked(warm, calls=10, failures=0).faults == []


@pytest.mark.parametrize("wrong", [{"failures": 1}, {"calls": 0}])
def test_failures_and_silence_are_found_out(wrong: dict[str, int]) -> None:
    figures: Soaked = msgspec.structs.replace(soaked(FLAT, calls=10, failures=0), **wrong)
    assert len(figures.faults) == 1


def test_the_line_is_the_nearest_by_least_squares() -> None:
    assert line([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == (2.0, 1.0)
    assert line([(0.0, 0.0), (1.0, 2.0), (2.0, 1.0)]) == (0.5, 0.5)
