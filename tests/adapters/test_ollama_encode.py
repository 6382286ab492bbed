import json
from typing import Any

import msgspec
import pytest

from adapters.ollama_encode import chat, embed
from adapters.wire import encoded
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


def said(*messages: Message, stream: bool = False, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encoded(chat(Chat(messages=messages or (HI,), **fields), "m", stream=stream)))
    return body


def message(role: Any = "user", *parts: Part, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = said(Message(role=role, content=parts, **fields))["messages"][0]
    return found


def refused(*messages: Message, **fields: Any) -> tuple[Code, list[str]]:
    with pytest.raises(GatewayError) as caught:
        said(*messages, **fields)
    return caught.value.code, [one.field for one in caught.value.details]


def test_every_setting_has_ollamas_word_and_its_place() -> None:
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
        top_logprobs=2,
        parallel_tool_calls=True,
        tools=(Tool(name="now", description="N", strict=True),),
        tool_choice=ToolChoice(),
        response_format=ResponseFormat(kind="json_object"),
        reasoning=ReasoningRequest(effort="high"),
        provider_options={"ollama": {"keep_alive": "5m", "options": {"num_ctx": 8192}}, "openai": {"a": 1}},
    )
    assert encoded(chat(asked, "m", stream=True)) == (
        b'{"model":"m","stream":true,"think":"high","format":"json","logprobs":true,"top_logprobs":2,'
        b'"options":{"num_predict":9,"temperature":0.5,"top_p":0.75,"top_k":5,"seed":7,"stop":["END"],'
        b'"presence_penalty":0.25,"frequency_penalty":0.125,"num_ctx":8192},'
        b'"tools":[{"type":"function","function":{"name":"now","description":"N","parameters":{"type":"object",'
        b'"properties":{}}}}],"keep_alive":"5m","messages":[{"role":"user","content":"Hi"}]}'
    )


def test_a_plain_answer_is_asked_for() -> None:
    """The API streams where nothing is said."""
    assert said() == {"model": "m", "stream": False, "messages": [{"role": "user", "content": "Hi"}]}


def test_a_budget_is_told_as_an_effort() -> None:
    assert said(reasoning=ReasoningRequest(budget_tokens=5)) == said(reasoning=ReasoningRequest(effort="low"))


def test_what_has_no_word_is_refused_by_name() -> None:
    choice = ToolChoice(mode="required")
    fields = {"n": 2, "user": "u", "parallel_tool_calls": False}
    assert refused(**fields, tool_choice=choice, tools=(Tool(name="a"),)) == (
        Code.UNSUPPORTED_BY_MODEL,
        ["n", "user", "parallel_tool_calls", "tool_choice"],
    )
    assert refused(tool_choice=ToolChoice(name="a"), tools=(Tool(name="a"),))[1] == ["tool_choice"]


def test_a_model_that_is_to_call_no_tool_is_told_of_none() -> None:
    assert "tools" not in said(tools=(Tool(name="a"),), tool_choice=ToolChoice(mode="none"))


@pytest.mark.parametrize(
    ("effort", "wanted"),
    [("none", False), ("minimal", "low"), ("medium", "medium"), ("xhigh", "high"), ("max", "high"), (None, None)],
)
def test_an_effort_is_a_level(effort: Any, wanted: Any) -> None:
    assert said(reasoning=ReasoningRequest(effort=effort)).get("think") == wanted


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (ResponseFormat(), None),
        (ResponseFormat(kind="json_object"), "json"),
        (ResponseFormat(kind="json_schema", name="n", schema=SCHEMA, strict=True), SCHEMA),
        (ResponseFormat(kind="json_schema", schema=SCHEMA, description="d"), {**SCHEMA, "description": "d"}),
    ],
)
def test_a_format_is_a_word_or_a_schema(asked: ResponseFormat, wanted: Any) -> None:
    assert said(response_format=asked).get("format") == wanted


@pytest.mark.parametrize("options", [{"num_predict": -1}, {"num_predict": 9, "num_ctx": 1}])
def test_the_output_bound_is_the_gateways(options: dict[str, Any]) -> None:
    field = "provider_options.ollama.options.num_predict"
    assert refused(provider_options={"ollama": {"options": options}}) == (Code.VALIDATION_ERROR, [field])


# -- messages --------------------------------------------------------------------------------------------------------


def test_texts_stay_apart_but_those_of_an_answer() -> None:
    assert message("user", TextPart("a"), TextPart("b")) == {"role": "user", "content": "a\nb"}
    assert message("assistant", TextPart("a"), RefusalPart("b")) == {"role": "assistant", "content": "ab"}
    assert message("developer", TextPart("a")) == {"role": "system", "content": "a"}
    assert message("user") == {"role": "user", "content": ""}


def test_images_stand_beside_the_text() -> None:
    image = ImagePart(data="QQ==", media_type="image/png", detail="low")
    assert message("user", TextPart("a"), image) == {"role": "user", "content": "a", "images": ["QQ=="]}


@pytest.mark.parametrize(
    ("role", "part", "field"),
    [
        ("user", ImagePart(url="https://x/a.png"), "messages[0].content[0].url"),
        ("system", ImagePart(data="QQ=="), "messages[0].content[0]"),
        ("user", AudioPart(data="QQ==", format="wav"), "messages[0].content[0]"),
        ("user", FilePart(file_id="f"), "messages[0].content[0]"),
    ],
)
def test_parts_without_a_word_are_refused_by_their_place(role: Any, part: Part, field: str) -> None:
    assert refused(Message(role=role, content=(part,))) == (Code.UNSUPPORTED_BY_MODEL, [field])


def test_a_name_is_refused() -> None:
    asked = Message(role="user", content=(TextPart("a"),), name="ann")
    assert refused(asked) == (Code.UNSUPPORTED_BY_MODEL, ["messages[0].name"])


def test_calls_have_their_arguments_as_objects_and_results_the_tools_name() -> None:
    calls = (CalledTool("a", "weather", '{"city": "Oslo", "n": 1.50}'), CalledTool("b", "now", ""))
    asked = Message(role="assistant", tool_calls=calls)
    results = [
        Message(role="tool", content=(JsonPart(value=msgspec.Raw(b'{"t":4}')),), tool_call_id="a", tool_error=True),
        Message(role="tool", content=(TextPart("noon"),), tool_call_id="x", name="now"),
        Message(role="tool", content=(TextPart("?"),), tool_call_id="y"),
    ]
    body = chat(Chat(messages=(asked, *results)), "m", stream=False)
    assert encoded(body["messages"]) == (
        b'[{"role":"assistant","content":"","tool_calls":['
        b'{"id":"a","type":"function","function":{"index":0,"name":"weather","arguments":{"city":"Oslo","n":1.50}}},'
        b'{"id":"b","type":"function","function":{"index":1,"name":"now","arguments":{}}}]},'
        b'{"role":"tool","content":"{\\"t\\":4}","tool_name":"weather","tool_call_id":"a"},'
        b'{"role":"tool","content":"noon","tool_name":"now","tool_call_id":"x"},'
        b'{"role":"tool","content":"?","tool_call_id":"y"}]'
    )


@pytest.mark.parametrize("arguments", ["[]", '{"a', "5"])
def test_arguments_that_are_no_object_are_the_callers_fault(arguments: str) -> None:
    asked = Message(role="assistant", tool_calls=(CalledTool("a", "f", arguments),))
    assert refused(asked) == (Code.VALIDATION_ERROR, ["messages[0].tool_calls[0].arguments"])


def test_its_own_thoughts_go_back() -> None:
    thoughts = (
        ReasoningPart(text="H", provider="ollama"),
        ReasoningPart(text="m."),
        ReasoningPart(text="x", signature="s", provider="anthropic"),
    )
    assert message("assistant", TextPart("a"), reasoning=thoughts)["thinking"] == "Hm."


# -- embeddings ------------------------------------------------------------------------------------------------------


def test_texts_are_embedded_whole_or_not_at_all() -> None:
    asked = Embed(input=("a", "b"), dimensions=64, provider_options={"ollama": {"keep_alive": 0}})
    assert encoded(embed(asked, "m")) == (
        b'{"model":"m","truncate":false,"dimensions":64,"keep_alive":0,"input":["a","b"]}'
    )


def test_token_ids_users_and_purposes_are_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        embed(Embed(input=((1, 2),), user="u", purpose="clustering"), "m")
    assert [one.field for one in caught.value.details] == ["input", "user", "purpose"]
