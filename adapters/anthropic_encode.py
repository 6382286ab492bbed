"""Canonical chats as calls of Anthropic's Messages API.

Source: Anthropic API reference, "Create a Message"; guides "Extended thinking", "Adaptive thinking", "Effort",
"Structured outputs", "Prompt caching". What the API has no words for is refused by name. Hints that change no answer
and have no counterpart are left out: an image's `detail`, the name and `strict` of a response format (it is always
strict), and reasoning that another provider made.

Members stand in a fixed order with the messages last, so that two turns of one conversation begin with the same bytes.
"""

import base64
import binascii
import re
from typing import Any, Final

import msgspec

from adapters.asked import invalid, merged, unsupported
from adapters.wire import present
from scaigrid.types import (
    AudioPart,
    CalledTool,
    Chat,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
)

PROVIDER: Final = "anthropic"
_RESERVED: Final = frozenset({"model", "messages", "system", "stream", "max_tokens"})
"""What `provider_options` may not set: routing, reservations and the operator's prompt rest on it."""
_EPHEMERAL: Final = {"type": "ephemeral"}
_LEAST_BUDGET: Final = 1024
"""The smallest thinking budget that the API takes."""
_SHARES: Final = {"minimal": 0.0, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95}
"""How much of the output bound may be thought, by effort, for models that only know a budget."""
_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2}))?(?![\d])")
_FIRST_ADAPTIVE: Final = (4, 6)
_NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_-]")
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

Block = dict[str, Any]


def chat(asked: Chat, model: str, *, stream: bool) -> dict[str, Any]:
    """The body of a message, for msgspec. Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR."""
    _refuse(asked)
    if asked.max_tokens is None:
        raise invalid("max_tokens", "is required by this model's provider")
    thinking, effort = _thinking(asked.reasoning, model, asked.max_tokens)
    body = present(
        {
            "model": model,
            "max_tokens": asked.max_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "stop_sequences": asked.stop or None,
            "stream": stream or None,
            "thinking": thinking,
            "output_config": present({"effort": effort, "format": _format(asked.response_format)}) or None,
            "metadata": None if asked.user is None else {"user_id": asked.user},
            "tool_choice": _tool_choice(asked),
            "tools": [_tool(tool) for tool in asked.tools] or None,
        }
    )
    merged(body, asked, PROVIDER, _RESERVED)
    system, messages = _turns(asked.messages)
    if system:
        body["system"] = system
    body["messages"] = messages
    return body


def _refuse(asked: Chat) -> None:
    said = {
        "n": asked.n != 1,
        "seed": asked.seed is not None,
        "logprobs": asked.logprobs,
        "top_logprobs": asked.top_logprobs is not None,
        # A penalty of nothing is none.
        "presence_penalty": bool(asked.presence_penalty),
        "frequency_penalty": bool(asked.frequency_penalty),
        "response_format": asked.response_format is not None and asked.response_format.kind == "json_object",
    }
    if any(said.values()):
        raise unsupported(*(name for name, given in said.items() if given))


# -- thinking --------------------------------------------------------------------------------------------------------


def _thinking(asked: ReasoningRequest | None, model: str, max_tokens: int) -> tuple[Block | None, str | None]:
    """`thinking`, and the effort beside it.

    From version 4.6 on models decide how much they think, guided by an effort; before it they only know a budget of
    tokens, which has to be less than the output bound. The lowest effort is `low`.
    """
    if asked is None:
        return None, None
    if asked.budget_tokens is not None:
        return {"type": "enabled", "budget_tokens": asked.budget_tokens}, None
    if asked.effort is None:
        return None, None
    if asked.effort == "none":
        return {"type": "disabled"}, None
    if _is_adaptive(model):
        return {"type": "adaptive"}, "low" if asked.effort == "minimal" else asked.effort
    return _budget(_SHARES[asked.effort], max_tokens), None


def _budget(share: float, max_tokens: int) -> Block:
    if max_tokens <= _LEAST_BUDGET:
        raise invalid("max_tokens", f"must be more than {_LEAST_BUDGET} for this model to reason")
    return {"type": "enabled", "budget_tokens": max(_LEAST_BUDGET, int(max_tokens * share))}


def _is_adaptive(model: str) -> bool:
    """By the version in the name: `claude-3-7-sonnet-20250219`, `claude-opus-4-6`. A name without one is a new one."""
    version = _VERSION.search(model)
    return version is None or (int(version[1]), int(version[2] or 0)) >= _FIRST_ADAPTIVE


# -- output format and tools -----------------------------------------------------------------------------------------


def _format(asked: ResponseFormat | None) -> Block | None:
    if asked is None or asked.kind != "json_schema":
        return None
    schema = asked.schema or {}
    if asked.description is not None and "description" not in schema:
        schema = {**schema, "description": asked.description}
    return {"type": "json_schema", "schema": schema}


def _tool(tool: Tool) -> Block:
    said: Block = {"name": tool.name}
    if tool.description is not None:
        said["description"] = tool.description
    said["input_schema"] = tool.parameters or {"type": "object", "properties": {}}
    if tool.strict:
        said["strict"] = True
    return said


def _tool_choice(asked: Chat) -> Block | None:
    choice = asked.tool_choice
    one_by_one = asked.parallel_tool_calls is False
    if choice is not None and choice.name is not None:
        said: Block = {"type": "tool", "name": choice.name}
    elif choice is not None and choice.mode == "required":
        said = {"type": "any"}
    elif not asked.tools:
        # Nothing to choose from: the API refuses a choice without tools.
        return None
    elif choice is not None and choice.mode == "none":
        return {"type": "none"}
    elif choice is not None or one_by_one:
        said = {"type": "auto"}
    else:
        return None
    if one_by_one:
        said["disable_parallel_tool_use"] = True
    return said


# -- messages --------------------------------------------------------------------------------------------------------


def _turns(messages: tuple[Message, ...]) -> tuple[list[Block], list[Block]]:
    """System blocks, wherever they stood, and turns by the two roles that there are, neighbours of one role joined."""
    system: list[Block] = []
    turns: list[Block] = []
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        if message.name is not None and message.role != "tool":
            raise unsupported(f"{where}.name")
        blocks = _blocks(message, where)
        if message.role in ("system", "developer"):
            system += blocks
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return system, turns


def _blocks(message: Message, where: str) -> list[Block]:
    parts: list[Block] = []
    for place, part in enumerate(message.content):
        block = _part(part, message, f"{where}.content[{place}]")
        if block is not None:
            parts.append(block)
    if message.role == "tool":
        result: Block = {"type": "tool_result", "tool_use_id": _id(message.tool_call_id or "")}
        if parts:
            result["content"] = parts
        if message.tool_error:
            result["is_error"] = True
        return [result]
    thoughts = [block for part in message.reasoning if (block := _thought(part)) is not None]
    calls = [_call(call, f"{where}.tool_calls[{place}]") for place, call in enumerate(message.tool_calls)]
    return [*thoughts, *parts, *calls]


def _thought(part: ReasoningPart) -> Block | None:
    """A block of thinking as this provider made it. It takes none that it has not signed."""
    if part.provider != PROVIDER:
        return None
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    if part.signature is None:
        return None
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _call(call: CalledTool, where: str) -> Block:
    try:
        arguments = call.arguments.strip().encode() or b"{}"
        _object.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise invalid(f"{where}.arguments", "is no JSON object") from None
    # Not decoded any deeper: numbers stay as the model wrote them.
    compact = msgspec.Raw(msgspec.json.format(arguments, indent=-1))
    return {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": compact}


def _id(identifier: str) -> str:
    """The API takes letters, digits, `_` and `-` in ids; those of other providers may have more."""
    return _NOT_IN_IDS.sub("_", identifier)


def _part(part: Part, message: Message, where: str) -> Block | None:
    """None for a text without a character, which the API refuses."""
    match part:
        case TextPart(text=text) | RefusalPart(refusal=text):
            if not text:
                return None
            block: Block = {"type": "text", "text": text}
            if isinstance(part, TextPart) and part.cache:
                block["cache_control"] = _EPHEMERAL
            return block
        case ImagePart() if message.role in ("user", "tool"):
            return {"type": "image", "source": _image(part, where)}
        case FilePart() if message.role in ("user", "tool"):
            document: Block = {"type": "document", "source": _document(part, where)}
            if part.filename is not None:
                document["title"] = part.filename
            return document
        case ImagePart() | FilePart() | AudioPart():
            raise unsupported(where)


def _image(part: ImagePart, where: str) -> Block:
    if part.data is None:
        return {"type": "url", "url": part.url}
    if part.media_type is None:
        raise invalid(f"{where}.media_type", "is required beside data")
    return {"type": "base64", "media_type": part.media_type, "data": part.data}


def _document(part: FilePart, where: str) -> Block:
    """PDF as it is, any text as text. An uploaded file needs the API's beta header among the provider's own headers."""
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if part.data is None:
        return {"type": "url", "url": part.url}
    kind = part.media_type or ("application/pdf" if part.data.startswith(_PDF) else "")
    if kind == "application/pdf":
        return {"type": "base64", "media_type": kind, "data": part.data}
    if kind.startswith("text/") or kind in _TEXTS:
        try:
            text = base64.b64decode(part.data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise invalid(f"{where}.data", "is no base64 of UTF-8 text") from None
        return {"type": "text", "media_type": "text/plain", "data": text}
    raise unsupported(f"{where}.media_type")


_PDF: Final = "JVBERi0"
"""How base64 of a PDF begins."""
_TEXTS: Final = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})
