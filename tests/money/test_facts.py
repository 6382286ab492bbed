"""Every fact holds in a small edition, in every run; `just money` shows them in full."""

import os
from pathlib import Path

import pytest

from tests.harness.provider import Provider
from tests.money.fact import Fact, NotRun, Room
from tests.money.facts import FACTS


@pytest.mark.parametrize("fact", [pytest.param(fact, id=fact.name) for fact in FACTS])
def test_a_small_edition_of_it_holds(fact: Fact, tmp_path: Path) -> None:
    lines: list[str] = []
    with Provider() as provider:
        try:
            found = fact.show(Room(tmp_path, provider, "small", say=lines.append))
        except NotRun as reason:
            pytest.skip(str(reason))
    assert found.faults == [], os.linesep.join(lines)
    assert lines, "it says what it measured"
