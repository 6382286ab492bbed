"""OpenAI's Responses API."""

from typing import Any, Final
from urllib.parse import urlsplit

from tests.conformance import cases
from tests.conformance.protocol import Protocol
from tests.conformance.protocols import openai_responses_asked, openai_responses_normal, openai_responses_told
from tests.harness.recordings import Recorded

PATH: Final = "/responses"
COUNTER: Final = "/responses/input_tokens"
_OPERATIONS: Final = {PATH: "chat", COUNTER: "count_tokens"}
_BY_OPTIONS: Final = frozenset({"openai", "azure"})
"""Whose operator chooses between the two APIs; the others who have this one are passed its calls alone."""


_KEPT: Final = ("background", "previous_response_id")


def is_kept(one: Recorded) -> bool:
    """Whether a call has to do with an answer that the provider keeps: those are a protocol of their own."""
    return any(one.request_json.get(name) for name in _KEPT)


def operation(one: Recorded) -> str | None:
    return None if not cases.asks(one, *_OPERATIONS) or is_kept(one) else _OPERATIONS[upstream(one)]


def provider(one: Recorded) -> str:
    found = cases.provider(one)
    return found if found in _BY_OPTIONS else "openai"


def model(one: Recorded) -> str:
    named: str = one.request_json["model"]
    return named


def streams(one: Recorded) -> bool:
    return bool(one.request_json.get("stream"))


def to_native(one: Recorded) -> dict[str, Any]:
    return openai_responses_asked.chat(one.request_json, provider(one))


def upstream(one: Recorded) -> str:
    return COUNTER if urlsplit(one.uri).path.endswith(COUNTER) else PATH


def surface(one: Recorded) -> str | None:
    return "openai/input_tokens" if upstream(one) == COUNTER else "openai/responses"


PROTOCOL: Final = Protocol(
    name="openai responses",
    operation=operation,
    provider=provider,
    model=model,
    streams=streams,
    to_native=to_native,
    normal=openai_responses_normal.normal,
    told=openai_responses_told.told,
    upstream=upstream,
    as_stream=openai_responses_told.as_stream,
    surface=surface,
    options={"api": "responses"},
)
