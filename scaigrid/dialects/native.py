"""The native dialect, `/v1`: strict in what it takes, and speaking for every path that no other dialect owns."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import msgspec
from msgspec import UNSET

from scaigrid.asgi import Headers
from scaigrid.call import Call
from scaigrid.dialect import Answered, Renderer, Resource
from scaigrid.dialects import native_generate, native_request, native_rerank
from scaigrid.dialects.forms import Form, members
from scaigrid.dialects.headers import JSON, limit_headers
from scaigrid.dialects.native_generate import GeneratePlain, GenerateStream
from scaigrid.dialects.native_render import DONE, ChatPlain, ChatStream, Embeddings
from scaigrid.dialects.native_rerank import Ranking
from scaigrid.dialects.native_shapes import (
    ChatRequest,
    EmbedRequest,
    EnvelopeMeta,
    ErrorAnswer,
    ErrorDetail,
    ErrorEnvelope,
    StreamError,
)
from scaigrid.errors import GatewayError
from scaigrid.limiter import Kind
from scaigrid.sse import COMMENT
from scaigrid.types import Chat, Embed, Operation, Rerank

_CHAT: Final = Form(ChatRequest)
_EMBED: Final = Form(EmbedRequest)
_encode: Final = msgspec.json.Encoder().encode


class Native:
    """Decodes the whole call at once: no provider speaks this dialect, so all of it will be needed."""

    name: ClassVar[str] = "native"
    prefix: ClassVar[str] = "/v1"
    operations: ClassVar[Mapping[str, Operation]] = {
        "/v1/inference/chat": "chat",
        "/v1/inference/generate": "chat",
        "/v1/inference/embed": "embed",
        "/v1/inference/rerank": "rerank",
    }
    resources: ClassVar[Mapping[str, Mapping[str, Resource]]] = {}
    key_header: ClassVar[bytes | None] = None
    id_header: ClassVar[bytes | None] = None
    forwarded: ClassVar[frozenset[bytes]] = frozenset()
    keep_alive: ClassVar[bytes] = COMMENT

    def decode(self, path: str, body: bytes) -> Call:
        found = members(body)
        return _CALLS[path](body, found)

    def renderer(self, call: Call, answered: Answered) -> Renderer:
        plain, streamed = _RENDERERS[call.surface]
        return streamed(call, answered) if call.stream else plain(call, answered)

    def error(self, error: GatewayError, request_id: str) -> tuple[Headers, bytes]:
        answer = ErrorAnswer(
            code=error.code,
            message=error.message,
            retry_after=UNSET if error.retry_after is None else error.retry_after,
            details=tuple([ErrorDetail(one.field, one.message) for one in error.details]) or UNSET,
            level=UNSET if error.level is None else error.level,
        )
        body = _encode(ErrorEnvelope(error=answer, meta=EnvelopeMeta(request_id)))
        return [JSON, *error.response_headers()], body

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """An event of its own name, then `[DONE]`."""
        data = _encode(StreamError(error.code, error.message, request_id))
        return b"event: error\ndata: %b\n\n%b" % (data, DONE)

    def limit_headers(self, limit: int, remaining: int, reset: float, kind: Kind = "requests") -> Headers:
        return limit_headers(limit, remaining, reset, kind)


def _chat(body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    request, _ = _CHAT.read(body, found)
    chat = native_request.chat(request)

    def canonical() -> Chat | Embed | Rerank:
        return chat

    return Call(
        dialect=Native.name,
        operation="chat",
        surface="native/chat",
        model=request.model,
        body=body,
        members=found,
        canonical=canonical,
        stream=bool(request.stream),
        n=request.n or 1,
        max_output=request.max_tokens,
        wants_usage=True,
        tags=request.metadata or {},
    )


def _embed(body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    request, _ = _EMBED.read(body, found)
    embed = native_request.embed(request)

    def canonical() -> Chat | Embed | Rerank:
        return embed

    return Call(
        dialect=Native.name,
        operation="embed",
        surface="native/embed",
        model=request.model,
        body=body,
        members=found,
        canonical=canonical,
        tags=request.metadata or {},
    )


def _generate(body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    return native_generate.call(Native.name, body, found)


def _rerank(body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    return native_rerank.call(Native.name, body, found)


_CALLS: Final[Mapping[str, Callable[[bytes, Mapping[str, msgspec.Raw]], Call]]] = {
    "/v1/inference/chat": _chat,
    "/v1/inference/generate": _generate,
    "/v1/inference/embed": _embed,
    "/v1/inference/rerank": _rerank,
}
_Writes = Callable[[Call, Answered], Renderer]
_RENDERERS: Final[Mapping[str, tuple[_Writes, _Writes]]] = {
    "native/chat": (ChatPlain, ChatStream),
    "native/generate": (GeneratePlain, GenerateStream),
    "native/embed": (Embeddings, Embeddings),
    "native/rerank": (Ranking, Ranking),
}
"""Who writes the answer on each surface: all of it, or as it comes."""
