"""What the simulator says: the same to the same request, and never without admitting what it is."""

import hashlib
import math
import re
import struct
from itertools import zip_longest
from typing import Any, Final

import msgspec

from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.types import (
    Chat,
    Done,
    Embed,
    Event,
    FinishReason,
    Message,
    Start,
    Text,
    TextPart,
    Tool,
    ToolCall,
    Usage,
    Vector,
)
from scaigrid.upstream.schema_example import NoExampleError, example

NOTICE: Final = "This is ScaiGrid's simulator; no model was called."
CREATED: Final = 1_735_689_600
"""2025-01-01: the simulator has no clock, so that an answer can be compared with one of yesterday."""

MODELS: Final = ("simulated-chat-1", "simulated-embed-1", "simulated-rerank-1")
"""What it lists. It answers to any other name as well."""
DIMENSIONS: Final = 1_536
MOST_DIMENSIONS: Final = 4_096
MOST_INPUTS: Final = 2_048
_LONGEST_ECHO: Final = 500
_TOKEN: Final = re.compile(r"\s*\S{1,16}|\s+")


def tokens_of(text: str) -> list[str]:
    """The simulator's tokens: a word each with the space before it, of long words sixteen characters each.

    Joined they are the text. There are never more of them than the text has bytes, which is the bound that budgets
    take for any model.
    """
    return _TOKEN.findall(text)


def chat_steps(chat: Chat, name: str) -> list[list[Event]]:
    """The answer in steps of one token for each choice; `name` makes the ids. Raises GatewayError for a bad request."""
    choices = [_choice(chat, index, name) for index in range(chat.n)]
    steps: list[list[Event]] = [[Start(f"chatcmpl-simulator-{name}", CREATED)]]
    steps += [[event for event in step if event is not None] for step in zip_longest(*choices)]
    output = sum(len(choice) - 1 for choice in choices)
    steps.append([Usage(input=_input_tokens(chat), output=output)])
    return steps


def embed_events(embed: Embed) -> list[Event]:
    """One vector of length 1 for each input, made of its hash: equal texts lie together, all others anywhere.

    Raises GatewayError for a bad request.
    """
    dimensions = embed.dimensions or DIMENSIONS
    if dimensions > MOST_DIMENSIONS:
        raise _refusal("dimensions", f"must be at most {MOST_DIMENSIONS}")
    if len(embed.input) > MOST_INPUTS:
        raise _refusal("input", f"must have at most {MOST_INPUTS} entries")
    tokens = sum(len(tokens_of(one)) if isinstance(one, str) else len(one) for one in embed.input)
    octets = [one.encode() if isinstance(one, str) else msgspec.json.encode(one) for one in embed.input]
    vectors = [Vector(index, _vector(one, dimensions)) for index, one in enumerate(octets)]
    return [*vectors, Usage(input=tokens)]


def _choice(chat: Chat, index: int, name: str) -> list[Event]:
    """One event for each token, then the end."""
    tool = _forced_tool(chat)
    if tool is not None:
        arguments = _json(_example(tool.parameters or {"type": "object"}, "tools"))
        pieces, finish = _cut(arguments, chat, "tool_calls")
        first = ToolCall(slot=0, id=f"call_{name[:24]}_{index}", name=tool.name, index=index)
        calls = [ToolCall(slot=0, arguments=piece, index=index) for piece in pieces[1:]]
        opening = [msgspec.structs.replace(first, arguments=piece) for piece in pieces[:1]]
        return [*opening, *calls, Done(finish, index)]
    pieces, finish = _cut(_text(chat, index), chat, "stop")
    said = [Text(piece, index, _log_probs(piece, chat)) for piece in pieces]
    return [*said, Done(finish, index)]


def _forced_tool(chat: Chat) -> Tool | None:
    choice = chat.tool_choice
    if choice is None or choice.mode != "required":
        return None
    for tool in chat.tools:
        if choice.name in (None, tool.name):
            return tool
    raise _refusal("tool_choice", "asks for a tool that is not in tools")


def _text(chat: Chat, index: int) -> str:
    wanted = chat.response_format
    if wanted is not None and wanted.kind == "json_schema":
        return _json(_example(wanted.schema or {}, "response_format.json_schema.schema"))
    reply = _reply(chat, index)
    return _json({"message": reply}) if wanted is not None and wanted.kind == "json_object" else reply


def _reply(chat: Chat, index: int) -> str:
    last = next((message for message in reversed(chat.messages) if message.role in ("user", "tool")), None)
    which = f" (Answer {index + 1} of {chat.n}.)" if chat.n > 1 else ""
    words = _words(last) if last is not None else ""
    if not words:
        return f"{NOTICE}{which} You said nothing in words."
    if len(words) > _LONGEST_ECHO:
        words = words[:_LONGEST_ECHO] + " ..."
    speaker = "The tool answered" if last is not None and last.role == "tool" else "You said"
    return f"{NOTICE}{which} {speaker}: {words}"


def _words(message: Message) -> str:
    return " ".join(part.text for part in message.content if isinstance(part, TextPart))


def _cut(text: str, chat: Chat, finish: FinishReason) -> tuple[list[str], FinishReason]:
    """The tokens up to the first stop sequence or the caller's bound."""
    if finish == "stop":
        text = text[: min((place for place in map(text.find, filter(None, chat.stop)) if place >= 0), default=None)]
    pieces = tokens_of(text)
    if chat.max_tokens is not None and chat.max_tokens < len(pieces):
        return pieces[: chat.max_tokens], "length"
    return pieces, finish


def _log_probs(piece: str, chat: Chat) -> msgspec.Raw | None:
    """A simulator is always certain."""
    if not chat.logprobs:
        return None
    certain: dict[str, Any] = {"token": piece, "logprob": 0.0, "bytes": list(piece.encode())}
    content = [{**certain, "top_logprobs": [certain] if chat.top_logprobs else []}]
    return msgspec.Raw(msgspec.json.encode({"content": content, "refusal": None}))


def _input_tokens(chat: Chat) -> int:
    texts = [part.text for message in chat.messages for part in message.content if isinstance(part, TextPart)]
    texts += [call.arguments for message in chat.messages for call in message.tool_calls]
    texts += [_json(tool) for tool in chat.tools]
    others = sum(not isinstance(part, TextPart) for message in chat.messages for part in message.content)
    return sum(len(tokens_of(text)) for text in texts) + others


def _vector(seed: bytes, dimensions: int) -> msgspec.Raw:
    octets = hashlib.shake_256(seed).digest(2 * dimensions)
    # Odd numbers, so that no vector is of length 0
    numbers = [2 * number + 1 for number in struct.unpack(f"<{dimensions}h", octets)]
    length = math.sqrt(sum(number * number for number in numbers))
    return msgspec.Raw(msgspec.json.encode([number / length for number in numbers]))


def _example(schema: dict[str, Any], field: str) -> Any:
    try:
        return example(schema)
    except NoExampleError as error:
        raise _refusal(field, str(error)) from None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _refusal(field: str, message: str) -> GatewayError:
    return GatewayError(Code.VALIDATION_ERROR, details=(Detail(field, message),))
