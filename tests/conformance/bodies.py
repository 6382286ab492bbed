"""When two request bodies ask the same: their normal forms. Every difference that is overlooked is named here.

Passed-through bodies have none of these freedoms: they are compared as they are.
"""

import json
from typing import Any, Final

from tests.conformance.wire import is_list, is_object

_BOUNDS: Final = ("max_completion_tokens", "max_tokens")
_SILENT: Final[tuple[tuple[str, Any], ...]] = (
    ("n", 1),
    ("stream", False),
    ("stop", []),
    ("tools", []),
    ("store", False),
)
_MARKS: Final = ("cache_control", "prompt_cache_breakpoint")


def openai(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a chat completion.

    Overlooked: null for nothing said; `n: 1`, `stream: false`, empty lists of stops and tools; the two names of the
    output bound, of which each provider knows one; one stop without its list; one text without its list; what an
    assistant that only called tools says (null, "" or nothing); `type: function` of a tool or a choice, which is the
    only one; Mistral's word `any` for `required`, of which it takes both; `stream_options`, since the gateway always
    asks for usage. Left out, since they change no answer: cache marks, the `name` of a tool's result, the `index` of an
    earlier call, the reasoning of earlier turns, `prefix: false`.
    """
    said = _said(body)
    said.pop("stream_options", None)
    for name, silent in _SILENT:
        if said.get(name) == silent:
            del said[name]
    for name in _BOUNDS:
        if name in said:
            said["(output bound)"] = said.pop(name)
    if isinstance(said.get("stop"), str):
        said["stop"] = [said["stop"]]
    if "tools" in said:
        said["tools"] = [_openai_tool(tool) for tool in said["tools"]]
    if is_object(said.get("tool_choice")):
        said["tool_choice"] = {"type": "function", **said["tool_choice"]}
    elif said.get("tool_choice") == "any":
        said["tool_choice"] = "required"
    if "messages" in said:
        said["messages"] = [_openai_message(message) for message in said["messages"]]
    return said


def _said(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _openai_tool(tool: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"type": "function", **_said(tool)}
    said.pop("cache_control", None)
    if "function" in said:
        said["function"] = _said(said["function"])
    return said


def _openai_message(message: dict[str, Any]) -> dict[str, Any]:
    said = _said(message)
    for name in ("reasoning", "reasoning_content", "reasoning_details", "annotations"):
        said.pop(name, None)
    if said.get("prefix") is False:
        del said["prefix"]
    if said["role"] == "tool":
        said.pop("name", None)
    if calls := said.pop("tool_calls", None):
        said["tool_calls"] = [{name: value for name, value in call.items() if name != "index"} for call in calls]
    content = said.pop("content", None)
    if is_list(content):
        parts = [_openai_part(part) for part in content]
        content = parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts
    if content or "tool_calls" not in said:
        said["content"] = content or ""
    return said


def _openai_part(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in _said(part).items() if name not in _MARKS}


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a call for embeddings.

    Overlooked: how the vectors are spelled, since the native dialect always tells numbers; one text without its list.
    """
    said = {name: value for name, value in _said(body).items() if name != "encoding_format"}
    return {**said, "input": [said["input"]]} if isinstance(said["input"], str) else said


def anthropic(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a message.

    Overlooked: null for nothing said; `stream: false`; one text without its list; texts without a character, which the
    API refuses; a tool's `type: custom` and `strict: false`, a result's `is_error: false`, a cache mark's `ttl: 5m`,
    which are the API's defaults. Neighbouring messages of one role are one, which is how the API reads them.
    """
    said = _said(body)
    if said.get("stream") is False:
        del said["stream"]
    if "system" in said:
        said["system"] = _blocks(said["system"])
    if "cache_control" in said:
        said["cache_control"] = _mark(said["cache_control"])
    if "tools" in said:
        said["tools"] = [_anthropic_tool(tool) for tool in said["tools"]]
    turns: list[dict[str, Any]] = []
    for message in said.pop("messages"):
        blocks = _blocks(message["content"])
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] += blocks
        else:
            turns.append({**message, "content": blocks})
    return {**{name: value for name, value in said.items() if value != []}, "messages": turns}


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    return [_block(block) for block in content if block["type"] != "text" or block["text"]]


def _block(block: dict[str, Any]) -> dict[str, Any]:
    said = _said(block)
    if "cache_control" in said:
        said["cache_control"] = _mark(said["cache_control"])
    if said["type"] == "tool_result":
        said["content"] = _blocks(said.get("content", []))
        if said.get("is_error") is False:
            del said["is_error"]
    return said


def _mark(mark: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in mark.items() if (name, value) != ("ttl", "5m")}


def _anthropic_tool(tool: dict[str, Any]) -> dict[str, Any]:
    said = _said(tool)
    for name, silent in (("type", "custom"), ("strict", False)):
        if said.get(name) == silent:
            del said[name]
    if "cache_control" in said:
        said["cache_control"] = _mark(said["cache_control"])
    return said


def differences(expected: Any, got: Any, where: str = "body") -> list[str]:
    """In words, where two JSON values differ; nothing where they are equal. The order of members is free."""
    if is_object(expected) and is_object(got):
        found = [f"{where}.{name} is missing" for name in expected.keys() - got.keys()]
        found += [f"{where}.{name} is too much: {_short(got[name])}" for name in got.keys() - expected.keys()]
        for name in expected.keys() & got.keys():
            found += differences(expected[name], got[name], f"{where}.{name}")
        return sorted(found)
    if is_list(expected) and is_list(got) and len(expected) == len(got):
        return [
            one
            for place, (left, right) in enumerate(zip(expected, got, strict=True))
            for one in differences(left, right, f"{where}[{place}]")
        ]
    same = expected == got and isinstance(expected, bool) == isinstance(got, bool)
    return [] if same else [f"{where}: {_short(got)} instead of {_short(expected)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 50]} ... {text[-40:]}"


_SHOWN: Final = 300
