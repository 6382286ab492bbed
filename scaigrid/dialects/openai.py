"""The OpenAI dialect: an OpenAI SDK works by changing `base_url` and `api_key`.

Source: OpenAI's API reference for chat completions, embeddings and errors.
"""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import msgspec
from msgspec import UNSET

from scaigrid.asgi import Headers
from scaigrid.call import Call
from scaigrid.dialect import Answered, Renderer, Resource
from scaigrid.dialects import openai_completions, openai_request, openai_responses
from scaigrid.dialects.faults import Harmless
from scaigrid.dialects.forms import Form, every_fault, invalid, members, once
from scaigrid.dialects.headers import JSON, limit_headers
from scaigrid.dialects.openai_render import ChatPlain, ChatStream, Embeddings
from scaigrid.dialects.openai_responses_render import InputTokens, ResponsePlain, ResponseStream
from scaigrid.dialects.openai_shapes import (
    ChatCompletionRequest,
    ChatHead,
    EmbeddingsHead,
    EmbeddingsRequest,
    OpenAIError,
    OpenAIErrorBody,
    OpenAIErrorDetail,
)
from scaigrid.errors import Detail, GatewayError
from scaigrid.limiter import Kind
from scaigrid.sse import COMMENT
from scaigrid.types import Chat, Embed, Operation, Rerank

_SAYS_NOTHING: Final[Harmless] = {
    "annotations": ([],),
    "function_call": ("none",),
    "functions": ([],),
    "include_obfuscation": (False,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "prefix": (False,),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "verbosity": ("medium",),
}
"""Defaults of OpenAI's own and of its followers, and what an answer's message has when it is sent back."""

_CHAT: Final = Form(ChatCompletionRequest, _SAYS_NOTHING)
_EMBEDDINGS: Final = Form(EmbeddingsRequest, _SAYS_NOTHING)
_GROWING: Final = frozenset({"enable_search", "plugins", "search_parameters", "web_search_options"})
"""Members by which OpenAI, or one of its followers, adds what it finds to the input."""
_chat_head: Final = msgspec.json.Decoder(ChatHead)
_embeddings_head: Final = msgspec.json.Decoder(EmbeddingsHead)
_encode: Final = msgspec.json.Encoder().encode


class OpenAI:
    """Decodes what governance reads, and leaves the rest to the provider or to `canonical`."""

    name: ClassVar[str] = "openai"
    prefix: ClassVar[str] = "/oai/v1"
    operations: ClassVar[Mapping[str, Operation]] = {
        "/oai/v1/chat/completions": "chat",
        "/oai/v1/completions": "chat",
        "/oai/v1/embeddings": "embed",
        openai_responses.PATH: "chat",
        openai_responses.SIZE_PATH: "count_tokens",
    }
    resources: ClassVar[Mapping[str, Mapping[str, Resource]]] = openai_responses.RESOURCES
    key_header: ClassVar[bytes | None] = None
    id_header: ClassVar[bytes | None] = None
    forwarded: ClassVar[frozenset[bytes]] = frozenset()
    keep_alive: ClassVar[bytes] = COMMENT

    def decode(self, path: str, body: bytes) -> Call:
        return _DECODERS[path](body, members(body))

    def renderer(self, call: Call, answered: Answered) -> Renderer:
        return _RENDERERS[call.surface, call.stream](call, answered)

    def error(self, error: GatewayError, request_id: str) -> tuple[Headers, bytes]:
        return [JSON, *error.response_headers()], _error_body(error, request_id)

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """A frame with the error, and no `[DONE]`: SDKs would take that for success."""
        return b"data: %b\n\n" % _error_body(error, request_id)

    def limit_headers(self, limit: int, remaining: int, reset: float, kind: Kind = "requests") -> Headers:
        of = kind.encode()
        return [
            *limit_headers(limit, remaining, reset, kind),
            (b"x-ratelimit-limit-" + of, b"%d" % limit),
            (b"x-ratelimit-remaining-" + of, b"%d" % remaining),
            (b"x-ratelimit-reset-" + of, duration(reset).encode()),
        ]


def duration(seconds: float) -> str:
    """A time span as OpenAI writes it: `120ms`, `6s`, `1m0s`, `1h2m3s`. Rounded up: waiting so long is enough."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    if minutes == 0:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"


def _chat(body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    try:
        head = _chat_head.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(*every_fault(_CHAT, body, error), *_two_bounds(found)) from None
    bound, field = head.max_completion_tokens, "max_completion_tokens"
    if bound is None:
        bound, field = head.max_tokens, "max_tokens"
    elif head.max_tokens is not None:
        raise invalid(*_two_bounds(found))
    options = head.stream_options

    def canonical() -> Chat | Embed | Rerank:
        return openai_request.chat(*_CHAT.read(body, found))

    return Call(
        dialect=OpenAI.name,
        operation="chat",
        surface="openai/chat",
        model=head.model,
        body=body,
        members=found,
        canonical=once(canonical),
        grows=not _GROWING.isdisjoint(found),
        stream=bool(head.stream),
        n=head.n or 1,
        max_output=bound,
        output_field=None if bound is None else field,
        wants_usage=options is not None and bool(options.include_usage),
        tags=head.metadata or {},
    )


def _embeddings(body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    try:
        head = _embeddings_head.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(*every_fault(_EMBEDDINGS, body, error)) from None
    if memoryview(head.input)[0] not in b'["':
        raise invalid(*_EMBEDDINGS.faults(body))

    def canonical() -> Chat | Embed | Rerank:
        return openai_request.embed(*_EMBEDDINGS.read(body, found))

    return Call(
        dialect=OpenAI.name,
        operation="embed",
        surface="openai/embeddings",
        model=head.model,
        body=body,
        members=found,
        canonical=once(canonical),
    )


def _two_bounds(found: Mapping[str, msgspec.Raw]) -> list[Detail]:
    given = [name for name in ("max_tokens", "max_completion_tokens") if bytes(found.get(name, b"null")) != b"null"]
    return [Detail(given[1], f"cannot be given together with {given[0]}")] if len(given) > 1 else []


_DECODERS: Final[Mapping[str, Callable[[bytes, Mapping[str, msgspec.Raw]], Call]]] = {
    "/oai/v1/chat/completions": _chat,
    "/oai/v1/completions": openai_completions.decode,
    "/oai/v1/embeddings": _embeddings,
    openai_responses.PATH: openai_responses.decode,
    openai_responses.SIZE_PATH: openai_responses.decode_size,
}
"""By path."""
_RENDERERS: Final[Mapping[tuple[str, bool], Callable[[Call, Answered], Renderer]]] = {
    ("openai/chat", False): ChatPlain,
    ("openai/chat", True): ChatStream,
    (openai_completions.SURFACE, False): openai_completions.CompletionPlain,
    (openai_completions.SURFACE, True): openai_completions.CompletionStream,
    ("openai/embeddings", False): Embeddings,
    (openai_responses.SURFACE, False): ResponsePlain,
    (openai_responses.SURFACE, True): ResponseStream,
    (openai_responses.SIZE, False): InputTokens,
}
"""By surface, plain or streamed."""


def _error_body(error: GatewayError, request_id: str) -> bytes:
    details = error.details
    message, param = error.message, None
    if details:
        first, *others = details
        param = first.field
        # Clients of this dialect show the message alone
        message = f"{message} {first.field} {first.message}{f' (and {len(others)} more)' if others else ''}."
    return _encode(
        OpenAIErrorBody(
            OpenAIError(
                message=message,
                type=error.row.openai_type,
                param=param,
                code=error.code,
                details=tuple([OpenAIErrorDetail(one.field, one.message) for one in details]) or UNSET,
                request_id=request_id,
            )
        )
    )
