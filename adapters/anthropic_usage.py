"""Token counts as Anthropic reports them, put into our classes, and the answer of its counter.

Source: Anthropic API reference, "Messages", "Streaming messages", "Count tokens in a Message".
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from adapters.counts import Count, Size, tokens
from adapters.wire import broken, decoded
from scaigrid.types import Counted, Event, Usage


class CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: Count = None


class OutputDetails(msgspec.Struct):
    thinking_tokens: Count = None


class Reported(msgspec.Struct):
    """What is absent from the usage at the end of a stream was said at its beginning."""

    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None


class _Size(msgspec.Struct):
    input_tokens: Size = None


_size: Final = msgspec.json.Decoder(_Size)


class Counts:
    """Usage, which a stream tells in two parts: the second corrects the first where it says anything."""

    __slots__ = ("_cache_read", "_cache_write", "_cache_write_1h", "_input", "_output", "_reasoning")

    def __init__(self) -> None:
        self._input = self._output = self._cache_read = self._cache_write = self._cache_write_1h = self._reasoning = 0

    def take(self, said: Reported) -> Usage:
        if said.input_tokens is not None:
            self._input = tokens(said.input_tokens)
        if said.output_tokens is not None:
            self._output = tokens(said.output_tokens)
        if said.cache_read_input_tokens is not None:
            self._cache_read = tokens(said.cache_read_input_tokens)
        if said.cache_creation_input_tokens is not None:
            self._cache_write = tokens(said.cache_creation_input_tokens)
        if said.cache_creation is not None:
            self._cache_write_1h = tokens(said.cache_creation.ephemeral_1h_input_tokens)
        if said.output_tokens_details is not None:
            self._reasoning = tokens(said.output_tokens_details.thinking_tokens)
        hour = min(self._cache_write_1h, self._cache_write)
        return Usage(
            input=self._input,
            cache_read=self._cache_read,
            cache_write=self._cache_write - hour,
            cache_write_1h=hour,
            output=self._output,
            reasoning=min(self._reasoning, self._output),
        )


def whole_count(body: bytes) -> Sequence[Event]:
    """What the counter answered. Raises UPSTREAM_SHAPE_MISMATCH."""
    size = decoded(_size, body)
    if size.input_tokens is None:
        raise broken("no number of tokens")
    return (Counted(tokens(size.input_tokens)),)
