"""Whether what a provider is asked is the same to the byte: two turns of one conversation, and one call twice.

Providers cache prompts by their beginning, so the second turn has to begin with the very bytes of the first.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from adapters import ADAPTERS
from scaigrid.types import Operation
from tests.conformance.cases import NotRun
from tests.conformance.client import Client
from tests.conformance.dialects import CLIENTS
from tests.conformance.ways import SLUG, Inside, Question

MODEL: Final = "model-of-the-provider"
_OPTIONS: Final[Mapping[str, dict[str, Any]]] = {"bedrock": {"region": "us-east-1"}}
"""What a type of provider cannot do without."""

_FIRST: Final[dict[str, Any]] = {
    "max_tokens": 500,
    "temperature": 0.5,
    "stream": False,
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Looks at a place.",
                "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
            },
        }
    ],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is at the größte tree?"},
    ],
}
_SECOND: Final[dict[str, Any]] = {
    **_FIRST,
    "messages": [
        *_FIRST["messages"],
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "call_1234x", "type": "function", "function": {"name": "look", "arguments": '{"at":"tree"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1234x", "content": "An owl."},
        {"role": "user", "content": "And now?"},
    ],
}
_TALK: Final[dict[str, Any]] = {name: value for name, value in _FIRST.items() if name != "tools"}
_MORE_TALK: Final[dict[str, Any]] = {
    **_TALK,
    "messages": [
        *_TALK["messages"],
        {"role": "assistant", "content": "An owl."},
        {"role": "user", "content": "And now?"},
    ],
}


class Stable(msgspec.Struct, frozen=True):
    """What one provider is asked over one dialect; `not_run` says why it cannot be."""

    provider: str
    dialect: str
    first: bytes = b""
    again: bytes = b""
    second: bytes = b""
    not_run: str | None = None

    @property
    def fault(self) -> str | None:
        """In words, what is not stable; None where all is."""
        if self.first != self.again:
            return f"the same call twice gives other bytes: {self.first!r} and {self.again!r}"
        shared = self.first[: _end_of_messages(self.first)]
        if not self.second.startswith(shared):
            place = next(at for at, byte in enumerate(shared) if self.second[at : at + 1] != bytes([byte]))
            before, after = (turn[max(0, place - 40) : place + 40] for turn in (self.first, self.second))
            return f"the second turn differs at {place}: {before!r} and then {after!r}"
        return None

    @property
    def digests(self) -> tuple[str, str]:
        """Of what the turns share, in the first and in the second."""
        length = _end_of_messages(self.first)
        return sha256(self.first[:length]).hexdigest(), sha256(self.second[:length]).hexdigest()


def _end_of_messages(sent: bytes) -> int:
    """Where the last message of a body ends whose last member are the messages."""
    name, messages = list(json.loads(sent).items())[-1]
    assert isinstance(messages, list), f"the last member is {name}, and no list of messages"
    assert sent.endswith(b"]}")
    return len(sent) - len(b"]}")


def all_pairs() -> Iterator[tuple[str, Client]]:
    """Every provider that answers chats over HTTP, with every dialect."""
    for name, adapter in sorted(ADAPTERS.items()):
        if adapter.transport == "http" and "chat" in adapter.can:
            for client in CLIENTS:
                yield name, client


def options(provider: str) -> Mapping[str, Any]:
    return _OPTIONS.get(provider, {})


def measured(provider: str, client: Client) -> Stable:
    way = Inside({provider: ADAPTERS[provider]})
    operation: Operation = "chat"
    said = (_FIRST, _FIRST, _SECOND) if "tools" in ADAPTERS[provider].can else (_TALK, _TALK, _MORE_TALK)
    try:
        turns = [client.write(operation, turn) for turn in said]
    except NotRun as reason:
        return Stable(provider, client.name, not_run=str(reason))
    path = client.operations[operation]
    sent = [way.encoded(Question(path, body(turn), SLUG, provider, options(provider), MODEL)) for turn in turns]
    first, again, second = sent
    return Stable(provider, client.name, first, again, second)


def body(asked: dict[str, Any], slug: str = SLUG) -> bytes:
    """The call as a client sends it."""
    return msgspec.json.encode({"model": slug, **asked})


def report() -> Iterator[str]:
    """A line for each: the digests of what two turns have in common."""
    for provider, client in all_pairs():
        one = measured(provider, client)
        if one.not_run is not None:
            yield f"{provider:12} {client.name:10} not run: {one.not_run}"
        else:
            first, second = one.digests
            same = "same" if first == second else f"NOT {second[:16]}"
            sizes = f"{len(one.first)} of {len(one.second)} bytes"
            yield f"{provider:12} {client.name:10} sha256 {first[:16]} {same}, {sizes}"
