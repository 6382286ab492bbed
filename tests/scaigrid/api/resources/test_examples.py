"""What stands in every resource's example is of the form that an answer has."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scaigrid.api.collection import Collection, Kept
from scaigrid.api.resources import COLLECTIONS, examples
from scaigrid.control.kinds import KINDS
from scaigrid.ids import new_id
from tests.harness.clock import StillClock


def test_an_example_of_an_id_has_the_form_of_a_real_one() -> None:
    form = re.compile(r"tenant_[0-9a-f]{32}")
    assert form.fullmatch(examples.id_of("tenant"))
    assert form.fullmatch(new_id("tenant", StillClock()))


def test_a_resource_is_referred_to_by_the_id_that_its_own_example_has() -> None:
    assert examples.kept("tenant")["id"] == examples.id_of("tenant")
    assert examples.id_of("tenant") != examples.id_of("user")


def test_what_every_resource_says_of_itself_is_there_and_nothing_else() -> None:
    assert Kept(**examples.kept("tenant")).origin == "api"
    assert set(examples.kept("tenant")) == set(Kept.__struct_fields__)


def test_its_times_are_iso_8601_in_utc_and_none_is_before_it_was_made() -> None:
    kept = examples.kept("tenant")
    created, updated = (datetime.fromisoformat(kept[name]) for name in ("created_at", "updated_at"))
    assert created.utcoffset() == timedelta(0)
    assert datetime(2026, 1, 1, tzinfo=UTC) <= created <= updated


@pytest.mark.parametrize("collection", COLLECTIONS, ids=lambda of: of.kind)
def test_the_example_of_a_collection_has_an_id_of_its_kind(collection: Collection[Any, Any]) -> None:
    assert isinstance(collection.example_item, Kept)
    assert collection.example_item.id == examples.id_of(KINDS[collection.kind].prefix)
