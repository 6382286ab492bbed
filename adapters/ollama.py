"""Ollama: its own chat and embeddings for every client, and the OpenAI protocol that it speaks too for who speaks it.

Source: Ollama API documentation; guide "OpenAI compatibility". The address is the server's root: its own API stands
below `/api`, the other below `/v1`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from adapters import (
    asked,
    ollama_decode,
    ollama_encode,
    ollama_models,
    openai_failure,
    openai_own,
    openai_relay,
    openai_splice,
)
from adapters.events import Streamed, Whole
from adapters.ndjson import Lines
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

_PATHS: Final[Mapping[str, str]] = {
    "openai/chat": "/v1/chat/completions",
    "openai/completions": "/v1/completions",
    "openai/embeddings": "/v1/embeddings",
}
"""Where a surface is spoken as it is."""


class OllamaOptions(Options, frozen=True, kw_only=True):
    """How calls reach an Ollama server."""

    openai: bool = True
    """Pass the calls of OpenAI's clients through to the server's own OpenAI endpoints. `false` translates them to
    Ollama's API, as all other calls are: then what it has no word for is refused by name, where those endpoints leave
    it out without telling."""


class Ollama:
    """A server of the operator's own, mostly at http://localhost:11434."""

    name: ClassVar[str] = "ollama"
    transport: ClassVar[str] = "http"
    can: ClassVar[frozenset[str]] = frozenset(
        {"chat", "embed", "stream", "tools", "images", "reasoning", "json_schema", "logprobs"}
    )
    needs_max_output: ClassVar[bool] = False
    options: ClassVar[type[Options]] = OllamaOptions
    signed: ClassVar[str | None] = None

    def base_url(self, options: Any = NO_OPTIONS) -> str | None:
        return "http://localhost:11434"

    def speaks(self, options: Any = NO_OPTIONS) -> frozenset[str]:
        passes = not isinstance(options, OllamaOptions) or options.openai
        return frozenset(_PATHS) if passes else frozenset()

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        """Bearer authentication, for servers behind a gate. `extra` comes last and replaces ours of one name."""
        made = {"content-type": "application/json"}
        if api_key:
            made["authorization"] = f"Bearer {api_key.reveal()}"
        return tuple((made | {name.lower(): value for name, value in extra.items()}).items())

    def encode(self, call: Call, target: Target, outgoing: Outgoing) -> UpstreamRequest:
        if call.surface in target.speaks:
            path = _PATHS[call.surface]
            passed, ours = openai_own.purged(call, self.name), openai_own.defaulted(outgoing, self.name)
            body = openai_splice.spliced(passed, target.model, "max_tokens", ours)
        elif call.operation == "chat":
            path = "/api/chat"
            chat = asked.chat(call, outgoing)
            body = encoded(ollama_encode.chat(chat, target.model, stream=call.stream))
        elif call.operation == "embed":
            path = "/api/embed"
            body = encoded(ollama_encode.embed(asked.embed(call, outgoing), target.model))
        else:
            raise asked.unsupported(call.operation)
        return UpstreamRequest("POST", target.base_url + path, target.headers, body)

    def decoder(self, call: Call, target: Target) -> Decoder:
        if call.operation == "embed":
            return Whole(ollama_decode.embeddings(call))
        return Streamed(ollama_decode.ChatStream(), Lines()) if call.stream else Whole(ollama_decode.whole_chat)

    def relay(self, call: Call, target: Target, relaying: Relaying) -> Pipe:
        return openai_relay.relay(call)

    def discovery(
        self, base_url: str, headers: tuple[Header, ...], after: str | None = None, options: Any = NO_OPTIONS
    ) -> UpstreamRequest:
        return UpstreamRequest("GET", f"{base_url}/api/tags", headers, b"")

    def offers(self, body: bytes) -> Offers:
        return ollama_models.offers(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """`{"error": "..."}` of its own API, and the objects of the other."""
        return openai_failure.answered(status, headers, body)
