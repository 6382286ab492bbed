import json
from typing import Any

import msgspec
import pytest

from adapters.cohere_encode import chat
from adapters.wire import encoded
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    AudioPart,
    CalledTool,
    Chat,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    Part,
    ReasoningPart,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)
from tests.adapters.calls import user

HI = user("Hi")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CALLED = (CalledTool("w_1", "weather", '{"city": "Oslo"}'),)


def said(*messages: Message, stream: bool = False, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(
        encoded(chat(Chat(messages=messages or (HI,), **fields), "command-x", stream=stream))
    )
    return body


def message(role: Any = "user", *parts: Part, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = said(Message(role=role, content=parts, **fields))["messages"][0]
    return found


def refused(*messages: Message, **fields: Any) -> list[str]:
    with pytest.raises(GatewayError) as caught:
        said(*messages, **fields)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    return [one.field for one in caught.value.details]


def test_every_setting_has_coheres_word_and_its_place() -> None:
    asked = Chat(
        messages=(HI,),
        max_tokens=9,
        temperature=0.5,
        top_p=0.75,
        top_k=5,
        seed=7,
        stop=("END",),
        presence_penalty=0.25,
        frequency_penalty=0.125,
        logprobs=True,
        top_logprobs=0,
        parallel_tool_calls=True,
        tools=(Tool(name="now"),),
        tool_choice=ToolChoice(mode="required"),
        response_format=ResponseFormat(kind="json_object"),
        reasoning=ReasoningRequest(budget_tokens=5),
        provider_options={"cohere": {"safety_mode": "NONE", "documents": [{"data": {"t": "x"}}]}, "openai": {"a": 1}},
    )
    assert encoded(chat(asked, "m", stream=True)) == (
        b'{"model":"m","max_tokens":9,"temperature":0.5,"p":0.75,"k":5,"seed":7,"stop_sequences":["END"],'
        b'"presence_penalty":0.25,"frequency_penalty":0.125,"logprobs":true,"stream":true,'
        b'"thinking":{"type":"enabled","token_budget":5},"response_format":{"type":"json_object"},'
        b'"tool_choice":"REQUIRED","tools":[{"type":"function","function":{"name":"now","parameters":{"type":"object",'
        b'"properties":{}}}}],"safety_mode":"NONE","documents":[{"data":{"t":"x"}}],'
        b'"messages":[{"role":"user","content":"Hi"}]}'
    )


def test_what_has_no_word_is_refused_by_name() -> None:
    fields = {"n": 2, "top_logprobs": 3, "user": "u", "parallel_tool_calls": False}
    assert refused(**fields) == ["n", "top_logprobs", "user"]
    assert refused(**fields, tools=(Tool(name="f"),)) == ["n", "top_logprobs", "user", "parallel_tool_calls"]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (ReasoningRequest(effort="none"), {"type": "disabled"}),
        (ReasoningRequest(effort="minimal"), {"type": "enabled", "token_budget": 100}),
        (ReasoningRequest(effort="high"), {"type": "enabled", "token_budget": 800}),
        (ReasoningRequest(effort="max"), {"type": "enabled"}),
        (ReasoningRequest(budget_tokens=70), {"type": "enabled", "token_budget": 70}),
        (ReasoningRequest(summary="auto"), None),
    ],
)
def test_an_effort_is_a_share_of_the_output_bound(asked: ReasoningRequest, wanted: dict[str, Any] | None) -> None:
    assert said(reasoning=asked, max_tokens=1000).get("thinking") == wanted


def test_without_a_bound_the_model_takes_its_own_measure() -> None:
    assert said(reasoning=ReasoningRequest(effort="low"))["thinking"] == {"type": "enabled"}


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (ResponseFormat(), None),
        (ResponseFormat(kind="json_object"), {"type": "json_object"}),
        (
            ResponseFormat(kind="json_schema", name="n", schema=SCHEMA, strict=True),
            {"type": "json_object", "json_schema": SCHEMA},
        ),
        (
            ResponseFormat(kind="json_schema", schema=SCHEMA, description="d"),
            {"type": "json_object", "json_schema": {**SCHEMA, "description": "d"}},
        ),
    ],
)
def test_a_format_is_json_with_its_schema(asked: ResponseFormat, wanted: dict[str, Any] | None) -> None:
    assert said(response_format=asked).get("response_format") == wanted


def test_one_strict_tool_makes_all_of_them_strict() -> None:
    strict, loose = Tool(name="a", parameters=SCHEMA, strict=True), Tool(name="b", description="B")
    assert said(tools=(strict, loose))["strict_tools"] is True
    assert "strict_tools" not in said(tools=(loose,))
    assert said(tools=(loose,))["tools"][0]["function"] == {
        "name": "b",
        "description": "B",
        "parameters": {"type": "object", "properties": {}},
    }


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (ToolChoice(), None),
        (ToolChoice(mode="required"), "REQUIRED"),
        (ToolChoice(mode="none"), "NONE"),
        (ToolChoice(mode="required", name="a"), "REQUIRED"),
    ],
)
def test_a_choice_is_one_of_two_words_or_none(choice: ToolChoice, wanted: str | None) -> None:
    assert said(tools=(Tool(name="a"),), tool_choice=choice).get("tool_choice") == wanted


def test_one_tool_of_several_cannot_be_named() -> None:
    choice = ToolChoice(mode="required", name="a")
    assert refused(tools=(Tool(name="a"), Tool(name="b")), tool_choice=choice) == ["tool_choice"]


# -- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "parts", "wanted"),
    [
        ("user", (TextPart("a"),), "a"),
        ("user", (), ""),
        ("user", (TextPart("a"), TextPart("b")), [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        (
            "user",
            (ImagePart(url="https://x/a.png", detail="high"),),
            [{"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "high"}}],
        ),
        (
            "user",
            (ImagePart(data="QQ==", media_type="image/png"),),
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}],
        ),
        ("assistant", (RefusalPart("No."),), [{"type": "text", "text": "No."}]),
        ("tool", (JsonPart(value=msgspec.Raw(b"[1]")),), [{"type": "text", "text": "[1]"}]),
        (
            "tool",
            (JsonPart(value=msgspec.Raw(b'{"t":4}')),),
            [{"type": "document", "document": {"data": {"t": 4}}}],
        ),
    ],
)
def test_content_is_a_text_or_parts(role: Any, parts: tuple[Part, ...], wanted: Any) -> None:
    assert message(role, *parts)["content"] == wanted


def test_a_developer_is_a_system() -> None:
    assert message("developer", TextPart("a")) == {"role": "system", "content": "a"}


def test_a_tools_result_names_its_call() -> None:
    asked = Message(role="tool", content=(TextPart("4"),), tool_call_id="w_1", name="weather", tool_error=True)
    assert said(asked)["messages"] == [{"role": "tool", "tool_call_id": "w_1", "content": "4"}]


def test_a_plan_goes_back_as_a_plan_and_thoughts_as_thoughts() -> None:
    plan = ReasoningPart(text="Look.", signature="tool_plan", provider="cohere")
    thought = ReasoningPart(text="Hm.", provider="cohere")
    own = ReasoningPart(text="Mine.")
    other = ReasoningPart(text="Theirs.", signature="s", provider="anthropic")
    calls = [{"id": "w_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}]
    assert message("assistant", reasoning=(plan, other), tool_calls=CALLED) == {
        "role": "assistant",
        "tool_plan": "Look.",
        "tool_calls": calls,
    }
    assert message("assistant", TextPart("a"), reasoning=(thought, own, other)) == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm."},
            {"type": "thinking", "thinking": "Mine."},
            {"type": "text", "text": "a"},
        ],
    }
    both = message("assistant", reasoning=(thought, plan), tool_calls=CALLED)
    assert (both["tool_plan"], both["content"]) == ("Look.", [{"type": "thinking", "thinking": "Hm."}])


def test_a_call_without_arguments_has_an_empty_object() -> None:
    calls = message("assistant", tool_calls=(CalledTool("n", "now", ""),))["tool_calls"]
    assert calls[0]["function"] == {"name": "now", "arguments": "{}"}


def test_an_assistant_that_said_nothing_says_nothing() -> None:
    assert message("assistant") == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("role", "part"),
    [
        ("user", AudioPart(data="QQ==", format="wav")),
        ("user", FilePart(file_id="f")),
        ("tool", ImagePart(url="https://x/a.png")),
        ("system", ImagePart(url="https://x/a.png")),
    ],
)
def test_parts_without_a_word_are_refused_by_their_place(role: Any, part: Part) -> None:
    assert refused(HI, Message(role=role, content=(TextPart("a"), part))) == ["messages[1].content[1]"]


def test_a_name_is_refused() -> None:
    assert refused(Message(role="user", content=(TextPart("a"),), name="ann")) == ["messages[0].name"]


def test_data_needs_its_type() -> None:
    with pytest.raises(GatewayError) as caught:
        message("user", ImagePart(data="QQ=="))
    assert caught.value.code is Code.VALIDATION_ERROR
    assert caught.value.details[0].field == "messages[0].content[0].media_type"
