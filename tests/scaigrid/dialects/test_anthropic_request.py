import json
from typing import Any

import pytest

from scaigrid.dialects.anthropic import Anthropic
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    Chat,
    FilePart,
    Message,
    ReasoningRequest,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)

MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
HI = Message(role="user", content=(TextPart("Hi"),))
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def canonical(path: str = "/anthropic/v1/messages", **body: Any) -> Chat:
    asked = {"model": "m", "max_tokens": 9, "messages": MESSAGES, **body}
    chat = Anthropic().decode(path, json.dumps(asked).encode()).canonical()
    assert isinstance(chat, Chat)
    return chat


def test_a_call_that_says_little() -> None:
    assert canonical() == Chat(messages=(HI,), max_tokens=9)


def test_a_call_that_says_much() -> None:
    chat = canonical(
        system="Be brief.",
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        provider_options={"openai": {"seed": 1}},
    )
    assert chat == Chat(
        messages=(Message(role="system", content=(TextPart("Be brief."),)), HI),
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop=("END",),
        user="u",
        provider_options={"openai": {"seed": 1}},
    )


@pytest.mark.parametrize(
    ("system", "parts"),
    [
        (None, ()),
        ("", ()),
        ([], ()),
        ([{"type": "text", "text": ""}], ()),
        ([{"type": "text", "text": "a", **MARK}, {"type": "text", "text": "b"}], (TextPart("a", "1h"), TextPart("b"))),
    ],
)
def test_the_system_prompt_comes_first(system: Any, parts: tuple[TextPart, ...]) -> None:
    wanted = (Message(role="system", content=parts), HI) if parts else (HI,)
    assert canonical(system=system).messages == wanted


def test_tools_are_those_of_the_caller() -> None:
    chat = canonical(
        tools=[
            {"name": "f", "input_schema": SCHEMA, "description": "D", "strict": True, **MARK},
            {"type": "custom", "name": "g", "input_schema": {}, "eager_input_streaming": True},
        ]
    )
    assert chat.tools == (
        Tool(name="f", description="D", parameters=SCHEMA, strict=True, cache="1h"),
        Tool(name="g", parameters={}),
    )


@pytest.mark.parametrize(
    ("given", "choice", "parallel"),
    [
        (None, None, None),
        ({"type": "auto"}, ToolChoice(mode="auto"), None),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice(mode="auto"), False),
        ({"type": "any", "disable_parallel_tool_use": False}, ToolChoice(mode="required"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(mode="required"), False),
        ({"type": "tool", "name": "f"}, ToolChoice(mode="required", name="f"), None),
        ({"type": "none"}, ToolChoice(mode="none"), None),
    ],
)
def test_every_choice_of_tools(given: Any, choice: ToolChoice | None, parallel: bool | None) -> None:
    chat = canonical(tool_choice=given)
    assert (chat.tool_choice, chat.parallel_tool_calls) == (choice, parallel)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, ReasoningRequest(effort="none")),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            ReasoningRequest(budget_tokens=2000, summary="auto"),
        ),
        ({"thinking": {"type": "adaptive"}}, ReasoningRequest(effort="high", summary="auto")),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
            ReasoningRequest(effort="max"),
        ),
        ({"output_config": {"effort": "low"}}, ReasoningRequest(effort="low")),
    ],
)
def test_thinking_is_reasoning(given: dict[str, Any], meant: ReasoningRequest | None) -> None:
    assert canonical(**given).reasoning == meant


@pytest.mark.parametrize(
    ("thinking", "meant"),
    [
        ({"type": "disabled"}, ReasoningRequest(effort="none")),
        ({"type": "enabled", "budget_tokens": 2000}, ReasoningRequest(budget_tokens=2000, summary="auto")),
    ],
    ids=["none", "a budget"],
)
def test_an_effort_beside_another_measure_of_thinking_is_anthropic_s_alone(
    thinking: dict[str, Any], meant: ReasoningRequest
) -> None:
    chat = canonical(thinking=thinking, output_config={"effort": "max"})
    assert (chat.reasoning, chat.unknown) == (meant, ("output_config.effort",))


def test_a_schema_is_kept_to_wherever_it_stands() -> None:
    wanted = {"type": "json_schema", "schema": SCHEMA}
    meant = ResponseFormat(kind="json_schema", schema=SCHEMA, strict=True)
    assert canonical(output_config={"format": wanted}).response_format == meant
    assert canonical(output_format=wanted).response_format == meant
    assert canonical().response_format is None


def test_a_mark_on_the_whole_is_one_on_its_last_part() -> None:
    assert canonical(**MARK).messages == (Message(role="user", content=(TextPart("Hi", cache="1h"),)),)
    own = [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]}]
    assert canonical(messages=own, **MARK).messages[0].content == (TextPart("Hi", cache="5m"),)
    called: list[dict[str, Any]] = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}
    ]
    assert canonical(messages=called, **MARK).messages[0].content == ()


UNKNOWN: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"service_tier": "auto", "mcp_servers": [], "container": None, "speed": "standard"}, ()),
    ({"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}, ()),
    ({"service_tier": "standard_only"}, ("service_tier",)),
    ({"metadata": {"user_id": "u", "team": "a"}}, ("metadata.team",)),
    ({"container": "c"}, ("container",)),
    ({"thinking": {"type": "between_tools"}}, ("thinking.type",)),
    ({"output_config": {"effort": "boundless"}}, ("output_config.effort",)),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]}, ("tools[0].type",)),
    (
        {"messages": [{"role": "user", "content": [{"type": "search_result", "source": "s", "content": []}]}]},
        ("messages[0].content[0].type",),
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "hologram"}}]}]},
        ("messages[0].content[0].source.type",),
    ),
    (
        {
            "messages": [
                *MESSAGES,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                        {"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "direct"}},
                    ],
                },
            ]
        },
        ("messages[1].content[0].type",),
    ),
]


@pytest.mark.parametrize(("given", "unknown"), UNKNOWN)
def test_what_has_no_canonical_meaning_is_named_and_what_says_nothing_is_not(
    given: dict[str, Any], unknown: tuple[str, ...]
) -> None:
    assert canonical(**given).unknown == unknown


def test_every_fault_of_the_messages_is_told() -> None:
    content = [{"type": "thinking", "thinking": "Hm.", "signature": "scaigrid.x"}]
    with pytest.raises(GatewayError) as caught:
        canonical(messages=[{"role": "assistant", "content": content}] * 2)
    assert caught.value.code is Code.VALIDATION_ERROR
    assert [fault.field for fault in caught.value.details] == [
        "messages[0].content[0].signature",
        "messages[1].content[0].signature",
    ]


def test_what_is_counted_is_the_same_chat_without_a_bound() -> None:
    file = {"type": "document", "source": {"type": "file", "file_id": "f"}}
    chat = canonical(
        "/anthropic/v1/messages/count_tokens",
        max_tokens=None,
        messages=[{"role": "user", "content": [file]}],
        tools=[{"name": "f", "input_schema": SCHEMA}],
    )
    assert chat == Chat(
        messages=(Message(role="user", content=(FilePart(file_id="f"),)),),
        tools=(Tool(name="f", parameters=SCHEMA),),
    )
