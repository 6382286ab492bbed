"""The two halves of each protocol against each other: what one dialect writes, the adapter of its protocol reads."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import ADAPTERS
from adapters.openai import OpenAIOptions
from scaigrid.adapter import NO_OPTIONS, Target
from scaigrid.call import Call
from scaigrid.types import Event, Usage
from tests.conformance.client import Asking
from tests.conformance.dialects import CLIENTS
from tests.conformance.halves import MODEL, asked, client, of_events, rendered
from tests.conformance.told import Reply, Told, differences
from tests.harness.mirrored_answers import PROVIDERS, answers, cut


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """One protocol that is both written and read."""

    provider: str
    dialect: str
    """The client of it."""
    lost: dict[str, str]
    """What does not survive, with the reason."""
    loses: Callable[[Told], Told]
    """What is left of an answer, as its client is told it."""
    options: Any = NO_OPTIONS
    choices: int = 1


def _chat(told: Told) -> Told:
    for choice in told.choices.values():
        choice.thoughts = []
        choice.citations = list(dict.fromkeys(choice.citations))
    return told


def _messages(told: Told) -> Told:
    for choice in told.choices.values():
        choice.citations = [msgspec.structs.replace(one, url=one.url or None) for one in choice.citations]
    return told


def _responses(told: Told) -> Told:
    for choice in told.choices.values():
        choice.citations = [
            msgspec.structs.replace(one, document=None)
            for one in choice.citations
            if one.url or one.file_id or one.title
        ]
    return told


PROTOCOLS: Final[dict[str, Protocol]] = {
    "openai": Protocol(
        provider="openai",
        dialect="openai",
        choices=3,
        loses=_chat,
        lost={
            "citations of documents": "annotations name pages alone",
            "quotes of citations": "annotations have no words of the page",
            "a citation said twice": "is read once: some providers repeat all of them in each chunk",
            "provider state": "the protocol has no word for it: `provider_state` is the gateway's own",
            "stop_sequence": "the protocol does not tell which one was met",
        },
    ),
    "responses": Protocol(
        provider="openai",
        dialect="responses",
        options=OpenAIOptions(api="responses"),
        loses=_responses,
        lost={
            "quotes of citations": "annotations have no words of the source",
            "which document it was": "a file citation names a file by its id or its name",
            "stop_sequence": "the protocol does not tell which one was met",
            "stop and tool_calls": "are told apart by what the answer has in it",
        },
    ),
    "anthropic": Protocol(
        provider="anthropic",
        dialect="anthropic",
        loses=_messages,
        lost={
            "refusals": "are texts with an end of their own",
            "places of citations": "are those of the block that has them",
        },
    ),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("name", PROTOCOLS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_an_adapter_reads_what_the_dialect_of_its_protocol_writes(
    name: str, streamed: bool, data: st.DataObject
) -> None:
    """Of an answer nothing is lost on that way but what the protocol has no word for."""
    protocol = PROTOCOLS[name]
    told = data.draw(answers(protocol.provider, protocol.choices))
    call = asked(protocol.dialect, stream=streamed, choices=protocol.choices)
    written = rendered(call, told)
    read = decoded(protocol, call, data.draw(cut(written)))
    expected = protocol.loses(client(protocol.dialect).tells(of_events(told), streamed))
    got = of_events(read)
    if name == "anthropic":
        for choice in got.choices.values():
            choice.citations = [msgspec.structs.replace(one, start=None, end=None) for one in choice.citations]
    assert differences(expected, got) == []
    _same_usage(told, read, name)


@pytest.mark.parametrize("name", PROTOCOLS)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_stream_says_what_the_plain_answer_says(name: str, data: st.DataObject) -> None:
    """For what any protocol's decoder tells: a client of any dialect reads the same of both."""
    protocol = PROTOCOLS[name]
    call = asked(protocol.dialect, stream=True)
    written = rendered(call, data.draw(answers(protocol.provider)))
    dialect = data.draw(st.sampled_from([one.name for one in CLIENTS]))
    _both_ways(dialect, decoded(protocol, call, data.draw(cut(written))))


@pytest.mark.parametrize("dialect", [one.name for one in CLIENTS])
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_client_reads_what_a_provider_has_told(dialect: str, data: st.DataObject) -> None:
    """Streamed as plain: all that its dialect has words for."""
    told = data.draw(answers(data.draw(st.sampled_from(PROVIDERS))))
    expected = client(dialect).tells(of_events(told), True)
    assert differences(expected, _both_ways(dialect, told)) == []


def _both_ways(dialect: str, events: Sequence[Event]) -> Told:
    """What a client reads of these events, which has to be the same streamed and plain."""
    reader = client(dialect)
    read: list[Told] = []
    for stream in (False, True):
        kind = "text/event-stream" if stream else "application/json"
        reply = Reply(200, kind, rendered(asked(dialect, stream=stream), events))
        read.append(reader.read(reply, Asking(operation="chat", slug=MODEL, stream=stream)))
    plain, streamed = read
    assert differences(plain, streamed) == []
    return streamed


def decoded(protocol: Protocol, call: Call, pieces: Sequence[bytes]) -> list[Event]:
    target = Target(
        type=protocol.provider, base_url="https://x.example", model=MODEL, headers=(), options=protocol.options
    )
    decoder = ADAPTERS[protocol.provider].decoder(call, target)
    return [event for piece in pieces for event in decoder.feed(piece)] + list(decoder.close())


def _same_usage(told: Sequence[Event], read: Sequence[Event], name: str) -> None:
    """By its disjoint classes; only Anthropic's protocol tells how long what was written is kept."""
    given = next((one for one in reversed(told) if isinstance(one, Usage)), Usage() if name == "anthropic" else None)
    if given is not None and name != "anthropic":
        written = given.cache_write + given.cache_write_1h
        given = msgspec.structs.replace(given, cache_write=written, cache_write_1h=0)
    assert next((one for one in reversed(read) if isinstance(one, Usage)), None) == given
