"""The Anthropic dialect's public answers: messages, the events of a stream, counts and errors.

Source: Anthropic API reference, "Create a Message", "Streaming messages", "Errors", version 2023-06-01.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from scaigrid.dialects.shapes import OPEN, AnswerShape

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]


class AnthropicCacheCreation(AnswerShape):
    """What was written to the cache, by how long it stays there."""

    ephemeral_5m_input_tokens: int
    ephemeral_1h_input_tokens: int


class AnthropicOutputDetails(AnswerShape):
    thinking_tokens: int


class AnthropicUsage(AnswerShape, kw_only=True):
    """Tokens. `input_tokens` counts neither what was read from a cache nor what was written to one."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    cache_creation: AnthropicCacheCreation
    output_tokens: int
    output_tokens_details: AnthropicOutputDetails | UnsetType = UNSET
    """Where the model has reasoned: how much of the output that was."""


class AnthropicWebCitation(AnswerShape, tag="web_search_result_location", kw_only=True):
    """A page that the text rests on."""

    url: str
    title: str | None
    cited_text: str
    encrypted_index: str = ""
    """Always empty: it is Anthropic's alone."""


class AnthropicDocumentCitation(AnswerShape, tag="content_block_location", kw_only=True):
    """A document of the request that the text rests on. Where in it is told by `cited_text` alone."""

    cited_text: str
    document_index: int
    document_title: str | None
    file_id: str | None = None
    start_block_index: int = 0
    end_block_index: int = 1


AnthropicCitation = AnthropicWebCitation | AnthropicDocumentCitation


class AnsweredText(AnswerShape, tag="text", kw_only=True):
    text: str
    citations: tuple[AnthropicCitation, ...] | UnsetType = UNSET


class AnsweredThinking(AnswerShape, tag="thinking"):
    """The model's reasoning. Send it back as it is in the next turn: the signature proves it to its provider."""

    thinking: str
    signature: str


class AnsweredRedactedThinking(AnswerShape, tag="redacted_thinking"):
    """Reasoning that only the provider can read. Send it back as it is."""

    data: str


class AnsweredToolUse(AnswerShape, tag="tool_use"):
    """A tool that the model calls. Input that is no JSON object stands under `INVALID_JSON` as a text."""

    id: str
    name: str
    input: msgspec.Raw


AnsweredBlock = AnsweredText | AnsweredThinking | AnsweredRedactedThinking | AnsweredToolUse


class AnsweredAnthropicMessage(AnswerShape, tag="message", kw_only=True):
    """A plain answer; in a stream, what is known when it begins."""

    id: str
    role: Literal["assistant"] = "assistant"
    model: str
    content: tuple[AnsweredBlock, ...]
    stop_reason: Annotated[StopReason, OPEN] | None
    stop_sequence: str | None = None
    usage: AnthropicUsage


class AnthropicCount(AnswerShape):
    """The size of a request."""

    input_tokens: int


# -- the events of a stream ------------------------------------------------------------------------------------------


class MessageStart(AnswerShape, tag="message_start"):
    message: AnsweredAnthropicMessage


class BlockStart(AnswerShape, tag="content_block_start"):
    """A block begins, as yet empty."""

    index: int
    content_block: AnsweredBlock


class TextPiece(AnswerShape, tag="text_delta"):
    text: str


class CitationPiece(AnswerShape, tag="citations_delta"):
    citation: AnthropicCitation


class ThinkingPiece(AnswerShape, tag="thinking_delta"):
    thinking: str


class SignaturePiece(AnswerShape, tag="signature_delta"):
    signature: str


class InputPiece(AnswerShape, tag="input_json_delta"):
    """JSON text: all pieces of a block put together are its input."""

    partial_json: str


Piece = TextPiece | CitationPiece | ThinkingPiece | SignaturePiece | InputPiece


class BlockDelta(AnswerShape, tag="content_block_delta"):
    """What is added to a block."""

    index: int
    delta: Piece


class BlockStop(AnswerShape, tag="content_block_stop"):
    index: int


class AnthropicEnd(AnswerShape):
    stop_reason: Annotated[StopReason, OPEN]
    stop_sequence: str | None = None


class MessageDelta(AnswerShape, tag="message_delta"):
    """Why the answer has ended, and its usage as a whole."""

    delta: AnthropicEnd
    usage: AnthropicUsage


class MessageStop(AnswerShape, tag="message_stop"):
    """The end."""


class Ping(AnswerShape, tag="ping"):
    """Says nothing."""


StreamEvent = MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | Ping


# -- errors ----------------------------------------------------------------------------------------------------------


class AnthropicErrorDetail(AnswerShape):
    field: str
    message: str


class AnthropicError(AnswerShape, kw_only=True):
    """`type` is Anthropic's, `code` the gateway's own."""

    type: str
    message: str
    code: str
    details: tuple[AnthropicErrorDetail, ...] | UnsetType = UNSET
    """Every field that is at fault."""


class AnthropicErrorBody(AnswerShape, tag="error"):
    error: AnthropicError
    request_id: str
