"""OpenAI, and everybody who speaks its protocol: chat completions and embeddings.

Source: OpenAI API reference. A provider that speaks it too is a row: a subclass that only says what differs.
"""

from collections.abc import Mapping
from typing import ClassVar

from adapters import asked, openai_decode, openai_encode, openai_failure, openai_models, openai_relay, openai_splice
from adapters.events import Streamed, Whole
from adapters.wire import encoded
from scaigrid.adapter import FEATURES, Decoder, Header, Offers, Outgoing, Pipe, Target, UpstreamRequest
from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Embed, Operation

_PATHS: Mapping[Operation, str] = {"chat": "/chat/completions", "embed": "/embeddings"}


class OpenAI:
    """https://api.openai.com/v1."""

    name: ClassVar[str] = "openai"
    dialect: ClassVar[str | None] = "openai"
    transport: ClassVar[str] = "http"
    can: ClassVar[frozenset[str]] = FEATURES
    needs_max_output: ClassVar[bool] = False
    output_field: ClassVar[str] = "max_completion_tokens"
    """Where an output bound goes that the caller did not give. OpenAI's newer models refuse `max_tokens`."""
    address: ClassVar[str | None] = "https://api.openai.com/v1"

    def base_url(self) -> str | None:
        return self.address

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        """Bearer authentication. `extra` comes last and replaces ours of one name."""
        made = {"content-type": "application/json"}
        if api_key:
            made["authorization"] = f"Bearer {api_key.reveal()}"
        return tuple((made | {name.lower(): value for name, value in extra.items()}).items())

    def encode(self, call: Call, target: Target, outgoing: Outgoing) -> UpstreamRequest:
        if call.dialect == self.dialect:
            body = openai_splice.spliced(call, target.model, self.output_field, outgoing)
        elif call.operation == "embed":
            body = encoded(openai_encode.embed(asked.embed(call, outgoing), target.model))
        else:
            chat = asked.chat(call, outgoing)
            said = openai_encode.chat(chat, self.name, target.model, self.output_field, stream=call.stream)
            body = encoded(said)
        return UpstreamRequest("POST", target.base_url + _PATHS[call.operation], target.headers, body)

    def decoder(self, call: Call) -> Decoder:
        if call.operation == "embed":
            canonical = call.canonical()
            return Whole(openai_decode.embeddings(len(canonical.input) if isinstance(canonical, Embed) else 0))
        if call.stream:
            return Streamed(openai_decode.ChatStream(self.name, call.n))
        return Whole(openai_decode.whole_chat(self.name, call.n))

    def relay(self, call: Call) -> Pipe:
        return openai_relay.relay(call)

    def discovery(self, base_url: str, headers: tuple[Header, ...], after: str | None = None) -> UpstreamRequest:
        return UpstreamRequest("GET", f"{base_url}/models", headers, b"")

    def offers(self, body: bytes) -> Offers:
        return openai_models.offers(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return openai_failure.answered(status, headers, body)


class Custom(OpenAI):
    """Any endpoint of the protocol, at an address that the operator gives: vLLM, Ollama, OpenRouter, Groq ..."""

    name = "custom"
    output_field = "max_tokens"
    address = None
