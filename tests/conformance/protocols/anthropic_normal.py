"""When two messages ask the same: the normal form of their bodies."""

from typing import Any

from tests.conformance.wire import said


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a message.

    Overlooked: null for nothing said; `stream: false`; one text without its list; texts without a character, which the
    API refuses; a tool's `type: custom` and `strict: false`, a result's `is_error: false`, a cache mark's `ttl: 5m`,
    which are the API's defaults. Neighbouring messages of one role are one, which is how the API reads them.
    """
    put = said(body)
    if put.get("stream") is False:
        del put["stream"]
    if "system" in put:
        put["system"] = _blocks(put["system"])
    if "cache_control" in put:
        put["cache_control"] = _mark(put["cache_control"])
    if "tools" in put:
        put["tools"] = [_anthropic_tool(tool) for tool in put["tools"]]
    turns: list[dict[str, Any]] = []
    for message in put.pop("messages"):
        blocks = _blocks(message["content"])
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] += blocks
        else:
            turns.append({**message, "content": blocks})
    return {**{name: value for name, value in put.items() if value != []}, "messages": turns}


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    return [_block(block) for block in content if block["type"] != "text" or block["text"]]


def _block(block: dict[str, Any]) -> dict[str, Any]:
    put = said(block)
    if "cache_control" in put:
        put["cache_control"] = _mark(put["cache_control"])
    if put["type"] == "tool_result":
        put["content"] = _blocks(put.get("content", []))
        if put.get("is_error") is False:
            del put["is_error"]
    return put


def _mark(mark: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in mark.items() if (name, value) != ("ttl", "5m")}


def _anthropic_tool(tool: dict[str, Any]) -> dict[str, Any]:
    put = said(tool)
    for name, silent in (("type", "custom"), ("strict", False)):
        if put.get(name) == silent:
            del put[name]
    if "cache_control" in put:
        put["cache_control"] = _mark(put["cache_control"])
    return put
