"""When two chat completions ask the same: the normal form of their bodies."""

import json
from contextlib import suppress
from typing import Any, Final

from tests.conformance.wire import is_list, is_object, said

_BOUNDS: Final = ("max_completion_tokens", "max_tokens")
_SILENT: Final[tuple[tuple[str, Any], ...]] = (
    ("n", 1),
    ("stream", False),
    ("stop", []),
    ("tools", []),
    ("store", False),
    ("logprobs", False),
    ("presence_penalty", 0),
    ("frequency_penalty", 0),
    ("parallel_tool_calls", True),
    ("tool_choice", "auto"),
)
_MADE_UP: Final = ("answer", "response")
_MARKS: Final = ("cache_control", "prompt_cache_breakpoint")


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a chat completion.

    Overlooked: null for nothing said; `n: 1`, `stream: false`, `store: false`, `logprobs: false`, penalties of 0,
    `parallel_tool_calls: true`, `tool_choice: auto`, a tool's `strict: false` and empty lists of stops and tools, which
    are the defaults; white space in arguments of tools;
    the two names of the output bound, of which each provider knows one; one stop without its list; one text without its
    list; what an assistant that only called tools says (null, "" or nothing); `type: function` of a tool or a choice,
    which is the only one; Mistral's word `any` for `required`, of which it takes both; `stream_options`, since the
    gateway always asks for usage; a schema's name that somebody had to make up. Left out, since they change no answer:
    cache marks, the `name` of a tool's result, the `index` of an earlier call, the reasoning of earlier turns,
    `prefix: false`.
    """
    put = said(body)
    put.pop("stream_options", None)
    for name, silent in _SILENT:
        if put.get(name) == silent:
            del put[name]
    for name in _BOUNDS:
        if name in put:
            put["(output bound)"] = put.pop(name)
    if isinstance(put.get("stop"), str):
        put["stop"] = [put["stop"]]
    if "tools" in put:
        put["tools"] = [_openai_tool(tool) for tool in put["tools"]]
    if "tool_choice" in put:
        put["tool_choice"] = _choice(put["tool_choice"])
    if is_object(put.get("response_format")):
        put["response_format"] = _format(put["response_format"])
    if "messages" in put:
        put["messages"] = [_openai_message(message) for message in put["messages"]]
    return put


def _choice(choice: Any) -> Any:
    if is_object(choice):
        return {"type": "function", **choice}
    return "required" if choice == "any" else choice


def _format(wanted: dict[str, Any]) -> dict[str, Any]:
    schema = wanted.get("json_schema")
    if not is_object(schema) or schema.get("name") not in _MADE_UP:
        return wanted
    return {**wanted, "json_schema": {name: value for name, value in said(schema).items() if name != "name"}}


def _openai_tool(tool: dict[str, Any]) -> dict[str, Any]:
    put: dict[str, Any] = {"type": "function", **said(tool)}
    put.pop("cache_control", None)
    if "function" in put:
        put["function"] = said(put["function"])
        if put["function"].get("strict") is False:
            del put["function"]["strict"]
    return put


def _openai_message(message: dict[str, Any]) -> dict[str, Any]:
    put = said(message)
    for name in ("reasoning", "reasoning_content", "reasoning_details", "annotations"):
        put.pop(name, None)
    if put.get("prefix") is False:
        del put["prefix"]
    if put["role"] == "tool":
        put.pop("name", None)
    if calls := put.pop("tool_calls", None):
        put["tool_calls"] = [_call(call) for call in calls]
    content = put.pop("content", None)
    if is_list(content):
        parts = [_openai_part(part) for part in content]
        content = parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts
    if content or "tool_calls" not in put:
        put["content"] = content or ""
    return put


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = dict(call["function"])
    with suppress(ValueError):
        function["arguments"] = json.loads(function["arguments"])
    return {**{name: value for name, value in call.items() if name != "index"}, "function": function}


def _openai_part(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said(part).items() if name not in _MARKS}
