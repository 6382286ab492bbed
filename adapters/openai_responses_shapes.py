"""Answers of OpenAI's Responses API as they come over the wire: whole, and event by event.

Source: OpenAI API reference, "The response object", "Streaming events". What tools of the provider's own did stands in
items of other types, which say nothing to clients of another protocol.
"""

from typing import Final

import msgspec

from adapters.counts import Size as Number
from adapters.wire import ABSENT


class TopLogProb(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class LogProb(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[TopLogProb] = []


class Annotation(msgspec.Struct):
    type: str = ""
    url: str | None = None
    title: str | None = None
    file_id: str | None = None
    filename: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Content(msgspec.Struct):
    """A part of a message, or of a piece of reasoning."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[Annotation] | None = None
    logprobs: list[LogProb] | None = None


class Item(msgspec.Struct):
    type: str = ""
    id: str | None = None
    content: list[Content] | None = None
    summary: list[Content] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class Incomplete(msgspec.Struct):
    reason: str | None = None


class Response(msgspec.Struct):
    id: str | None = None
    created_at: int | float | None = None
    status: str | None = None
    output: list[Item] | None = None
    incomplete_details: Incomplete | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class Event(msgspec.Struct):
    """Any event of a stream; what is not of its type is not there."""

    type: str = ""
    response: Response | None = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    item: Item | None = None
    delta: str | None = None
    annotation: Annotation | None = None
    logprobs: list[LogProb] | None = None


class Size(msgspec.Struct):
    """What the counter of tokens answers."""

    input_tokens: Number = None
    error: msgspec.Raw = ABSENT


size: Final = msgspec.json.Decoder(Size)
response: Final = msgspec.json.Decoder(Response)
event: Final = msgspec.json.Decoder(Event)
