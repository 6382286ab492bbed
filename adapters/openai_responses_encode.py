"""Canonical chats as calls of OpenAI's Responses API, which keeps the reasoning of a conversation between its turns.

Source: OpenAI API reference, "Create a model response"; guide "Reasoning". Nothing is stored at the provider: reasoning
comes encrypted instead, and goes back without the ids of stored items, which would have to be there in one piece.

Members stand in a fixed order with the conversation last, so that two turns of it begin with the same bytes. Hints that
change no answer and have no counterpart are left out: cache marks, that a tool's result is an error (its text says
so), and reasoning that another provider made. What else cannot be said is refused by name.
"""

import re
from typing import Any, Final

from adapters.asked import effort_of, merged, unsupported
from adapters.endpoints import Endpoint
from adapters.openai_messages import data_url
from adapters.wire import present
from scaigrid.types import (
    Chat,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)

RESERVED: Final = frozenset(
    {
        "background",
        "conversation",
        "input",
        "instructions",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "messages",
        "model",
        "n",
        "previous_response_id",
        "store",
        "stream",
        "stream_options",
    }
)
"""What `provider_options` may not set: routing, reservations and the operator's prompt rest on it."""
_ENCRYPTED: Final = "reasoning.encrypted_content"
_LOGPROBS: Final = "message.output_text.logprobs"
_WITHOUT_REASONING: Final = re.compile(r"(?:ft:)?(?:gpt-[34]|chatgpt-4)|.*-chat\b")
"""Models that refuse to be asked for encrypted reasoning. A name that is not known is one of a reasoning model."""

Item = dict[str, Any]


def chat(asked: Chat, row: Endpoint, model: str, *, stream: bool) -> dict[str, Any]:
    """The body of a response, for msgspec. Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR."""
    _refuse(asked)
    body = present(
        {
            "model": model,
            "max_output_tokens": asked.max_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "top_logprobs": asked.top_logprobs,
            "user": asked.user,
            "reasoning": _reasoning(asked),
            "include": _include(asked, model) or None,
            "store": False,
            "stream": stream or None,
            "text": _format(asked.response_format),
            "parallel_tool_calls": asked.parallel_tool_calls,
            "tool_choice": _tool_choice(asked.tool_choice),
            "tools": [_tool(tool) for tool in asked.tools] or None,
        }
    )
    merged(body, asked, row.name, RESERVED)
    body["input"] = [
        item for place, message in enumerate(asked.messages) for item in _items(message, f"messages[{place}]", row.name)
    ]
    return body


_COUNTED: Final = frozenset(
    {"model", "reasoning", "text", "parallel_tool_calls", "tool_choice", "tools", "truncation", "input"}
)
"""What the counter of tokens takes of a call."""


def size(asked: Chat, row: Endpoint, model: str) -> dict[str, Any]:
    """The body of the question how many tokens a chat has: what shapes its answer alone is left out."""
    counted = Chat(
        messages=asked.messages,
        tools=asked.tools,
        tool_choice=asked.tool_choice,
        parallel_tool_calls=asked.parallel_tool_calls,
        response_format=asked.response_format,
        reasoning=asked.reasoning,
        provider_options=asked.provider_options,
    )
    return {name: value for name, value in chat(counted, row, model, stream=False).items() if name in _COUNTED}


def _refuse(asked: Chat) -> None:
    said = {
        "n": asked.n != 1,
        "stop": bool(asked.stop),
        "seed": asked.seed is not None,
        "top_k": asked.top_k is not None,
        # A penalty of nothing is none.
        "presence_penalty": bool(asked.presence_penalty),
        "frequency_penalty": bool(asked.frequency_penalty),
    }
    if any(said.values()):
        raise unsupported(*(name for name, given in said.items() if given))


def _reasoning(asked: Chat) -> dict[str, Any] | None:
    wish = asked.reasoning
    return None if wish is None else present({"effort": effort_of(wish), "summary": wish.summary}) or None


def _include(asked: Chat, model: str) -> list[str]:
    encrypted = [] if _WITHOUT_REASONING.match(model) else [_ENCRYPTED]
    return [*encrypted, _LOGPROBS] if asked.logprobs else encrypted


def _format(asked: ResponseFormat | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    if asked.kind != "json_schema":
        return {"format": {"type": asked.kind}}
    schema = {
        "type": "json_schema",
        "name": asked.name or "response",
        "description": asked.description,
        "schema": asked.schema or {},
        "strict": asked.strict,
    }
    return {"format": present(schema)}


def _tool_choice(asked: ToolChoice | None) -> str | dict[str, Any] | None:
    if asked is None:
        return None
    return asked.mode if asked.name is None else {"type": "function", "name": asked.name}


def _tool(tool: Tool) -> Item:
    """`strict` is always said: here it is what holds where nothing is said, elsewhere it is not."""
    said: Item = {"type": "function", "name": tool.name}
    if tool.description is not None:
        said["description"] = tool.description
    said["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    said["strict"] = bool(tool.strict)
    return said


# -- the conversation ------------------------------------------------------------------------------------------------


def _items(message: Message, where: str, provider: str) -> list[Item]:
    if message.name is not None and message.role != "tool":
        raise unsupported(f"{where}.name")
    match message.role:
        case "assistant":
            return _assistant(message, where, provider)
        case "tool":
            content = _content(message, where, "output")
            return [{"type": "function_call_output", "call_id": message.tool_call_id, "output": content}]
        case role:
            return [{"role": role, "content": _content(message, where, role)}]


def _assistant(message: Message, where: str, provider: str) -> list[Item]:
    thoughts = [one for one in message.reasoning if one.provider == provider and one.signature is not None]
    items = [_thought(one) for one in thoughts if one.signs == "reasoning"]
    if message.content or not message.tool_calls:
        items.append({"role": "assistant", "content": _content(message, where, "assistant")})
    items += [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    return items


def _thought(part: ReasoningPart) -> Item:
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    return {"type": "reasoning", "summary": summary, "encrypted_content": part.signature}


def _content(message: Message, where: str, role: str) -> str | list[Item]:
    match message.content:
        case ():
            return ""
        case (TextPart(text=text),):
            return text
        case (JsonPart(value=value),):
            return bytes(value).decode()
        case parts:
            return [_part(part, f"{where}.content[{place}]", role) for place, part in enumerate(parts)]


def _part(part: Part, where: str, role: str) -> Item:
    """`role` is that of the message, or `output` for the result of a tool, which may hold what a user's may."""
    if role == "assistant":
        return _answered(part, where)
    match part:
        case TextPart(text=text):
            return {"type": "input_text", "text": text}
        case JsonPart(value=value):
            return {"type": "input_text", "text": bytes(value).decode()}
        case ImagePart() if role in ("user", "output"):
            url = part.url if part.data is None else data_url(part.data, part.media_type, where)
            return present({"type": "input_image", "image_url": url, "detail": part.detail})
        case FilePart() if role in ("user", "output"):
            if part.citations:
                raise unsupported(f"{where}.citations")
            content = None if part.data is None else data_url(part.data, part.media_type, where)
            file = {"file_id": part.file_id, "file_url": part.url, "filename": part.filename, "file_data": content}
            return present({"type": "input_file", **file})
        case _:
            raise unsupported(where)


def _answered(part: Part, where: str) -> Item:
    match part:
        case TextPart(text=text):
            return {"type": "output_text", "text": text}
        case RefusalPart(refusal=refusal):
            return {"type": "refusal", "refusal": refusal}
        case _:
            raise unsupported(where)
