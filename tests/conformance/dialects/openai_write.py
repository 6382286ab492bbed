"""A call in native words, written as a chat completion or as a call for embeddings of the OpenAI dialect."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.conformance.cases import NotRun

SILENT: Final = (("n", 1), ("logprobs", False), ("presence_penalty", 0), ("frequency_penalty", 0))
"""Members that say what holds without them: what a dialect has no word for it need not say."""
_SAME: Final = frozenset(
    {
        "frequency_penalty",
        "logprobs",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "provider_options",
        "response_format",
        "seed",
        "stop",
        "stream",
        "temperature",
        "tool_choice",
        "top_k",
        "top_logprobs",
        "top_p",
        "user",
    }
)
"""Members that both spell alike."""


def chat(asked: dict[str, Any]) -> dict[str, Any]:
    """A chat completion, its messages last. Raises NotRun."""
    said: dict[str, Any] = {}
    for name, value in asked.items():
        if name in _SAME:
            said[name] = value
        elif name not in ("messages", "tools"):
            said |= _member(name, value)
    if "tools" in asked:
        said["tools"] = [_tool(tool) for tool in asked["tools"]]
    if asked.get("stream"):
        said["stream_options"] = {"include_usage": True}
    return {**said, "messages": [_message(message) for message in asked["messages"]]}


def embed(asked: dict[str, Any]) -> dict[str, Any]:
    """A call for embeddings. Raises NotRun."""
    for name in asked.keys() - {"input", "dimensions", "user"}:
        raise NotRun(f"{name} of a call for embeddings has no word in the OpenAI dialect")
    return asked


def _member(name: str, value: Any) -> dict[str, Any]:
    if name == "max_tokens":
        return {"max_completion_tokens": value}
    if name == "reasoning" and value.keys() == {"effort"}:
        return {"reasoning_effort": value["effort"]}
    what = f"{name}.{min(value.keys() - {'effort'})}" if name == "reasoning" else name
    raise NotRun(f"{what} has no word in the OpenAI dialect")


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": tool["function"], **_cached(tool)}


def _message(message: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name, value in message.items():
        match name:
            case "content":
                said[name] = value if isinstance(value, str) or value is None else [_part(part) for part in value]
            case "reasoning":
                said["reasoning_content"] = value
            case "error" if value:
                raise NotRun("a tool's failure has no word in the OpenAI dialect")
            case "error" | "citations":
                pass
            case _:
                said[name] = value
    return said


def _part(part: dict[str, Any]) -> dict[str, Any]:
    write = _PARTS.get(part["type"])
    if write is None:
        raise NotRun(f"a part of type {part['type']} has no word in the OpenAI dialect")
    return {**write(part), **_cached(part)}


def _cached(part: dict[str, Any]) -> dict[str, Any]:
    wish = part.get("cache")
    return {"cache_control": {"type": "ephemeral", **({"ttl": wish} if wish == "1h" else {})}} if wish else {}


def _text(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": part["text"]}


def _image(part: dict[str, Any]) -> dict[str, Any]:
    detail = {"detail": part["detail"]} if "detail" in part else {}
    return {"type": "image_url", "image_url": {"url": address(part), **detail}}


def _audio(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": part["data"], "format": part["format"]}}


def _file(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("citations"):
        raise NotRun("the wish for citations of a document has no word in the OpenAI dialect")
    named = {"filename": part["filename"]} if "filename" in part else {}
    given = {"file_id": part["file_id"]} if "file_id" in part else {"file_data": address(part)}
    return {"type": "file", "file": {**given, **named}}


def _refusal(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "refusal", "refusal": part["refusal"]}


_PARTS: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "text": _text,
    "image": _image,
    "audio": _audio,
    "file": _file,
    "refusal": _refusal,
}


def address(part: dict[str, Any]) -> str:
    """An address, or a `data:` URL. Raises NotRun for an address whose media type would be lost."""
    if "url" in part:
        if "media_type" in part:
            raise NotRun("an address with a media type has no word in the OpenAI dialect")
        url: str = part["url"]
        return url
    return f"data:{part['media_type']};base64,{part['data']}"
