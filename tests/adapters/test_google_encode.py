from typing import Any

import msgspec
import pytest

from adapters.google_encode import chat, count
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Chat, Message, ReasoningRequest, ResponseFormat, TextPart, Tool, ToolChoice
from tests.adapters.calls import target, user

MODEL = "gemini-2.5-flash"
TOOLS = (Tool(name="f"),)
HI = (user("Hi"),)


def said(asked: Chat, *, model: str = MODEL) -> dict[str, Any]:
    """The body as the provider reads it."""
    body = chat(asked, target("google", model=model), cloud=False)
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(body))
    return read


def refused(asked: Chat) -> tuple[Code, list[str]]:
    with pytest.raises(GatewayError) as caught:
        said(asked)
    return caught.value.code, [one.field for one in caught.value.details]


def test_the_contents_come_last_and_what_was_not_said_is_not_said() -> None:
    contents = [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert said(Chat(messages=HI)) == {"contents": contents}
    system = Message(role="system", content=(TextPart("Be."),))
    asked = Chat(messages=(*HI, system), tools=TOOLS, max_tokens=5, tool_choice=ToolChoice())
    assert list(said(asked)) == ["generationConfig", "toolConfig", "tools", "systemInstruction", "contents"]


def test_every_setting_has_its_word() -> None:
    asked = Chat(
        messages=HI,
        max_tokens=5,
        temperature=0.0,
        top_p=0.5,
        top_k=40,
        stop=("a", "b"),
        seed=7,
        n=2,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        logprobs=True,
        top_logprobs=3,
        reasoning=ReasoningRequest(effort="low"),
    )
    assert said(asked)["generationConfig"] == {
        "maxOutputTokens": 5,
        "temperature": 0.0,
        "topP": 0.5,
        "topK": 40,
        "candidateCount": 2,
        "stopSequences": ["a", "b"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": -0.1,
        "responseLogprobs": True,
        "logprobs": 3,
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024},
    }


def test_what_the_api_has_no_word_for_is_refused_by_name() -> None:
    asked = Chat(messages=HI, user="u", tools=TOOLS, parallel_tool_calls=False)
    assert refused(asked) == (Code.UNSUPPORTED_BY_MODEL, ["user", "parallel_tool_calls"])
    assert "toolConfig" not in said(Chat(messages=HI, parallel_tool_calls=False))
    assert "toolConfig" not in said(Chat(messages=HI, tools=TOOLS, parallel_tool_calls=True))


# -- formats and tools -----------------------------------------------------------------------------------------------


def test_a_format_is_a_type_and_a_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"const": "x"}}}
    asked = ResponseFormat(kind="json_schema", name="n", description="d", schema=schema, strict=True)
    assert said(Chat(messages=HI, response_format=asked))["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object", "properties": {"a": {"enum": ["x"]}}, "description": "d"},
    }
    for bare in (ResponseFormat(kind="json_object"), ResponseFormat(kind="json_schema")):
        assert said(Chat(messages=HI, response_format=bare))["generationConfig"] == {
            "responseMimeType": "application/json"
        }
    assert "generationConfig" not in said(Chat(messages=HI, response_format=ResponseFormat()))


def test_a_tool_says_what_it_takes() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    tools = (Tool(name="f", description="d", parameters=schema, strict=True), Tool(name="g", parameters={}))
    assert said(Chat(messages=HI, tools=tools))["tools"] == [
        {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": schema}, {"name": "g"}]}
    ]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (None, None),
        (ToolChoice(), {"mode": "AUTO"}),
        (ToolChoice(mode="none"), {"mode": "NONE"}),
        (ToolChoice(mode="required"), {"mode": "ANY"}),
        (ToolChoice(mode="required", name="f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_every_choice_of_tools_has_its_word(choice: ToolChoice | None, config: dict[str, Any] | None) -> None:
    found = said(Chat(messages=HI, tools=TOOLS, tool_choice=choice)).get("toolConfig")
    assert found == (None if config is None else {"functionCallingConfig": config})


def test_without_tools_there_is_nothing_to_choose() -> None:
    for choice in (ToolChoice(), ToolChoice(mode="none")):
        assert "toolConfig" not in said(Chat(messages=HI, tool_choice=choice))


# -- the caller's own options ----------------------------------------------------------------------------------------


def with_options(options: dict[str, Any]) -> Chat:
    return Chat(messages=HI, tools=TOOLS, top_p=0.5, tool_choice=ToolChoice(), provider_options={"google": options})


def test_a_callers_own_options_join_what_was_said_in_either_spelling() -> None:
    body = said(
        with_options(
            {
                "safety_settings": [{"category": "c", "threshold": "BLOCK_NONE"}],
                "generation_config": {"top_k": 5, "responseModalities": ["TEXT"]},
                "toolConfig": {"includeServerSideToolInvocations": True},
                "tools": [{"googleSearch": {}}],
                "cachedContent": "cachedContents/x",
            }
        )
    )
    assert body["safetySettings"] == [{"category": "c", "threshold": "BLOCK_NONE"}]
    assert body["generationConfig"] == {"topP": 0.5, "topK": 5, "responseModalities": ["TEXT"]}
    assert body["toolConfig"] == {
        "functionCallingConfig": {"mode": "AUTO"},
        "includeServerSideToolInvocations": True,
    }
    assert body["tools"] == [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]
    assert body["cachedContent"] == "cachedContents/x"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"contents": []}, "contents"),
        ({"system_instruction": {}}, "systemInstruction"),
        ({"systemInstruction": {}}, "systemInstruction"),
        ({"model": "m"}, "model"),
        ({"generationConfig": {"maxOutputTokens": 9}}, "generationConfig.maxOutputTokens"),
        ({"generation_config": {"max_output_tokens": 9}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"candidateCount": 9}}, "generationConfig.candidateCount"),
        ({"generation_config": None}, "generationConfig"),
    ],
)
def test_what_is_governed_is_refused_in_either_spelling(options: dict[str, Any], field: str) -> None:
    assert refused(with_options(options)) == (Code.VALIDATION_ERROR, [f"provider_options.google.{field}"])


def test_answers_that_a_chat_cannot_hold_are_not_asked_for() -> None:
    assert refused(with_options({"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}})) == (
        Code.UNSUPPORTED_BY_MODEL,
        ["provider_options.google.generationConfig.responseModalities"],
    )


def test_arguments_in_pieces_are_not_asked_for() -> None:
    options = {"toolConfig": {"functionCallingConfig": {"mode": "AUTO", "streamFunctionCallArguments": True}}}
    assert refused(with_options(options)) == (
        Code.UNSUPPORTED_BY_MODEL,
        ["provider_options.google.toolConfig.functionCallingConfig.streamFunctionCallArguments"],
    )


# -- counting --------------------------------------------------------------------------------------------------------


def test_a_count_is_asked_for_the_whole_call_where_the_api_takes_it() -> None:
    asked = Chat(messages=HI, tools=TOOLS, tool_choice=ToolChoice(), top_p=0.5)
    where = target("google", model=MODEL)
    whole = chat(asked, where, cloud=False)
    assert count(asked, where, "models/m", cloud=False) == {"generateContentRequest": {"model": "models/m", **whole}}
    assert list(count(asked, where, "models/m", cloud=True)) == ["tools", "generationConfig", "contents"]
