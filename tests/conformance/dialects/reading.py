"""What the readers of all dialects have in common."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scaigrid import provider_state
from scaigrid.errors import TABLE, Code
from tests.conformance.client import Asking
from tests.conformance.told import Broken, Reply, Thought, Tokens, Told
from tests.conformance.wire import DONE, Frame, decoded, frames

UNSOUND = (AssertionError, LookupError, TypeError, ValueError, AttributeError)
Read = Callable[[Reply, Asking], Told]


def soundly(read: Read) -> Read:
    """`read`, which tells what it stumbled over."""

    def sound(reply: Reply, asking: Asking) -> Told:
        try:
            return read(reply, asking)
        except UNSOUND as error:
            start = reply.body[:300].decode("utf-8", "replace")
            raise Broken(f"{reply.status} {start!r} reads wrong: {type(error).__name__} {error}") from error

    return sound


def refused(reply: Reply, error: Mapping[str, Any]) -> Told:
    """A failure by its code, of the object that tells it."""
    code = Code(error["code"])
    assert TABLE[code].status == reply.status, f"{code} is no {reply.status}"
    return Told(failed=frozenset({code}))


def plain(reply: Reply) -> dict[str, Any]:
    """The JSON of a plain answer."""
    assert reply.content_type.startswith("application/json"), reply.content_type
    return decoded(reply.body)


def stream(reply: Reply) -> list[Frame]:
    """The frames of a streamed answer, which have to be whole."""
    assert reply.content_type.startswith("text/event-stream"), reply.content_type
    assert reply.body.endswith(b"\n\n"), "the last frame is not whole"
    return frames(reply.body)


def thoughts(state: str | None) -> list[Thought]:
    """What is in an opaque `provider_state`."""
    if state is None:
        return []
    return [
        Thought(part.text, part.signature, part.redacted, part.id, part.signs, part.call_id)
        for part in provider_state.decode(state)
        if (part.signature, part.redacted, part.id) != (None, None, None)
    ]


def sound(tokens: Tokens) -> Tokens:
    """Tokens whose classes fit together."""
    assert tokens.cached + tokens.written <= tokens.input, "classes of input overlap"
    assert tokens.reasoning <= tokens.output, "more reasoning than output"
    return tokens


def results(names: Sequence[str]) -> list[str]:
    """What the tools of an answer are said to have answered, by their ids."""
    return [f"done {number}" for number, _ in enumerate(names)]


def end_of(found: Sequence[Frame]) -> list[int]:
    """Where `[DONE]` stands."""
    return [place for place, frame in enumerate(found) if frame.data == DONE]
