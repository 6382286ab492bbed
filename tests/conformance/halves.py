"""A call that says little, an answer to it written by its dialect, and what events say, read by nobody else's code."""

import json
from collections.abc import Sequence
from typing import Any, Final

from scaigrid import provider_state
from scaigrid.call import Call
from scaigrid.dialects import DIALECTS
from scaigrid.types import Citation, Done, Event, Reasoning, Refusal, Text, ToolCall, Usage
from tests.conformance.client import Client
from tests.conformance.dialects import CLIENTS
from tests.conformance.told import Called, Choice, Cited, Thought, Tokens, Told
from tests.harness.answers import Answered

MODEL: Final = "m"
PREFIX: Final = "scaigrid."
"""What stands ahead of the gateway's own wrapping where a protocol has one place for a signature."""


def client(name: str) -> Client:
    return next(one for one in CLIENTS if one.name == name)


def asked(dialect: str, *, stream: bool, choices: int = 1) -> Call:
    """A call of the client's that says no more than it has to."""
    reader = client(dialect)
    native: dict[str, Any] = {"messages": [{"role": "user", "content": "?"}], "max_tokens": 99, "stream": stream}
    body = {"model": MODEL, **reader.write("chat", native | ({"n": choices} if choices > 1 else {}))}
    if dialect == "openai" and stream:
        body["stream_options"] = {"include_usage": True}
    path = reader.operations["chat"]
    return next(one for one in DIALECTS if path in one.operations).decode(path, json.dumps(body).encode())


def rendered(call: Call, events: Sequence[Event]) -> bytes:
    dialect = next(one for one in DIALECTS if one.name == call.dialect)
    renderer = dialect.renderer(call, Answered())
    return b"".join([renderer.render([event]) for event in events]) + renderer.close()


# -- what events say, read by nobody's code but this -----------------------------------------------------------------


def of_events(events: Sequence[Event]) -> Told:
    told = Told()
    slots: dict[tuple[int, int], list[str]] = {}
    open_thoughts: dict[int, str] = {}
    for event in events:
        match event:
            case Usage():
                told.tokens = Tokens(
                    input=event.total_input,
                    output=event.output,
                    cached=event.cache_read,
                    written=event.cache_write + event.cache_write_1h,
                    reasoning=event.reasoning,
                )
            case Text() | Refusal() | Reasoning() | Citation() | Done():
                _add(told.choices.setdefault(event.index, Choice()), event, open_thoughts)
            case ToolCall():
                told.choices.setdefault(event.index, Choice())
                slots.setdefault((event.index, event.slot), [event.id, event.name, ""])[2] += event.arguments
            case _:
                pass
    for (index, _), (identifier, name, text) in slots.items():
        told.choices[index].tools.append(Called(identifier, name, json.loads(text or "{}")))
    return told


def _add(choice: Choice, event: Text | Refusal | Reasoning | Citation | Done, open_thoughts: dict[int, str]) -> None:
    match event:
        case Text():
            choice.text += event.text
        case Refusal():
            choice.refusal += event.text
        case Citation():
            cited = {name: getattr(event, name) for name in Cited.__struct_fields__}
            choice.citations.append(Cited(**cited))
        case Done():
            choice.finish, choice.stop_sequence = event.reason, event.stop_sequence
        case Reasoning():
            choice.reasoning += event.text
            if event.signs != "reasoning":
                choice.thoughts.append(Thought(signature=event.signature, signs=event.signs, call_id=event.call_id))
                return
            text = open_thoughts.get(event.index, "") + event.text
            closed = event.signature or event.redacted
            open_thoughts[event.index] = "" if closed else text
            if closed:
                choice.thoughts += _unwrapped(Thought(text, event.signature, event.redacted, event.id))


def _unwrapped(thought: Thought) -> list[Thought]:
    """What another gateway has put into its own wrapping, as its client reads it."""
    if thought.signature is None or not thought.signature.startswith(PREFIX):
        return [thought]
    kept = provider_state.decode(thought.signature.removeprefix(PREFIX))
    return [
        Thought(one.text or thought.text, one.signature, one.redacted, one.id, one.signs, one.call_id) for one in kept
    ]
