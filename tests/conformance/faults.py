"""What an adapter's decoder could get wrong: each takes the events of a whole answer."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from scaigrid.types import Citation, Done, Event, Reasoning, Text, ToolCall, Usage
from tests.conformance.bent import Events, NoFault

Fault = Callable[[Events], Events]


def _first(events: Events, kind: type[Event]) -> int:
    return next((place for place, one in enumerate(events) if isinstance(one, kind)), -1)


def drops_a_tool_argument(events: Events) -> Events:
    """The last one of each call."""
    calls: dict[tuple[int, int], str] = {}
    for one in events:
        if isinstance(one, ToolCall):
            calls[one.index, one.slot] = calls.get((one.index, one.slot), "") + one.arguments
    fewer = {key: _without_the_last(arguments) for key, arguments in calls.items()}
    return [
        msgspec.structs.replace(one, arguments=fewer.pop((one.index, one.slot), ""))
        if isinstance(one, ToolCall)
        else one
        for one in events
    ]


def _without_the_last(arguments: str) -> str:
    given: dict[str, Any] = json.loads(arguments or "{}")
    if not given:
        raise NoFault
    return json.dumps(dict(list(given.items())[:-1]))


def drops_the_usage(events: Events) -> Events:
    return [one for one in events if not isinstance(one, Usage)]


def drops_the_last_event(events: Events) -> Events:
    return events[:-1]


def drops_an_end(events: Events) -> Events:
    return [one for one in events if not isinstance(one, Done)]


def swaps_two_chunks(events: Events) -> Events:
    """The first two neighbours whose order can be told."""
    for place, (one, other) in enumerate(pairwise(events)):
        before, after = _piece(one), _piece(other)
        if type(one) is type(other) and before and after and before + after != after + before:
            return [*events[:place], other, one, *events[place + 2 :]]
    raise NoFault


def _piece(event: Event) -> str:
    match event:
        case Text(text=text) | Reasoning(text=text):
            return text
        case ToolCall(arguments=arguments):
            return arguments
        case _:
            return ""


def counts_the_cache_twice(events: Events) -> Events:
    return [msgspec.structs.replace(one, input=one.total_input) if isinstance(one, Usage) else one for one in events]


def counts_a_token_more(events: Events) -> Events:
    return [msgspec.structs.replace(one, output=one.output + 1) if isinstance(one, Usage) else one for one in events]


def ends_otherwise(events: Events) -> Events:
    return [
        msgspec.structs.replace(one, reason="stop" if one.reason == "length" else "length")
        if isinstance(one, Done)
        else one
        for one in events
    ]


def ends_twice(events: Events) -> Events:
    place = _first(events, Done)
    return [*events, events[place]] if place >= 0 else events


def loses_a_signature(events: Events) -> Events:
    return [
        msgspec.structs.replace(one, signature=None) if isinstance(one, Reasoning) and one.signature else one
        for one in events
    ]


def loses_what_is_sealed(events: Events) -> Events:
    return [one for one in events if not isinstance(one, Reasoning) or one.redacted is None]


def loses_a_citation(events: Events) -> Events:
    place = _first(events, Citation)
    return [*events[:place], *events[place + 1 :]] if place >= 0 else events


def moves_a_citation(events: Events) -> Events:
    return [
        msgspec.structs.replace(one, start=(one.start or 0) + 1) if isinstance(one, Citation) else one for one in events
    ]


def renames_a_tool(events: Events) -> Events:
    return [
        msgspec.structs.replace(one, name=f"{one.name}_") if isinstance(one, ToolCall) and one.name else one
        for one in events
    ]


def changes_an_id(events: Events) -> Events:
    return [
        msgspec.structs.replace(one, id=f"{one.id}_") if isinstance(one, ToolCall) and one.id else one for one in events
    ]


def says_more(events: Events) -> Events:
    place = _first(events, Text)
    return [*events[:place], Text("Sure! "), *events[place:]] if place >= 0 else events


def forgets_to_think(events: Events) -> Events:
    """The signatures stay."""
    return [msgspec.structs.replace(one, text="") if isinstance(one, Reasoning) else one for one in events]


EVERYWHERE: Final[Sequence[Fault]] = (
    drops_the_usage,
    drops_the_last_event,
    drops_an_end,
    counts_a_token_more,
    ends_otherwise,
    ends_twice,
    says_more,
)
OF_CACHES: Final[Sequence[Fault]] = (counts_the_cache_twice,)
OF_STREAMS: Final[Sequence[Fault]] = (swaps_two_chunks,)
OF_TOOLS: Final[Sequence[Fault]] = (drops_a_tool_argument, renames_a_tool)
OF_NAMED_CALLS: Final[Sequence[Fault]] = (changes_an_id,)
OF_REASONING: Final[Sequence[Fault]] = (forgets_to_think,)
OF_SIGNATURES: Final[Sequence[Fault]] = (loses_a_signature,)
OF_SEALS: Final[Sequence[Fault]] = (loses_what_is_sealed,)
OF_CITATIONS: Final[Sequence[Fault]] = (loses_a_citation, moves_a_citation)
