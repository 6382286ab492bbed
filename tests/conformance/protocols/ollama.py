"""Ollama's own API: chats and embeddings."""

from typing import Any, Final
from urllib.parse import urlsplit

from tests.conformance import cases
from tests.conformance.protocol import Protocol
from tests.conformance.protocols import ollama_asked, ollama_told
from tests.conformance.protocols.openai_chat import model
from tests.conformance.wire import said
from tests.harness.recordings import Recorded

_PATHS: Final = {"/api/chat": "chat", "/api/embed": "embed"}


def operation(one: Recorded) -> str | None:
    return next((name for path, name in _PATHS.items() if cases.asks(one, path)), None)


def provider(one: Recorded) -> str:
    return "ollama"


def streams(one: Recorded) -> bool:
    """A chat streams unless it says otherwise."""
    return operation(one) == "chat" and one.request_json.get("stream") is not False


def to_native(one: Recorded) -> dict[str, Any]:
    return ollama_asked.ASKED[operation(one) or "chat"](one.request_json)


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a body.

    Overlooked: null for nothing said; `stream: true`, which is the default; options that are none; a text of its own
    without its list; an assistant that has only called tools without its empty content; the type, the number and the
    id of a tool call, and by which call's id a result is known: servers put calls and results together by their order
    and names.
    """
    put = said(body)
    if put.get("stream") is True:
        del put["stream"]
    if put.get("options") == {}:
        del put["options"]
    if isinstance(put.get("input"), str):
        put["input"] = [put["input"]]
    if "messages" in put:
        put["messages"] = [_message(message) for message in put["messages"]]
    return put


def _message(message: dict[str, Any]) -> dict[str, Any]:
    put = {name: value for name, value in said(message).items() if name != "tool_call_id"}
    put.setdefault("content", "")
    if "tool_calls" in put:
        functions = [call["function"] for call in put["tool_calls"]]
        put["tool_calls"] = [{name: one[name] for name in ("name", "arguments") if name in one} for one in functions]
    return put


def upstream(one: Recorded) -> str:
    return urlsplit(one.uri).path


PROTOCOL: Final = Protocol(
    name="ollama",
    operation=operation,
    provider=provider,
    model=model,
    streams=streams,
    to_native=to_native,
    normal=normal,
    told=ollama_told.told,
    upstream=upstream,
    as_stream=ollama_told.as_stream,
    options={"openai": False},
)
