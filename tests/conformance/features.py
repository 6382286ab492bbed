"""Which features an exchange shows: read off what it asks and what it answers."""

from collections.abc import Iterator
from typing import Any, Final

from tests.conformance.cases import UNREADABLE, NotRun
from tests.conformance.plans import ONLY_PASSED, Planned
from tests.conformance.told import Told
from tests.conformance.wire import is_list, is_object

ALL: Final = (
    "chat",
    "stream",
    "tools",
    "images",
    "files",
    "audio",
    "reasoning",
    "json_schema",
    "citations",
    "n",
    "logprobs",
    "embed",
    "rerank",
    "count_tokens",
    "stored",
    "errors",
)
"""In the order in which they are told."""
_OF_STORED: Final = frozenset({"kept", "resource"})
_FEATURES: Final = {"resource": "stored", **dict.fromkeys(ONLY_PASSED, "chat")}
"""Operations that are no feature of that name."""
_PARTS: Final = {"image": "images", "file": "files", "audio": "audio"}


def of(planned: Planned) -> tuple[str, ...]:
    """Those of one play, in the order of ALL."""
    operation = planned.protocol.operation(planned.recorded)
    try:
        told = planned.protocol.told(planned.recorded)
    except UNREADABLE:
        told = Told()
    if told.failed:
        return ("errors",)
    found = {_FEATURES.get(operation or "chat", operation or "chat"), *_answered(told)}
    if operation in _OF_STORED:
        found.add("stored")
    if planned.protocol.streams(planned.recorded):
        found.add("stream")
    try:
        asked = planned.protocol.to_native(planned.recorded)
    except (NotRun, *UNREADABLE):
        asked = {}
    if planned.mode != "answer" and operation == "chat":
        found |= set(_asked(asked))
    return tuple(name for name in ALL if name in found)


def _answered(told: Told) -> Iterator[str]:
    for choice in told.choices.values():
        if choice.tools:
            yield "tools"
        if choice.reasoning or choice.thoughts:
            yield "reasoning"
        if choice.citations:
            yield "citations"
        if choice.tokens:
            yield "logprobs"
    if len(told.choices) > 1:
        yield "n"


def _asked(asked: dict[str, Any]) -> Iterator[str]:
    if asked.get("tools"):
        yield "tools"
    if asked.get("response_format", {}).get("type") == "json_schema":
        yield "json_schema"
    if asked.get("reasoning", {}).get("effort") not in (None, "none") or "budget_tokens" in asked.get("reasoning", {}):
        yield "reasoning"
    for message in asked.get("messages", ()):
        if message.get("tool_calls") or message["role"] == "tool":
            yield "tools"
        content = message.get("content")
        for part in filter(is_object, content) if is_list(content) else ():
            if part.get("type") in _PARTS:
                yield _PARTS[part["type"]]
