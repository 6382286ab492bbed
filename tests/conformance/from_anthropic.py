"""Recorded calls of Anthropic's Messages API, asked in the dialects that clients of the gateway speak."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from scaigrid import provider_state
from scaigrid.types import ReasoningPart
from tests.conformance.cases import NotRun
from tests.conformance.wire import is_object

PROVIDER: Final = "anthropic"
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "any": "required", "none": "none"}
_FUNCTION: Final = frozenset({"type", "name", "description", "input_schema", "strict"})
_SCHEMA_NAME: Final = "answer"
"""Anthropic's schemas have no name, those of both dialects have to have one."""


class Words(Protocol):
    """How a dialect says what the other says too."""

    bound: str

    def effort(self, effort: str) -> dict[str, Any]: ...
    def image(self, source: dict[str, Any]) -> dict[str, Any]: ...
    def file(self, source: dict[str, Any]) -> dict[str, Any]: ...
    def cached(self) -> dict[str, Any]: ...
    def failed(self) -> dict[str, Any]: ...

    def rest(self, asked: dict[str, Any], options: dict[str, Any]) -> None:
        """Puts what only this provider knows into the call. Raises NotRun."""
        ...


class Native:
    """The native dialect, which has `provider_options` for what has no word of its own."""

    bound = "max_tokens"

    def effort(self, effort: str) -> dict[str, Any]:
        return {"reasoning": {"effort": effort}}

    def image(self, source: dict[str, Any]) -> dict[str, Any]:
        return {"type": "image", **source}

    def file(self, source: dict[str, Any]) -> dict[str, Any]:
        return {"type": "file", **source}

    def cached(self) -> dict[str, Any]:
        return {"cache": True}

    def failed(self) -> dict[str, Any]:
        return {"error": True}

    def rest(self, asked: dict[str, Any], options: dict[str, Any]) -> None:
        thinking = options.get("thinking")
        if is_object(thinking) and thinking.keys() == {"type", "budget_tokens"}:
            asked["reasoning"] = {"budget_tokens": options.pop("thinking")["budget_tokens"]}
        if options:
            asked["provider_options"] = {PROVIDER: options}


class OpenAI:
    """The OpenAI dialect, which has no word for what only one provider knows."""

    bound = "max_completion_tokens"

    def effort(self, effort: str) -> dict[str, Any]:
        return {"reasoning_effort": effort}

    def image(self, source: dict[str, Any]) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": self._url(source)}}

    def file(self, source: dict[str, Any]) -> dict[str, Any]:
        if "file_id" in source:
            return {"type": "file", "file": source}
        return {"type": "file", "file": {"file_data": self._url(source)}}

    def cached(self) -> dict[str, Any]:
        return {"cache_control": {"type": "ephemeral"}}

    def failed(self) -> dict[str, Any]:
        raise NotRun("tool_result.is_error has no word in the OpenAI dialect")

    def rest(self, asked: dict[str, Any], options: dict[str, Any]) -> None:
        for name, value in options.items():
            what = _odd_tool(value[0]) if name == "tools" else name
            raise NotRun(f"{what} has no word in the OpenAI dialect")

    def _url(self, source: dict[str, Any]) -> str:
        url: str = source["url"] if "url" in source else f"data:{source['media_type']};base64,{source['data']}"
        return url


WORDS: Final[Mapping[str, Words]] = {"native": Native(), "openai": OpenAI()}


def chat(request: dict[str, Any], dialect: str) -> dict[str, Any]:
    """The call in `dialect`, without its model. Raises NotRun, by name, for what the dialect cannot say."""
    words = WORDS[dialect]
    asked: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in request.items():
        if value is not None:
            _member(name, value, asked, options, words)
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
    asked |= _effort(options, words)
    words.rest(asked, options)
    system = request.get("system")
    begin = [{"role": "system", "content": _content(system, words)}] if system else []
    asked["messages"] = [*begin, *(one for message in request["messages"] for one in _turn(message, words))]
    return asked


def _effort(options: dict[str, Any], words: Words) -> dict[str, Any]:
    """Thinking that is guided by an effort, in the dialect's word; it is taken out of `options`."""
    if options.get("thinking") == {"type": "disabled"}:
        del options["thinking"]
        return words.effort("none")
    config = options.get("output_config")
    if options.get("thinking") != {"type": "adaptive"} or not is_object(config) or "effort" not in config:
        return {}
    effort = config.pop("effort")
    del options["thinking"]
    if not config:
        del options["output_config"]
    return words.effort(effort)


def _member(name: str, value: Any, asked: dict[str, Any], options: dict[str, Any], words: Words) -> None:
    match name:
        case "model" | "messages" | "system" | "tools" | "tool_choice":
            pass
        case "stream" | "temperature" | "top_p":
            asked[name] = value
        case "max_tokens":
            asked[words.bound] = value
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


def _odd_tool(tool: dict[str, Any]) -> str:
    odd = sorted(tool.keys() - _FUNCTION)
    return f"tools[].{odd[0]}" if "type" not in tool and odd else f"a tool of type {tool.get('type')}"


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = {name: tool[name] for name in ("name", "description", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": {**function, "parameters": tool["input_schema"]}}


def _tool_choice(choice: dict[str, Any], asked: dict[str, Any]) -> None:
    if choice.get("disable_parallel_tool_use"):
        asked["parallel_tool_calls"] = False
    if choice["type"] == "tool":
        asked["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    else:
        asked["tool_choice"] = _CHOICES[choice["type"]]


# -- messages --------------------------------------------------------------------------------------------------------


def _turn(message: dict[str, Any], words: Words) -> Iterator[dict[str, Any]]:
    content = message["content"]
    if isinstance(content, str):
        yield {"role": message["role"], "content": content}
    elif message["role"] == "assistant":
        yield _assistant(content, words)
    else:
        yield from _user(content, words)


def _user(content: list[dict[str, Any]], words: Words) -> Iterator[dict[str, Any]]:
    """A message for each tool's result, which have to come first, and one for the rest."""
    results = [block for block in content if block["type"] == "tool_result"]
    rest = [block for block in content if block["type"] != "tool_result"]
    if [*results, *rest] != content:
        raise NotRun("a tool's result behind other blocks")
    for block in results:
        _only(block, {"tool_use_id", "content", "is_error"})
        said = _content(block.get("content", ""), words)
        failed = words.failed() if block.get("is_error") else {}
        yield {"role": "tool", "tool_call_id": block["tool_use_id"], "content": said, **failed}
    if rest:
        yield {"role": "user", "content": _content(rest, words)}


_RANKS: Final[Mapping[str, int]] = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}


def _assistant(content: list[dict[str, Any]], words: Words) -> dict[str, Any]:
    for block in content:
        if block["type"] not in _RANKS:
            raise NotRun(f"a block of type {block['type']} in an earlier answer: only its provider can say it")
    ranks = [_RANKS[block["type"]] for block in content]
    if ranks != sorted(ranks):
        raise NotRun("an earlier answer that goes on after its tool calls")
    said: dict[str, Any] = {"role": "assistant"}
    if texts := [block for block in content if block["type"] == "text"]:
        said["content"] = _content(texts, words)
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


def _content(content: Any, words: Words) -> Any:
    return content if isinstance(content, str) else [_part(block, words) for block in content]


def _part(block: dict[str, Any], words: Words) -> dict[str, Any]:
    mark = block.get("cache_control")
    if mark and (block["type"] != "text" or mark.get("ttl", "5m") != "5m"):
        raise NotRun(f"a cache mark of {mark.get('ttl', '5m')} on a block of type {block['type']}")
    match block["type"]:
        case "text":
            _only(block, {"text"})
            return {"type": "text", "text": block["text"], **(words.cached() if mark else {})}
        case "image":
            _only(block, {"source"})
            return words.image(_source(block["source"]))
        case "document":
            _only(block, {"source"})
            return words.file(_source(block["source"]))
        case kind:
            raise NotRun(f"a block of type {kind}: only this provider can say it")


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
