"""Chat completions: OpenAI's own protocol, and that of everybody who speaks it too."""

from typing import Any, Final

from tests.conformance import cases
from tests.conformance.protocol import Protocol
from tests.conformance.protocols import openai_chat_asked, openai_chat_normal, openai_chat_told
from tests.harness.recordings import Recorded

PATH: Final = "/chat/completions"


def operation(one: Recorded) -> str | None:
    return "chat" if cases.asks(one, PATH) else None


def model(one: Recorded) -> str:
    named: str = one.request_json["model"]
    return named


def streams(one: Recorded) -> bool:
    return bool(one.request_json.get("stream"))


def to_native(one: Recorded) -> dict[str, Any]:
    return openai_chat_asked.chat(one.request_json, cases.provider(one))


def upstream(one: Recorded) -> str:
    return PATH


def surface(one: Recorded) -> str | None:
    return "openai/chat"


PROTOCOL: Final = Protocol(
    name="openai chat",
    operation=operation,
    provider=cases.provider,
    model=model,
    streams=streams,
    to_native=to_native,
    normal=openai_chat_normal.normal,
    told=openai_chat_told.told,
    upstream=upstream,
    as_stream=openai_chat_told.as_stream,
    surface=surface,
    stand_in="custom",
)
