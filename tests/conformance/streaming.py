"""Streams: whether an exchange has one, and how a whole answer is cut into the deltas of one."""

from typing import Final

from tests.harness.recordings import Recorded

_STREAMS: Final = ("text/event-stream", "application/vnd.amazon.eventstream", "application/x-ndjson")
PIECES: Final = 3
"""Into how many deltas a text is cut where a whole answer is told as a stream."""


def streamed(one: Recorded) -> bool:
    """Whether the answer came as a stream."""
    return dict(one.response_headers).get("content-type", "").startswith(_STREAMS)


def cut(text: str) -> list[str]:
    """At most PIECES pieces of nearly equal length; none of an empty text."""
    size = -(-len(text) // PIECES)
    return [text[start : start + size] for start in range(0, len(text), size)] if size else []
