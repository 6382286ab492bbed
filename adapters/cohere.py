"""Cohere's API, version 2: chats, plain and streamed, embeddings, and the order of documents.

Source: Cohere API reference, v2.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from adapters import asked, cohere_decode, cohere_embed, cohere_encode, cohere_failure, cohere_models, cohere_rerank
from adapters.events import Streamed, Whole
from adapters.translated import Translated
from adapters.wire import encoded
from scaigrid.adapter import (
    NO_OPTIONS,
    Decoder,
    Header,
    Offers,
    Options,
    Outgoing,
    Target,
    UpstreamRequest,
)
from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Operation


def _chat(call: Call, target: Target, outgoing: Outgoing) -> dict[str, Any]:
    return cohere_encode.chat(asked.chat(call, outgoing), target.model, stream=call.stream)


def _embed(call: Call, target: Target, outgoing: Outgoing) -> dict[str, Any]:
    return cohere_embed.embed(asked.embed(call, outgoing), target.model)


def _rerank(call: Call, target: Target, outgoing: Outgoing) -> dict[str, Any]:
    return cohere_rerank.rerank(asked.rerank(call, outgoing), target.model)


_SAID: Final[Mapping[Operation, tuple[str, Callable[[Call, Target, Outgoing], dict[str, Any]]]]] = {
    "chat": ("/v2/chat", _chat),
    "embed": ("/v2/embed", _embed),
    "rerank": ("/v2/rerank", _rerank),
}


class Cohere(Translated):
    """https://api.cohere.com. No client dialect has its protocol, so every call is translated, none relayed."""

    name: ClassVar[str] = "cohere"
    transport: ClassVar[str] = "http"
    can: ClassVar[frozenset[str]] = frozenset(
        {"chat", "citations", "embed", "rerank", "stream", "tools", "images", "reasoning", "json_schema", "logprobs"}
    )
    needs_max_output: ClassVar[bool] = False
    options: ClassVar[type[Options]] = Options
    signed: ClassVar[str | None] = None

    def base_url(self, options: Any = NO_OPTIONS) -> str | None:
        return "https://api.cohere.com"

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        """Bearer authentication. `extra` comes last and replaces ours of one name."""
        made = {"content-type": "application/json"}
        if api_key:
            made["authorization"] = f"Bearer {api_key.reveal()}"
        return tuple((made | {name.lower(): value for name, value in extra.items()}).items())

    def encode(self, call: Call, target: Target, outgoing: Outgoing) -> UpstreamRequest:
        if call.operation not in _SAID:
            raise asked.unsupported(call.operation)
        path, said = _SAID[call.operation]
        return UpstreamRequest("POST", target.base_url + path, target.headers, encoded(said(call, target, outgoing)))

    def decoder(self, call: Call, target: Target) -> Decoder:
        match call.operation:
            case "embed":
                return Whole(cohere_embed.embeddings(call))
            case "rerank":
                return Whole(cohere_rerank.ranking(call))
            case _:
                return Streamed(cohere_decode.ChatStream()) if call.stream else Whole(cohere_decode.whole_chat)

    def discovery(
        self, base_url: str, headers: tuple[Header, ...], after: str | None = None, options: Any = NO_OPTIONS
    ) -> UpstreamRequest:
        return UpstreamRequest("GET", base_url + cohere_models.path(after), headers, b"")

    def offers(self, body: bytes) -> Offers:
        return cohere_models.offers(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return cohere_failure.answered(status, headers, body)
