"""Cohere's API, version 2: chats, embeddings, rerankings."""

from typing import Any, Final
from urllib.parse import urlsplit

from tests.conformance import cases
from tests.conformance.protocol import Protocol
from tests.conformance.protocols import cohere_asked, cohere_told
from tests.conformance.protocols.openai_chat import model, streams
from tests.conformance.wire import said
from tests.harness.recordings import Recorded

_PATHS: Final = {"/v2/chat": "chat", "/v2/embed": "embed", "/v2/rerank": "rerank"}


def operation(one: Recorded) -> str | None:
    return next((name for path, name in _PATHS.items() if cases.asks(one, path)), None)


def provider(one: Recorded) -> str:
    return "cohere"


def to_native(one: Recorded) -> dict[str, Any]:
    return cohere_asked.ASKED[operation(one) or "chat"](one.request_json)


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a body.

    Overlooked: null for nothing said; `stream: false`; a text without its list of parts; an assistant without content
    that has only called tools; `strict_tools: false`, which is the default.
    """
    put = said(body)
    for name in ("stream", "strict_tools"):
        if put.get(name) is False:
            del put[name]
    if "messages" in put:
        put["messages"] = [_message(message) for message in put["messages"]]
    return put


def _message(message: dict[str, Any]) -> dict[str, Any]:
    content: Any = message.get("content") or []
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {**said(message), "content": parts}


def upstream(one: Recorded) -> str:
    return urlsplit(one.uri).path


PROTOCOL: Final = Protocol(
    name="cohere",
    operation=operation,
    provider=provider,
    model=model,
    streams=streams,
    to_native=to_native,
    normal=normal,
    told=cohere_told.told,
    upstream=upstream,
    as_stream=cohere_told.as_stream,
)
