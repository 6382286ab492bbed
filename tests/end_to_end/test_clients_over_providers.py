"""Unpatched clients of OpenAI and Anthropic hold the same conversations with every type of provider."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.end_to_end.conftest import sound
from tests.harness.behaviours import answer
from tests.harness.clients import Clients, Running, config, opened
from tests.harness.gateway import Gateway
from tests.harness.provider import Behaviour, Provider
from tests.harness.tongue import SIGNATURE, Said
from tests.harness.tongues import TONGUES

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
    "additionalProperties": False,
}
NAMES: Final = ("weather", "time")
CHAT_TOOLS: Final[list[Any]] = [
    {"type": "function", "function": {"name": name, "description": "Looks.", "parameters": SCHEMA}} for name in NAMES
]
MESSAGE_TOOLS: Final[list[Any]] = [
    {"name": name, "description": "Looks.", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}}
    for name in NAMES
]
RESPONSE_TOOLS: Final[list[Any]] = [
    {"type": "function", "name": name, "description": "Looks.", "parameters": SCHEMA, "strict": True} for name in NAMES
]
CALLS: Final = (("call_1", "weather", {"place": "Zürich ☂"}), ("call_2", "time", {"place": "Delft"}))
ASKED: Final[list[Any]] = [{"role": "user", "content": "How is it there?"}]
IT_RAINS: Final = Said(texts=("It ", "räins 🌧."))
REFUSED: Final = (openai.UnprocessableEntityError, anthropic.UnprocessableEntityError)


class Place(BaseModel):
    name: str
    degrees: float | None = None


class Report(BaseModel):
    """Refers to another model, so that its schema has definitions."""

    places: list[Place]


class Weather(BaseModel):
    """Looks."""

    place: str


@pytest.fixture(scope="module")
def running(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    endpoints = {name: provider.at(f"/clients-{name}{tongue.path}") for name, tongue in TONGUES.items()}
    with (
        sound(Gateway(config(endpoints), tmp_path_factory.mktemp("clients"))) as gateway,
        opened(gateway, endpoints) as found,
    ):
        yield found


@pytest.fixture(params=TONGUES)
def clients(request: pytest.FixtureRequest, running: Running) -> Iterator[Clients]:
    found = Clients(running, request.param, TONGUES[request.param])
    yield found
    left = found.endpoint.unused
    while found.endpoint.unused:
        found.endpoint.take()
    assert left == 0, "planned answers that nobody came for"


# -- conversations ---------------------------------------------------------------------------------------------------


def test_a_chat_with_tools(clients: Clients) -> None:
    clients.said(clients.thinking(Said(texts=("I look.",), calls=CALLS)), IT_RAINS)
    model, messages = clients.model, [{"role": "system", "content": "Be kind."}, *ASKED]
    with clients.openai.chat.completions.stream(model=model, messages=messages, tools=CHAT_TOOLS) as told:
        choice = told.get_final_completion().choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I look.")
    called = choice.message.tool_calls
    assert [json.loads(call.function.arguments) for call in called] == [given for _, _, given in CALLS]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in called]
    got = clients.openai.chat.completions.create(
        model=model, messages=[*messages, choice.message.model_dump(exclude_none=True), *results], tools=CHAT_TOOLS
    )
    assert (got.choices[0].message.content, got.choices[0].finish_reason) == (IT_RAINS.text, "stop")
    assert got.usage is not None
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (11, 4, 15)
    assert "Zürich ☂" in clients.last.body.decode()


def test_messages_with_tools(clients: Clients) -> None:
    clients.said(clients.thinking(Said(texts=("I look.",), calls=CALLS)), clients.thinking(IT_RAINS))
    asked: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "How?", "cache_control": {"type": "ephemeral"}}]}
    ]
    more: dict[str, Any] = {
        "model": clients.model,
        "max_tokens": 2000,
        "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "tools": MESSAGE_TOOLS,
        "thinking": {"type": "adaptive"},
    }
    with clients.anthropic.messages.stream(messages=asked, **more) as told:
        first = told.get_final_message()
    assert first.stop_reason == "tool_use"
    used = [block for block in first.content if block.type == "tool_use"]
    assert [block.input for block in used] == [given for _, _, given in CALLS]
    results = [{"type": "tool_result", "tool_use_id": block.id, "content": "rain"} for block in used]
    asked += [{"role": "assistant", "content": first.content}]
    asked += [{"role": "user", "content": [*results, {"type": "text", "text": "And?"}]}]
    got = clients.anthropic.messages.create(messages=asked, **more)
    kinds = ["thinking", "text"] if clients.tongue.thinks else ["text"]
    assert ([block.type for block in got.content], got.stop_reason) == (kinds, "end_turn")
    assert (got.usage.input_tokens, got.usage.output_tokens) == (11, 4)


def test_responses_with_tools(clients: Clients) -> None:
    clients.said(clients.thinking(Said(texts=("I look.",), calls=CALLS)), IT_RAINS)
    more: dict[str, Any] = {
        "model": clients.model,
        "instructions": "Be kind.",
        "tools": RESPONSE_TOOLS,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    with clients.openai.responses.stream(input=ASKED, **more) as told:
        first = told.get_final_response()
    called = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(item.arguments) for item in called] == [given for _, _, given in CALLS]
    results = [{"type": "function_call_output", "call_id": item.call_id, "output": "rain"} for item in called]
    got = clients.openai.responses.create(input=[*ASKED, *first.output, *results], **more)
    assert (got.output_text, got.status) == (IT_RAINS.text, "completed")
    assert got.usage is not None
    assert got.usage.total_tokens == 15


SIGN: Final = frozenset({"openai_responses", "openrouter", "anthropic", "bedrock"})
"""Whose thoughts are signed, whatever they think of."""


@pytest.mark.parametrize("clients", sorted(SIGN), indirect=True)
def test_what_a_provider_signed_comes_back_to_it_by_each_dialect(clients: Clients) -> None:
    said = clients.thinking(Said(texts=("I look.",), calls=CALLS[:1]))
    for turn in (test_a_chat_with_tools, test_messages_with_tools, test_responses_with_tools):
        before = len(clients.endpoint.requests)
        turn(clients)
        assert SIGNATURE.encode() in clients.endpoint.requests[before + 1].body, turn.__name__
    assert said.thought


def test_a_conversation_with_another_provider_is_gone_on_with(clients: Clients) -> None:
    """What somebody else signed, or told in words of its own, is no hindrance: the next turn may be anybody's."""
    thought: dict[str, Any] = {"type": "reasoning.text", "text": "Hmm.", "signature": SIGNATURE}
    answers = [
        {"role": "assistant", "content": "Hello.", "reasoning": "Hmm.", "reasoning_details": [thought]},
        {"role": "assistant", "content": "Hello.", "reasoning_content": "Hmm."},
    ]
    for told in answers:
        clients.said(IT_RAINS)
        got = clients.openai.chat.completions.create(model=clients.model, messages=[*ASKED, told, *ASKED])
        assert got.choices[0].message.content == IT_RAINS.text
    clients.said(IT_RAINS)
    blocks = [{"type": "thinking", "thinking": "Hmm.", "signature": SIGNATURE}, {"type": "text", "text": "Hello."}]
    message = clients.anthropic.messages.create(
        model=clients.model, messages=[*ASKED, {"role": "assistant", "content": blocks}, *ASKED], max_tokens=50
    )
    assert message.content[-1].text == IT_RAINS.text
    if clients.name not in ("anthropic", "bedrock"):
        assert SIGNATURE not in clients.last.body.decode()


# -- what clients make of an answer ----------------------------------------------------------------------------------


def test_structured_answers_are_parsed(clients: Clients) -> None:
    if clients.tongue.type == "deepseek":
        with pytest.raises(REFUSED, match="response_format"):
            clients.openai.responses.parse(model=clients.model, input="Hi", text_format=Report)
        return
    whole = Report(places=[Place(name="Zürich")])
    text = whole.model_dump_json()
    clients.said(*[Said(texts=(text[:9], text[9:]))] * 4)
    plain = clients.openai.chat.completions.parse(model=clients.model, messages=ASKED, response_format=Report)
    assert plain.choices[0].message.parsed == whole
    with clients.openai.responses.stream(model=clients.model, input="Hi", text_format=Report) as told:
        response = told.get_final_response()
    assert response.output_parsed == whole
    message = clients.anthropic.messages.parse(
        model=clients.model, max_tokens=100, messages=ASKED, output_format=Report
    )
    assert message.parsed_output == whole
    # What the client has read for its caller stands in what it sends back.
    history: list[Any] = [*ASKED, plain.choices[0].message.model_dump(exclude_none=True, warnings=False), *ASKED]
    assert "parsed" in history[1]
    clients.openai.chat.completions.create(model=clients.model, messages=history)


def test_a_tool_of_a_class_is_called_and_its_result_taken(clients: Clients) -> None:
    clients.said(Said(calls=CALLS[:1]), IT_RAINS)
    more: dict[str, Any] = {"model": clients.model, "tools": [openai.pydantic_function_tool(Weather, name="weather")]}
    message = clients.openai.chat.completions.parse(messages=ASKED, **more).choices[0].message
    (call,) = message.tool_calls
    assert call.function.parsed_arguments == Weather(place="Zürich ☂")
    results: list[Any] = [message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    got = clients.openai.chat.completions.parse(messages=[*ASKED, *results], **more)
    assert got.choices[0].message.content == IT_RAINS.text


def test_an_answer_that_meets_its_bound_says_so(clients: Clients) -> None:
    clients.said(*[Said(texts=("It ",), cut=True)] * 3)
    chat = clients.openai.chat.completions.create(model=clients.model, messages=ASKED, max_tokens=5)
    assert chat.choices[0].finish_reason == "length"
    message = clients.anthropic.messages.create(model=clients.model, messages=ASKED, max_tokens=5)
    assert message.stop_reason == "max_tokens"
    events = list(clients.openai.responses.create(model=clients.model, input="Hi", stream=True))
    assert events[-1].type == "response.incomplete"


def test_an_answer_that_says_nothing_is_one(clients: Clients) -> None:
    clients.said(*[Said()] * 3)
    chat = clients.openai.chat.completions.create(model=clients.model, messages=ASKED)
    assert chat.choices[0].message.content in (None, "")
    with clients.anthropic.messages.stream(model=clients.model, messages=ASKED, max_tokens=5) as told:
        assert told.get_final_message().stop_reason == "end_turn"
    with clients.openai.responses.stream(model=clients.model, input="Hi") as events:
        assert events.get_final_response().status == "completed"


# -- what agents send ------------------------------------------------------------------------------------------------

UNNAMED: Final = frozenset({"deepseek", "mistral", "google", "vertex", "bedrock", "cohere", "ollama"})
"""Who has no word for the one who asks, in messages and responses."""


def test_an_agent_with_context_editing_is_served_where_the_operator_allows_it(clients: Clients) -> None:
    """A large prompt with marks to cache it, betas, and a user: what is left out is named, and nothing else is lost."""
    clients.said(clients.thinking(Said(texts=("Ok.",), calls=CALLS[:1])))
    with clients.anthropic.beta.messages.stream(
        model=clients.lenient,
        max_tokens=8000,
        system=[{"type": "text", "text": "Be an agent. " * 500, "cache_control": {"type": "ephemeral"}}],
        tools=[{**tool, "name": f"{tool['name']}_{place}"} for tool in MESSAGE_TOOLS for place in range(20)],
        messages=ASKED,
        metadata={"user_id": "somebody"},
        thinking={"type": "adaptive"},
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
        betas=["context-management-2025-06-27", "interleaved-thinking-2025-05-14"],
    ) as told:
        assert told.get_final_message().stop_reason == "tool_use"
        dropped = told.response.headers.get("x-scaigrid-dropped")
    if clients.name == "anthropic":
        assert (dropped, clients.last.json["context_management"]["edits"][0]["type"]) == (
            None,
            "clear_tool_uses_20250919",
        )
        assert clients.last.header("anthropic-beta") == "context-management-2025-06-27,interleaved-thinking-2025-05-14"
    else:
        assert dropped == ("context_management,user" if clients.name in UNNAMED else "context_management")


def test_context_editing_is_refused_by_name_where_the_provider_has_none(clients: Clients) -> None:
    if clients.tongue.type == "anthropic":
        clients.said(IT_RAINS)
    edits: dict[str, Any] = {"edits": [{"type": "clear_tool_uses_20250919"}]}

    def ask() -> object:
        return clients.anthropic.beta.messages.create(
            model=clients.model, max_tokens=50, messages=ASKED, context_management=edits
        )

    if clients.tongue.type == "anthropic":
        ask()
        return
    with pytest.raises(REFUSED, match="context_management"):
        ask()


def test_an_agent_of_the_responses_is_served(clients: Clients) -> None:
    """Hints do not make a call fail: keys of caches, who asks, what the client says of itself, nothing to be kept."""
    clients.said(IT_RAINS)
    got = clients.openai.responses.with_raw_response.create(
        model=clients.model,
        instructions="Be an agent.",
        input=[{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Stay."}]}, *ASKED],
        tools=RESPONSE_TOOLS,
        tool_choice="auto",
        parallel_tool_calls=True,
        reasoning={"effort": "medium", "summary": "auto"},
        store=False,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="key",
        safety_identifier="somebody",
        service_tier="auto",
        extra_body={"client_metadata": {"version": "1"}, "prompt_cache_retention": "24h"},
    )
    assert got.parse().output_text == IT_RAINS.text
    assert got.headers.get("x-scaigrid-dropped") == ("user" if clients.name in UNNAMED else None)


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [*ASKED, {"role": "assistant", "content": "It "}]},
        {"messages": [*ASKED, {"role": "assistant", "content": ""}, *ASKED]},
        {"messages": [{"role": "assistant", "content": "Hello."}, *ASKED]},
        {"messages": [{"role": "system", "content": "A"}, {"role": "developer", "content": "B"}, *ASKED, *ASKED]},
        {"messages": [*ASKED, {"role": "assistant", "content": "x"}, {"role": "system", "content": "B"}, *ASKED]},
        {"messages": [{"role": "user", "content": "\U0001f468\u200d\U0001f469 \x00 \ufffe é"}]},
        {"temperature": 1.7, "top_p": 0.5, "max_completion_tokens": 50, "metadata": {"a": "b"}, "n": 1},
        {"prompt_cache_key": "k", "safety_identifier": "s", "service_tier": "auto", "store": False, "user": "u"},
        {"tools": [{"type": "function", "function": {"name": "now"}}], "tool_choice": "required"},
        {"tools": [], "tool_choice": "none", "parallel_tool_calls": True},
        {"reasoning_effort": "low", "response_format": {"type": "text"}, "logprobs": False},
        {"stop": None, "tools": None, "user": None, "seed": None, "response_format": None, "stream": None},
    ],
    ids=range(12),
)
def test_what_everybody_understands_is_refused_by_nobody(clients: Clients, more: dict[str, Any]) -> None:
    clients.said(IT_RAINS)
    asked: Any = {"model": clients.model, "messages": ASKED, **more}
    got = clients.openai.chat.completions.create(**asked)
    assert got.choices[0].message.content == IT_RAINS.text


# -- failures --------------------------------------------------------------------------------------------------------

LONG: Final = "prompt is too long: 5000 tokens > 4000 maximum context length"
FAILURES: Final[dict[str, tuple[int, str, str]]] = {
    "key": (401, "Incorrect API key provided: sk-abcdefghijkl0123456789", "BACKEND_ERROR"),
    "limit": (429, "Slow down.", "BACKEND_RATE_LIMITED"),
    "length": (400, LONG, "CONTEXT_TOO_LONG"),
    "overload": (529, "Overloaded", "BACKEND_ERROR"),
}
STATUS_ERRORS: Final[tuple[type[Any], ...]] = (openai.APIStatusError, anthropic.APIStatusError)
Way = Callable[[Clients], object]


def _chat(clients: Clients) -> object:
    return list(clients.openai.chat.completions.create(model=clients.model, messages=ASKED, stream=True))


def _messages(clients: Clients) -> object:
    with clients.anthropic.messages.stream(model=clients.model, messages=ASKED, max_tokens=50) as told:
        return told.get_final_message()


def _responses(clients: Clients) -> object:
    with clients.openai.responses.stream(model=clients.model, input="Hi") as told:
        return told.get_final_response()


WAYS: Final[list[Way]] = [_chat, _messages, _responses]


@pytest.mark.parametrize("failure", [*FAILURES, "page"])
def test_a_failure_of_the_provider_is_the_clients_own_error(clients: Clients, failure: str) -> None:
    if failure == "page":
        behaviour: Behaviour = answer(b"<html>Oops</html>", status=500, headers=[("content-type", "text/html")])
        code = "BACKEND_ERROR"
    else:
        status, message, code = FAILURES[failure]
        behaviour = clients.tongue.refuses(status, message, [("retry-after", "7")])
    for way in WAYS:
        clients.endpoint.then(behaviour)
        with pytest.raises(STATUS_ERRORS) as caught:
            way(clients)
        body = caught.value.response.json()["error"]
        assert body["code"] == code, way
        assert ("sk-abc" in body["message"], body["message"] == LONG) == (False, failure == "length")
        if failure == "limit":
            assert caught.value.response.headers["retry-after"] == "7"
            assert isinstance(caught.value, openai.RateLimitError | anthropic.RateLimitError)


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_that_dies_is_an_error_and_no_short_answer(clients: Clients, way: Way) -> None:
    said = Said(texts=("one ", "two ", "three ", "four"))
    clients.endpoint.then(clients.tongue.says(said, breaks_off=True))
    with pytest.raises((openai.APIError, anthropic.APIError)) as caught:
        way(clients)
    assert "the stream ended too early" in str(caught.value)


# -- the simulator ---------------------------------------------------------------------------------------------------


def test_the_simulator_answers_each_dialect(running: Running) -> None:
    clients = Clients(
        running._replace(endpoints={"simulator": running.endpoints["openai"]}), "simulator", TONGUES["openai"]
    )
    for way in WAYS:
        way(clients)
    with pytest.raises(REFUSED, match="top_k"):
        clients.anthropic.messages.create(model=clients.model, messages=ASKED, max_tokens=50, extra_body={"top_k": 5})
