"""Two turns of a conversation: what a provider wants back of its answer comes back to it, and to nobody else."""

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import ADAPTERS
from adapters.openai import OpenAIOptions
from scaigrid.adapter import NO_OPTIONS, Outgoing, Target
from scaigrid.call import Call
from scaigrid.dialects import DIALECTS
from scaigrid.types import Chat, Event, Message, ReasoningPart, RefusalPart, Text, TextPart
from tests.conformance.dialects import CLIENTS
from tests.conformance.halves import MODEL, PREFIX, asked, client, of_events, rendered
from tests.conformance.plans import configured
from tests.conformance.told import Called, Choice, Reply, Thought
from tests.harness.mirrored_answers import PROVIDERS, answers

_OPTIONS: Final[dict[str, Any]] = {
    "openai": OpenAIOptions(api="responses"),
    "bedrock": configured("bedrock", {"region": "us-east-1"}),
}
_ALL: Final = sorted(
    name for name, adapter in ADAPTERS.items() if adapter.transport == "http" and {"chat", "tools"} <= adapter.can
)
"""Providers that can be asked to go on."""
_MODELS: Final = {"bedrock": "anthropic.claude-sonnet-4-20250514-v1:0"}


@pytest.mark.parametrize("dialect", [one.name for one in CLIENTS])
@pytest.mark.parametrize("provider", PROVIDERS)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_what_a_provider_wants_back_survives_its_client(provider: str, dialect: str, data: st.DataObject) -> None:
    """A client that only knows its own dialect sends back what it was answered, and no more."""
    told = with_text(data.draw(answers(provider)))
    choice = client(dialect).tells(of_events(told), False).choices[0]
    chat = next_turn(dialect, rendered(asked(dialect, stream=False), told)).canonical()
    assert isinstance(chat, Chat)
    assert chat.unknown == ()
    turns = [message for message in chat.messages if message.role == "assistant"]
    again = of_messages(turns)
    assert again.thoughts == choice.thoughts
    assert again.text + again.refusal == choice.text + choice.refusal
    assert again.tools == choice.tools
    assert {one.provider for turn in turns for one in turn.reasoning if opaque(one)} <= {provider}


@pytest.mark.parametrize("dialect", [one.name for one in CLIENTS])
@pytest.mark.parametrize("provider", PROVIDERS)
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_nobody_else_is_sent_what_a_provider_wants_back(provider: str, dialect: str, data: st.DataObject) -> None:
    """The provider itself gets all of it."""
    told = with_text(data.draw(answers(provider)))
    call = next_turn(dialect, rendered(asked(dialect, stream=False), told))
    seals = [_inner(one.opaque or "") for one in of_events(told).choices[0].thoughts]
    for name in _ALL:
        body = sent(name, call)
        assert PREFIX not in body
        for seal in seals:
            assert (seal in body) == (name == provider), name


@pytest.mark.parametrize("dialect", ["openai", "responses", "anthropic"])
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_call_that_passes_takes_no_wrapping_along(dialect: str, data: st.DataObject) -> None:
    """A provider takes neither reasoning that it has not sealed nor a member that it does not know."""
    told = with_text(data.draw(answers(data.draw(st.sampled_from(PROVIDERS)))))
    call = next_turn(dialect, rendered(asked(dialect, stream=False), told))
    for name in _ALL:
        if call.surface in ADAPTERS[name].speaks(_OPTIONS.get(name, NO_OPTIONS)) and name != "custom":
            body = sent(name, call, passes=True)
            assert PREFIX not in body
            assert "provider_state" not in body


def with_text(told: list[Event]) -> list[Event]:
    """An answer without a word cannot be sent back."""
    start, *events = told
    return [start, Text("Well."), *events]


def opaque(part: ReasoningPart) -> bool:
    """Whether there is something that has to come back to the letter."""
    return (part.signature, part.redacted, part.id) != (None, None, None)


def _inner(seal: str) -> str:
    """What of a sealed text is in the body whatever the escapes around it."""
    return json.loads(seal)[0]["data"] if seal.startswith("[") else seal


def next_turn(dialect: str, answer: bytes) -> Call:
    """The call with which a client goes on after this answer."""
    reader = client(dialect)
    path = reader.operations["chat"]
    first = json.loads(asked(dialect, stream=False).body)
    body = reader.turn(first, Reply(200, "application/json", answer), False)
    return next(one for one in DIALECTS if path in one.operations).decode(path, json.dumps(body).encode())


def of_messages(messages: list[Message]) -> Choice:
    """What messages of the assistant say that were one answer."""
    choice = Choice()
    for message in messages:
        choice.text += "".join([part.text for part in message.content if isinstance(part, TextPart)])
        choice.refusal += "".join([part.refusal for part in message.content if isinstance(part, RefusalPart)])
        choice.tools += [Called(one.id, one.name, json.loads(one.arguments)) for one in message.tool_calls]
        choice.thoughts += [
            Thought(one.text, one.signature, one.redacted, one.id, one.signs, one.call_id)
            for one in message.reasoning
            if opaque(one)
        ]
    return choice


def sent(provider: str, call: Call, *, passes: bool = False) -> str:
    """What `provider` is asked; with `passes`, as its backend is that speaks the caller's dialect."""
    adapter, options = ADAPTERS[provider], _OPTIONS.get(provider, NO_OPTIONS)
    target = Target(
        type=provider,
        base_url=adapter.base_url(options) or "https://x.example",
        model=_MODELS.get(provider, MODEL),
        headers=(),
        speaks=adapter.speaks(options) if passes else frozenset(),
        options=options,
    )
    return adapter.encode(call, target, Outgoing(max_output=99)).body.decode()
