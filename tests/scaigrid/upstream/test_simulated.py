import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.errors import GatewayError
from scaigrid.types import (
    CalledTool,
    Chat,
    Done,
    Embed,
    Event,
    ImagePart,
    Message,
    ResponseFormat,
    Start,
    Text,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
    Vector,
)
from scaigrid.upstream.simulated import CREATED, NOTICE, chat_steps, embed_events, tokens_of

NAME = "0123456789abcdef0123456789abcdef"


def user(text: str) -> Message:
    return Message(role="user", content=(TextPart(text),))


def ask(*messages: Message, **more: Any) -> list[Event]:
    return [event for step in chat_steps(Chat(messages=messages or (user("Hi"),), **more), NAME) for event in step]


def said(events: list[Event], index: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, Text) and event.index == index)


def finishes(events: list[Event]) -> list[str]:
    return [event.reason for event in events if isinstance(event, Done)]


# -- tokens ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text())
def test_tokens_are_the_text_and_never_more_than_its_bytes(text: str) -> None:
    tokens = tokens_of(text)
    assert "".join(tokens) == text
    assert len(tokens) <= len(text.encode("utf-8", "surrogatepass"))


def test_a_token_is_a_word_with_the_space_before_it() -> None:
    assert tokens_of("No model  was\ncalled. ") == ["No", " model", "  was", "\ncalled.", " "]
    assert tokens_of("x" * 40) == ["x" * 16, "x" * 16, "x" * 8]


# -- chat ------------------------------------------------------------------------------------------------------------


def test_an_answer_says_what_it_is_and_what_it_heard() -> None:
    events = ask(user("Hello there."))
    assert events[0] == Start(f"chatcmpl-simulator-{NAME}", CREATED)
    assert said(events) == f"{NOTICE} You said: Hello there."
    assert finishes(events) == ["stop"]
    assert events[-1] == Usage(input=2, output=len(tokens_of(said(events))))


def test_the_last_word_of_the_user_or_of_a_tool_is_answered() -> None:
    tool = Message(role="tool", tool_call_id="1", content=(TextPart("42"),))
    assert said(ask(user("a"), Message(role="assistant", content=(TextPart("b"),)), user("c"))).endswith("You said: c")
    assert said(ask(user("a"), tool)).endswith("The tool answered: 42")
    assert said(ask(Message(role="user", content=(ImagePart(url="https://x"),)))).endswith("You said nothing in words.")
    assert said(ask(Message(role="system", content=(TextPart("x"),)))).endswith("You said nothing in words.")


def test_a_long_word_is_not_said_back_whole() -> None:
    assert said(ask(user("x" * 10_000))).endswith("You said: " + "x" * 500 + " ...")


def test_the_callers_bound_is_kept() -> None:
    events = ask(max_tokens=3)
    assert said(events) == "This is ScaiGrid's"
    assert finishes(events) == ["length"]
    assert events[-1] == Usage(input=1, output=3)


def test_a_stop_sequence_ends_the_answer_before_it() -> None:
    events = ask(stop=("", "never said", " simulator", "model"))
    assert said(events) == "This is ScaiGrid's"
    assert finishes(events) == ["stop"]
    assert finishes(ask(stop=("This",))) == ["stop"]


def test_several_choices_are_told_apart_and_grow_together() -> None:
    steps = chat_steps(Chat(messages=(user("Hi"),), n=3), NAME)
    assert [event.index for event in steps[1] if isinstance(event, Text)] == [0, 1, 2]
    events = [event for step in steps for event in step]
    assert said(events, 1) == f"{NOTICE} (Answer 2 of 3.) You said: Hi"
    assert finishes(events) == ["stop"] * 3
    assert events[-1] == Usage(input=1, output=sum(len(tokens_of(said(events, index))) for index in range(3)))


def test_log_probabilities_are_certain() -> None:
    (first, *_) = [event for event in ask(logprobs=True, top_logprobs=2) if isinstance(event, Text)]
    certain = {"token": "This", "logprob": 0.0, "bytes": [84, 104, 105, 115]}
    assert json.loads(bytes(first.logprobs or b"")) == {
        "content": [{**certain, "top_logprobs": [certain]}],
        "refusal": None,
    }
    assert all(event.logprobs is None for event in ask() if isinstance(event, Text))


SCHEMA = {"type": "object", "required": ["city", "days"], "properties": {"city": {}, "days": {"minimum": 2}}}


def test_a_schema_is_followed() -> None:
    events = ask(response_format=ResponseFormat(kind="json_schema", schema=SCHEMA))
    assert json.loads(said(events)) == {"city": "simulated", "days": 2}
    assert finishes(events) == ["stop"]


def test_any_json_object_says_what_it_is() -> None:
    events = ask(response_format=ResponseFormat(kind="json_object"))
    assert json.loads(said(events)) == {"message": f"{NOTICE} You said: Hi"}


TOOLS = (Tool(name="time"), Tool(name="weather", parameters=SCHEMA))


@pytest.mark.parametrize(
    ("choice", "name", "arguments"),
    [
        (ToolChoice(mode="required"), "time", {}),
        (ToolChoice(mode="required", name="weather"), "weather", {"city": "simulated", "days": 2}),
    ],
    ids=["any", "named"],
)
def test_a_tool_is_called_where_the_caller_wants_it(choice: ToolChoice, name: str, arguments: Any) -> None:
    events = ask(tools=TOOLS, tool_choice=choice)
    calls = [event for event in events if isinstance(event, ToolCall)]
    assert [(call.id, call.name) for call in calls] == [
        ("call_0123456789abcdef01234567_0", name),
        *[("", "")] * (len(calls) - 1),
    ]
    assert json.loads("".join(call.arguments for call in calls)) == arguments
    assert finishes(events) == ["tool_calls"]
    assert said(events) == ""


def test_a_tool_call_keeps_to_the_bound_too() -> None:
    events = ask(tools=TOOLS, tool_choice=ToolChoice(mode="required", name="weather"), max_tokens=1)
    assert [event.arguments for event in events if isinstance(event, ToolCall)] == ['{"city":"simulat']
    assert finishes(events) == ["length"]


@pytest.mark.parametrize("choice", [None, ToolChoice(mode="auto"), ToolChoice(mode="none")], ids=range(3))
def test_no_tool_is_called_where_nobody_insists(choice: ToolChoice | None) -> None:
    assert said(ask(tools=TOOLS, tool_choice=choice)) == f"{NOTICE} You said: Hi"


def test_everything_that_was_sent_is_counted() -> None:
    called = Message(role="assistant", tool_calls=(CalledTool("1", "f", '{"a": 1}'),))
    image = Message(role="user", content=(TextPart("two words"), ImagePart(url="https://x")))
    usage = ask(image, called)[-1]
    assert usage == Usage(input=2 + 1 + 2, output=len(tokens_of(f"{NOTICE} You said: two words")))
    with_tools = ask(image, called, tools=TOOLS)[-1]
    assert isinstance(with_tools, Usage)
    assert with_tools.input > 5


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"tool_choice": ToolChoice(mode="required")}, "tool_choice"),
        ({"tool_choice": ToolChoice(mode="required", name="x"), "tools": TOOLS}, "tool_choice"),
        (
            {
                "tool_choice": ToolChoice(mode="required"),
                "tools": (Tool(name="x", parameters={"type": "string", "pattern": "x"}),),
            },
            "tools",
        ),
        (
            {"response_format": ResponseFormat(kind="json_schema", schema={"enum": []})},
            "response_format.json_schema.schema",
        ),
    ],
    ids=range(4),
)
def test_what_cannot_be_done_is_refused(more: dict[str, Any], field: str) -> None:
    with pytest.raises(GatewayError) as caught:
        ask(**more)
    assert [detail.field for detail in caught.value.details] == [field]


# -- embeddings ------------------------------------------------------------------------------------------------------


def vectors(embed: Embed) -> list[list[float]]:
    return [json.loads(bytes(event.value)) for event in embed_events(embed) if isinstance(event, Vector)]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=3), st.integers(1, 64))
def test_vectors_have_length_one_and_the_dimensions_asked_for(texts: list[str], dimensions: int) -> None:
    found = vectors(Embed(input=tuple(texts), dimensions=dimensions))
    assert [len(vector) for vector in found] == [dimensions] * len(texts)
    assert all(math.isclose(math.hypot(*vector), 1) for vector in found)


def test_equal_texts_have_equal_vectors_and_others_have_others() -> None:
    first, second, third = vectors(Embed(input=("a", "b", "a")))
    assert first == third
    assert first != second
    assert len(first) == 1536


def test_tokens_are_embedded_too() -> None:
    events = embed_events(Embed(input=((1, 2), (3,)), dimensions=2))
    assert events[-1] == Usage(input=3)
    assert msgspec.json.decode(events[0].value if isinstance(events[0], Vector) else b"") != []


@pytest.mark.parametrize(
    ("embed", "field"),
    [
        (Embed(input=("a",), dimensions=4_097), "dimensions"),
        (Embed(input=("a",) * 2_049), "input"),
    ],
    ids=range(2),
)
def test_more_than_is_good_is_refused(embed: Embed, field: str) -> None:
    with pytest.raises(GatewayError) as caught:
        embed_events(embed)
    assert [detail.field for detail in caught.value.details] == [field]
