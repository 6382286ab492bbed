"""Calls for the adapters' tests: canonical ones as another dialect would make them, and ones of the OpenAI dialect."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from adapters import ADAPTERS
from scaigrid import splice
from scaigrid.adapter import Decoder, Options, Outgoing, Relaying, Target
from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.types import Chat, Embed, Event, Message, Operation, Rerank, TextPart

SLUG: Final = "scailabs/best"
UPSTREAM_MODEL: Final = "upstream-model-1"


RELAYING: Final = Relaying(name=lambda name: name)


def target(kind: str = "openai", *, model: str = UPSTREAM_MODEL, options: Options | None = None) -> Target:
    """A backend of a provider of this type, which has it compiled by its adapter."""
    adapter = ADAPTERS[kind]
    chosen = adapter.options() if options is None else options
    return Target(
        type=kind,
        base_url="https://provider.example/v1",
        model=model,
        headers=(("x-kept", "yes"),),
        speaks=adapter.speaks(chosen),
        options=chosen,
    )


_OPERATIONS: Final[Mapping[type, Operation]] = {Chat: "chat", Embed: "embed", Rerank: "rerank"}


def user(text: str) -> Message:
    return Message(role="user", content=(TextPart(text),))


def foreign(
    asked: Chat | Embed | Rerank,
    *,
    stream: bool = False,
    members: Mapping[str, Any] | None = None,
    operation: Operation | None = None,
) -> Call:
    """A call of a dialect that no provider speaks; `members` are the fields that its caller spelled out."""
    operation = operation or _OPERATIONS[type(asked)]
    return Call(
        dialect="native",
        operation=operation,
        surface=f"native/{operation}",
        model=SLUG,
        body=b"",
        members={name: msgspec.Raw(json.dumps(value).encode()) for name, value in (members or {}).items()},
        canonical=lambda: asked,
        stream=stream,
        n=asked.n if isinstance(asked, Chat) else 1,
        max_output=asked.max_tokens if isinstance(asked, Chat) else None,
    )


def openai(body: bytes | Mapping[str, Any]) -> Call:
    """A call of the OpenAI dialect, with the facts that its decoder would read off the body."""
    text = body if isinstance(body, bytes) else msgspec.json.encode(body)
    read: dict[str, Any] = json.loads(text)
    options: dict[str, Any] = read.get("stream_options") or {}
    field = next((name for name in ("max_completion_tokens", "max_tokens") if read.get(name) is not None), None)

    def canonical() -> Chat | Embed | Rerank:
        raise AssertionError("a call that goes through is not decoded")

    return Call(
        dialect="openai",
        operation="embed" if "input" in read else "chat",
        surface="openai/embeddings" if "input" in read else "openai/chat",
        model=read["model"],
        body=text,
        members=splice.members(text),
        canonical=canonical,
        stream=bool(read.get("stream")),
        n=read.get("n") or 1,
        max_output=read[field] if field else None,
        output_field=field,
        wants_usage=bool(options.get("include_usage")),
    )


def anthropic(body: bytes | Mapping[str, Any], *, counted: bool = False, **more: Any) -> Call:
    """A call of the Anthropic dialect, with the facts that its decoder would read off the body."""
    text = body if isinstance(body, bytes) else msgspec.json.encode(body)
    read: dict[str, Any] = json.loads(text)

    def canonical() -> Chat | Embed | Rerank:
        raise AssertionError("a call that goes through is not decoded")

    return Call(
        dialect="anthropic",
        operation="count_tokens" if counted else "chat",
        surface="anthropic/count_tokens" if counted else "anthropic/messages",
        model=read["model"],
        body=text,
        members=splice.members(text),
        canonical=canonical,
        stream=bool(read.get("stream")),
        max_output=read.get("max_tokens"),
        output_field="max_tokens",
        wants_usage=True,
        **more,
    )


def outgoing(
    *, max_output: int | None = None, system_prompt: str | None = None, defaults: Mapping[str, Any] | None = None
) -> Outgoing:
    return Outgoing(
        max_output=max_output,
        system_prompt=system_prompt,
        defaults={name: msgspec.Raw(json.dumps(value).encode()) for name, value in (defaults or {}).items()},
    )


def decode(decoder: Decoder, chunks: Iterable[bytes]) -> list[Event]:
    """All events of an answer that comes in `chunks`. Raises GatewayError."""
    found = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [*found, *decoder.close()]


def until_failure(decoder: Decoder, chunks: Iterable[bytes]) -> tuple[list[Event], GatewayError | None]:
    """The events up to the first failure, and the failure."""
    found: list[Event] = []
    try:
        for chunk in chunks:
            found += decoder.feed(chunk)
        found += decoder.close()
    except GatewayError as failure:
        return found, failure
    return found, None


def byte_by_byte(text: bytes) -> list[bytes]:
    return [text[place : place + 1] for place in range(len(text))]


def lines(events: Iterable[Event]) -> str:
    """Events as text, one a line: what is beside each recorded answer."""
    return "".join(msgspec.json.encode(event).decode() + "\n" for event in events)
