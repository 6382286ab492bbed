"""Anthropic's Messages API: chats, plain and streamed, with tools, thinking, images, documents and JSON schemas.

Source: Anthropic API reference, version 2023-06-01. Calls of its own dialect are passed through, all others translated.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from adapters import (
    anthropic_decode,
    anthropic_encode,
    anthropic_failure,
    anthropic_models,
    anthropic_relay,
    anthropic_splice,
    anthropic_usage,
    asked,
)
from adapters.events import Streamed, Whole
from adapters.wire import encoded
from scaigrid.adapter import (
    NO_OPTIONS,
    Decoder,
    Header,
    Offers,
    Options,
    Outgoing,
    Pipe,
    Relaying,
    Target,
    UpstreamRequest,
)
from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Operation

VERSION = "2023-06-01"
_PATHS: Mapping[Operation, str] = {"chat": "/messages", "count_tokens": "/messages/count_tokens"}


class Anthropic:
    """https://api.anthropic.com/v1."""

    name: ClassVar[str] = "anthropic"
    transport: ClassVar[str] = "http"
    can: ClassVar[frozenset[str]] = frozenset(
        {
            "chat",
            "count_tokens",
            "stream",
            "tools",
            "images",
            "files",
            "reasoning",
            "json_schema",
            "citations",
        }
    )
    needs_max_output: ClassVar[bool] = True
    options: ClassVar[type[Options]] = Options
    signed: ClassVar[str | None] = None

    def base_url(self, options: Any = NO_OPTIONS) -> str | None:
        return "https://api.anthropic.com/v1"

    def speaks(self, options: Any = NO_OPTIONS) -> frozenset[str]:
        return frozenset({"anthropic/messages", "anthropic/count_tokens"})

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        """The key and the API's version. `extra` (`anthropic-beta` ...) comes last and replaces ours of one name."""
        made = {"content-type": "application/json", "anthropic-version": VERSION}
        if api_key:
            made["x-api-key"] = api_key.reveal()
        return tuple((made | {name.lower(): value for name, value in extra.items()}).items())

    def encode(self, call: Call, target: Target, outgoing: Outgoing) -> UpstreamRequest:
        path = _PATHS.get(call.operation)
        if path is None:
            raise asked.unsupported("input")
        if call.surface in target.speaks:
            url = anthropic_splice.address(call, target, path)
            body = anthropic_splice.spliced(call, target.model, outgoing)
            return UpstreamRequest("POST", url, anthropic_splice.headers(call, target), body)
        chat = asked.chat(call, outgoing)
        if call.operation == "count_tokens":
            said = anthropic_encode.counted(chat, target.model)
        else:
            said = anthropic_encode.chat(chat, target.model, stream=call.stream)
        return UpstreamRequest("POST", target.base_url + path, target.headers, encoded(said))

    def decoder(self, call: Call, target: Target) -> Decoder:
        if call.operation == "count_tokens":
            return Whole(anthropic_usage.whole_count)
        return Streamed(anthropic_decode.MessageStream()) if call.stream else Whole(anthropic_decode.whole_message)

    def relay(self, call: Call, target: Target, relaying: Relaying) -> Pipe:
        return anthropic_relay.relay(call)

    def discovery(
        self, base_url: str, headers: tuple[Header, ...], after: str | None = None, options: Any = NO_OPTIONS
    ) -> UpstreamRequest:
        return UpstreamRequest("GET", base_url + anthropic_models.path(after), headers, b"")

    def offers(self, body: bytes) -> Offers:
        return anthropic_models.offers(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return anthropic_failure.answered(status, headers, body)
