"""A call in native words, written for OpenAI's Responses API."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from scaigrid import provider_state
from scaigrid.types import ReasoningPart
from tests.conformance.cases import NotRun
from tests.conformance.dialects.openai_write import SILENT, address
from tests.conformance.wire import inner, is_list, is_object

PREFIX: Final = "scaigrid."
"""What stands ahead of another provider's state in `encrypted_content`."""
_SAME: Final = frozenset({"parallel_tool_calls", "provider_options", "stream", "temperature", "top_logprobs", "top_p"})
_ELSEWHERE: Final = frozenset({"messages", "tools"})


def response(asked: dict[str, Any]) -> dict[str, Any]:
    """A call, its input last. Raises NotRun."""
    said: dict[str, Any] = {}
    for name, value in asked.items():
        if (name, value) in SILENT:
            continue
        if name in _SAME:
            said[name] = value
        elif name not in _ELSEWHERE:
            said |= _member(name, value)
    if asked.get("tools"):
        said["tools"] = [_tool(tool) for tool in asked["tools"]]
    return {**said, "input": [item for message in asked["messages"] for item in _items(message)]}


def _member(name: str, value: Any) -> dict[str, Any]:
    match name:
        case "max_tokens":
            return {"max_output_tokens": value}
        case "user":
            return {"safety_identifier": value}
        case "tool_choice":
            return {name: value if isinstance(value, str) else {"type": "function", **value["function"]}}
        case "logprobs":
            return {"include": ["message.output_text.logprobs"]} if value else {}
        case "response_format":
            return {"text": {"format": {"type": value["type"], **value.get("json_schema", {})}}}
        case "reasoning" if "budget_tokens" not in value:
            return {name: value}
        case "reasoning":
            raise NotRun("reasoning.budget_tokens has no word in the Responses API")
        case _:
            raise NotRun(f"{name} has no word in the Responses API")


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("cache"):
        raise NotRun("a cache mark on a tool has no word in the Responses API")
    function = {name: value for name, value in tool["function"].items() if value is not None}
    if closed(function.get("parameters")):
        # What says nothing of it would be strict here, and is not where the call comes from.
        function.setdefault("strict", False)
    return {"type": "function", **function}


def closed(schema: object) -> bool:
    """Whether strict mode takes a schema: every object in it closed, and every property required."""
    if is_list(schema):
        return all(map(closed, schema))
    if not is_object(schema):
        return schema is not None
    properties = inner(schema, "properties")
    is_object_schema = "properties" in schema or schema.get("type") == "object"
    loose = schema.get("additionalProperties") is not False or set(properties) != set(schema.get("required", ()))
    if is_object_schema and loose:
        return False
    return all(closed(value) for value in schema.values() if is_object(value) or is_list(value))


def _items(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if message.get("name") is not None:
        raise NotRun("messages[].name has no word in the Responses API")
    match message["role"]:
        case "assistant":
            yield from _answer(message)
        case "tool":
            if message.get("error"):
                raise NotRun("a tool's failure has no word in the Responses API")
            output = _content(message["content"])
            yield {"type": "function_call_output", "call_id": message["tool_call_id"], "output": output}
        case role:
            yield {"type": "message", "role": role, "content": _content(message["content"])}


def _answer(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if message.get("reasoning") and not message.get("provider_state"):
        yield {"type": "reasoning", "summary": [{"type": "summary_text", "text": message["reasoning"]}]}
    for part in provider_state.decode(message["provider_state"]) if message.get("provider_state") else ():
        yield reasoning(part)
    content = message.get("content")
    said = [content] if isinstance(content, str) and content else [_sent(part) for part in content or ()]
    parts = [{"type": "output_text", "text": one} for one in said]
    if message.get("refusal"):
        parts.append({"type": "refusal", "refusal": message["refusal"]})
    if parts:
        yield {"type": "message", "role": "assistant", "content": parts}
    for call in message.get("tool_calls") or ():
        yield {"type": "function_call", "call_id": call["id"], **call["function"]}


def _sent(part: dict[str, Any]) -> str:
    if part["type"] != "text" or part.get("cache"):
        raise NotRun(f"a part of type {part['type']} in an earlier answer has no word in the Responses API")
    text: str = part["text"]
    return text


def reasoning(part: ReasoningPart) -> dict[str, Any]:
    """A piece of reasoning: OpenAI's own as it is, that of others as their state."""
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    if part.provider == "openai" and part.id is not None:
        return {"type": "reasoning", "id": part.id, "summary": summary, "encrypted_content": part.signature}
    state = provider_state.encode([part])
    sealed = {} if state is None else {"encrypted_content": PREFIX + state}
    return {"type": "reasoning", "summary": summary, **sealed}


def _content(content: Any) -> Any:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    write = _PARTS.get(part["type"])
    if write is None:
        raise NotRun(f"a part of type {part['type']} has no word in the Responses API")
    if part.get("cache") == "1h":
        raise NotRun("a cache mark of 1h has no word in the Responses API")
    marked = {"prompt_cache_breakpoint": {"mode": "explicit"}} if part.get("cache") else {}
    return {**write(part), **marked}


def _text(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "input_text", "text": part["text"]}


def _image(part: dict[str, Any]) -> dict[str, Any]:
    detail = {"detail": part["detail"]} if "detail" in part else {}
    return {"type": "input_image", "image_url": address(part), **detail}


def _audio(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": part["data"], "format": part["format"]}}


def _file(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("citations"):
        raise NotRun("the wish for citations of a document has no word in the Responses API")
    named = {"filename": part["filename"]} if "filename" in part else {}
    if "file_id" in part:
        return {"type": "input_file", "file_id": part["file_id"], **named}
    return {"type": "input_file", "file_url" if "url" in part else "file_data": address(part), **named}


_PARTS: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "text": _text,
    "image": _image,
    "audio": _audio,
    "file": _file,
}
