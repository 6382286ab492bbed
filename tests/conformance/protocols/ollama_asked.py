"""Recorded calls of Ollama's own API, asked in the native dialect."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.conformance.wire import said

PROVIDER: Final = "ollama"
_OPTIONS: Final[Mapping[str, str]] = {
    "num_predict": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
"""Ollama's word among its options -> the native one for the same value."""
_SCHEMA_NAME: Final = "answer"
"""Ollama's schemas have no name, the native ones have to have one."""
_MEDIA_TYPE: Final = "image/png"
"""Ollama's images have no type, the native ones have to have one."""


def chat(request: dict[str, Any]) -> dict[str, Any]:
    """The native call, without its model; what only this provider knows goes into `provider_options`."""
    asked: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in said(request).items():
        match name:
            case "model" | "messages" | "options":
                pass
            case "stream" | "tools" | "logprobs" | "top_logprobs":
                asked[name] = value
            case "think":
                asked["reasoning"] = {"effort": "none" if value is False else value}
            case "format":
                asked["response_format"] = _format(value)
            case _:
                options[name] = value
    for name, value in request.get("options", {}).items():
        if name in _OPTIONS:
            asked[_OPTIONS[name]] = value
        else:
            options.setdefault("options", {})[name] = value
    if options:
        asked["provider_options"] = {PROVIDER: options}
    asked["messages"] = _messages(request["messages"])
    return asked


def _format(value: Any) -> dict[str, Any]:
    if value == "json":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": _SCHEMA_NAME, "schema": value}}


def _messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls without ids are given some, and each result that of the first call of its tool that has none yet."""
    made: list[dict[str, Any]] = []
    open_calls: list[tuple[str, str]] = []
    for message in messages:
        put: dict[str, Any] = {"role": message["role"], "content": _content(message)}
        if message.get("thinking"):
            put["reasoning"] = message["thinking"]
        if calls := message.get("tool_calls"):
            put["tool_calls"] = [_call(call, f"call_{len(made)}_{place}") for place, call in enumerate(calls)]
            open_calls += [(call["function"]["name"], call["id"]) for call in put["tool_calls"]]
        if message["role"] == "tool":
            answered = next(one for one in open_calls if one[0] == message["tool_name"])
            open_calls.remove(answered)
            put["tool_call_id"] = answered[1]
        made.append(put)
    return made


def _content(message: dict[str, Any]) -> Any:
    images = message.get("images")
    if not images:
        return message.get("content") or ""
    text = [{"type": "text", "text": message["content"]}] if message.get("content") else []
    return [*text, *({"type": "image", "data": data, "media_type": _MEDIA_TYPE} for data in images)]


def _call(call: dict[str, Any], identifier: str) -> dict[str, Any]:
    function = call["function"]
    named = {"name": function["name"], "arguments": json.dumps(function.get("arguments") or {})}
    return {"id": call.get("id") or identifier, "type": "function", "function": named}


def embed(request: dict[str, Any]) -> dict[str, Any]:
    rest = said(request)
    asked = {name: rest.pop(name) for name in ("input", "dimensions") if name in rest}
    options = {name: value for name, value in rest.items() if name != "model"}
    return asked | ({"provider_options": {PROVIDER: options}} if options else {})


ASKED: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {"chat": chat, "embed": embed}
