"""Canonical calls in the OpenAI protocol.

Members stand in a fixed order with the messages last, so that two turns of one conversation begin with the same bytes
and the provider's prompt cache meets what it knows.

Hints that change no answer and have no counterpart are left out: cache marks (OpenAI caches prefixes by itself), that
a tool's result is an error (its text says so), and the reasoning of earlier turns, which chat completions do not take.
Everything else that cannot be said is refused by name.
"""

from typing import Any, Final

from adapters.asked import invalid, merged, unsupported
from adapters.wire import present
from scaigrid.types import (
    AudioPart,
    Chat,
    Embed,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)

_RESERVED: Final = frozenset(
    {"model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "max_output_tokens"}
)
"""What `provider_options` may not set: routing and reservations rest on it."""
_NO_REASONING: Final = ReasoningRequest()


def chat(asked: Chat, provider: str, model: str, output_field: str, *, stream: bool) -> dict[str, Any]:
    """The body of a chat completion, for msgspec. Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR."""
    reasoning = asked.reasoning or _NO_REASONING
    if reasoning.budget_tokens is not None:
        raise unsupported("reasoning.budget_tokens")
    body = present(
        {
            "model": model,
            output_field: asked.max_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "n": None if asked.n == 1 else asked.n,
            "stop": asked.stop or None,
            "seed": asked.seed,
            "presence_penalty": asked.presence_penalty,
            "frequency_penalty": asked.frequency_penalty,
            "logprobs": asked.logprobs or None,
            "top_logprobs": asked.top_logprobs,
            "user": asked.user,
            "reasoning_effort": reasoning.effort,
            "stream": stream or None,
            "stream_options": {"include_usage": True} if stream else None,
            "response_format": _response_format(asked.response_format),
            "parallel_tool_calls": asked.parallel_tool_calls,
            "tool_choice": _tool_choice(asked.tool_choice),
            "tools": [_tool(tool) for tool in asked.tools] or None,
        }
    )
    merged(body, asked, provider, _RESERVED)
    body["messages"] = [_message(message, f"messages[{place}]") for place, message in enumerate(asked.messages)]
    return body


def embed(asked: Embed, model: str) -> dict[str, Any]:
    """The body of a call for embeddings."""
    return present(
        {
            "model": model,
            "encoding_format": None if asked.encoding == "float" else asked.encoding,
            "dimensions": asked.dimensions,
            "user": asked.user,
            "input": asked.input,
        }
    )


def _response_format(asked: ResponseFormat | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    if asked.kind != "json_schema":
        return {"type": asked.kind}
    schema = {
        "name": asked.name or "response",
        "description": asked.description,
        "schema": asked.schema,
        "strict": asked.strict,
    }
    return {"type": "json_schema", "json_schema": present(schema)}


def _tool_choice(asked: ToolChoice | None) -> str | dict[str, Any] | None:
    if asked is None:
        return None
    return asked.mode if asked.name is None else {"type": "function", "function": {"name": asked.name}}


def _tool(tool: Tool) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": present(function)}


def _message(message: Message, where: str) -> dict[str, Any]:
    content: str | list[dict[str, Any]] | None
    match message.content:
        case (TextPart(text=text),):
            content = text
        case ():
            # An assistant that only called tools has said nothing; anybody else has said something, if only "".
            content = None if message.tool_calls else ""
        case parts:
            content = [_part(part, message, f"{where}.content[{place}]") for place, part in enumerate(parts)]
    said: dict[str, Any] = {"role": message.role, "content": content}
    if message.name is not None and message.role != "tool":
        said["name"] = message.name
    if message.tool_call_id is not None:
        said["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return said


def _part(part: Part, message: Message, where: str) -> dict[str, Any]:
    if message.role != "user" and not isinstance(part, TextPart | RefusalPart):
        raise unsupported(where)
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": text}
        case RefusalPart(refusal=refusal):
            return {"type": "refusal", "refusal": refusal}
        case ImagePart():
            url = part.url if part.data is None else _data_url(part.data, part.media_type, where)
            return {"type": "image_url", "image_url": present({"url": url, "detail": part.detail})}
        case AudioPart(data=data, format=kind):
            return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
        case FilePart():
            if part.url is not None:
                raise unsupported(f"{where}.url")
            content = None if part.data is None else _data_url(part.data, part.media_type, where)
            file = {"file_id": part.file_id, "filename": part.filename, "file_data": content}
            return {"type": "file", "file": present(file)}


def _data_url(data: str, media_type: str | None, where: str) -> str:
    if media_type is None:
        raise invalid(f"{where}.media_type", "is required beside data")
    return f"data:{media_type};base64,{data}"
