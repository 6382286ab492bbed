import json
from typing import Any

import msgspec
import pytest

from adapters import endpoints
from adapters.openai_messages import messages
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    AudioPart,
    CalledTool,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
)
from tests.adapters.calls import user


def row(name: str) -> endpoints.Endpoint:
    return next(one for one in (endpoints.OPENAI, endpoints.CUSTOM, *endpoints.ROWS) if one.name == name)


def message(of: str = "openai", **fields: Any) -> dict[str, Any]:
    return messages((Message(**fields),), row(of))[0]


def part(one: Part, role: Role = "user", of: str = "openai") -> dict[str, Any]:
    made: dict[str, Any] = message(of, role=role, content=(TextPart("x"), one))["content"][1]
    return made


def fields(error: GatewayError) -> list[str]:
    return [one.field for one in error.details]


def test_text_alone_is_a_text() -> None:
    assert message(role="user", content=(TextPart("a"),)) == {"role": "user", "content": "a"}
    assert message(role="system", content=(TextPart("a"), TextPart("b"))) == {
        "role": "system",
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
    }


def test_nothing_is_nothing_where_tools_were_called_and_an_empty_text_elsewhere() -> None:
    call = CalledTool("a", "f", "{}")
    assert message(role="assistant", tool_calls=(call,)) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    assert message(role="assistant") == {"role": "assistant", "content": ""}
    assert message(role="user") == {"role": "user", "content": ""}


def test_a_name_belongs_to_those_who_speak() -> None:
    assert message(role="user", name="ann", content=(TextPart("a"),))["name"] == "ann"
    assert message(role="tool", name="f", tool_call_id="a", content=(TextPart("a"),)) == {
        "role": "tool",
        "tool_call_id": "a",
        "content": "a",
    }


def test_hints_without_a_counterpart_are_left_out() -> None:
    plain = message(role="assistant", content=(TextPart("a"),))
    thought = ReasoningPart(text="Hm.", signature="s", provider="anthropic")
    assert message(role="assistant", content=(TextPart("a", cache="5m"),), reasoning=(thought,)) == plain
    failed = message(role="tool", tool_call_id="a", content=(TextPart("x"),), tool_error=True)
    assert failed == message(role="tool", tool_call_id="a", content=(TextPart("x"),))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (ImagePart(url="https://x/a.png"), {"type": "image_url", "image_url": {"url": "https://x/a.png"}}),
        (
            ImagePart(data="AA==", media_type="image/webp", detail="low"),
            {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AA==", "detail": "low"}},
        ),
        (
            AudioPart(data="AA==", format="mp3"),
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
        ),
        (FilePart(file_id="file-1"), {"type": "file", "file": {"file_id": "file-1"}}),
        (
            FilePart(data="AA==", media_type="application/pdf", filename="a.pdf"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        ),
    ],
)
def test_every_part_of_a_users_message_has_its_shape(given: Part, wanted: dict[str, Any]) -> None:
    assert part(given) == wanted


def test_a_refusal_stays_one() -> None:
    assert part(RefusalPart("No."), "assistant") == {"type": "refusal", "refusal": "No."}


SHOWN = [ImagePart(url="https://x"), AudioPart(data="", format="wav"), FilePart(file_id="f")]


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
@pytest.mark.parametrize("given", SHOWN)
def test_only_users_show_pictures_sound_and_files(role: Role, given: Part) -> None:
    with pytest.raises(GatewayError) as caught:
        part(given, role)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    assert [one.field for one in caught.value.details] == ["messages[0].content[1]"]


@pytest.mark.parametrize("given", SHOWN)
def test_what_a_tool_shows_a_user_shows_once_all_its_results_are_told(given: Part) -> None:
    turns = (
        user("Look."),
        Message(role="assistant", tool_calls=(CalledTool("a", "f", "{}"), CalledTool("b", "f", "{}"))),
        Message(role="tool", tool_call_id="a", content=(TextPart("one"), given)),
        Message(role="tool", tool_call_id="b", content=(given,)),
    )
    said = messages(turns, row("openai"))
    assert [one["role"] for one in said] == ["user", "assistant", "tool", "tool", "user"]
    assert [one["content"] for one in said[2:4]] == ["one", ""]
    assert said[4]["content"] == [part(given)] * 2
    more = messages((*turns, Message(role="assistant", content=(TextPart("Two."),))), row("openai"))
    assert more == [*said, {"role": "assistant", "content": "Two."}]
    with pytest.raises(GatewayError) as caught:
        messages(turns, row("mistral"))
    assert fields(caught.value)[0] == "messages[2].content[1]"


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        (FilePart(url="https://x/a.pdf"), Code.UNSUPPORTED_BY_MODEL, "messages[0].content[1].url"),
        (FilePart(data="AA=="), Code.VALIDATION_ERROR, "messages[0].content[1].media_type"),
        (ImagePart(data="AA=="), Code.VALIDATION_ERROR, "messages[0].content[1].media_type"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(given: Part, code: Code, field: str) -> None:
    with pytest.raises(GatewayError) as caught:
        part(given)
    assert caught.value.code is code
    assert [one.field for one in caught.value.details] == [field]


def test_a_result_that_is_json_is_told_as_its_text() -> None:
    value = JsonPart(value=msgspec.Raw(b'{"a":1.50}'))
    assert message(role="tool", tool_call_id="a", content=(value,))["content"] == '{"a":1.50}'
    assert part(value, "tool") == {"type": "text", "text": '{"a":1.50}'}


def test_a_refusal_is_a_text_where_refusals_are_unknown() -> None:
    refusal = RefusalPart("No.")
    assert message("groq", role="assistant", content=(refusal,))["content"] == "No."
    assert part(refusal, "assistant", "groq") == {"type": "text", "text": "No."}
    assert message(role="assistant", content=(refusal,))["content"] == [{"type": "refusal", "refusal": "No."}]


def test_several_texts_are_one_where_content_is_a_text() -> None:
    both = (TextPart("a"), JsonPart(value=msgspec.Raw(b"1")))
    assert message("deepseek", role="tool", tool_call_id="c", content=both)["content"] == "a\n\n1"
    assert len(message("groq", role="tool", tool_call_id="c", content=both)["content"]) == 2


def test_a_developer_is_the_system_where_developers_are_unknown() -> None:
    assert message(role="developer", content=(TextPart("a"),))["role"] == "developer"
    assert message("groq", role="developer", content=(TextPart("a"),))["role"] == "system"


def test_documents_and_sound_have_the_shape_that_the_provider_knows() -> None:
    by_url = FilePart(url="https://x/a.pdf", filename="a.pdf")
    inside = FilePart(data="AA==", media_type="application/pdf")
    assert part(by_url, of="openrouter") == {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": "https://x/a.pdf"},
    }
    assert part(inside, of="openrouter")["file"] == {"file_data": "data:application/pdf;base64,AA=="}
    assert part(by_url, of="mistral") == {
        "type": "document_url",
        "document_url": "https://x/a.pdf",
        "document_name": "a.pdf",
    }
    assert part(inside, of="mistral")["document_url"] == "data:application/pdf;base64,AA=="
    assert part(FilePart(file_id="f"), of="mistral") == {"type": "file", "file_id": "f"}
    sound = AudioPart(data="AA==", format="wav")
    assert part(sound, of="qwen")["input_audio"] == {"data": "data:;base64,AA==", "format": "wav"}
    assert part(sound, of="mistral") == {"type": "input_audio", "input_audio": "AA=="}


@pytest.mark.parametrize(
    ("given", "of"),
    [
        (ImagePart(url="https://x"), "deepseek"),
        (AudioPart(data="", format="wav"), "groq"),
        (FilePart(file_id="f"), "xai"),
    ],
)
def test_what_a_provider_cannot_see_or_hear_is_refused_by_name(given: Part, of: str) -> None:
    with pytest.raises(GatewayError) as caught:
        part(given, of=of)
    assert (caught.value.code, fields(caught.value)) == (Code.UNSUPPORTED_BY_MODEL, ["messages[0].content[1]"])


def test_citations_of_a_document_cannot_be_asked_for() -> None:
    with pytest.raises(GatewayError) as caught:
        part(FilePart(file_id="f", citations=True))
    assert fields(caught.value) == ["messages[0].content[1].citations"]


def test_a_name_is_refused_where_nobody_has_one() -> None:
    with pytest.raises(GatewayError) as caught:
        message("mistral", role="user", name="ann", content=(TextPart("a"),))
    assert fields(caught.value) == ["messages[0].name"]


def test_an_answer_that_is_begun_is_marked_where_it_has_to_be() -> None:
    turns = (user("Hi"), Message(role="assistant", content=(TextPart("It is"),)))
    assert messages(turns, row("mistral"))[-1] == {"role": "assistant", "content": "It is", "prefix": True}
    assert messages(turns, row("qwen"))[-1]["partial"] is True
    assert messages(turns, row("openai"))[-1] == {"role": "assistant", "content": "It is"}
    assert "prefix" not in messages((*turns, user("Go on.")), row("mistral"))[1]


def test_ids_of_calls_are_nine_letters_where_they_have_to_be_the_same_for_call_and_result() -> None:
    turns = (
        Message(role="assistant", tool_calls=(CalledTool("call_from_elsewhere", "f", "{}"),)),
        Message(role="tool", tool_call_id="call_from_elsewhere", content=(TextPart("a"),)),
        Message(role="tool", tool_call_id="D681PevKs", content=(TextPart("b"),)),
    )
    called, told, own = messages(turns, row("mistral"))
    made = called["tool_calls"][0]["id"]
    assert made == told["tool_call_id"] == messages(turns, row("mistral"))[1]["tool_call_id"]
    assert len(made) == 9
    assert made.isalnum()
    assert own["tool_call_id"] == "D681PevKs"
    assert messages(turns, row("openai"))[1]["tool_call_id"] == "call_from_elsewhere"


CALLED = (CalledTool("a", "f", "{}"), CalledTool("b", "g", "{}"))


def test_reasoning_goes_back_to_who_made_it_where_it_belongs() -> None:
    def said(of: str, **more: Any) -> dict[str, Any]:
        thought = ReasoningPart(text="Hm.", provider=of)
        return message(of, role="assistant", content=(TextPart("So."),), reasoning=(thought,), **more)

    assert said("openai") == {"role": "assistant", "content": "So."}
    assert "reasoning_content" not in said("deepseek")
    assert said("deepseek", tool_calls=CALLED)["reasoning_content"] == "Hm."
    assert said("openrouter")["reasoning"] == "Hm."
    assert said("mistral")["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "So."},
    ]


def test_reasoning_that_another_made_goes_nowhere() -> None:
    thought = ReasoningPart(text="Hm.", redacted="[]", provider="anthropic")
    for of in ("deepseek", "openrouter", "mistral", "custom"):
        assert message(of, role="assistant", tool_calls=CALLED, reasoning=(thought,)) == message(
            of, role="assistant", tool_calls=CALLED
        )


def test_details_of_reasoning_go_back_as_they_came() -> None:
    details: list[dict[str, Any]] = [
        {"type": "reasoning.text", "text": "Hm.", "signature": "s", "index": 0},
        {"type": "reasoning.encrypted", "data": "d", "index": 1},
    ]
    thoughts = tuple(ReasoningPart(text="Hm.", redacted=json.dumps([one]), provider="openrouter") for one in details)
    said = message("openrouter", role="assistant", content=(TextPart("So."),), reasoning=thoughts)
    assert said == {"role": "assistant", "content": "So.", "reasoning_details": details}
    with pytest.raises(GatewayError) as caught:
        message("openrouter", role="assistant", reasoning=(ReasoningPart(redacted="{", provider="openrouter"),))
    assert caught.value.code is Code.VALIDATION_ERROR


def test_what_a_signature_belongs_to_has_it_again() -> None:
    thoughts = (
        ReasoningPart(signature="of b", signs="call", call_id="b", provider="custom"),
        ReasoningPart(signature="of text", signs="text", provider="custom"),
    )
    said = message("custom", role="assistant", reasoning=thoughts, tool_calls=CALLED)
    signed = {"google": {"thought_signature": "of b"}}
    assert [one.get("extra_content") for one in said["tool_calls"]] == [None, signed]
    assert said["extra_content"] == {"google": {"thought_signature": "of text"}}
    nameless = ReasoningPart(signature="of a", signs="call", provider="custom")
    said = message("custom", role="assistant", reasoning=(nameless,), tool_calls=CALLED)
    assert ["extra_content" in one for one in said["tool_calls"]] == [True, False]
