"""When two calls of the Responses API ask the same: the normal form of their bodies."""

import json
from contextlib import suppress
from typing import Any, Final

from tests.conformance.wire import is_object, said

_SILENT: Final[tuple[tuple[str, Any], ...]] = (
    ("stream", False),
    ("tools", []),
    ("include", []),
    ("reasoning", {}),
    ("text", {}),
    ("parallel_tool_calls", True),
    ("tool_choice", "auto"),
    ("background", False),
)
_ASKED_ANYWAY: Final = "reasoning.encrypted_content"


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a call.

    Overlooked: null for nothing said; `stream: false`, `background: false`, `tool_choice: auto`,
    `parallel_tool_calls: true`, a format of plain text and empty lists and objects, which are the defaults;
    `stream_options`; whether the answer is stored, and that reasoning is asked for encrypted instead; `instructions`
    ahead of the input for a first message of the system; one text without its list; that an assistant that only
    called tools said nothing; white space in arguments and in results of tools; ids, `status` and `phase` of earlier
    items, and annotations and log probabilities of what they said; a summary in several parts for one in one.
    """
    put = said(body)
    for name in ("store", "stream_options"):
        put.pop(name, None)
    if "include" in put:
        put["include"] = sorted(one for one in put["include"] if one != _ASKED_ANYWAY)
    for name in ("reasoning", "text"):
        if is_object(put.get(name)):
            put[name] = said(put[name])
    if is_object(put.get("text")):
        form = put["text"].get("format")
        plain = form == {"type": "text"}
        put["text"] = {name: value for name, value in put["text"].items() if not (plain and name == "format")}
    for name, silent in _SILENT:
        if put.get(name) == silent:
            del put[name]
    if "tools" in put:
        put["tools"] = [_tool(tool) for tool in put["tools"]]
    given = put.pop("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if first := put.pop("instructions", None):
        items = [{"role": "system", "content": first}, *items]
    put["input"] = [_item(one) for place, one in enumerate(items) if not _is_silent(one, items[place + 1 :])]
    return put


def _is_silent(item: dict[str, Any], behind: list[dict[str, Any]]) -> bool:
    """What an assistant says that only called tools."""
    called = bool(behind) and behind[0].get("type") == "function_call"
    return called and item.get("role") == "assistant" and not item.get("content")


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {"strict": True, **said(tool)} if tool["type"] == "function" else said(tool)


def _item(item: dict[str, Any]) -> dict[str, Any]:
    put = said(item)
    kind = put.pop("type", "message")
    for name in ("id", "status", "phase"):
        put.pop(name, None)
    match kind:
        case "message":
            put["content"] = _content(put["content"])
        case "function_call":
            put["arguments"] = _json(put["arguments"])
        case "function_call_output":
            put["output"] = _json(_content(put["output"]))
        case "reasoning":
            put["summary"] = "\n\n".join(part["text"] for part in put.get("summary") or ())
            put.pop("content", None)
        case _:
            pass
    return {"type": kind, **put}


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    parts = [_part(part) for part in content]
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return parts[0]["text"]
    return parts


def _part(part: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in said(part).items()
        if name not in ("annotations", "logprobs", "prompt_cache_breakpoint")
    }


def _json(text: Any) -> Any:
    if isinstance(text, str):
        with suppress(ValueError):
            return json.loads(text)
    return text
