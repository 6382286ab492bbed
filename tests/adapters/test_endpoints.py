"""What the rows claim, each claim asked of the adapter that the row makes.

`rows/<provider>.json` is what becomes of one conversation at each provider, and what had to be left out of it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from adapters import ADAPTERS
from adapters.endpoints import AZURE, CHAT, CUSTOM, OPENAI, RESPONSES, ROWS, Endpoint
from adapters.openai import of_row
from adapters.openai_responses_splice import SIZE, SURFACES
from scaigrid import dropping
from scaigrid.adapter import FEATURES, Target
from scaigrid.call import Call
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    AudioPart,
    CalledTool,
    Chat,
    Embed,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    ReasoningPart,
    ReasoningRequest,
    Rerank,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)
from tests.adapters.calls import SLUG, foreign, openai, outgoing, user

ALL: Final = (OPENAI, AZURE, CUSTOM, *ROWS)
HI: Final = (user("Hi"),)


def shown(part: Any) -> tuple[Message, ...]:
    return (Message(role="user", content=(TextPart("What is it?"), part)),)


PROBES: Final[Mapping[str, Call]] = {
    "chat": foreign(Chat(messages=HI)),
    "stream": foreign(Chat(messages=HI), stream=True),
    "embed": foreign(Embed(input=("a",))),
    "rerank": foreign(Rerank(query="q", documents=("a", "b"))),
    "tools": foreign(Chat(messages=HI, tools=(Tool(name="f"),))),
    "images": foreign(Chat(messages=shown(ImagePart(url="https://x/a.png")))),
    "audio": foreign(Chat(messages=shown(AudioPart(data="AA==", format="wav")))),
    "files": foreign(Chat(messages=shown(FilePart(data="AA==", media_type="application/pdf")))),
    "reasoning": foreign(Chat(messages=HI, reasoning=ReasoningRequest(effort="high"))),
    "json_schema": foreign(Chat(messages=HI, response_format=ResponseFormat(kind="json_schema", schema={}))),
    "n": foreign(Chat(messages=HI, n=2)),
    "logprobs": foreign(Chat(messages=HI, logprobs=True)),
}
"""A call that needs the feature and nothing else."""
TOLD: Final = frozenset({"citations"})
"""What an answer may have without anybody asking."""


def target(row: Endpoint) -> Target:
    return Target(type=row.name, base_url="https://provider.example", model="m", headers=(), speaks=row.speaks)


@pytest.fixture(params=ALL, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> Endpoint:
    found: Endpoint = request.param
    return found


def test_each_row_is_registered_under_its_name_once(row: Endpoint) -> None:
    assert [one.name for one in ALL].count(row.name) == 1
    adapter = ADAPTERS[row.name]
    assert (adapter.name, adapter.can, adapter.base_url()) == (row.name, row.can, row.address)
    kept = SURFACES if row.keeps_responses and RESPONSES in row.speaks else frozenset[str]()
    assert adapter.speaks() == row.speaks | (kept if "count_tokens" in row.can else kept - {SIZE})
    assert row.can <= FEATURES


@pytest.mark.parametrize("feature", sorted(FEATURES - TOLD - {"count_tokens"}))
def test_what_is_claimed_can_be_said_and_nothing_else(row: Endpoint, feature: str) -> None:
    needs = {"chat", feature} if feature not in ("embed", "rerank") else {feature}
    adapter = of_row(row)
    if needs <= row.can:
        assert adapter.encode(PROBES[feature], target(row), outgoing()).body
        return
    with pytest.raises(GatewayError) as caught:
        adapter.encode(PROBES[feature], target(row), outgoing())
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    assert caught.value.details


def test_only_openai_itself_counts_tokens(row: Endpoint) -> None:
    if row is OPENAI:
        call = foreign(Chat(messages=HI), operation="count_tokens")
        assert of_row(row).encode(call, target(row), outgoing()).url.endswith("/responses/input_tokens")
        return
    with pytest.raises(GatewayError) as caught:
        of_row(row).encode(foreign(Chat(messages=HI), operation="count_tokens"), target(row), outgoing())
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


def test_what_is_spoken_is_claimed(row: Endpoint) -> None:
    assert {"embed" if surface == "openai/embeddings" else "chat" for surface in row.speaks} <= row.can


@pytest.mark.parametrize("row", [one for one in ALL if CHAT in one.speaks], ids=lambda row: row.name)
def test_a_bound_has_one_name_at_each_provider(row: Endpoint) -> None:
    """A caller's `max_completion_tokens` has to bound where `max_tokens` is all that is known."""
    call = openai({"model": SLUG, "messages": [], "max_completion_tokens": 5})
    sent = json.loads(of_row(row).encode(call, target(row), outgoing(max_output=4)).body)
    bounds = {name: sent[name] for name in ("max_tokens", "max_completion_tokens") if name in sent}
    assert bounds == {row.called("max_completion_tokens"): 4}


def test_a_name_is_the_providers_own_where_there_is_one() -> None:
    row = msgspec.structs.replace(CUSTOM, renamed={"seed": "random_seed"})
    assert (row.called("seed"), row.called("stop")) == ("random_seed", "stop")


def test_rows_cannot_be_changed_by_anybody() -> None:
    with pytest.raises(AttributeError):
        ROWS[0].name = "mine"  # type: ignore[misc]  # that it cannot be is the fact


# -- one conversation, told to each of them --------------------------------------------------------------------------

TURN: Final = Chat(
    messages=(
        Message(role="developer", content=(TextPart("Be brief."),)),
        user("Weather?"),
        Message(
            role="assistant",
            content=(TextPart("Let me look."),),
            tool_calls=(CalledTool("call_of_another", "weather", '{"city":"Bonn"}'),),
        ),
        Message(role="tool", tool_call_id="call_of_another", content=(JsonPart(value=msgspec.Raw(b'{"c":12}')),)),
        Message(role="assistant", content=(TextPart("It is"),)),
    ),
    max_tokens=1000,
    temperature=0.5,
    top_k=40,
    stop=("END",),
    seed=7,
    user="u",
    frequency_penalty=0.5,
    tools=(Tool(name="weather", parameters={"type": "object", "properties": {}}, strict=True),),
    tool_choice=ToolChoice(mode="auto"),
    parallel_tool_calls=False,
    response_format=ResponseFormat(kind="json_object"),
    reasoning=ReasoningRequest(effort="max"),
)


def thought(row: Endpoint) -> Chat:
    """The conversation, with what the provider itself has thought in it."""
    called = TURN.messages[2]
    kept = ReasoningPart(text="Look it up.", provider=row.name)
    messages = (*TURN.messages[:2], msgspec.structs.replace(called, reasoning=(kept,)), *TURN.messages[3:])
    return msgspec.structs.replace(TURN, messages=messages)


def body(row: Endpoint, asked: Chat) -> tuple[bytes, list[str]]:
    """What is sent, and what had to be left out."""
    said = outgoing()
    sent = dropping.encoded(of_row(row), foreign(asked, stream=True), target(row), said, drops=True)
    return sent.body, sorted(said.dropped)


@pytest.mark.parametrize("row", [one for one in ALL if {"chat", "tools"} <= one.can], ids=lambda row: row.name)
def test_a_conversation_becomes_what_is_written_for_the_row(row: Endpoint) -> None:
    sent, dropped = body(row, thought(row))
    written = json.loads((Path(__file__).parent / "rows" / f"{row.name}.json").read_bytes())
    # The bytes: what is written is only spread over lines.
    assert sent == json.dumps(written["body"], ensure_ascii=False, separators=(",", ":")).encode()
    assert dropped == written["dropped"]


@pytest.mark.parametrize("row", [one for one in ALL if {"chat", "tools"} <= one.can], ids=lambda row: row.name)
def test_the_next_turn_begins_with_the_bytes_of_the_last(row: Endpoint) -> None:
    """Else the provider's prompt cache would never meet what it knows."""
    asked = thought(row)
    before = msgspec.structs.replace(asked, messages=asked.messages[:4])
    first, _ = body(row, before)
    again, _ = body(row, before)
    second, _ = body(row, asked)
    assert first == again
    assert second.startswith(first.removesuffix(b"]}"))


def test_nothing_is_written_for_a_row_that_is_gone() -> None:
    written = {path.stem for path in (Path(__file__).parent / "rows").iterdir()}
    assert written == {one.name for one in ALL if {"chat", "tools"} <= one.can}
