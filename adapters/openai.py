"""OpenAI, and everybody who speaks its protocol: chat completions, responses, embeddings, and reranking where it is.

Source: OpenAI API reference. A provider that speaks it too is a row of `adapters.endpoints`, which says what it does
otherwise; what is done with a row is the same for all of them, and here.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final, Literal

import msgspec

from adapters import (
    asked,
    endpoints,
    openai_decode,
    openai_embed,
    openai_encode,
    openai_failure,
    openai_models,
    openai_own,
    openai_relay,
    openai_rerank,
    openai_responses_decode,
    openai_responses_encode,
    openai_responses_relay,
    openai_responses_splice,
    openai_splice,
)
from adapters.endpoints import Asks, Endpoint, GivesBack
from adapters.events import Streamed, Whole
from adapters.wire import encoded
from scaigrid.adapter import (
    NO_OPTIONS,
    Adapter,
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
from scaigrid.types import Embed, Rerank

_PATHS: Final[Mapping[str, str]] = {
    endpoints.CHAT: "/chat/completions",
    endpoints.COMPLETIONS: "/completions",
    endpoints.EMBEDDINGS: "/embeddings",
}


class OpenAIOptions(Options, frozen=True, kw_only=True):
    """What an operator sets at a provider of type openai."""

    api: Literal["chat", "responses"] = "chat"
    """By which API calls are asked that have to be translated: `chat` completions, or `responses`, where reasoning
    models keep their reasoning between turns. With `responses`, chat completions are translated too."""


class CustomOptions(Options, frozen=True, kw_only=True):
    """What an operator says of an endpoint that no other type is made for."""

    output_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The name of the bound on output tokens."""
    reasoning: Asks = "effort"
    """How reasoning is asked for: by `reasoning_effort` (`effort`), by `thinking {type, budget_tokens}` (`thinking`),
    by `thinking {type}` beside `reasoning_effort` (`thinking_effort`), by `reasoning {effort, max_tokens}`
    (`reasoning`), by `enable_thinking` and `thinking_budget` (`enable_thinking`), or not at all (`nothing`)."""
    gives_back: GivesBack = "nothing"
    """Where the reasoning of earlier turns goes: into `nothing`, or into the member `reasoning_content`, `reasoning`,
    `reasoning_details` (`details`) or into parts of type `thinking`."""
    completions: bool = True
    """The endpoint has legacy completions (`/completions`)."""
    responses: bool = False
    """The endpoint has the Responses API (`/responses`)."""


class OpenAI:
    """https://api.openai.com/v1."""

    name: ClassVar[str] = "openai"
    transport: ClassVar[str] = "http"
    can: ClassVar[frozenset[str]] = endpoints.OPENAI.can
    needs_max_output: ClassVar[bool] = False
    options: ClassVar[type[Options]] = OpenAIOptions
    signed: ClassVar[str | None] = None
    endpoint: ClassVar[Endpoint] = endpoints.OPENAI

    def row(self, options: Any) -> Endpoint:
        """The endpoint as the operator has set it."""
        return self.endpoint

    def url(self, target: Target, path: str) -> str:
        return target.base_url + path

    def base_url(self, options: Any = NO_OPTIONS) -> str | None:
        return self.endpoint.address

    def speaks(self, options: Any = NO_OPTIONS) -> frozenset[str]:
        spoken = self.row(options).speaks
        if _by_responses(options):
            spoken = frozenset({endpoints.RESPONSES, endpoints.EMBEDDINGS})
        if endpoints.RESPONSES not in spoken:
            return spoken
        further = openai_responses_splice.SURFACES if self.row(options).keeps_responses else frozenset[str]()
        return spoken | (further if "count_tokens" in self.can else further - {openai_responses_splice.SIZE})

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        """Bearer authentication. `extra` comes last and replaces ours of one name."""
        made = {"content-type": "application/json"}
        if api_key:
            made["authorization"] = f"Bearer {api_key.reveal()}"
        return tuple((made | {name.lower(): value for name, value in extra.items()}).items())

    def encode(self, call: Call, target: Target, outgoing: Outgoing) -> UpstreamRequest:
        row = self.row(target.options)
        if call.surface in target.speaks:
            call, outgoing = openai_own.purged(call, self.name), openai_own.defaulted(outgoing, self.name)
        if call.surface in target.speaks & openai_responses_splice.SURFACES:
            method, path, body = openai_responses_splice.spliced(call, target.model, outgoing)
            return UpstreamRequest(method, self.url(target, path), target.headers, body)
        if call.surface in target.speaks:
            path, body = _PATHS[call.surface], openai_splice.spliced_for(row, call, target.model, outgoing)
        else:
            path, said = self._translated(call, target, outgoing, row)
            body = encoded(said)
        return UpstreamRequest("POST", self.url(target, path), target.headers, body)

    def _translated(self, call: Call, target: Target, outgoing: Outgoing, row: Endpoint) -> tuple[str, dict[str, Any]]:
        """Where the call goes, and what is said there."""
        match call.operation:
            case "embed":
                return "/embeddings", openai_embed.embed(asked.embed(call, outgoing), row, target.model)
            case "rerank":
                return "/rerank", openai_rerank.rerank(asked.rerank(call, outgoing), row, target.model)
            case "chat" if "chat" in row.can:
                chat = asked.chat(call, outgoing)
                if _by_responses(target.options):
                    return "/responses", openai_responses_encode.chat(chat, row, target.model, stream=call.stream)
                return "/chat/completions", openai_encode.chat(chat, row, target.model, stream=call.stream)
            case "chat":
                raise asked.unsupported("messages")
            case "count_tokens" if "count_tokens" in row.can:
                asks = openai_responses_encode.size(asked.chat(call, outgoing), row, target.model)
                return "/responses/input_tokens", asks
            case operation:
                raise asked.unsupported(operation)

    def decoder(self, call: Call, target: Target) -> Decoder:
        if call.operation == "embed":
            canonical = call.canonical()
            return Whole(openai_embed.embeddings(len(canonical.input) if isinstance(canonical, Embed) else 0))
        if call.operation == "rerank":
            canonical = call.canonical()
            empty = Rerank(query="", documents=())
            return Whole(openai_rerank.ranking(canonical if isinstance(canonical, Rerank) else empty))
        if call.operation == "count_tokens":
            return Whole(openai_responses_decode.size)
        if _by_responses(target.options):
            return openai_responses_decode.decoder(self.name, stream=call.stream)
        if call.stream:
            return Streamed(openai_decode.ChatStream(self.name, call.n))
        return Whole(openai_decode.whole_chat(self.name, call.n))

    def relay(self, call: Call, target: Target, relaying: Relaying) -> Pipe:
        if call.surface in openai_responses_splice.SURFACES:
            return openai_responses_relay.relay(call, relaying)
        return openai_relay.relay(call)

    def discovery(
        self, base_url: str, headers: tuple[Header, ...], after: str | None = None, options: Any = NO_OPTIONS
    ) -> UpstreamRequest:
        return UpstreamRequest("GET", f"{base_url}/models", headers, b"")

    def offers(self, body: bytes) -> Offers:
        return openai_models.offers(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return openai_failure.answered(status, headers, body)


class Custom(OpenAI):
    """Any endpoint of the protocol that no other type is made for, at an address that the operator gives."""

    name = "custom"
    can = endpoints.CUSTOM.can
    options: ClassVar[type[Options]] = CustomOptions
    endpoint = endpoints.CUSTOM

    def row(self, options: Any) -> Endpoint:
        return _as_set(options) if isinstance(options, CustomOptions) else self.endpoint


@lru_cache(maxsize=256)
def _as_set(options: CustomOptions) -> Endpoint:
    """The custom endpoint as its operator has set it: made once, for each call asks for it."""
    switched = {endpoints.COMPLETIONS: options.completions, endpoints.RESPONSES: options.responses}
    on = frozenset([surface for surface, is_on in switched.items() if is_on])
    return msgspec.structs.replace(
        endpoints.CUSTOM,
        speaks=endpoints.CUSTOM.speaks - switched.keys() | on,
        output_field=options.output_field,
        asks=options.reasoning,
        gives_back=options.gives_back,
    )


def of_row(row: Endpoint) -> Adapter:
    """The adapter that a row makes."""

    class Provider(OpenAI):
        name: ClassVar[str] = row.name
        can: ClassVar[frozenset[str]] = row.can
        options: ClassVar[type[Options]] = Options
        endpoint: ClassVar[Endpoint] = row

    return Provider()


def _by_responses(options: Any) -> bool:
    return isinstance(options, OpenAIOptions) and options.api == "responses"
