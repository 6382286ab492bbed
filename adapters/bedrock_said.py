"""What Bedrock says the same way in a plain answer and in a stream: blocks, usage, why an answer ended, citations.

Source: Amazon Bedrock API reference, "ContentBlock", "TokenUsage", "MessageStopEvent", "Citation".
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from adapters.counts import Count, tokens
from adapters.wire import ABSENT, broken, decoded, given
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Citation, Done, FinishReason, ToolCall, Usage

PROVIDER: Final = "bedrock"
_SERVERS: Final = "server_tool_use"
"""The type of a call that the provider has run by itself."""


class ToolUse(msgspec.Struct, rename="camel"):
    tool_use_id: str | None = None
    name: str | None = None
    type: str | None = None
    input: msgspec.Raw = ABSENT


class _CacheDetail(msgspec.Struct, rename="camel"):
    ttl: str | None = None
    input_tokens: Count = None


class TokenUsage(msgspec.Struct, rename="camel"):
    """The classes are disjoint: input is what no cache has seen."""

    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_write_input_tokens: Count = None
    cache_details: list[_CacheDetail] | None = None


class _Quoted(msgspec.Struct):
    text: str | None = None


class _Place(msgspec.Struct, rename="camel"):
    url: str | None = None
    document_index: int | None = None


class _Location(msgspec.Struct, rename="camel"):
    web: _Place | None = None
    document_char: _Place | None = None
    document_page: _Place | None = None
    document_chunk: _Place | None = None


class Source(msgspec.Struct, rename="camel"):
    """One citation."""

    title: str | None = None
    source_content: list[_Quoted] | None = None
    location: _Location | None = None


_object: Final = msgspec.json.Decoder(dict[str, Any])
_tool_use: Final = msgspec.json.Decoder(ToolUse)

_REASONS: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "content_filter",
}
_FAILURES: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
"""Reasons by which the provider says that the answer is none: another attempt may do better."""


def usage(said: TokenUsage) -> Usage:
    written = tokens(said.cache_write_input_tokens)
    hour = sum(tokens(detail.input_tokens) for detail in said.cache_details or () if detail.ttl == "1h")
    hour = min(hour, written)
    return Usage(
        input=tokens(said.input_tokens),
        cache_read=tokens(said.cache_read_input_tokens),
        cache_write=written - hour,
        cache_write_1h=hour,
        output=tokens(said.output_tokens),
    )


def done(reason: str, fields: msgspec.Raw) -> Done:
    """The end; `fields` are the model's own, which tell the stop sequence that it met if they were asked for it.

    Raises BACKEND_ERROR where the end is a failure.
    """
    if reason in _FAILURES:
        raise GatewayError(Code.BACKEND_ERROR)
    met: object = None
    if reason == "stop_sequence" and bytes(fields).startswith(b"{"):
        met = decoded(_object, fields).get("stop_sequence")
    # A word that is not known is at least an end.
    return Done(_REASONS.get(reason, "stop"), stop_sequence=met if isinstance(met, str) else None)


def cited(source: Source, start: int, end: int) -> Citation:
    """A source of what stands from `start` to `end` in the answer's text."""
    where = source.location or _Location()
    document = where.document_char or where.document_page or where.document_chunk or _Place()
    quoted = "".join([piece.text or "" for piece in source.source_content or ()])
    return Citation(
        url=where.web.url if where.web is not None else None,
        title=source.title,
        quote=quoted or None,
        document=document.document_index,
        start=start,
        end=end,
    )


def tool_use(raw: msgspec.Raw) -> ToolUse | None:
    """A call of one of the caller's tools; None for one that the provider has run by itself."""
    called = decoded(_tool_use, raw)
    return None if called.type == _SERVERS else called


def called(tool: ToolUse, slot: int, arguments: str) -> ToolCall:
    """The call's first piece."""
    if not tool.tool_use_id or not tool.name:
        raise broken("a tool call without an id or a name")
    return ToolCall(slot, tool.tool_use_id, tool.name, arguments)


def arguments(tool: ToolUse) -> str:
    """The whole input as JSON text; that of a tool without parameters is an empty object."""
    return msgspec.json.encode(decoded(_object, tool.input)).decode() if given(tool.input) else "{}"
