"""The Anthropic dialect: an Anthropic SDK works by changing `base_url` and `api_key`, and so do coding agents.

Source: Anthropic API reference, "Create a Message", "Count tokens in a Message", "Errors", "Rate limits".
"""

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec
from msgspec import UNSET

from scaigrid.asgi import Headers
from scaigrid.call import Call
from scaigrid.clock import Clock, SystemClock
from scaigrid.dialect import Answered, Renderer, Resource
from scaigrid.dialects import anthropic_request
from scaigrid.dialects.anthropic_answers import AnthropicError, AnthropicErrorBody, AnthropicErrorDetail
from scaigrid.dialects.anthropic_render import Count, MessagePlain, MessageStream
from scaigrid.dialects.anthropic_shapes import AnthropicCounted, AnthropicRequest, CountHead, MessagesHead
from scaigrid.dialects.faults import Harmless
from scaigrid.dialects.forms import Form, every_fault, invalid, members, once
from scaigrid.dialects.headers import JSON, limit_headers
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.limiter import Kind
from scaigrid.timestamps import iso
from scaigrid.types import Chat, Operation

_SAYS_NOTHING: Final[Harmless] = {
    "allowed_callers": (["direct"],),
    "betas": ([],),
    "caller": ({"type": "direct"},),
    "context_management": ({}, {"edits": []}, {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}),
    "defer_loading": (False,),
    "input_examples": ([],),
    "mcp_servers": ([],),
    "scope": ("global",),
    "service_tier": ("auto",),
    "speed": ("standard",),
}
"""Defaults of Anthropic's, what an answer's blocks have when they are sent back, and hints about caching."""

_MESSAGES: Final = Form(AnthropicRequest, _SAYS_NOTHING)
_COUNTED: Final = Form(AnthropicCounted, _SAYS_NOTHING)
_messages_head: Final = msgspec.json.Decoder(MessagesHead)
_count_head: Final = msgspec.json.Decoder(CountHead)
_encode: Final = msgspec.json.Encoder().encode

_GROWING: Final = frozenset({"container", "mcp_servers"})
"""Members by which Anthropic itself adds to the input."""

_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Anthropic's word for an error, by its status."""
_FIELDS: Final[Mapping[str, str]] = {
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "reasoning": "thinking",
    "reasoning.budget_tokens": "thinking.budget_tokens",
    "reasoning.effort": "output_config.effort",
    "response_format": "output_config.format",
    "stop": "stop_sequences",
    "user": "metadata.user_id",
}
"""How clients of this dialect call what a provider has no word for."""


class Anthropic:
    """Decodes what governance reads, and leaves the rest to the provider or to `canonical`."""

    name: ClassVar[str] = "anthropic"
    prefix: ClassVar[str] = "/anthropic/v1"
    operations: ClassVar[Mapping[str, Operation]] = {
        "/anthropic/v1/messages": "chat",
        "/anthropic/v1/messages/count_tokens": "count_tokens",
    }
    resources: ClassVar[Mapping[str, Mapping[str, Resource]]] = {}
    key_header: ClassVar[bytes | None] = b"x-api-key"
    id_header: ClassVar[bytes | None] = b"request-id"
    forwarded: ClassVar[frozenset[bytes]] = frozenset({b"anthropic-version", b"anthropic-beta"})
    keep_alive: ClassVar[bytes] = b'event: ping\ndata: {"type": "ping"}\n\n'

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = SystemClock() if clock is None else clock

    def decode(self, path: str, body: bytes) -> Call:
        found = members(body)
        return _message(body, found) if self.operations[path] == "chat" else _count(body, found)

    def renderer(self, call: Call, answered: Answered) -> Renderer:
        if call.operation == "count_tokens":
            return Count()
        return MessageStream(call, answered) if call.stream else MessagePlain(call, answered)

    def error(self, error: GatewayError, request_id: str) -> tuple[Headers, bytes]:
        return [JSON, *error.response_headers()], _error_body(error, request_id)

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """An event of its own name, and no `message_stop`: SDKs raise what it says."""
        return b"event: error\ndata: %b\n\n" % _error_body(error, request_id)

    def limit_headers(self, limit: int, remaining: int, reset: float, kind: Kind = "requests") -> Headers:
        own = b"anthropic-ratelimit-" + kind.encode()
        return [
            *limit_headers(limit, remaining, reset, kind),
            (own + b"-limit", b"%d" % limit),
            (own + b"-remaining", b"%d" % remaining),
            (own + b"-reset", iso(self._clock.now() + reset).encode()),
        ]


def _message(body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    try:
        head = _messages_head.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(*every_fault(_MESSAGES, body, error)) from None

    def canonical() -> Chat:
        return anthropic_request.chat(*_MESSAGES.read(body, found))

    return Call(
        dialect=Anthropic.name,
        operation="chat",
        surface="anthropic/messages",
        model=head.model,
        body=body,
        members=found,
        canonical=once(canonical),
        grows=not (head.own_tools and _GROWING.isdisjoint(found)),
        stream=bool(head.stream),
        max_output=head.max_tokens,
        output_field="max_tokens",
        wants_usage=True,
    )


def _count(body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    try:
        head = _count_head.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(*every_fault(_COUNTED, body, error)) from None

    def canonical() -> Chat:
        return anthropic_request.counted(*_COUNTED.read(body, found))

    return Call(
        dialect=Anthropic.name,
        operation="count_tokens",
        surface="anthropic/count_tokens",
        model=head.model,
        body=body,
        members=found,
        canonical=once(canonical),
    )


def _error_body(error: GatewayError, request_id: str) -> bytes:
    message, details = error.message, error.details
    if error.code is Code.UNSUPPORTED_BY_MODEL:
        details = tuple([Detail(_FIELDS.get(one.field, one.field), one.message) for one in details])
    if details:
        first, *others = details
        # Clients of this dialect show the message alone.
        message = f"{message} {first.field} {first.message}{f' (and {len(others)} more)' if others else ''}."
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    told = AnthropicError(
        type=kind,
        message=message,
        code=error.code,
        details=tuple([AnthropicErrorDetail(one.field, one.message) for one in details]) or UNSET,
    )
    return _encode(AnthropicErrorBody(told, request_id))
