import json
from typing import Any

import pytest

from scaigrid import provider_state
from scaigrid.dialects.openai import OpenAI
from scaigrid.dialects.openai_responses_request import STATE
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    AudioPart,
    CalledTool,
    Chat,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    TextPart,
    ToolChoice,
)

PATH = "/oai/v1/responses"


def chat(**more: Any) -> Chat:
    body = {"model": "m", "input": "Hi", **more}
    found = OpenAI().decode(PATH, json.dumps(body).encode()).canonical()
    assert isinstance(found, Chat)
    return found


def messages(*items: Any, **more: Any) -> tuple[Message, ...]:
    return chat(input=list(items), **more).messages


def parts(*content: Any, role: str = "user") -> tuple[Part, ...]:
    (message,) = messages({"role": role, "content": list(content)})
    return message.content


def faults(**more: Any) -> dict[str, str]:
    with pytest.raises(GatewayError) as caught:
        chat(**more)
    assert caught.value.code is Code.VALIDATION_ERROR
    return {detail.field: detail.message for detail in caught.value.details}


def user(text: str) -> Message:
    return Message(role="user", content=(TextPart(text),))


# -- the input -------------------------------------------------------------------------------------------------------


def test_a_text_is_a_users_message_and_instructions_go_ahead_of_it() -> None:
    assert chat(instructions="Be brief.").messages == (
        Message(role="system", content=(TextPart("Be brief."),)),
        user("Hi"),
    )


@pytest.mark.parametrize("role", ["user", "system", "developer"])
@pytest.mark.parametrize("typed", [{}, {"type": "message"}])
def test_a_message_may_leave_its_type_out(role: str, typed: dict[str, Any]) -> None:
    (found,) = messages({"role": role, "content": "Hi", **typed})
    assert (found.role, found.content) == (role, (TextPart("Hi"),))


def test_what_the_assistant_says_until_somebody_else_speaks_is_one_message() -> None:
    found = messages(
        {"role": "user", "content": "Rain?"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Wait.", "annotations": [], "logprobs": []}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "rain", "arguments": "{}"},
        {"type": "function_call", "call_id": "call_2", "name": "wind", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": "call_1", "output": "yes"},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "no"}]},
        {"role": "assistant", "content": "It rains."},
    )
    assert found == (
        user("Rain?"),
        Message(
            role="assistant",
            content=(TextPart("Wait."),),
            reasoning=(ReasoningPart(text="Hm."),),
            tool_calls=(CalledTool("call_1", "rain", "{}"), CalledTool("call_2", "wind", "{}")),
        ),
        Message(role="tool", content=(TextPart("yes"),), tool_call_id="call_1"),
        Message(role="tool", content=(TextPart("no"),), tool_call_id="call_2"),
        Message(role="assistant", content=(TextPart("It rains."),)),
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "input_text", "text": "Hi"}, TextPart("Hi")),
        (
            {"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}},
            TextPart("Hi", cache="5m"),
        ),
        (
            {"type": "input_image", "image_url": "https://x.example/a.png", "detail": "low"},
            ImagePart(url="https://x.example/a.png", detail="low"),
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,QUJD"},
            ImagePart(data="QUJD", media_type="image/png"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
            AudioPart(data="QUJD", format="wav"),
        ),
        (
            {"type": "input_file", "file_id": "file_1", "filename": "a.pdf"},
            FilePart(file_id="file_1", filename="a.pdf"),
        ),
        ({"type": "input_file", "file_url": "https://x.example/a.pdf"}, FilePart(url="https://x.example/a.pdf")),
        (
            {"type": "input_file", "file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"},
            FilePart(data="QUJD", media_type="application/pdf", filename="a.pdf"),
        ),
        ({"type": "input_file", "file_data": "QUJD"}, FilePart(data="QUJD")),
    ],
)
def test_a_part_is_what_it_says(given: dict[str, Any], expected: Part) -> None:
    assert parts(given) == (expected,)


def test_an_assistant_may_have_refused() -> None:
    assert parts({"type": "refusal", "refusal": "No."}, role="assistant") == (RefusalPart("No."),)


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"role": "user", "content": [{"type": "refusal", "refusal": "No."}]}, "input[0].content[0].type"),
        ({"role": "system", "content": [{"type": "input_file", "file_id": "f"}]}, "input[0].content[0].type"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[0].content[0]"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f", "file_url": "u"}]}, "input[0].content[0]"),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:nothing"}]},
            "input[0].content[0].image_url",
        ),
        ({"role": "critic", "content": "Hi"}, "input[0].role"),
        ({"role": "user"}, "input[0].content"),
        ({"type": None, "role": "user", "content": "Hi"}, "input[0].type"),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "c", "output": 7}, "input[0].output"),
        ({"type": "reasoning", "id": "rs_1", "encrypted_content": f"{STATE}!"}, "input[0].encrypted_content"),
        ({}, "input[0].role"),
    ],
)
def test_a_fault_of_an_item_is_named_by_its_place(item: dict[str, Any], field: str) -> None:
    assert field in faults(input=[item])


def test_there_has_to_be_something_to_answer() -> None:
    assert set(faults(input=[])) == set(faults(input=None)) == {"input"}


# -- reasoning -------------------------------------------------------------------------------------------------------


def thought(**item: Any) -> tuple[ReasoningPart, ...]:
    (message,) = messages({"type": "reasoning", "id": "rs_1", "summary": [], **item})
    return message.reasoning


def test_encrypted_reasoning_is_openais_unless_it_says_whose_it_is() -> None:
    summary = [{"type": "summary_text", "text": "A"}, {"type": "summary_text", "text": "B"}]
    assert thought(encrypted_content="gAAA", summary=summary) == (
        ReasoningPart(text="A\n\nB", signature="gAAA", provider="openai", id="rs_1"),
    )


def test_reasoning_of_another_provider_comes_back_as_it_went_out() -> None:
    signed = ReasoningPart(text="Hm.", signature="c2ln", provider="anthropic")
    state = provider_state.encode([signed])
    summary = [{"type": "summary_text", "text": "shown to people"}]
    assert thought(encrypted_content=f"{STATE}{state}", summary=summary) == (signed,)


def test_reasoning_that_nobody_signed_is_its_text() -> None:
    assert thought(content=[{"type": "reasoning_text", "text": "Hm."}]) == (ReasoningPart(text="Hm."),)
    assert chat(input=[{"type": "reasoning", "summary": []}, {"role": "user", "content": "Hi"}]).messages == (
        user("Hi"),
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"effort": "high", "summary": "detailed"}, ReasoningRequest(effort="high", summary="detailed")),
        ({"generate_summary": "concise"}, ReasoningRequest(summary="concise")),
        ({"effort": None, "summary": "whatever"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_how_much_to_think_is_asked_in_the_words_of_all(given: Any, expected: ReasoningRequest | None) -> None:
    assert chat(reasoning=given).reasoning == expected


# -- tools -----------------------------------------------------------------------------------------------------------

CLOSED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "array", "items": {"type": "object", "properties": {}, "additionalProperties": False}}
    },
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"parameters": CLOSED}, True),
        ({"parameters": CLOSED, "strict": False}, False),
        ({"parameters": CLOSED, "strict": None}, True),
        ({"parameters": {"type": "object"}, "strict": True}, True),
        ({"parameters": {**CLOSED, "required": []}}, None),
        ({"parameters": {**CLOSED, "additionalProperties": True}}, None),
        ({"parameters": {**CLOSED, "properties": {"a": {"type": "object"}}}}, None),
        ({"parameters": {**CLOSED, "properties": {"a": {"anyOf": [{"type": "object"}, {"type": "null"}]}}}}, None),
        ({}, None),
    ],
)
def test_a_tool_is_strict_where_its_schema_allows_it_and_nobody_says_otherwise(
    given: dict[str, Any], expected: bool | None
) -> None:
    (tool,) = chat(tools=[{"type": "function", "name": "f", "description": "d", **given}]).tools
    assert (tool.name, tool.description, tool.parameters, tool.strict) == ("f", "d", given.get("parameters"), expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("required", ToolChoice(mode="required")),
        ({"type": "function", "name": "f"}, ToolChoice(mode="required", name="f")),
        (None, None),
    ],
)
def test_a_choice_of_tools_is_taken(given: Any, expected: ToolChoice | None) -> None:
    assert chat(tool_choice=given).tool_choice == expected


# -- the rest --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"format": {"type": "text"}}, ResponseFormat()),
        ({"format": {"type": "json_object"}}, ResponseFormat(kind="json_object")),
        (
            {"format": {"type": "json_schema", "name": "n", "schema": CLOSED, "strict": True}, "verbosity": "medium"},
            ResponseFormat(kind="json_schema", name="n", schema=CLOSED, strict=True),
        ),
        ({}, None),
    ],
)
def test_a_format_is_taken(given: dict[str, Any], expected: ResponseFormat | None) -> None:
    assert chat(text=given).response_format == expected


def test_every_field_with_a_meaning_is_taken() -> None:
    found = chat(
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.25,
        parallel_tool_calls=False,
        user="u",
        safety_identifier="s",
        top_logprobs=3,
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        provider_options={"anthropic": {"top_k": 5}},
    )
    assert (found.max_tokens, found.temperature, found.top_p, found.parallel_tool_calls) == (100, 0.5, 0.25, False)
    assert (found.user, found.logprobs, found.top_logprobs) == ("s", True, 3)
    assert found.provider_options == {"anthropic": {"top_k": 5}}
    assert found.unknown == ()
    assert chat(user="u").user == "u"


def test_log_probabilities_are_asked_for_in_either_way() -> None:
    assert chat(include=["message.output_text.logprobs"]).logprobs
    assert chat(top_logprobs=2).logprobs
    assert not chat(top_logprobs=0, include=["reasoning.encrypted_content"]).logprobs


@pytest.mark.parametrize(
    "silent",
    [
        {"store": True},
        {"store": False},
        {"background": False},
        {"truncation": "disabled"},
        {"service_tier": "auto"},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h"},
        {"stream_options": {"include_obfuscation": True}},
        {"metadata": {"a": "b"}},
        {"conversation": None, "prompt": None, "max_tool_calls": None},
        {"text": {"verbosity": "medium"}},
    ],
)
def test_what_says_nothing_to_another_provider_is_left_out(silent: dict[str, Any]) -> None:
    assert chat(**silent).unknown == ()


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"reasoning": {"effort": "utmost"}}, "reasoning.effort"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "name": "f", "allowed_callers": ["direct"]}]}, "tools[0].allowed_callers"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "tool_choice.type"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"type": None, "id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "hologram"}]}]}, "input[0].content[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}]},
            "input[0].content[0].file_id",
        ),
    ],
)
def test_what_only_this_api_has_a_word_for_is_told_by_its_path(given: dict[str, Any], path: str) -> None:
    assert path in chat(**given).unknown


def test_a_size_is_asked_of_the_same_chat() -> None:
    body = {"model": "m", "input": [{"role": "user", "content": "Hi"}], "instructions": "Be brief."}
    counted = OpenAI().decode(f"{PATH}/input_tokens", json.dumps(body).encode()).canonical()
    assert counted == chat(input=body["input"], instructions="Be brief.")
