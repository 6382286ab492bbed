"""Every event is lived through in a small edition, in every run; `just chaos` shows them in full."""

import os
from pathlib import Path

import pytest

from tests.chaos.event import Event
from tests.chaos.events import EVENTS
from tests.harness.provider import Provider
from tests.money.fact import Room


@pytest.mark.parametrize("event", [pytest.param(event, id=event.name) for event in EVENTS])
def test_a_small_edition_of_it_is_lived_through(event: Event, tmp_path: Path) -> None:
    with Provider() as provider:
        found = event.show(Room(tmp_path, provider, "small", say=str))
    assert found.faults == [], os.linesep.join(found.measured)
    assert found.measured, "it says what it measured"
