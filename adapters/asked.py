"""The call as it has to be translated: in canonical types, with what the gateway adds already in it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from adapters.wire import is_list, is_object
from scaigrid.adapter import DROPPABLE, Outgoing
from scaigrid.call import Call
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.types import Chat, Effort, Embed, Message, ReasoningRequest, Rerank, TextPart

NEVER_DEFAULTED: Final = frozenset({"model", "messages", "input", "stream", "stream_options", "n"})
"""What no `default_params` may set: it is the caller's to say, and the reservation was made for what was said."""
OUTPUT_FIELDS: Final = frozenset({"max_tokens", "max_completion_tokens"})
"""The words of either dialect for the output bound."""
_SILENT: Final = Chat(messages=())


def chat(call: Call, outgoing: Outgoing) -> Chat:
    """The chat that `call` asks, with the output bound, the defaults and the system prompt of `outgoing`.

    Raises UNSUPPORTED_BY_MODEL for a field of the caller's dialect, or a default, that has no canonical meaning.
    """
    asked = call.canonical()
    if not isinstance(asked, Chat):
        raise TypeError(f"a {call.operation} call is no chat")
    if unknown := [field for field in asked.unknown if field not in outgoing.dropped]:
        raise unsupported(*unknown)
    changes = _defaults(call, asked, outgoing, _CHAT)
    changes |= {name: getattr(_SILENT, name) for name in outgoing.dropped & DROPPABLE}
    if outgoing.max_output is not None:
        changes["max_tokens"] = outgoing.max_output
    if outgoing.system_prompt is not None:
        prompt = Message(role="system", content=(TextPart(outgoing.system_prompt),))
        changes["messages"] = (prompt, *asked.messages)
    return msgspec.structs.replace(asked, **changes) if changes else asked


def defaulted(call: Call, silent: Chat, outgoing: Outgoing) -> Chat:
    """`silent` with what the defaults of `outgoing` say, for a call that is passed through in words of its own.

    Raises as `chat` does.
    """
    changes = _defaults(call, silent, outgoing, _CHAT)
    changes |= {name: getattr(_SILENT, name) for name in outgoing.dropped & DROPPABLE}
    return msgspec.structs.replace(silent, **changes)


def embed(call: Call, outgoing: Outgoing) -> Embed:
    """The embeddings that `call` asks for, with the defaults of `outgoing`. Raises as `chat` does."""
    asked = call.canonical()
    if not isinstance(asked, Embed):
        raise TypeError(f"a {call.operation} call asks for no embeddings")
    if unknown := [field for field in asked.unknown if field not in outgoing.dropped]:
        raise unsupported(*unknown)
    changes = _defaults(call, asked, outgoing, _EMBED)
    if "user" in outgoing.dropped:
        changes["user"] = None
    return msgspec.structs.replace(asked, **changes) if changes else asked


def rerank(call: Call, outgoing: Outgoing) -> Rerank:
    """What is to be ordered, with the defaults of `outgoing`. Raises as `chat` does."""
    asked = call.canonical()
    if not isinstance(asked, Rerank):
        raise TypeError(f"a {call.operation} call has nothing to order")
    if unknown := [field for field in asked.unknown if field not in outgoing.dropped]:
        raise unsupported(*unknown)
    changes = _defaults(call, asked, outgoing, _RERANK)
    return msgspec.structs.replace(asked, **changes) if changes else asked


def effort_of(wish: ReasoningRequest) -> Effort | None:
    """How much to think, for a provider that knows no budget: the effort, or the one that a budget stands for."""
    if wish.budget_tokens is None:
        return wish.effort
    if wish.budget_tokens == 0:
        return "none"
    for most, word in _EFFORTS:
        if wish.budget_tokens <= most:
            return word
    return "high"


_EFFORTS: Final[tuple[tuple[int, Effort], ...]] = ((4_096, "low"), (16_384, "medium"))
"""The largest budget, in tokens, that an effort stands for; any above is high."""


def unsupported(*fields: str) -> GatewayError:
    """UNSUPPORTED_BY_MODEL that names `fields`."""
    details = tuple(Detail(field, "has no counterpart at this model's provider") for field in fields)
    return GatewayError(Code.UNSUPPORTED_BY_MODEL, details=details)


def invalid(field: str, reason: str) -> GatewayError:
    """VALIDATION_ERROR for one field of the caller's."""
    return GatewayError(Code.VALIDATION_ERROR, details=(Detail(field, reason),))


def merged(
    body: dict[str, Any], asked: Chat | Embed | Rerank, provider: str, reserved: frozenset[str]
) -> dict[str, Any]:
    """`body` with the caller's own options for `provider`: objects join, lists grow, anything else is replaced.

    Raises VALIDATION_ERROR for one of the `reserved`, on which routing, reservations or the operator's prompt rest.
    """
    for name, theirs in asked.provider_options.get(provider, {}).items():
        if name in reserved:
            raise invalid(f"provider_options.{provider}.{name}", "is set by the gateway")
        ours = body.get(name)
        if is_object(ours) and is_object(theirs):
            body[name] = {**ours, **theirs}
        elif is_list(ours) and is_list(theirs):
            body[name] = [*ours, *theirs]
        else:
            body[name] = theirs
    return body


def _as(field: str, kind: Any) -> Callable[[msgspec.Raw], dict[str, Any]]:
    decoder = msgspec.json.Decoder[Any](kind)
    return lambda raw: {field: decoder.decode(raw)}


_stop: Final = msgspec.json.Decoder[str | tuple[str, ...]](str | tuple[str, ...])
_effort: Final = msgspec.json.Decoder(ReasoningRequest)


def _stops(raw: msgspec.Raw) -> dict[str, Any]:
    value = _stop.decode(raw)
    return {"stop": (value,) if isinstance(value, str) else value}


def _reasoning_effort(raw: msgspec.Raw) -> dict[str, Any]:
    return {"reasoning": _effort.decode(b'{"effort":%b}' % bytes(raw))}


_CHAT: Final[Mapping[str, Callable[[msgspec.Raw], dict[str, Any]]]] = {
    "max_tokens": _as("max_tokens", int),
    "max_completion_tokens": _as("max_tokens", int),
    "temperature": _as("temperature", float),
    "top_p": _as("top_p", float),
    "top_k": _as("top_k", int),
    "stop": _stops,
    "seed": _as("seed", int),
    "parallel_tool_calls": _as("parallel_tool_calls", bool),
    "reasoning": _as("reasoning", ReasoningRequest),
    "reasoning_effort": _reasoning_effort,
    "logprobs": _as("logprobs", bool),
    "top_logprobs": _as("top_logprobs", int),
    "presence_penalty": _as("presence_penalty", float),
    "frequency_penalty": _as("frequency_penalty", float),
    "user": _as("user", str),
    "provider_options": _as("provider_options", dict[str, dict[str, Any]]),
}
_EMBED: Final[Mapping[str, Callable[[msgspec.Raw], dict[str, Any]]]] = {
    "dimensions": _as("dimensions", int),
    "user": _as("user", str),
    "purpose": _as("purpose", str),
    "provider_options": _as("provider_options", dict[str, dict[str, Any]]),
}
_RERANK: Final[Mapping[str, Callable[[msgspec.Raw], dict[str, Any]]]] = {
    "top_n": _as("top_n", int),
    "provider_options": _as("provider_options", dict[str, dict[str, Any]]),
}


_UNSAID: Final[Mapping[type, Chat | Embed | Rerank]] = {
    Chat: Chat(messages=()),
    Embed: Embed(input=()),
    Rerank: Rerank(query="", documents=()),
}


def _defaults(
    call: Call,
    asked: Chat | Embed | Rerank,
    outgoing: Outgoing,
    words: Mapping[str, Callable[[msgspec.Raw], dict[str, Any]]],
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    unsaid = _UNSAID[type(asked)]
    for name, raw in outgoing.defaults.items():
        if name in call.members or name in NEVER_DEFAULTED:
            continue
        if name not in words:
            raise unsupported(f"default_params.{name}")
        try:
            given = words[name](raw)
        except msgspec.ValidationError:
            raise unsupported(f"default_params.{name}") from None
        # Two words may have one meaning (`reasoning`, `reasoning_effort`), and the caller may have used the other.
        changes |= {field: value for field, value in given.items() if getattr(asked, field) == getattr(unsaid, field)}
    return changes
