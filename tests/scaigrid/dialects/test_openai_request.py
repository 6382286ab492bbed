import base64
import json
from typing import Any

import pytest

from scaigrid import provider_state
from scaigrid.dialects.openai import OpenAI
from scaigrid.errors import Detail, GatewayError
from scaigrid.types import (
    AudioPart,
    CalledTool,
    Chat,
    Embed,
    FilePart,
    ImagePart,
    Message,
    ReasoningPart,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)

DIALECT = OpenAI()
USER = {"role": "user", "content": "Hi"}


def chat(*messages: dict[str, Any], **more: Any) -> Chat:
    asked = DIALECT.decode(
        "/oai/v1/chat/completions", json.dumps({"model": "m", "messages": messages or [USER], **more}).encode()
    )
    made = asked.canonical()
    assert isinstance(made, Chat)
    return made


def embed(given: Any, **more: Any) -> Embed:
    made = DIALECT.decode("/oai/v1/embeddings", json.dumps({"model": "m", "input": given, **more}).encode()).canonical()
    assert isinstance(made, Embed)
    return made


def refused(*messages: dict[str, Any]) -> tuple[Detail, ...]:
    with pytest.raises(GatewayError) as caught:
        chat(*messages)
    return caught.value.details


def test_a_call_that_says_everything() -> None:
    made = chat(
        {"role": "system", "content": "Be kind.", "name": "s"},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "name": "eva",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,CCCC", "filename": "a.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
        {"role": "assistant", "content": [{"type": "text", "text": "No"}, {"type": "refusal", "refusal": "I won't"}]},
        {"role": "assistant", "content": "Yes", "refusal": "no more", "name": "bot"},
        max_completion_tokens=100,
        temperature=0,
        top_p=0.5,
        stop="END",
        seed=-7,
        n=2,
        tools=[
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
            }
        ],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "null"}}},
        reasoning_effort="minimal",
        logprobs=True,
        top_logprobs=3,
        presence_penalty=0.25,
        frequency_penalty=-0.25,
        user="u",
    )
    assert made == Chat(
        messages=(
            Message(role="system", content=(TextPart("Be kind."),), name="s"),
            Message(role="developer", content=(TextPart("Be brief."),)),
            Message(
                role="user",
                name="eva",
                content=(
                    TextPart("Look:"),
                    ImagePart(url="https://x/y.png", detail="low"),
                    ImagePart(data="AAAA", media_type="image/png"),
                    AudioPart(data="BBBB", format="wav"),
                    FilePart(file_id="file-1"),
                    FilePart(data="CCCC", media_type="application/pdf", filename="a.pdf"),
                ),
            ),
            Message(role="assistant", tool_calls=(CalledTool("call_1", "f", "{}"),)),
            Message(role="tool", tool_call_id="call_1", content=(TextPart("done"),)),
            Message(role="assistant", content=(TextPart("No"), RefusalPart("I won't"))),
            Message(role="assistant", content=(TextPart("Yes"), RefusalPart("no more")), name="bot"),
        ),
        max_tokens=100,
        temperature=0.0,
        top_p=0.5,
        stop=("END",),
        seed=-7,
        n=2,
        tools=(Tool(name="f", description="d", parameters={"type": "object"}, strict=True),),
        tool_choice=ToolChoice(mode="required", name="f"),
        parallel_tool_calls=False,
        response_format=ResponseFormat(kind="json_schema", name="x", schema={"type": "null"}),
        reasoning=ReasoningRequest(effort="minimal"),
        logprobs=True,
        top_logprobs=3,
        presence_penalty=0.25,
        frequency_penalty=-0.25,
        user="u",
    )


def test_a_call_that_says_nothing_leaves_everything_to_the_provider() -> None:
    names = ("temperature", "tools", "tool_choice", "stop", "response_format", "reasoning_effort", "logprobs", "user")
    assert chat(**dict.fromkeys(names)) == Chat(messages=(Message(role="user", content=(TextPart("Hi"),)),))


# -- parts -----------------------------------------------------------------------------------------------------------


def user(*parts: dict[str, Any]) -> Chat:
    return chat({"role": "user", "content": list(parts)})


@pytest.mark.parametrize(
    ("url", "media_type", "data"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", "image/png", "iVBORw0KGgo="),
        ("data:image/svg+xml;charset=utf-8;base64,PHN2Zy8+", "image/svg+xml", "PHN2Zy8+"),
        ("data:image/svg+xml,%3Csvg/%3E", "image/svg+xml", base64.b64encode(b"<svg/>").decode()),
    ],
    ids=range(3),
)
def test_a_data_url_is_split_into_its_media_type_and_its_data(url: str, media_type: str, data: str) -> None:
    made = user({"type": "image_url", "image_url": {"url": url}})
    assert made.messages[0].content == (ImagePart(data=data, media_type=media_type),)


def test_files_come_as_data_as_plain_base64_or_from_an_address() -> None:
    made = user(
        {"type": "file", "file": {"file_data": "AAAA", "filename": "a.bin"}},
        {"type": "file", "file": {"file_data": "https://x/y.pdf"}},
    )
    assert made.messages[0].content == (
        FilePart(data="AAAA", filename="a.bin"),
        FilePart(url="https://x/y.pdf"),
    )


def test_marks_for_the_cache_may_stand_on_images_files_and_tools() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    made = chat(
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "https://x"}, **mark},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, **mark},
                {"type": "file", "file": {"file_id": "f"}, **mark},
            ],
        },
        tools=[{"type": "function", "function": {"name": "f"}, **mark}],
    )
    assert made.messages[0].content == (
        ImagePart(url="https://x", cache="1h"),
        ImagePart(data="AAAA", media_type="image/png", cache="1h"),
        FilePart(file_id="f", cache="1h"),
    )
    assert made.tools == (Tool(name="f", cache="1h"),)


def test_settings_of_other_providers_go_into_provider_options() -> None:
    made = chat(provider_options={"anthropic": {"container": "c"}}, top_k=5)
    assert (made.provider_options, made.top_k, made.unknown) == ({"anthropic": {"container": "c"}}, 5, ())


def test_both_words_for_a_cached_prompt_are_understood() -> None:
    made = user(
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
        {"type": "text", "text": "c", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "text", "text": "d", "cache_control": None, "image_url": None},
    )
    assert made.messages[0].content == (
        TextPart("a", cache="5m"),
        TextPart("b", cache="5m"),
        TextPart("c", cache="5m"),
        TextPart("d"),
    )
    assert made.unknown == ()


def test_what_other_dialects_have_no_word_for_is_listed_by_its_place() -> None:
    made = chat(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "2h"}},
                {"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
                {"type": "video_url", "video_url": {"url": "https://x"}},
                {"type": "image_url", "image_url": {"url": "https://x", "fps": 2}},
            ],
        },
        {"role": "assistant", "content": None, "audio": {"id": "audio_1"}},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "content": "x", "annotations": [{"type": "url_citation"}]},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "x", "input": "y"}}]},
        tools=[{"type": "custom", "custom": {"name": "x"}}],
    )
    assert made.unknown == (
        "messages[0].content[2].type",
        "messages[0].content[3].image_url.fps",
        "messages[1].audio",
        "messages[2].function_call",
        "messages[5].tool_calls[0].type",
        "tools[0].type",
        "messages[0].content[0].cache_control.ttl",
        "messages[0].content[1].prompt_cache_breakpoint.ttl",
        "messages[3].role",
    )
    assert [message.role for message in made.messages] == ["user", *["assistant"] * 4]
    assert made.messages[0].content[2:] == (ImagePart(url="https://x"),)


# -- answers that are sent back --------------------------------------------------------------------------------------


def test_an_answer_of_an_sdk_can_be_sent_back_as_it_is() -> None:
    """The OpenAI SDK's `model_dump()` writes every field that it knows."""
    made = chat(
        USER,
        {
            "content": "Hello",
            "refusal": None,
            "role": "assistant",
            "annotations": [],
            "audio": None,
            "function_call": None,
            "tool_calls": None,
        },
    )
    assert made.messages[1] == Message(role="assistant", content=(TextPart("Hello"),))
    assert made.unknown == ()


def test_tool_calls_gathered_from_a_stream_keep_their_index_without_harm() -> None:
    call = {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    made = chat({"role": "assistant", "content": "", "tool_calls": [call]})
    assert made.messages[0] == Message(role="assistant", tool_calls=(CalledTool("1", "f", "{}"),))
    assert made.unknown == ()


def test_the_providers_state_comes_back_as_reasoning() -> None:
    parts = (
        ReasoningPart(text="I think", signature="s", provider="anthropic"),
        ReasoningPart(redacted="r", provider="anthropic"),
    )
    state = provider_state.encode(parts)
    made = chat({"role": "assistant", "content": "x", "reasoning_content": "I think", "provider_state": state})
    assert made.messages[0].reasoning == parts


def test_reasoning_without_a_state_comes_back_as_text() -> None:
    made = chat({"role": "assistant", "content": "x", "reasoning_content": "I think"})
    assert made.messages[0].reasoning == (ReasoningPart(text="I think"),)


# -- faults ----------------------------------------------------------------------------------------------------------

FAULTS: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"content": "x"}, [("messages[0].role", "is required")]),
    (
        {"role": "oracle", "content": "x"},
        [
            (
                "messages[0].role",
                'must be one of "system", "developer", "user", "assistant", "tool", "function"',
            )
        ],
    ),
    ({"role": "user", "content": None}, [("messages[0].content", "must be a string or a list")]),
    ({"role": "user", "content": [{}]}, [("messages[0].content[0].type", "is required")]),
    (
        {"role": "user", "content": [{"type": "text", "text": 1}, {"type": "image_url", "image_url": {"url": ""}}]},
        [
            ("messages[0].content[0].text", "must be a string"),
            ("messages[0].content[1].image_url.url", "must not be empty"),
        ],
    ),
    (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64"}}]},
        [("messages[0].content[0].image_url.url", "is not a data URL with a media type and data")],
    ),
    (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:;base64,AAAA"}}]},
        [("messages[0].content[0].image_url.url", "is not a data URL with a media type and data")],
    ),
    (
        {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:x"}}]},
        [("messages[0].content[0].file.file_data", "is not a data URL with a media type and data")],
    ),
    (
        {"role": "user", "content": [{"type": "file", "file": {}}]},
        [("messages[0].content[0].file", "must have exactly one of file_data and file_id")],
    ),
    (
        {"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA", "file_id": "1"}}]},
        [("messages[0].content[0].file", "must have exactly one of file_data and file_id")],
    ),
    (
        {"role": "user", "content": [{"type": "refusal", "refusal": "no"}]},
        [("messages[0].content[0].type", "this part cannot stand in a user message")],
    ),
    (
        {"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]},
        [("messages[0].content[0].type", "this part cannot stand in an assistant message")],
    ),
    (
        {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]},
        [("messages[0].content[0].type", "this part cannot stand in a system message")],
    ),
    ({"role": "assistant"}, [("messages[0].content", "is required where there are no tool calls")]),
    (
        {"role": "assistant", "content": None, "tool_calls": []},
        [("messages[0].content", "is required where there are no tool calls")],
    ),
    (
        {"role": "assistant", "content": "x", "provider_state": "?"},
        [("messages[0].provider_state", "is not what an answer of this gateway gave")],
    ),
    (
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]},
        [("messages[0].tool_calls[0].function.arguments", "is required")],
    ),
    (
        {"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "", "arguments": {}}}]},
        [
            ("messages[0].tool_calls[0].id", "must not be empty"),
            ("messages[0].tool_calls[0].function.name", "must not be empty"),
            ("messages[0].tool_calls[0].function.arguments", "must be a string"),
        ],
    ),
    ({"role": "tool", "content": "x"}, [("messages[0].tool_call_id", "is required")]),
]


@pytest.mark.parametrize(("message", "details"), FAULTS, ids=range(len(FAULTS)))
def test_faults_name_their_place(message: dict[str, Any], details: list[tuple[str, str]]) -> None:
    assert refused(message) == tuple(Detail(field, text) for field, text in details)


def test_faults_of_several_messages_come_together() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    found = refused({"role": "assistant"}, {"role": "user", "content": [image]}, {"role": "system", "content": [image]})
    assert [detail.field for detail in found] == [
        "messages[0].content",
        "messages[1].content[0].image_url.url",
        "messages[2].content[0].image_url.url",
        "messages[2].content[0].type",
    ]


# -- embeddings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
    ],
    ids=range(4),
)
def test_inputs_are_texts_or_lists_of_tokens(given: Any, made: Any) -> None:
    assert embed(given).input == made


def test_an_embeddings_call_that_says_everything() -> None:
    made = embed("a", dimensions=8, encoding_format="base64", user="u", truncate="END")
    assert made == Embed(input=("a",), dimensions=8, encoding="base64", user="u", unknown=("truncate",))


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ([], "input", "must not be empty"),
        ("", "input", "must not be empty"),
        (["a", ""], "input[1]", "must not be empty"),
        (["a", 1], "input", "must be all texts, all token ids or all lists of token ids"),
        ([[1], 1], "input", "must be all texts, all token ids or all lists of token ids"),
        ([[1], []], "input[1]", "must not be empty"),
        ([[1, "a"]], "input[0][1]", "must be an integer"),
        ([None], "input[0]", "must be a string or an integer or a list"),
    ],
    ids=range(8),
)
def test_inputs_that_are_neither_are_refused(given: Any, field: str, message: str) -> None:
    with pytest.raises(GatewayError) as caught:
        embed(given)
    assert caught.value.details == (Detail(field, message),)
