"""Canonical chats as calls of Cohere's Chat API.

Source: Cohere API reference, "Chat" v2; guides "Tool use", "Structured outputs", "Reasoning". What the API has no
words for is refused by name. Hints that change no answer and have no counterpart are left out: cache marks, the name
and `strict` of a response format (it is always strict), that a tool's result is an error (its text says so), and
reasoning that another provider made. `strict` of tools is one word for all of them: said where one tool wants it.

Members stand in a fixed order with the messages last, so that two turns of one conversation begin with the same bytes.
"""

from collections.abc import Mapping
from typing import Any, Final

from adapters.asked import invalid, merged, unsupported
from adapters.wire import present
from scaigrid.types import (
    AudioPart,
    Chat,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    Part,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
)

PROVIDER: Final = "cohere"
PLAN: Final = "tool_plan"
"""What a part of reasoning is signed with that was told as the plan ahead of tool calls: it goes back as that."""
THOUGHT: Final = "thinking"
"""What thoughts are signed with where a plan follows them: they are another part."""
_RESERVED: Final = frozenset({"model", "messages", "stream", "max_tokens"})
"""What `provider_options` may not set: routing, reservations and the operator's prompt rest on it."""
_SHARES: Final[Mapping[str, float]] = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95}
"""How much of the output bound may be thought, by effort: the API only knows a budget, or none."""

Block = dict[str, Any]


def chat(asked: Chat, model: str, *, stream: bool) -> Block:
    """The body of a chat, for msgspec. Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR."""
    _refuse(asked)
    body = present(
        {
            "model": model,
            "max_tokens": asked.max_tokens,
            "temperature": asked.temperature,
            "p": asked.top_p,
            "k": asked.top_k,
            "seed": asked.seed,
            "stop_sequences": asked.stop or None,
            "presence_penalty": asked.presence_penalty,
            "frequency_penalty": asked.frequency_penalty,
            "logprobs": asked.logprobs or None,
            "stream": stream or None,
            "thinking": _thinking(asked.reasoning, asked.max_tokens),
            "response_format": _format(asked.response_format),
            "strict_tools": True if any(tool.strict for tool in asked.tools) else None,
            "tool_choice": _tool_choice(asked),
            "tools": [_tool(tool) for tool in asked.tools] or None,
        }
    )
    merged(body, asked, PROVIDER, _RESERVED)
    body["messages"] = [_message(message, f"messages[{place}]") for place, message in enumerate(asked.messages)]
    return body


def _refuse(asked: Chat) -> None:
    choice = asked.tool_choice
    said = {
        "n": asked.n != 1,
        # No alternatives are none.
        "top_logprobs": bool(asked.top_logprobs),
        "user": asked.user is not None,
        "parallel_tool_calls": asked.parallel_tool_calls is False and bool(asked.tools),
        # One tool of several cannot be named. To call the only one is to call any.
        "tool_choice": choice is not None
        and choice.name is not None
        and [tool.name for tool in asked.tools] != [choice.name],
    }
    if any(said.values()):
        raise unsupported(*(name for name, given in said.items() if given))


def _thinking(asked: ReasoningRequest | None, max_tokens: int | None) -> Block | None:
    """An effort becomes a share of the output bound; without a bound, the model's own measure."""
    if asked is None:
        return None
    if asked.budget_tokens is not None:
        return {"type": "enabled", "token_budget": asked.budget_tokens}
    if asked.effort is None:
        return None
    if asked.effort == "none":
        return {"type": "disabled"}
    if max_tokens is None or asked.effort not in _SHARES:
        return {"type": "enabled"}
    return {"type": "enabled", "token_budget": max(1, int(max_tokens * _SHARES[asked.effort]))}


# -- output format and tools -----------------------------------------------------------------------------------------


def _format(asked: ResponseFormat | None) -> Block | None:
    if asked is None or asked.kind == "text":
        return None
    if asked.kind == "json_object":
        return {"type": "json_object"}
    schema = asked.schema or {}
    if asked.description is not None and "description" not in schema:
        schema = {**schema, "description": asked.description}
    return {"type": "json_object", "json_schema": schema}


def _tool(tool: Tool) -> Block:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": present(function)}


def _tool_choice(asked: Chat) -> str | None:
    """Nothing for `auto`, which is what happens when nothing is said."""
    if asked.tool_choice is None or (asked.tool_choice.mode == "auto" and asked.tool_choice.name is None):
        return None
    return "NONE" if asked.tool_choice.mode == "none" and asked.tool_choice.name is None else "REQUIRED"


# -- messages --------------------------------------------------------------------------------------------------------


def _message(message: Message, where: str) -> Block:
    if message.name is not None and message.role != "tool":
        raise unsupported(f"{where}.name")
    match message.role:
        case "assistant":
            return _assistant(message, where)
        case "tool":
            return {"role": "tool", "tool_call_id": message.tool_call_id or "", "content": _content(message, where)}
        case "system" | "developer":
            return {"role": "system", "content": _content(message, where)}
        case "user":
            return {"role": "user", "content": _content(message, where)}


def _assistant(message: Message, where: str) -> Block:
    mine = [part for part in message.reasoning if part.provider in (None, PROVIDER) and part.text]
    plan = "".join([part.text for part in mine if part.signature == PLAN])
    thoughts: list[Block] = [{"type": "thinking", "thinking": part.text} for part in mine if part.signature != PLAN]
    said: Block = {"role": "assistant"}
    if message.tool_calls:
        if plan:
            said["tool_plan"] = plan
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in message.tool_calls
        ]
    if thoughts:
        said["content"] = [*thoughts, *_parts(message, where)]
    elif message.content or not message.tool_calls:
        # An assistant that only called tools has said nothing; any other has said something, if only "".
        said["content"] = _content(message, where)
    return said


def _content(message: Message, where: str) -> str | list[Block]:
    match message.content:
        case ():
            return ""
        case (TextPart(text=text),):
            return text
        case _:
            return _parts(message, where)


def _parts(message: Message, where: str) -> list[Block]:
    return [_part(part, message, f"{where}.content[{place}]") for place, part in enumerate(message.content)]


def _part(part: Part, message: Message, where: str) -> Block:
    match part:
        case TextPart(text=text) | RefusalPart(refusal=text):
            return {"type": "text", "text": text}
        case JsonPart(value=value):
            text = bytes(value).decode()
            # Only an object is a document; it is the tool's result that can be cited by its fields.
            if message.role == "tool" and text.lstrip().startswith("{"):
                return {"type": "document", "document": {"data": value}}
            return {"type": "text", "text": text}
        case ImagePart() if message.role == "user":
            url = part.url if part.data is None else _data_url(part.data, part.media_type, where)
            return {"type": "image_url", "image_url": present({"url": url, "detail": part.detail})}
        case ImagePart() | FilePart() | AudioPart():
            raise unsupported(where)


def _data_url(data: str, media_type: str | None, where: str) -> str:
    if media_type is None:
        raise invalid(f"{where}.media_type", "is required beside data")
    return f"data:{media_type};base64,{data}"
