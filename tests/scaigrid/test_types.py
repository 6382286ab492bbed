from typing import get_args

import msgspec
import pytest

from scaigrid.types import Chat, Event, Message, Part, Reasoning, TextPart, Usage


def test_the_classes_of_a_usage_are_disjoint_so_that_their_sum_counts_nothing_twice() -> None:
    usage = Usage(input=1, cache_read=20, cache_write=300, cache_write_1h=4_000, output=50_000, reasoning=600_000)
    assert usage.total_input == 4_321
    assert usage.total == 54_321, "reasoning is part of the output"


def test_nothing_was_used_where_nothing_is_said() -> None:
    assert (Usage().total_input, Usage().total) == (0, 0)


@pytest.mark.parametrize("union", [Part, Event], ids=["a part", "an event"])
def test_each_member_of_a_union_is_told_by_a_tag_of_its_own(union: object) -> None:
    members = get_args(union)
    tags = [member.__struct_config__.tag for member in members]
    assert len(members) > 3
    assert len(set(tags)) == len(members)
    assert all(isinstance(tag, str) for tag in tags)


def test_an_event_survives_being_written_down() -> None:
    events: list[Event] = [Reasoning(text="so", signature="c2lnbmVk", provider="anthropic", index=1), Usage(output=3)]
    assert msgspec.json.decode(msgspec.json.encode(events), type=list[Event]) == events


def test_a_second_attempt_starts_from_the_same_words() -> None:
    """What was decoded once is handed to every adapter that is tried."""
    chat = Chat(messages=(Message(role="user", content=(TextPart("Hi"),)),))
    with pytest.raises(AttributeError, match="immutable"):
        chat.max_tokens = 1  # type: ignore[misc]  # the point
