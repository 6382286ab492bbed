"""Recorded chat completions, asked in the native dialect."""

from typing import Any, Final

from tests.conformance.cases import NotRun
from tests.conformance.wire import inner

_SAME: Final = frozenset(
    {
        "frequency_penalty",
        "logprobs",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "response_format",
        "seed",
        "stop",
        "stream",
        "temperature",
        "top_logprobs",
        "top_p",
        "user",
    }
)
"""Members that both spell alike; the native dialect takes null too."""
_ELSEWHERE: Final = frozenset({"model", "messages", "stream_options", "tools"})
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_BOUNDS: Final = frozenset({"max_tokens", "max_completion_tokens"})
_FUNCTION: Final = frozenset({"name", "description", "parameters", "strict"})


def chat(request: dict[str, Any], provider: str) -> dict[str, Any]:
    """The native call, without its model. What only the provider knows goes into `provider_options`. Raises NotRun."""
    asked: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in request.items():
        if name in _ELSEWHERE or value is None or (name, value) == ("stop", []):
            continue
        said = _member(name, value)
        if said:
            asked |= said
        else:
            options[name] = value
    functions, others = _split_tools(request.get("tools") or [])
    if functions:
        asked["tools"] = functions
    if others:
        options["tools"] = others
    if options:
        asked["provider_options"] = {provider: options}
    asked["messages"] = [_message(message) for message in request["messages"]]
    return asked


def _member(name: str, value: Any) -> dict[str, Any]:
    """A member in native words; empty where there are none."""
    if name in _SAME:
        return {name: value}
    if name in _BOUNDS:
        return {"max_tokens": value}
    if name == "tool_choice":
        return {name: _tool_choice(value)}
    if name == "reasoning_effort" and value in _EFFORTS:
        return {"reasoning": {"effort": value}}
    return {}


def _split_tools(tools: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The native functions, and from the first tool on that is none, all the others as they are: so the order stays."""
    for place, tool in enumerate(tools):
        if not _is_function(tool):
            return [{"type": "function", **one} for one in tools[:place]], tools[place:]
    return [{"type": "function", **one} for one in tools], []


def _tool_choice(choice: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(choice, str):
        return "required" if choice == "any" else choice
    return {"type": "function", **choice}


def _is_function(tool: dict[str, Any]) -> bool:
    named = tool.get("type", "function") == "function" and tool.keys() <= {"type", "function"}
    return named and tool["function"].keys() <= _FUNCTION


def _message(message: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message["role"]}
    for name, value in message.items():
        if value is None or (name, value) in (("role", message["role"]), ("prefix", False), ("tool_calls", [])):
            continue
        match name:
            case "content":
                said[name] = value if isinstance(value, str) else [_part(part) for part in value]
            case "tool_calls":
                said[name] = value
            case "tool_call_id" | "name" | "refusal":
                said[name] = value
            case "reasoning_content":
                said["reasoning"] = value
            case _:
                raise NotRun(f"messages[].{name} has no native meaning")
    if message["role"] == "assistant" and said.get("tool_calls") and not said.get("content"):
        said.pop("content", None)
    return said


def _part(part: dict[str, Any]) -> dict[str, Any]:
    cache = _cache(part)
    match part["type"]:
        case "text":
            return _only(part, {"text"}) | cache
        case "image_url":
            _only(part["image_url"], {"url", "detail"})
            detail = {"detail": part["image_url"]["detail"]} if part["image_url"].get("detail") else {}
            return {"type": "image", **_source(part["image_url"]["url"]), **detail, **cache}
        case "input_audio":
            return {"type": "audio", **_sound(part["input_audio"])}
        case "document_url":
            named = {"filename": part["document_name"]} if part.get("document_name") else {}
            return {"type": "file", **_source(part["document_url"]), **named}
        case "file":
            file = _only(part["file"], {"file_data", "file_id", "filename"})
            data = file.pop("file_data", None)
            return {"type": "file", **file, **({} if data is None else _source(data)), **cache}
        case kind:
            raise NotRun(f"messages[].content[] of type {kind} has no native meaning")


def _sound(sound: str | dict[str, Any]) -> dict[str, Any]:
    """OpenAI's words for a sound, Mistral's, which are its data alone, or Qwen's, which has an address for the data."""
    if isinstance(sound, str):
        return {"data": sound, "format": "wav"}
    return {**_only(sound, {"data", "format"}), "data": sound["data"].removeprefix("data:;base64,")}


def _only(part: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """`part`, if it has nothing but what is known."""
    said = {name: value for name, value in part.items() if value is not None}
    for name in said.keys() - known - {"type", "cache_control", "prompt_cache_breakpoint"}:
        raise NotRun(f"messages[].content[].{name} has no native meaning")
    return {name: value for name, value in said.items() if name in known or name == "type"}


def _cache(part: dict[str, Any]) -> dict[str, Any]:
    """The mark of a part behind which the prompt is to be cached; nothing where it has none."""
    marks = [mark for name in ("cache_control", "prompt_cache_breakpoint") if (mark := inner(part, name))]
    if not marks:
        return {}
    ttl = marks[0].get("ttl", "5m")
    if ttl not in ("5m", "1h"):
        raise NotRun(f"a cache mark of {ttl} has no native meaning")
    return {"cache": ttl}


def _source(url: str) -> dict[str, Any]:
    """An address, or what a `data:` URL holds."""
    if not url.startswith("data:"):
        return {"url": url}
    head, _, data = url.removeprefix("data:").partition(",")
    media_type, _, encoding = head.partition(";")
    if encoding != "base64":
        raise NotRun("a data URL that is not base64")
    return {"data": data, "media_type": media_type}
