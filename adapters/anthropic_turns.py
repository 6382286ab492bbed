"""Canonical messages as turns of Anthropic's Messages API.

Source: Anthropic API reference, "Create a Message"; guides "Prompt caching", "PDF support", "Citations". Left out are
an image's `detail`, and reasoning that another provider made.
"""

import base64
import binascii
import re
from typing import Any, Final

import msgspec

from adapters.asked import invalid, unsupported
from scaigrid.types import (
    AudioPart,
    CacheTime,
    CalledTool,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
)

PROVIDER: Final = "anthropic"
_NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_-]")
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

Block = dict[str, Any]


def turns(messages: tuple[Message, ...]) -> tuple[list[Block], list[Block]]:
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
    if part.provider != PROVIDER or part.signs != "reasoning":
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
        case TextPart(text=text, cache=cache):
            return marked({"type": "text", "text": text}, cache) if text else None
        case RefusalPart(refusal=text):
            return {"type": "text", "text": text} if text else None
        case JsonPart(value=value, cache=cache):
            return marked({"type": "text", "text": bytes(value).decode()}, cache)
        case ImagePart() if message.role in ("user", "tool"):
            return marked({"type": "image", "source": _image(part, where)}, part.cache)
        case FilePart() if message.role in ("user", "tool"):
            document: Block = {"type": "document", "source": _document(part, where)}
            if part.filename is not None:
                document["title"] = part.filename
            if part.citations:
                document["citations"] = {"enabled": True}
            return marked(document, part.cache)
        case ImagePart() | FilePart() | AudioPart():
            raise unsupported(where)


def marked(block: Block, cache: CacheTime | None) -> Block:
    """`block`, with the mark to cache the prompt up to it where one is asked for."""
    if cache is not None:
        block["cache_control"] = {"type": "ephemeral"} if cache == "5m" else {"type": "ephemeral", "ttl": cache}
    return block


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
