from typing import Any

import msgspec
import pytest

from adapters import endpoints
from adapters.openai_encode import chat
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Chat, ReasoningRequest, ResponseFormat, Tool, ToolChoice
from tests.adapters.calls import user


def said(asked: Chat, *, row: endpoints.Endpoint = endpoints.OPENAI, stream: bool = False) -> dict[str, Any]:
    return chat(asked, row, "m", stream=stream)


def test_the_messages_come_last_and_what_was_not_said_is_not_said() -> None:
    assert list(said(Chat(messages=(user("Hi"),)))) == ["model", "messages"]
    whole = Chat(
        messages=(user("Hi"),), max_tokens=5, temperature=0.0, stop=("a",), user="u", parallel_tool_calls=False
    )
    assert list(said(whole, stream=True)) == [
        "model",
        "max_completion_tokens",
        "temperature",
        "stop",
        "user",
        "stream",
        "stream_options",
        "parallel_tool_calls",
        "messages",
    ]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (ToolChoice(), "auto"),
        (ToolChoice(mode="none"), "none"),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="required", name="f"), {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_every_choice_of_tools_has_its_word(choice: ToolChoice, wanted: object) -> None:
    assert said(Chat(messages=(), tool_choice=choice))["tool_choice"] == wanted


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (ResponseFormat(), {"type": "text"}),
        (ResponseFormat(kind="json_object"), {"type": "json_object"}),
        (
            ResponseFormat(kind="json_schema", schema={"type": "object"}),
            {"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}},
        ),
        (
            ResponseFormat(kind="json_schema", name="n", description="d", schema={}, strict=False),
            {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {}, "strict": False}},
        ),
    ],
)
def test_every_response_format_has_its_shape(asked: ResponseFormat, wanted: object) -> None:
    assert said(Chat(messages=(), response_format=asked))["response_format"] == wanted


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_effort_is_said_and_a_budget_as_one(effort: Any) -> None:
    assert said(Chat(messages=(), reasoning=ReasoningRequest(effort=effort)))["reasoning_effort"] == effort
    assert said(Chat(messages=(), reasoning=ReasoningRequest(budget_tokens=2000)))["reasoning_effort"] == "low"


def row(name: str) -> endpoints.Endpoint:
    return next(one for one in endpoints.ROWS if one.name == name)


def refused(asked: Chat, name: str) -> list[str]:
    with pytest.raises(GatewayError) as caught:
        said(asked, row=row(name))
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    return [one.field for one in caught.value.details]


def test_members_have_the_names_that_the_provider_knows() -> None:
    asked = Chat(messages=(), max_tokens=5, seed=7)
    assert said(asked, row=row("mistral")) == {"model": "m", "max_tokens": 5, "random_seed": 7, "messages": []}
    asked = Chat(messages=(), max_tokens=5, user="u")
    assert said(asked, row=row("zai")) == {"model": "m", "max_tokens": 5, "user_id": "u", "messages": []}


def test_a_choice_of_tools_is_said_in_the_providers_own_word_or_refused() -> None:
    required, named = ToolChoice(mode="required"), ToolChoice(mode="required", name="f")
    assert said(Chat(messages=(), tool_choice=required), row=row("mistral"))["tool_choice"] == "any"
    assert refused(Chat(messages=(), tool_choice=required), "qwen") == ["tool_choice"]
    assert refused(Chat(messages=(), tool_choice=named), "zai") == ["tool_choice"]


def test_usage_is_asked_for_where_that_is_understood() -> None:
    assert "stream_options" in said(Chat(messages=()), stream=True)
    assert "stream_options" not in said(Chat(messages=()), row=row("mistral"), stream=True)


def test_calls_side_by_side_need_no_word_where_nobody_can_forbid_them() -> None:
    assert "parallel_tool_calls" not in said(Chat(messages=(), parallel_tool_calls=True), row=row("deepseek"))


def test_all_that_a_provider_lacks_is_named_at_once() -> None:
    asked = Chat(messages=(), top_k=1, seed=1, user="u", n=2, presence_penalty=0.0, parallel_tool_calls=False)
    assert refused(asked, "deepseek") == ["n", "top_k", "seed", "user"]
    asked = msgspec.structs.replace(asked, tools=(Tool(name="f"),))
    assert refused(asked, "deepseek") == ["n", "top_k", "seed", "user", "parallel_tool_calls"]
    asked = Chat(messages=(), logprobs=True, top_logprobs=2, presence_penalty=0.5)
    assert refused(asked, "groq") == ["logprobs", "top_logprobs"]
    assert refused(msgspec.structs.replace(asked, logprobs=False, top_logprobs=None), "cerebras") == [
        "presence_penalty"
    ]


def test_only_the_best_few_are_sampled_where_there_is_a_word_for_it() -> None:
    asked = Chat(messages=(), top_k=5)
    with pytest.raises(GatewayError) as caught:
        said(asked)
    assert [one.field for one in caught.value.details] == ["top_k"]
    assert said(asked, row=endpoints.CUSTOM)["top_k"] == 5
