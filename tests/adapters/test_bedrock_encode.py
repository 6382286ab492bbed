from typing import Any

import msgspec
import pytest

from adapters.bedrock_encode import chat, count
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    CalledTool,
    Chat,
    Message,
    ReasoningPart,
    ReasoningRequest,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)
from tests.adapters.calls import user

CLAUDE = "eu.anthropic.claude-sonnet-4-6"
NOVA = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama4"
HI = {"role": "user", "content": [{"text": "Hi"}]}
TOOLS = (Tool(name="f"),)
SPEC: dict[str, Any] = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}}
CALLED = (
    Message(role="assistant", tool_calls=(CalledTool("t1", "f", '{"a": 1.50}'),)),
    Message(role="tool", tool_call_id="t1", content=(TextPart("ok"),)),
)


def said(asked: Chat, *, model: str = CLAUDE) -> dict[str, Any]:
    """The body as the provider reads it."""
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(chat(asked, model)))
    return body


def turns(*messages: Message) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = said(Chat(messages=messages))["messages"]
    return made


def refused(asked: Chat, *, model: str = CLAUDE) -> tuple[Code, list[str]]:
    with pytest.raises(GatewayError) as caught:
        said(asked, model=model)
    return caught.value.code, [one.field for one in caught.value.details]


def test_the_messages_come_last_and_what_was_not_said_is_not_said() -> None:
    assert said(Chat(messages=(user("Hi"),))) == {"messages": [HI]}
    asked = Chat(
        messages=(Message(role="system", content=(TextPart("Obey."),)), user("Hi")),
        max_tokens=9,
        temperature=0.5,
        top_p=0.25,
        top_k=3,
        stop=("END",),
        tools=TOOLS,
        reasoning=ReasoningRequest(effort="high"),
        response_format=ResponseFormat(kind="json_schema", name="n", schema={"type": "object"}),
    )
    body = said(asked)
    assert list(body) == [
        "inferenceConfig",
        "additionalModelRequestFields",
        "additionalModelResponseFieldPaths",
        "outputConfig",
        "toolConfig",
        "system",
        "messages",
    ]
    assert body["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"]}
    assert body["system"] == [{"text": "Obey."}]


def test_the_makers_own_fields_join() -> None:
    asked = Chat(messages=(user("Hi"),), top_k=3, reasoning=ReasoningRequest(effort="high"))
    assert said(asked)["additionalModelRequestFields"] == {
        "top_k": 3,
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
    }
    assert said(asked, model=NOVA)["additionalModelRequestFields"] == {
        "inferenceConfig": {"topK": 3},
        "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"},
    }


def test_only_a_model_that_tells_is_asked_which_stop_sequence_it_met() -> None:
    asked = Chat(messages=(user("Hi"),), stop=("END",))
    assert said(asked)["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    assert "additionalModelResponseFieldPaths" not in said(asked, model=NOVA)


def test_a_schema_is_text() -> None:
    wanted = ResponseFormat(
        kind="json_schema", name="n", description="d", schema={"type": "object", "a": [1, "é"]}, strict=False
    )
    assert said(Chat(messages=(user("Hi"),), response_format=wanted))["outputConfig"] == {
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"schema": '{"type":"object","a":[1,"é"]}', "name": "n", "description": "d"}},
        }
    }
    assert "outputConfig" not in said(Chat(messages=(user("Hi"),), response_format=ResponseFormat()))


# -- tools -----------------------------------------------------------------------------------------------------------


def test_a_tool_says_what_it_was_said_to_be() -> None:
    tool = Tool(name="g", description="d", parameters={"type": "object", "b": 1}, strict=True, cache="1h")
    assert said(Chat(messages=(user("Hi"),), tools=(*TOOLS, tool)))["toolConfig"] == {
        "tools": [
            SPEC,
            {
                "toolSpec": {
                    "name": "g",
                    "description": "d",
                    "inputSchema": {"json": {"type": "object", "b": 1}},
                    "strict": True,
                }
            },
            {"cachePoint": {"type": "default", "ttl": "1h"}},
        ]
    }


@pytest.mark.parametrize(
    ("choice", "word"),
    [
        (None, None),
        (ToolChoice(), {"auto": {}}),
        (ToolChoice(mode="required"), {"any": {}}),
        (ToolChoice(name="f"), {"tool": {"name": "f"}}),
    ],
)
def test_a_choice_has_a_word(choice: ToolChoice | None, word: dict[str, Any] | None) -> None:
    config = said(Chat(messages=(user("Hi"),), tools=TOOLS, tool_choice=choice), model=LLAMA)["toolConfig"]
    assert config.get("toolChoice") == word
    assert config["tools"] == [SPEC]


def test_no_tool_is_called_where_none_is_told_of() -> None:
    none = ToolChoice(mode="none")
    assert said(Chat(messages=(user("Hi"),), tools=TOOLS, tool_choice=none)) == {"messages": [HI]}
    assert "toolConfig" not in said(Chat(messages=(user("Hi"),), tool_choice=ToolChoice(mode="required")))
    after = Chat(messages=(user("Hi"), *CALLED), tools=TOOLS, tool_choice=none)
    body = said(after)
    assert body["toolConfig"] == {"tools": [SPEC]}
    assert body["additionalModelRequestFields"] == {"tool_choice": {"type": "none"}}
    assert refused(after, model=NOVA) == (Code.UNSUPPORTED_BY_MODEL, ["tool_choice"])


@pytest.mark.parametrize(
    ("choice", "own"),
    [
        (None, {"type": "auto"}),
        (ToolChoice(mode="required"), {"type": "any"}),
        (ToolChoice(name="f"), {"type": "tool", "name": "f"}),
    ],
)
def test_one_call_at_a_time_is_claudes_own_word(choice: ToolChoice | None, own: dict[str, Any]) -> None:
    asked = Chat(messages=(user("Hi"),), tools=TOOLS, tool_choice=choice, parallel_tool_calls=False)
    fields = said(asked)["additionalModelRequestFields"]
    assert fields == {"tool_choice": {**own, "disable_parallel_tool_use": True}}
    assert refused(asked, model=NOVA) == (Code.UNSUPPORTED_BY_MODEL, ["parallel_tool_calls"])
    both = msgspec.structs.replace(asked, parallel_tool_calls=True)
    assert "additionalModelRequestFields" not in said(both)
    assert "additionalModelRequestFields" not in said(Chat(messages=(user("Hi"),), parallel_tool_calls=False))


# -- messages --------------------------------------------------------------------------------------------------------


def test_neighbours_of_one_role_are_joined_and_calls_keep_their_numbers() -> None:
    body = chat(Chat(messages=(user("Hi"), user("you"), *CALLED, user("And?")), tools=TOOLS), CLAUDE)
    assert msgspec.json.encode(body["messages"]).decode() == (
        '[{"role":"user","content":[{"text":"Hi"},{"text":"you"}]},'
        '{"role":"assistant","content":[{"toolUse":{"toolUseId":"t1","name":"f","input":{"a":1.50}}}]},'
        '{"role":"user","content":[{"toolResult":{"toolUseId":"t1","content":[{"text":"ok"}]}},{"text":"And?"}]}]'
    )


def test_reasoning_goes_back_as_it_was_signed_here_and_no_other() -> None:
    thoughts = (
        ReasoningPart(text="Hm.", signature="s", provider="bedrock"),
        ReasoningPart(redacted="cg==", provider="bedrock"),
        ReasoningPart(text="Unsigned.", provider="bedrock"),
        ReasoningPart(text="Elsewhere.", signature="s", provider="anthropic"),
        ReasoningPart(signature="s", provider="bedrock", signs="text"),
    )
    message = Message(role="assistant", reasoning=thoughts, content=(TextPart("Yes."),))
    assert turns(user("Hi"), message)[1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "cg=="}},
        {"text": "Yes."},
    ]


def test_an_id_of_another_provider_is_made_to_fit_on_both_sides() -> None:
    for given, made in (("call|1 é", "call_1__"), ("functions.f:0", "functions.f:0")):
        calls = Message(role="assistant", tool_calls=(CalledTool(given, "f", ""),))
        result = Message(role="tool", tool_call_id=given)
        sent = turns(calls, result)
        assert sent[0]["content"] == [{"toolUse": {"toolUseId": made, "name": "f", "input": {}}}]
        assert sent[1]["content"][0]["toolResult"]["toolUseId"] == made
    long = [turns(Message(role="tool", tool_call_id="x" * size)) for size in (65, 66)]
    ids = [one[0]["content"][0]["toolResult"]["toolUseId"] for one in long]
    assert len(set(ids)) == 2
    assert {len(one) for one in ids} == {64}


@pytest.mark.parametrize("arguments", ["[]", "{", "1", '{"a":'])
def test_arguments_that_are_no_object_are_refused_by_their_place(arguments: str) -> None:
    called = Message(role="assistant", tool_calls=(CalledTool("t", "f", "{}"), CalledTool("t", "f", arguments)))
    assert refused(Chat(messages=(called,))) == (Code.VALIDATION_ERROR, ["messages[0].tool_calls[1].arguments"])


# -- what cannot be said ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"n": 2}, ["n"]),
        ({"seed": 1, "user": "u"}, ["seed", "user"]),
        ({"logprobs": True, "top_logprobs": 2}, ["logprobs", "top_logprobs"]),
        ({"presence_penalty": 1.0, "frequency_penalty": -1.0}, ["presence_penalty", "frequency_penalty"]),
        ({"presence_penalty": 0.0, "seed": 1}, ["seed"]),
        ({"response_format": ResponseFormat(kind="json_object")}, ["response_format"]),
        ({"top_k": 1, "reasoning": ReasoningRequest(effort="low")}, ["top_k", "reasoning"]),
        ({"reasoning": ReasoningRequest(budget_tokens=2000)}, ["reasoning"]),
    ],
)
def test_what_there_is_no_word_for_is_refused_by_name(fields: dict[str, Any], named: list[str]) -> None:
    assert refused(Chat(messages=(user("Hi"),), **fields), model=LLAMA) == (Code.UNSUPPORTED_BY_MODEL, named)


def test_a_wish_for_a_summary_alone_changes_nothing() -> None:
    asked = Chat(messages=(user("Hi"),), reasoning=ReasoningRequest(summary="auto"))
    for model in (CLAUDE, NOVA, LLAMA):
        assert said(asked, model=model) == {"messages": [HI]}


def test_a_name_in_a_message_is_refused_by_its_place() -> None:
    message = Message(role="user", content=(TextPart("Hi"),), name="Ann")
    assert refused(Chat(messages=(user("Hi"), message))) == (Code.UNSUPPORTED_BY_MODEL, ["messages[1].name"])


def test_the_callers_own_options_are_handed_on() -> None:
    options = {
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "serviceTier": {"type": "flex"},
        "additionalModelRequestFields": {"thinking": {"type": "disabled"}},
    }
    asked = Chat(messages=(user("Hi"),), top_k=1, provider_options={"bedrock": options})
    assert said(asked) == {
        "additionalModelRequestFields": {"top_k": 1, "thinking": {"type": "disabled"}},
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "serviceTier": {"type": "flex"},
        "messages": [HI],
    }


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"inferenceConfig": {"maxTokens": 9}}, "inferenceConfig"),
        ({"modelId": "x"}, "modelId"),
        ({"system": []}, "system"),
        ({"additionalModelRequestFields": {"max_tokens": 9}}, "additionalModelRequestFields.max_tokens"),
        (
            {"additionalModelRequestFields": {"inferenceConfig": {"maxTokens": 9}}},
            "additionalModelRequestFields.maxTokens",
        ),
    ],
)
def test_no_option_takes_what_is_governed(options: dict[str, Any], field: str) -> None:
    asked = Chat(messages=(user("Hi"),), provider_options={"bedrock": options})
    assert refused(asked) == (Code.VALIDATION_ERROR, [f"provider_options.bedrock.{field}"])


def test_tokens_are_counted_of_what_the_counter_takes() -> None:
    asked = Chat(
        messages=(Message(role="system", content=(TextPart("Obey."),)), user("Hi")),
        max_tokens=9,
        tools=TOOLS,
        top_k=2,
    )
    assert msgspec.json.decode(msgspec.json.encode(count(asked, CLAUDE))) == {
        "input": {
            "converse": {
                "additionalModelRequestFields": {"top_k": 2},
                "toolConfig": {"tools": [SPEC]},
                "system": [{"text": "Obey."}],
                "messages": [HI],
            }
        }
    }
