"""When two bodies of a call to Bedrock ask the same: their normal form, with every difference overlooked by name."""

import json
from typing import Any

from tests.conformance.wire import is_list, is_object, said


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a call.

    Overlooked: null for nothing said; an empty `system`, `inferenceConfig`; texts without a character, which the API
    refuses; a result's `status: success`, a cache point's `ttl: 5m`, a tool's `strict: false` and the `type` of a call,
    which are the API's defaults; the question which stop sequence was met, which changes no answer. A schema is
    compared as JSON, not as the text that it is. Neighbouring messages of one role are one, which is how the API reads
    them.
    """
    if "input" in body:
        return {"input": {"converse": normal(body["input"]["converse"])}}
    if "messages" not in body:
        return said(body)
    found = said(body)
    if found.get("additionalModelResponseFieldPaths") == ["/stop_sequence"]:
        del found["additionalModelResponseFieldPaths"]
    if "system" in found:
        found["system"] = _blocks(found["system"])
    if "outputConfig" in found:
        found["outputConfig"] = _with_schema(found["outputConfig"])
    if "toolConfig" in found:
        tools = [_tool(tool) for tool in found["toolConfig"]["tools"]]
        found["toolConfig"] = {**found["toolConfig"], "tools": tools}
    turns: list[dict[str, Any]] = []
    for message in found.pop("messages"):
        blocks = _blocks(message["content"])
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": message["role"], "content": blocks})
    return {**{name: value for name, value in found.items() if value not in ([], {})}, "messages": turns}


def _blocks(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_block(block) for block in content if block.get("text") != ""]


def _block(block: dict[str, Any]) -> dict[str, Any]:
    ((kind, held),) = block.items()
    if not is_object(held):
        return block
    inside = said(held)
    match kind:
        case "cachePoint":
            return {kind: _without(inside, "ttl", "5m")}
        case "toolUse":
            return {kind: _without(inside, "type", "tool_use")}
        case "toolResult":
            inside = _without(inside, "status", "success")
            return {kind: {**inside, "content": _blocks(inside.get("content", []))}}
        case _:
            return {kind: inside}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if "toolSpec" not in tool:
        return _block(tool)
    return {"toolSpec": _without(said(tool["toolSpec"]), "strict", False)}


def _without(members: dict[str, Any], name: str, silent: object) -> dict[str, Any]:
    return {one: value for one, value in members.items() if (one, value) != (name, silent)}


def _with_schema(value: Any) -> Any:
    """`value` with each schema that is a text as the JSON that it is."""
    if is_object(value):
        return {
            name: json.loads(inner) if name == "schema" and isinstance(inner, str) else _with_schema(inner)
            for name, inner in value.items()
        }
    return [_with_schema(inner) for inner in value] if is_list(value) else value
