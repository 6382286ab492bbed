"""Recorded calls of Bedrock's Converse API, asked in the native dialect."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from scaigrid import provider_state
from scaigrid.types import ReasoningPart
from tests.conformance.cases import NotRun
from tests.conformance.wire import is_object

PROVIDER: Final = "bedrock"
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "any": "required"}
_INFERENCE: Final[Mapping[str, str]] = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop",
}
_FIELDS: Final = "additionalModelRequestFields"
_DOCUMENTS: Final[Mapping[str, str]] = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "csv": "text/csv",
    "md": "text/markdown",
    "html": "text/html",
}
_VIDEOS: Final[Mapping[str, str]] = {"mp4": "video/mp4", "webm": "video/webm"}


def chat(request: dict[str, Any]) -> dict[str, Any]:
    """The native call, without its model; what only this provider knows goes into `provider_options`. Raises NotRun."""
    asked: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in request.items():
        match name:
            case "messages" | "system":
                pass
            case "inferenceConfig":
                asked |= {_INFERENCE[inner]: said for inner, said in value.items()}
            case "outputConfig":
                asked["response_format"] = _format(value)
            case "toolConfig":
                _tools(value, asked, options)
            case "additionalModelRequestFields":
                _own_fields(dict(value), asked, options)
            case _:
                options[name] = value
    if options:
        asked["provider_options"] = {PROVIDER: options}
    system = _content(request.get("system") or [])
    begin = [{"role": "system", "content": system}] if system else []
    asked["messages"] = [*begin, *(one for message in request["messages"] for one in _turn(message))]
    return asked


def _format(config: dict[str, Any]) -> dict[str, Any]:
    schema = dict(config["textFormat"]["structure"]["jsonSchema"])
    return {"type": "json_schema", "json_schema": {**schema, "schema": json.loads(schema["schema"])}}


def _own_fields(fields: dict[str, Any], asked: dict[str, Any], options: dict[str, Any]) -> None:
    """What a maker's own fields say in the native words, if they can; the rest stays what it is."""
    thinking = fields.get("thinking")
    if is_object(thinking) and thinking.keys() == {"type", "budget_tokens"}:
        asked["reasoning"] = {"budget_tokens": fields.pop("thinking")["budget_tokens"]}
    elif thinking == {"type": "disabled"}:
        del fields["thinking"]
        asked["reasoning"] = {"effort": "none"}
    elif thinking == {"type": "adaptive"} and fields.get("output_config", {}).keys() == {"effort"}:
        del fields["thinking"]
        asked["reasoning"] = fields.pop("output_config")
    for name in ("reasoning_config", "reasoning_effort"):
        if name in fields:
            asked["reasoning"] = {"effort": fields.pop(name)}
    if "top_k" in fields:
        asked["top_k"] = fields.pop("top_k")
    if fields:
        options[_FIELDS] = fields


# -- tools -----------------------------------------------------------------------------------------------------------


def _tools(config: dict[str, Any], asked: dict[str, Any], options: dict[str, Any]) -> None:
    """Tools of the caller's; all of them in the provider's words where one is the provider's own."""
    if any("systemTool" in tool for tool in config["tools"]):
        options["toolConfig"] = config
        return
    tools: list[dict[str, Any]] = []
    for tool in config["tools"]:
        if "cachePoint" in tool:
            tools[-1]["cache"] = tool["cachePoint"].get("ttl", "5m")
            continue
        spec = tool["toolSpec"]
        function = {name: spec[name] for name in ("name", "description", "strict") if name in spec}
        tools.append({"type": "function", "function": {**function, "parameters": spec["inputSchema"]["json"]}})
    asked["tools"] = tools
    for kind, named in config.get("toolChoice", {}).items():
        asked["tool_choice"] = {"type": "function", "function": named} if kind == "tool" else _CHOICES[kind]


# -- messages --------------------------------------------------------------------------------------------------------


def _turn(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content: list[dict[str, Any]] = message["content"]
    if message["role"] == "assistant":
        yield _assistant(content)
        return
    results = [block for block in content if "toolResult" in block]
    rest = [block for block in content if "toolResult" not in block]
    if [*results, *rest] != content:
        raise NotRun("a tool's result behind other blocks")
    if results and rest and "cachePoint" in rest[0]:
        raise NotRun("a cache mark on a tool's result")
    for block in results:
        result = block["toolResult"]
        failed = {"error": True} if result.get("status") == "error" else {}
        said = _content(result["content"])
        yield {"role": "tool", "tool_call_id": result["toolUseId"], "content": said, **failed}
    if rest:
        yield {"role": "user", "content": _content(rest)}


_RANKS: Final[Mapping[str, int]] = {"reasoningContent": 0, "text": 1, "toolUse": 2}


def _assistant(content: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = [next(iter(block)) for block in content]
    for kind in kinds:
        if kind not in _RANKS:
            raise NotRun(f"{kind} in an earlier answer: only its provider can say it")
    if any(block.get("toolUse", {}).get("type", "tool_use") != "tool_use" for block in content):
        raise NotRun("a call of the provider's own tool in an earlier answer")
    ranks = [_RANKS[kind] for kind in kinds]
    if ranks != sorted(ranks):
        raise NotRun("an earlier answer that goes on after its tool calls")
    said: dict[str, Any] = {"role": "assistant"}
    if texts := [block for block in content if "text" in block]:
        said["content"] = _content(texts)
    if state := provider_state.encode([_thought(block["reasoningContent"]) for block in content if _is_thought(block)]):
        said["provider_state"] = state
    if calls := [block["toolUse"] for block in content if "toolUse" in block]:
        said["tool_calls"] = [_call(call) for call in calls]
    return said


def _is_thought(block: dict[str, Any]) -> bool:
    return "reasoningContent" in block


def _thought(content: dict[str, Any]) -> ReasoningPart:
    if "redactedContent" in content:
        return ReasoningPart(redacted=content["redactedContent"], provider=PROVIDER)
    text = content["reasoningText"]
    return ReasoningPart(text=text["text"], signature=text["signature"], provider=PROVIDER)


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": json.dumps(call["input"])}
    return {"id": call["toolUseId"], "type": "function", "function": function}


def _content(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts; a cache point is a mark on the one ahead of it."""
    parts: list[dict[str, Any]] = []
    for block in content:
        if "cachePoint" in block:
            parts[-1]["cache"] = block["cachePoint"].get("ttl", "5m")
        else:
            parts.append(_part(block))
    return parts


def _part(block: dict[str, Any]) -> dict[str, Any]:
    ((kind, held),) = block.items()
    match kind:
        case "text":
            return {"type": "text", "text": held}
        case "json":
            return {"type": "json", "value": held}
        case "image":
            return {"type": "image", "media_type": f"image/{held['format']}", **_source(held)}
        case "audio" if "bytes" in held["source"]:
            return {"type": "audio", "data": held["source"]["bytes"], "format": held["format"]}
        case "document" if held["format"] in _DOCUMENTS:
            cited = {"citations": True} if held.get("citations", {}).get("enabled") else {}
            named = {"filename": held["name"], "media_type": _DOCUMENTS[held["format"]]}
            return {"type": "file", **named, **_source(held), **cited}
        case "video" if held["format"] in _VIDEOS:
            return {"type": "file", "media_type": _VIDEOS[held["format"]], **_source(held)}
        case _:
            raise NotRun(f"a block {kind}: only this provider can say it")


def _source(held: dict[str, Any]) -> dict[str, Any]:
    source = held["source"]
    return {"url": source["s3Location"]["uri"]} if "s3Location" in source else {"data": source["bytes"]}
