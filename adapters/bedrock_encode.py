"""Canonical calls as bodies for Bedrock's Converse API.

Source: Amazon Bedrock API reference, "Converse", "ConverseStream", "CountTokens". What the API cannot say is refused by
name. Hints that change no answer and have no counterpart are left out: an image's `detail`, `strict` of a response
format (it is always strict), a cache mark where the model takes none, a wish for a reasoning summary, and reasoning
that was not signed here.

Members stand in a fixed order with the messages last, so that two turns of one conversation begin with the same bytes.
"""

import re
from hashlib import sha256
from typing import Any, Final

import msgspec

from adapters import bedrock_families
from adapters.asked import invalid, merged, unsupported
from adapters.bedrock_families import Family
from adapters.bedrock_parts import Block, Parts
from adapters.wire import encoded, is_object, present
from scaigrid.types import CalledTool, Chat, Message, ReasoningPart, ResponseFormat, Tool

PROVIDER: Final = "bedrock"
_RESERVED: Final = frozenset({"model", "modelId", "messages", "system", "stream", "max_tokens", "inferenceConfig"})
"""What `provider_options` may not set: routing, reservations and the operator's prompt rest on it."""
_FIELDS: Final = "additionalModelRequestFields"
_BOUNDS: Final = frozenset(
    {
        "max_completion_tokens",
        "max_gen_len",
        "max_new_tokens",
        "max_tokens",
        "max_tokens_to_sample",
        "maxTokenCount",
        "maxTokens",
        "messages",
        "n",
        "num_generations",
        "prompt",
        "system",
    }
)
"""The same by the makers' own names, among the fields that go to the model unread."""
_COUNTED: Final = frozenset({"toolConfig", _FIELDS, "system", "messages"})
"""The members of a chat that the counter of tokens takes."""
_NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_.:-]")
_LONGEST_ID: Final = 64
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def chat(asked: Chat, model: str) -> dict[str, Any]:
    """The body of a chat, for msgspec. Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR."""
    family = bedrock_families.of(model)
    parts = Parts(family)
    _refuse(asked, family)
    tools, fields = _tool_config(asked, family, parts)
    if asked.top_k is not None and family.top_k is not None:
        fields |= family.top_k(asked.top_k)
    if asked.reasoning is not None and family.reasoning is not None:
        fields |= family.reasoning(asked.reasoning, asked, model)
    body = present(
        {
            "inferenceConfig": _inference(asked) or None,
            _FIELDS: fields or None,
            "additionalModelResponseFieldPaths": ["/stop_sequence"] if asked.stop and family.tells_stop else None,
            "outputConfig": _output_config(asked.response_format),
            "toolConfig": tools,
        }
    )
    _check_options(asked)
    merged(body, asked, PROVIDER, _RESERVED)
    system, messages = _turns(asked.messages, parts)
    if system:
        body["system"] = system
    body["messages"] = messages
    return body


def count(asked: Chat, model: str) -> dict[str, Any]:
    """The body of a question how many tokens a chat has."""
    said = {name: value for name, value in chat(asked, model).items() if name in _COUNTED}
    return {"input": {"converse": said}}


def _refuse(asked: Chat, family: Family) -> None:
    thinks = asked.reasoning is not None and (asked.reasoning.effort, asked.reasoning.budget_tokens) != (None, None)
    said = {
        "n": asked.n != 1,
        "seed": asked.seed is not None,
        "user": asked.user is not None,
        "top_k": asked.top_k is not None and family.top_k is None,
        "reasoning": thinks and family.reasoning is None,
        "logprobs": asked.logprobs,
        "top_logprobs": asked.top_logprobs is not None,
        # A penalty of nothing is none.
        "presence_penalty": bool(asked.presence_penalty),
        "frequency_penalty": bool(asked.frequency_penalty),
        "response_format": asked.response_format is not None and asked.response_format.kind == "json_object",
    }
    if any(said.values()):
        raise unsupported(*(name for name, given in said.items() if given))


def _check_options(asked: Chat) -> None:
    """Raises VALIDATION_ERROR where the caller's own fields would take the place of what the gateway governs."""
    fields = asked.provider_options.get(PROVIDER, {}).get(_FIELDS)
    if not is_object(fields):
        return
    config = fields.get("inferenceConfig")
    inner = config.keys() if is_object(config) else frozenset[str]()
    for name in sorted(_BOUNDS & (fields.keys() | inner)):
        raise invalid(f"provider_options.{PROVIDER}.{_FIELDS}.{name}", "is set by the gateway")


def _inference(asked: Chat) -> dict[str, Any]:
    return present(
        {
            "maxTokens": asked.max_tokens,
            "temperature": asked.temperature,
            "topP": asked.top_p,
            "stopSequences": asked.stop or None,
        }
    )


def _output_config(asked: ResponseFormat | None) -> Block | None:
    if asked is None or asked.kind != "json_schema":
        return None
    schema = encoded(asked.schema or {}).decode()
    said = present({"schema": schema, "name": asked.name, "description": asked.description})
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": said}}}


# -- tools -----------------------------------------------------------------------------------------------------------


def _tool_config(asked: Chat, family: Family, parts: Parts) -> tuple[Block | None, dict[str, Any]]:
    """The tools and the choice among them, and the maker's own words for a choice that Converse has none for.

    To call none of them is said by leaving them out. But where earlier turns called tools the API wants to know them.
    """
    choice = asked.tool_choice
    if not asked.tools:
        return None, {}
    said: Block = {"tools": [block for tool in asked.tools for block in _tool(tool, parts)]}
    if choice is not None and choice.name is None and choice.mode == "none":
        if not any(message.tool_calls or message.role == "tool" for message in asked.messages):
            return None, {}
        if not family.chooses:
            raise unsupported("tool_choice")
        return said, {"tool_choice": {"type": "none"}}
    kind, named = "auto", {}
    if choice is not None:
        kind = "tool" if choice.name is not None else _CHOICES[choice.mode]
        named = present({"name": choice.name})
        said["toolChoice"] = {kind: named}
    if asked.parallel_tool_calls is not False:
        return said, {}
    if not family.chooses:
        raise unsupported("parallel_tool_calls")
    return said, {"tool_choice": {"type": kind, **named, "disable_parallel_tool_use": True}}


_CHOICES: Final = {"auto": "auto", "required": "any"}


def _tool(tool: Tool, parts: Parts) -> list[Block]:
    said: Block = {"name": tool.name}
    if tool.description:
        said["description"] = tool.description
    said["inputSchema"] = {"json": tool.parameters or {"type": "object", "properties": {}}}
    if tool.strict:
        said["strict"] = True
    return [{"toolSpec": said}, *parts.point(tool.cache, "tools")]


# -- messages --------------------------------------------------------------------------------------------------------


def _turns(messages: tuple[Message, ...], parts: Parts) -> tuple[list[Block], list[Block]]:
    """System blocks, wherever they stood, and turns by the two roles that there are, neighbours of one role joined."""
    system: list[Block] = []
    turns: list[Block] = []
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        if message.name is not None and message.role != "tool":
            raise unsupported(f"{where}.name")
        blocks = _blocks(message, where, parts)
        if message.role in ("system", "developer"):
            system += blocks
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return system, turns


def _blocks(message: Message, where: str, parts: Parts) -> list[Block]:
    if message.role == "tool":
        return parts.result(message, _id(message.tool_call_id or ""), where)
    thoughts = [block for part in message.reasoning if (block := _thought(part)) is not None]
    calls = [_call(call, f"{where}.tool_calls[{place}]") for place, call in enumerate(message.tool_calls)]
    return [*thoughts, *parts.blocks(message, where), *calls]


def _thought(part: ReasoningPart) -> Block | None:
    """A block of reasoning as this provider made it. It takes none that it has not signed."""
    if part.provider != PROVIDER or part.signs != "reasoning":
        return None
    if part.redacted is not None:
        return {"reasoningContent": {"redactedContent": part.redacted}}
    if part.signature is None:
        return None
    return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}


def _call(call: CalledTool, where: str) -> Block:
    try:
        arguments = call.arguments.strip().encode() or b"{}"
        _object.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise invalid(f"{where}.arguments", "is no JSON object") from None
    # Not decoded any deeper: numbers stay as the model wrote them.
    compact = msgspec.Raw(msgspec.json.format(arguments, indent=-1))
    return {"toolUse": {"toolUseId": _id(call.id), "name": call.name, "input": compact}}


def _id(identifier: str) -> str:
    """The API takes few letters in ids, and 64 of them; those of other providers may have more."""
    plain = _NOT_IN_IDS.sub("_", identifier)
    return plain if len(plain) <= _LONGEST_ID else sha256(identifier.encode("utf-8", "replace")).hexdigest()
