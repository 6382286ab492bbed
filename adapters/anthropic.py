"""Anthropic's Messages API: chats, plain and streamed, with tools, thinking, images, documents and JSON schemas.

Source: Anthropic API reference, version 2023-06-01.
"""

from collections.abc import Mapping
from typing import ClassVar

from adapters import anthropic_decode, anthropic_encode, anthropic_failure, anthropic_models, asked
from adapters.events import Streamed, Whole
from adapters.wire import encoded
from scaigrid.adapter import Decoder, Header, Offers, Outgoing, Pipe, Target, UpstreamRequest
from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.secrets import Secret

VERSION = "2023-06-01"


class Anthropic:
    """https://api.anthropic.com/v1. No client dialect has its protocol, so every call is translated, none relayed."""

    name: ClassVar[str] = "anthropic"
    dialect: ClassVar[str | None] = None
    transport: ClassVar[str] = "http"
    can: ClassVar[frozenset[str]] = frozenset(
        {"chat", "stream", "tools", "images", "files", "reasoning", "json_schema"}
    )
    needs_max_output: ClassVar[bool] = True

    def base_url(self) -> str | None:
        return "https://api.anthropic.com/v1"

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        """The key and the API's version. `extra` (`anthropic-beta` ...) comes last and replaces ours of one name."""
        made = {"content-type": "application/json", "anthropic-version": VERSION}
        if api_key:
            made["x-api-key"] = api_key.reveal()
        return tuple((made | {name.lower(): value for name, value in extra.items()}).items())

    def encode(self, call: Call, target: Target, outgoing: Outgoing) -> UpstreamRequest:
        if call.operation != "chat":
            raise asked.unsupported("input")
        said = anthropic_encode.chat(asked.chat(call, outgoing), target.model, stream=call.stream)
        return UpstreamRequest("POST", target.base_url + "/messages", target.headers, encoded(said))

    def decoder(self, call: Call) -> Decoder:
        return Streamed(anthropic_decode.MessageStream()) if call.stream else Whole(anthropic_decode.whole_message)

    def relay(self, call: Call) -> Pipe:
        """Unreachable: `dialect` is None, so no call is of the adapter's own dialect."""
        raise NotImplementedError(f"no call of dialect {call.dialect!r} is passed through to {self.name}")

    def discovery(self, base_url: str, headers: tuple[Header, ...], after: str | None = None) -> UpstreamRequest:
        return UpstreamRequest("GET", base_url + anthropic_models.path(after), headers, b"")

    def offers(self, body: bytes) -> Offers:
        return anthropic_models.offers(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return anthropic_failure.answered(status, headers, body)
