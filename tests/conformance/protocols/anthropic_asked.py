"""Recorded calls of Anthropic's Messages API, asked in the native dialect."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from scaigrid import provider_state
from scaigrid.types import ReasoningPart
from tests.conformance.cases import NotRun
from tests.conformance.wire import inner, is_object

PROVIDER: Final = "anthropic"
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "any": "required", "none": "none"}
_FUNCTION: Final = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
_SCHEMA_NAME: Final = "answer"
"""Anthropic's schemas have no name, those of the native ones have to have one."""


def chat(request: dict[str, Any]) -> dict[str, Any]:
    """The native call, without its model; what only this provider knows goes into `provider_options`. Raises NotRun."""
    asked: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in request.items():
        if value is not None:
            _member(name, value, asked, options)
    functions, others = _tools(request.get("tools") or [])
    if functions:
        asked["tools"] = functions
    if others:
        options["tools"] = others
    if "tool_choice" in request:
        if functions:
            _tool_choice(request["tool_choice"], asked)
        else:
            options["tool_choice"] = request["tool_choice"]
    asked |= _thinking(options)
    if options:
        asked["provider_options"] = {PROVIDER: options}
    system = request.get("system")
    begin = [{"role": "system", "content": _content(system)}] if system else []
    asked["messages"] = [*begin, *(one for message in request["messages"] for one in _turn(message))]
    return asked


def _thinking(options: dict[str, Any]) -> dict[str, Any]:
    """Thinking in the native word, if that can say it; it is taken out of `options`."""
    thinking = options.get("thinking")
    if thinking == {"type": "disabled"}:
        del options["thinking"]
        return {"reasoning": {"effort": "none"}}
    if is_object(thinking) and thinking.keys() == {"type", "budget_tokens"}:
        return {"reasoning": {"budget_tokens": options.pop("thinking")["budget_tokens"]}}
    config = options.get("output_config")
    if thinking != {"type": "adaptive"} or not is_object(config) or "effort" not in config:
        return {}
    effort = config.pop("effort")
    del options["thinking"]
    if not config:
        del options["output_config"]
    return {"reasoning": {"effort": effort}}


def _member(name: str, value: Any, asked: dict[str, Any], options: dict[str, Any]) -> None:
    match name:
        case "model" | "messages" | "system" | "tools" | "tool_choice":
            pass
        case "stream" | "temperature" | "top_p" | "top_k" | "max_tokens":
            asked[name] = value
        case "stop_sequences":
            asked["stop"] = value
        case "metadata" if value.keys() == {"user_id"}:
            asked["user"] = value["user_id"]
        case "output_config":
            rest = dict(value)
            if is_object(rest.get("format")) and rest["format"].keys() == {"type", "schema"}:
                schema = {"name": _SCHEMA_NAME, "schema": rest.pop("format")["schema"]}
                asked["response_format"] = {"type": "json_schema", "json_schema": schema}
            if rest:
                options[name] = rest
        case _:
            options[name] = value


def _tools(tools: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Functions, and from the first tool on that is none, all the others as they are: so the order stays."""
    place = next((place for place, tool in enumerate(tools) if not _is_function(tool)), len(tools))
    return [_function(tool) for tool in tools[:place]], tools[place:]


def _is_function(tool: dict[str, Any]) -> bool:
    return tool.get("type", "custom") == "custom" and tool.keys() <= _FUNCTION


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = {name: tool[name] for name in ("name", "description", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": {**function, "parameters": tool["input_schema"]}, **_cache(tool)}


def _tool_choice(choice: dict[str, Any], asked: dict[str, Any]) -> None:
    if choice.get("disable_parallel_tool_use"):
        asked["parallel_tool_calls"] = False
    if choice["type"] == "tool":
        asked["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    else:
        asked["tool_choice"] = _CHOICES[choice["type"]]


# -- messages --------------------------------------------------------------------------------------------------------


def _turn(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = message["content"]
    if isinstance(content, str):
        yield {"role": message["role"], "content": content}
    elif message["role"] == "assistant":
        yield _assistant(content)
    else:
        yield from _user(content)


def _user(content: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A message for each tool's result, which have to come first, and one for the rest."""
    results = [block for block in content if block["type"] == "tool_result"]
    rest = [block for block in content if block["type"] != "tool_result"]
    if [*results, *rest] != content:
        raise NotRun("a tool's result behind other blocks")
    for block in results:
        _only(block, {"tool_use_id", "content", "is_error"})
        if block.get("cache_control"):
            raise NotRun("a cache mark on a tool's result")
        said = _content(block.get("content", ""))
        failed = {"error": True} if block.get("is_error") else {}
        yield {"role": "tool", "tool_call_id": block["tool_use_id"], "content": said, **failed}
    if rest:
        yield {"role": "user", "content": _content(rest)}


_RANKS: Final[Mapping[str, int]] = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}


def _assistant(content: list[dict[str, Any]]) -> dict[str, Any]:
    for block in content:
        if block["type"] not in _RANKS:
            raise NotRun(f"a block of type {block['type']} in an earlier answer: only its provider can say it")
    ranks = [_RANKS[block["type"]] for block in content]
    if ranks != sorted(ranks):
        raise NotRun("an earlier answer that goes on after its tool calls")
    said: dict[str, Any] = {"role": "assistant"}
    if texts := [block for block in content if block["type"] == "text"]:
        said["content"] = _content(texts)
    if state := provider_state.encode([_thought(block) for block in content if _RANKS[block["type"]] == 0]):
        said["provider_state"] = state
    if calls := [block for block in content if block["type"] == "tool_use"]:
        said["tool_calls"] = [_call(block) for block in calls]
    return said


def _thought(block: dict[str, Any]) -> ReasoningPart:
    if block["type"] == "redacted_thinking":
        return ReasoningPart(redacted=block["data"], provider=PROVIDER)
    return ReasoningPart(text=block["thinking"], signature=block["signature"], provider=PROVIDER)


def _call(block: dict[str, Any]) -> dict[str, Any]:
    _only(block, {"id", "name", "input"})
    function = {"name": block["name"], "arguments": json.dumps(block["input"])}
    return {"id": block["id"], "type": "function", "function": function}


def _content(content: Any) -> Any:
    return content if isinstance(content, str) else [_part(block) for block in content]


def _part(block: dict[str, Any]) -> dict[str, Any]:
    cache = _cache(block)
    match block["type"]:
        case "text":
            _only(block, {"text"})
            return {"type": "text", "text": block["text"], **cache}
        case "image":
            _only(block, {"source"})
            return {"type": "image", **_source(block["source"]), **cache}
        case "document":
            _only(block, {"source", "title", "citations"})
            named = {"filename": block["title"]} if block.get("title") else {}
            cited = {"citations": True} if inner(block, "citations").get("enabled") else {}
            return {"type": "file", **_source(block["source"]), **named, **cited, **cache}
        case kind:
            raise NotRun(f"a block of type {kind}: only this provider can say it")


def _cache(block: dict[str, Any]) -> dict[str, Any]:
    mark = block.get("cache_control")
    return {"cache": mark.get("ttl", "5m")} if mark else {}


def _only(block: dict[str, Any], known: set[str]) -> None:
    for name, value in block.items():
        if value is not None and name not in known and name not in ("type", "cache_control"):
            raise NotRun(f"{block['type']}.{name}: only this provider can say it")


def _source(source: dict[str, Any]) -> dict[str, Any]:
    read = _SOURCES.get(source["type"])
    if read is None:
        raise NotRun(f"a source of type {source['type']}: only this provider can say it")
    return read(source)


_SOURCES: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "url": lambda source: {"url": source["url"]},
    "file": lambda source: {"file_id": source["file_id"]},
    "base64": lambda source: {"data": source["data"], "media_type": source["media_type"]},
    "text": lambda source: {
        "data": base64.b64encode(source["data"].encode()).decode(),
        "media_type": source["media_type"],
    },
}
