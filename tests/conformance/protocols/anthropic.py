"""Anthropic's Messages API, and its counter of tokens."""

from typing import Any, Final

from tests.conformance import cases
from tests.conformance.protocol import Protocol
from tests.conformance.protocols import anthropic_asked, anthropic_normal, anthropic_told
from tests.conformance.protocols.openai_chat import model, streams
from tests.harness.recordings import Recorded

_PATHS: Final = {"/v1/messages": "chat", "/v1/messages/count_tokens": "count_tokens"}


def operation(one: Recorded) -> str | None:
    return next((name for path, name in _PATHS.items() if cases.asks(one, path)), None)


def provider(one: Recorded) -> str:
    return "anthropic"


def to_native(one: Recorded) -> dict[str, Any]:
    return anthropic_asked.chat(one.request_json)


def upstream(one: Recorded) -> str:
    return "/messages" if operation(one) == "chat" else "/messages/count_tokens"


def surface(one: Recorded) -> str | None:
    return "anthropic/messages" if operation(one) == "chat" else "anthropic/count_tokens"


PROTOCOL: Final = Protocol(
    name="anthropic",
    operation=operation,
    provider=provider,
    model=model,
    streams=streams,
    to_native=to_native,
    normal=anthropic_normal.normal,
    told=anthropic_told.told,
    upstream=upstream,
    as_stream=anthropic_told.as_stream,
    surface=surface,
)
