import pytest

from scaigrid import provider_state
from scaigrid.dialects.canonical import (
    called_tools,
    check_part,
    reasoning,
    response_format,
    stops,
    tool_choice,
    tools,
)
from scaigrid.dialects.shapes import (
    CalledFunction,
    Format,
    FunctionChoice,
    FunctionDefinition,
    FunctionName,
    FunctionTool,
    FunctionToolCall,
    JsonObjectFormat,
    JsonSchema,
    JsonSchemaFormat,
    TextFormat,
)
from scaigrid.errors import Detail
from scaigrid.types import (
    AudioPart,
    CalledTool,
    FilePart,
    ImagePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ResponseFormat,
    Role,
    TextPart,
    Tool,
    ToolChoice,
)


def test_tools_keep_all_that_they_say() -> None:
    given = FunctionTool(
        function=FunctionDefinition(name="f", description="d", parameters={"type": "object"}, strict=True)
    )
    assert tools((given,)) == (Tool(name="f", description="d", parameters={"type": "object"}, strict=True),)
    assert tools(None) == ()


def test_a_named_tool_is_a_required_one() -> None:
    assert tool_choice(FunctionChoice(function=FunctionName(name="f"))) == ToolChoice(mode="required", name="f")
    assert tool_choice("none") == ToolChoice(mode="none")
    assert tool_choice(None) is None


def test_called_tools_keep_their_arguments_as_written() -> None:
    call = FunctionToolCall(id="1", function=CalledFunction(name="f", arguments="{ }"), index=3)
    assert called_tools((call,)) == (CalledTool("1", "f", "{ }"),)
    assert called_tools(None) == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (TextFormat(), ResponseFormat(kind="text")),
        (JsonObjectFormat(), ResponseFormat(kind="json_object")),
        (
            JsonSchemaFormat(json_schema=JsonSchema(name="x", schema={"type": "null"}, description="d", strict=True)),
            ResponseFormat(kind="json_schema", name="x", schema={"type": "null"}, description="d", strict=True),
        ),
    ],
    ids=range(4),
)
def test_formats(given: Format | None, expected: ResponseFormat | None) -> None:
    assert response_format(given) == expected


def test_one_stop_sequence_is_a_list_of_one() -> None:
    assert (stops(None), stops("a"), stops(("a", "b"))) == ((), ("a",), ("a", "b"))


def test_the_providers_state_goes_before_the_text() -> None:
    parts = (ReasoningPart(text="signed", signature="s", provider="anthropic"),)
    state = provider_state.encode(parts)
    faults: list[Detail] = []
    assert reasoning("spare", state, "messages[0]", faults) == parts
    assert reasoning("alone", None, "messages[0]", faults) == (ReasoningPart(text="alone"),)
    assert reasoning("", None, "messages[0]", faults) == ()
    assert faults == []


def test_a_state_that_cannot_be_read_is_a_fault_of_its_message() -> None:
    faults: list[Detail] = []
    reasoning(None, "x", "messages[4]", faults)
    assert [fault.field for fault in faults] == ["messages[4].provider_state"]


_IMAGE, _AUDIO, _FILE = ImagePart(url="https://x"), AudioPart(data="x", format="wav"), FilePart(file_id="x")


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("system", {"text"}),
        ("developer", {"text"}),
        ("user", {"text", "image", "audio", "file"}),
        ("assistant", {"text", "refusal"}),
        ("tool", {"text", "image", "audio", "file"}),
    ],
)
def test_each_role_has_its_parts(role: Role, allowed: set[str]) -> None:
    parts: dict[str, Part] = {
        "text": TextPart("x"), "image": _IMAGE, "audio": _AUDIO, "file": _FILE, "refusal": RefusalPart("x")
    }  # fmt: skip
    article = "an" if role == "assistant" else "a"
    for name, part in parts.items():
        faults: list[Detail] = []
        check_part(part, role, "messages[0].content[1]", faults)
        expected = [] if name in allowed else [f"this part cannot stand in {article} {role} message"]
        assert [fault.message for fault in faults] == expected
        assert all(fault.field == "messages[0].content[1].type" for fault in faults)
