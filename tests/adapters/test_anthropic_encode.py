from typing import Any

import msgspec
import pytest

from adapters.anthropic_encode import chat, counted, settings
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    Chat,
    Message,
    Part,
    ReasoningPart,
    ReasoningRequest,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)
from tests.adapters.calls import user

NEW = "claude-opus-4-8"
OLD = "claude-sonnet-4-5-20250929"
TOOLS = (Tool(name="f"),)


def said(asked: Chat, *, model: str = NEW, stream: bool = False) -> dict[str, Any]:
    """The body as the provider reads it."""
    bounded = asked if asked.max_tokens is not None else msgspec.structs.replace(asked, max_tokens=4096)
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(chat(bounded, model, stream=stream)))
    return body


def turns(*messages: Message) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = said(Chat(messages=messages))["messages"]
    return made


def block(part: Part) -> dict[str, Any]:
    made: dict[str, Any] = turns(Message(role="user", content=(TextPart("x"), part)))[0]["content"][1]
    return made


def refused(asked: Chat, *, model: str = NEW) -> tuple[Code, list[str]]:
    with pytest.raises(GatewayError) as caught:
        said(asked, model=model)
    return caught.value.code, [one.field for one in caught.value.details]


def text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_the_messages_come_last_and_what_was_not_said_is_not_said() -> None:
    assert said(Chat(messages=(user("Hi"),))) == {
        "model": NEW,
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [text("Hi")]}],
    }
    system = Message(role="system", content=(TextPart("Be."),))
    assert list(said(Chat(messages=(system, user("Hi"))), stream=True)) == [
        "model",
        "max_tokens",
        "stream",
        "system",
        "messages",
    ]


def test_an_output_bound_is_required() -> None:
    with pytest.raises(GatewayError) as caught:
        chat(Chat(messages=(user("Hi"),)), NEW, stream=False)
    assert caught.value.code is Code.VALIDATION_ERROR
    assert [one.field for one in caught.value.details] == ["max_tokens"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"n": 2}, "n"),
        ({"seed": 0}, "seed"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 0}, "top_logprobs"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"frequency_penalty": -0.1}, "frequency_penalty"),
        ({"response_format": ResponseFormat(kind="json_object")}, "response_format"),
    ],
)
def test_what_the_api_has_no_word_for_is_refused_by_name(fields: dict[str, Any], name: str) -> None:
    assert refused(Chat(messages=(user("Hi"),), **fields)) == (Code.UNSUPPORTED_BY_MODEL, [name])


def test_what_changes_nothing_is_not_refused() -> None:
    asked = Chat(
        messages=(user("Hi"),), n=1, presence_penalty=0.0, frequency_penalty=0.0, response_format=ResponseFormat()
    )
    assert said(asked) == said(Chat(messages=(user("Hi"),)))


# -- thinking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "adaptive"),
    [
        ("claude-opus-4-6", True),
        ("claude-sonnet-4-6", True),
        ("claude-opus-4-8", True),
        ("claude-opus-5", True),
        ("claude-sonnet-5-5", True),
        ("claude-haiku-5-5-20261001", True),
        ("claude-fable-5-1", True),
        ("claude-mythos-preview", True),
        ("our-own-name", True),
        ("anthropic.claude-opus-4-6-v1", True),
        ("claude-opus-4-5", False),
        ("claude-sonnet-4-5-20250929", False),
        ("claude-haiku-4-5", False),
        ("claude-opus-4-1-20250805", False),
        ("claude-sonnet-4-20250514", False),
        ("claude-sonnet-4-0", False),
        ("claude-3-7-sonnet-20250219", False),
        ("claude-3-7-sonnet-latest", False),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", False),
        ("claude-3.7-sonnet", False),
    ],
)
def test_effort_is_said_to_those_who_know_it_and_a_budget_to_the_others(model: str, adaptive: bool) -> None:
    body = said(Chat(messages=(user("Hi"),), reasoning=ReasoningRequest(effort="medium")), model=model)
    if adaptive:
        assert body["thinking"] == {"type": "adaptive"}
        assert body["output_config"] == {"effort": "medium"}
    else:
        assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
        assert "output_config" not in body


@pytest.mark.parametrize(
    ("effort", "word", "budget"),
    [
        ("minimal", "low", 1024),
        ("low", "low", 2000),
        ("medium", "medium", 5000),
        ("high", "high", 8000),
        ("xhigh", "xhigh", 9500),
    ],
)
def test_every_effort_has_its_word_and_its_budget(effort: Any, word: str, budget: int) -> None:
    asked = Chat(messages=(user("Hi"),), reasoning=ReasoningRequest(effort=effort), max_tokens=10_000)
    assert said(asked)["output_config"] == {"effort": word}
    assert said(asked, model=OLD)["thinking"] == {"type": "enabled", "budget_tokens": budget}


def test_a_budget_leaves_room_for_an_answer() -> None:
    for effort in ("minimal", "xhigh"):
        asked = Chat(messages=(user("Hi"),), reasoning=ReasoningRequest(effort=effort), max_tokens=1025)
        assert said(asked, model=OLD)["thinking"]["budget_tokens"] == 1024
        short = msgspec.structs.replace(asked, max_tokens=1024)
        assert refused(short, model=OLD) == (Code.VALIDATION_ERROR, ["max_tokens"])
        assert said(short)["thinking"] == {"type": "adaptive"}


def test_no_effort_is_no_thinking_and_a_budget_is_the_callers() -> None:
    for model in (NEW, OLD):
        none = said(Chat(messages=(user("Hi"),), reasoning=ReasoningRequest(effort="none")), model=model)
        assert (none["thinking"], "output_config" in none) == ({"type": "disabled"}, False)
        budget = said(Chat(messages=(user("Hi"),), reasoning=ReasoningRequest(budget_tokens=1500)), model=model)
        assert budget["thinking"] == {"type": "enabled", "budget_tokens": 1500}
        assert "thinking" not in said(Chat(messages=(user("Hi"),), reasoning=ReasoningRequest()), model=model)


def test_thoughts_go_back_to_who_signed_them() -> None:
    thoughts = (
        ReasoningPart(text="a", signature="s", provider="anthropic"),
        ReasoningPart(redacted="r", provider="anthropic"),
        ReasoningPart(text="unsigned", provider="anthropic"),
        ReasoningPart(text="b", signature="t", provider="google"),
        ReasoningPart(text="of nobody"),
    )
    _, turn = turns(user("Hi"), Message(role="assistant", reasoning=thoughts, content=(TextPart("x"),)))
    assert turn["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "s"},
        {"type": "redacted_thinking", "data": "r"},
        text("x"),
    ]


# -- tools and formats -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "parallel", "wanted"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(), None, {"type": "auto"}),
        (ToolChoice(), False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="none"), None, {"type": "none"}),
        (ToolChoice(mode="none"), False, {"type": "none"}),
        (ToolChoice(mode="required"), None, {"type": "any"}),
        (ToolChoice(mode="required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="required", name="f"), None, {"type": "tool", "name": "f"}),
        (ToolChoice(name="f"), False, {"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
    ],
)
def test_every_choice_of_tools_has_its_word(
    choice: ToolChoice | None, parallel: bool | None, wanted: dict[str, Any] | None
) -> None:
    asked = Chat(messages=(user("Hi"),), tools=TOOLS, tool_choice=choice, parallel_tool_calls=parallel)
    assert said(asked).get("tool_choice") == wanted


def test_without_tools_there_is_nothing_to_choose() -> None:
    for choice in (ToolChoice(), ToolChoice(mode="none"), None):
        asked = Chat(messages=(user("Hi"),), tool_choice=choice, parallel_tool_calls=False)
        assert "tool_choice" not in said(asked)


def test_a_tool_says_what_it_takes() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    tools = (
        Tool(name="f", description="d", parameters=schema, strict=True),
        Tool(name="g", parameters={}, strict=False),
        Tool(name="h"),
    )
    nothing: dict[str, Any] = {"type": "object", "properties": {}}
    assert said(Chat(messages=(user("Hi"),), tools=tools))["tools"] == [
        {"name": "f", "description": "d", "input_schema": schema, "strict": True},
        {"name": "g", "input_schema": nothing},
        {"name": "h", "input_schema": nothing},
    ]


def test_a_schema_bounds_the_answer() -> None:
    schema = {"type": "object"}
    for description, wanted in ((None, schema), ("d", {**schema, "description": "d"})):
        asked = ResponseFormat(kind="json_schema", name="n", description=description, schema=schema, strict=True)
        assert said(Chat(messages=(user("Hi"),), response_format=asked))["output_config"] == {
            "format": {"type": "json_schema", "schema": wanted}
        }
    assert schema == {"type": "object"}
    own = {"type": "object", "description": "own"}
    asked = ResponseFormat(kind="json_schema", description="d", schema=own)
    body = said(Chat(messages=(user("Hi"),), response_format=asked))
    assert body["output_config"]["format"]["schema"] == own


def test_effort_and_format_stand_side_by_side_with_the_callers_own() -> None:
    asked = Chat(
        messages=(user("Hi"),),
        reasoning=ReasoningRequest(effort="low"),
        response_format=ResponseFormat(kind="json_schema", schema={}),
        tools=TOOLS,
        provider_options={
            "anthropic": {"output_config": {"effort": "max"}, "tools": [{"type": "web_search_20250305"}]}
        },
    )
    body = said(asked)
    assert body["output_config"] == {"effort": "max", "format": {"type": "json_schema", "schema": {}}}
    assert [tool.get("name", tool.get("type")) for tool in body["tools"]] == ["f", "web_search_20250305"]


def test_the_operators_prompt_cannot_be_replaced() -> None:
    asked = Chat(messages=(user("Hi"),), provider_options={"anthropic": {"system": "mine"}})
    assert refused(asked) == (Code.VALIDATION_ERROR, ["provider_options.anthropic.system"])


def test_a_tool_may_be_marked_for_the_cache() -> None:
    tools = (Tool(name="f", cache="5m"), Tool(name="g", cache="1h"))
    assert [tool["cache_control"] for tool in said(Chat(messages=(user("Hi"),), tools=tools))["tools"]] == [
        {"type": "ephemeral"},
        {"type": "ephemeral", "ttl": "1h"},
    ]


def test_reasoning_is_summed_up_where_the_model_decides_how_much() -> None:
    asked = Chat(messages=(user("Hi"),), reasoning=ReasoningRequest(effort="low", summary="auto"))
    assert said(asked)["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert said(asked, model=OLD)["thinking"] == {"type": "enabled", "budget_tokens": 1024}


def test_what_is_counted_is_what_has_a_size() -> None:
    asked = Chat(
        messages=(user("Hi"),),
        temperature=0.5,
        stop=("END",),
        user="u",
        tools=TOOLS,
        reasoning=ReasoningRequest(effort="high"),
    )
    for model in (NEW, OLD):
        body = counted(asked, model)
        assert set(body) - {"output_config"} == {"model", "thinking", "tools", "messages"}
        assert list(body)[-1] == "messages"


def test_settings_are_what_is_said_beside_the_messages() -> None:
    asked = Chat(messages=(), stop=("END",), user="u", reasoning=ReasoningRequest(effort="low"))
    assert settings(asked, NEW) == {
        "stop_sequences": ("END",),
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
        "metadata": {"user_id": "u"},
    }
