"""Canonical chats and embeddings as calls of Ollama's own API.

Source: Ollama API documentation, "Generate a chat message", "Generate embeddings"; guides "Tool calling", "Thinking",
"Structured outputs". What the API has no words for is refused by name. Hints that change no answer and have no
counterpart are left out: cache marks (the server keeps prefixes by itself), an image's `detail`, the name and `strict`
of a response format (it is always strict), `strict` of tools (they never are), that a tool's result is an error (its
text says so), and reasoning that another provider made. `tool_choice: none` is said by naming no tools.

The API streams unless told otherwise, and cuts a text that is too long to embed unless told otherwise; both are told.
Members stand in a fixed order with the messages last, so that two turns of one conversation begin with the same bytes.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from adapters.asked import effort_of, invalid, merged, unsupported
from adapters.wire import is_object, present
from scaigrid.types import (
    CalledTool,
    Chat,
    Embed,
    ImagePart,
    JsonPart,
    Message,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
)

PROVIDER: Final = "ollama"
_RESERVED: Final = frozenset({"model", "messages", "stream", "max_tokens"})
"""What `provider_options` may not set: routing, reservations and the operator's prompt rest on it."""
_RESERVED_IN_EMBED: Final = frozenset({"model", "input"})
_EFFORTS: Final[Mapping[str, bool | str]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""The API knows three levels; a model without levels takes any of them for yes."""
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

Block = dict[str, Any]


def chat(asked: Chat, model: str, *, stream: bool) -> Block:
    """The body of a chat, for msgspec. Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR."""
    _refuse(asked)
    tools = () if asked.tool_choice is not None and asked.tool_choice.mode == "none" else asked.tools
    body = present(
        {
            "model": model,
            "stream": stream,
            "think": _think(asked.reasoning),
            "format": _format(asked.response_format),
            "logprobs": asked.logprobs or None,
            "top_logprobs": asked.top_logprobs,
            "options": _options(asked) or None,
            "tools": [_tool(tool) for tool in tools] or None,
        }
    )
    if "num_predict" in _given_options(asked):
        raise invalid(f"provider_options.{PROVIDER}.options.num_predict", "is set by the gateway")
    merged(body, asked, PROVIDER, _RESERVED)
    names = {call.id: call.name for message in asked.messages for call in message.tool_calls}
    body["messages"] = [_message(message, f"messages[{place}]", names) for place, message in enumerate(asked.messages)]
    return body


def embed(asked: Embed, model: str) -> Block:
    """The body of a call for embeddings. Raises UNSUPPORTED_BY_MODEL for token ids: Ollama takes texts."""
    said = {
        "input": any(not isinstance(one, str) for one in asked.input),
        "user": asked.user is not None,
        "purpose": asked.purpose is not None,
    }
    if any(said.values()):
        raise unsupported(*(name for name, given in said.items() if given))
    body = present({"model": model, "truncate": False, "dimensions": asked.dimensions})
    merged(body, asked, PROVIDER, _RESERVED_IN_EMBED)
    body["input"] = asked.input
    return body


def _refuse(asked: Chat) -> None:
    choice = asked.tool_choice
    said = {
        "n": asked.n != 1,
        "user": asked.user is not None,
        "parallel_tool_calls": asked.parallel_tool_calls is False and bool(asked.tools),
        "tool_choice": choice is not None and (choice.mode == "required" or choice.name is not None),
    }
    if any(said.values()):
        raise unsupported(*(name for name, given in said.items() if given))


def _think(asked: ReasoningRequest | None) -> bool | str | None:
    wanted = None if asked is None else effort_of(asked)
    return None if wanted is None else _EFFORTS[wanted]


def _format(asked: ResponseFormat | None) -> str | Block | None:
    if asked is None or asked.kind == "text":
        return None
    if asked.kind == "json_object":
        return "json"
    schema = asked.schema or {}
    if asked.description is not None and "description" not in schema:
        schema = {**schema, "description": asked.description}
    return schema


def _options(asked: Chat) -> Block:
    return present(
        {
            "num_predict": asked.max_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "top_k": asked.top_k,
            "seed": asked.seed,
            "stop": asked.stop or None,
            "presence_penalty": asked.presence_penalty,
            "frequency_penalty": asked.frequency_penalty,
        }
    )


def _given_options(asked: Chat) -> Block:
    found = asked.provider_options.get(PROVIDER, {}).get("options")
    return found if is_object(found) else {}


def _tool(tool: Tool) -> Block:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": present(function)}


# -- messages --------------------------------------------------------------------------------------------------------


def _message(message: Message, where: str, names: Mapping[str, str]) -> Block:
    if message.name is not None and message.role != "tool":
        raise unsupported(f"{where}.name")
    texts, images = _content(message, where)
    # Blocks of an answer are one text; what others wrote in parts stays apart.
    said: Block = {
        "role": "system" if message.role == "developer" else message.role,
        "content": ("" if message.role == "assistant" else "\n").join(texts),
    }
    thought = "".join([part.text for part in message.reasoning if part.provider in (None, PROVIDER)])
    if thought:
        said["thinking"] = thought
    if images:
        said["images"] = images
    if message.role == "tool":
        name = message.name or names.get(message.tool_call_id or "")
        said |= present({"tool_name": name, "tool_call_id": message.tool_call_id})
    if message.tool_calls:
        said["tool_calls"] = [
            _call(call, place, f"{where}.tool_calls[{place}]") for place, call in enumerate(message.tool_calls)
        ]
    return said


def _content(message: Message, where: str) -> tuple[list[str], list[str]]:
    texts: list[str] = []
    images: list[str] = []
    for place, part in enumerate(message.content):
        at = f"{where}.content[{place}]"
        match part:
            case TextPart(text=text) | RefusalPart(refusal=text):
                texts.append(text)
            case JsonPart(value=value):
                texts.append(bytes(value).decode())
            case ImagePart(data=str() as data) if message.role in ("user", "tool"):
                images.append(data)
            case ImagePart(url=str()) if message.role in ("user", "tool"):
                raise unsupported(f"{at}.url")
            case _:
                raise unsupported(at)
    return texts, images


def _call(call: CalledTool, place: int, where: str) -> Block:
    try:
        arguments = call.arguments.strip().encode() or b"{}"
        _object.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise invalid(f"{where}.arguments", "is no JSON object") from None
    # Not decoded any deeper: numbers stay as the model wrote them.
    compact = msgspec.Raw(msgspec.json.format(arguments, indent=-1))
    return {"id": call.id, "type": "function", "function": {"index": place, "name": call.name, "arguments": compact}}
