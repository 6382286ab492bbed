from typing import Any

import pytest

from adapters import asked
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Chat, Embed, Message, ReasoningRequest, Rerank, TextPart
from tests.adapters.calls import foreign, outgoing, user

PLAIN = Chat(messages=(user("Hi"),))


def test_a_call_to_which_nothing_is_added_is_the_callers_own() -> None:
    assert asked.chat(foreign(PLAIN), outgoing()) is PLAIN
    embed = Embed(input=("x",))
    assert asked.embed(foreign(embed), outgoing()) is embed


def test_the_gateways_bound_stands_over_the_callers() -> None:
    call = foreign(Chat(messages=(user("Hi"),), max_tokens=900))
    assert asked.chat(call, outgoing(max_output=77)).max_tokens == 77
    assert asked.chat(call, outgoing()).max_tokens == 900


def test_the_models_prompt_comes_first() -> None:
    call = foreign(Chat(messages=(Message(role="system", content=(TextPart("Mine."),)), user("Hi"))))
    first, second, _ = asked.chat(call, outgoing(system_prompt="Ours.")).messages
    assert first == Message(role="system", content=(TextPart("Ours."),))
    assert second.content == (TextPart("Mine."),)


@pytest.mark.parametrize(
    ("name", "value", "field", "meant"),
    [
        ("max_tokens", 5, "max_tokens", 5),
        ("max_completion_tokens", 5, "max_tokens", 5),
        ("temperature", 1, "temperature", 1.0),
        ("top_p", 0.5, "top_p", 0.5),
        ("stop", "END", "stop", ("END",)),
        ("stop", ["A", "B"], "stop", ("A", "B")),
        ("seed", 3, "seed", 3),
        ("parallel_tool_calls", False, "parallel_tool_calls", False),
        ("reasoning", {"budget_tokens": 9}, "reasoning", ReasoningRequest(budget_tokens=9)),
        ("reasoning_effort", "low", "reasoning", ReasoningRequest(effort="low")),
        ("logprobs", True, "logprobs", True),
        ("top_logprobs", 2, "top_logprobs", 2),
        ("presence_penalty", 0.5, "presence_penalty", 0.5),
        ("frequency_penalty", 0.5, "frequency_penalty", 0.5),
        ("user", "u", "user", "u"),
        ("provider_options", {"openai": {"a": 1}}, "provider_options", {"openai": {"a": 1}}),
    ],
)
def test_a_default_of_either_dialect_is_for_those_who_said_nothing(
    name: str, value: Any, field: str, meant: object
) -> None:
    said = outgoing(defaults={name: value})
    assert getattr(asked.chat(foreign(PLAIN), said), field) == meant
    # Whoever wrote the field out has said something, even where it was null.
    assert asked.chat(foreign(PLAIN, members={name: None}), said) is PLAIN


def test_a_default_in_one_word_gives_way_to_what_was_said_in_another() -> None:
    low = Chat(messages=(user("Hi"),), reasoning=ReasoningRequest(effort="low"), max_tokens=5)
    call = foreign(low, members={"reasoning_effort": "low", "max_completion_tokens": 5})
    assert asked.chat(call, outgoing(defaults={"reasoning": {"effort": "high"}, "max_tokens": 9})) == low


def test_the_gateways_bound_stands_over_a_default() -> None:
    assert asked.chat(foreign(PLAIN), outgoing(max_output=7, defaults={"max_tokens": 9})).max_tokens == 7


def test_what_a_reservation_was_made_for_has_no_default() -> None:
    names: dict[str, Any] = {"n": 4, "stream": True, "model": "x", "messages": [], "stream_options": {}}
    assert asked.chat(foreign(PLAIN), outgoing(defaults=names)) is PLAIN


def test_embeddings_have_defaults_too() -> None:
    call = foreign(Embed(input=("x",), user="me"))
    assert asked.embed(call, outgoing(defaults={"dimensions": 8, "user": "u", "input": "y"})) == Embed(
        input=("x",), dimensions=8, user="me"
    )


def test_embeddings_go_without_the_user_whom_an_operator_lets_be_left_out() -> None:
    said = outgoing()
    said.dropped = frozenset({"user"})
    assert asked.embed(foreign(Embed(input=("x",), user="me")), said) == Embed(input=("x",))


def test_a_model_can_be_for_one_purpose_whoever_asks() -> None:
    """OpenAI's clients have no word for it."""
    options = {"cohere": {"truncate": "END"}}
    said = outgoing(defaults={"purpose": "search_query", "provider_options": options})
    wanted = Embed(input=("x",), purpose="search_query", provider_options=options)
    assert asked.embed(foreign(Embed(input=("x",))), said) == wanted


def test_an_order_has_defaults_too() -> None:
    plain = Rerank(query="q", documents=("a", "b"))
    assert asked.rerank(foreign(plain), outgoing()) is plain
    said = outgoing(defaults={"top_n": 1, "provider_options": {"cohere": {"priority": 1}}})
    wanted = Rerank(query="q", documents=("a", "b"), top_n=1, provider_options={"cohere": {"priority": 1}})
    assert asked.rerank(foreign(plain), said) == wanted
    with pytest.raises(GatewayError) as caught:
        asked.rerank(foreign(plain), outgoing(defaults={"temperature": 1}))
    assert [one.field for one in caught.value.details] == ["default_params.temperature"]


@pytest.mark.parametrize(("name", "value"), [("service_tier", "flex"), ("temperature", "hot"), ("reasoning_effort", 5)])
def test_a_default_that_means_nothing_here_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(GatewayError) as caught:
        asked.chat(foreign(PLAIN), outgoing(defaults={name: value}))
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    assert [one.field for one in caught.value.details] == [f"default_params.{name}"]


def test_unknown_fields_are_refused_by_name() -> None:
    for call, read in (
        (foreign(Chat(messages=(), unknown=("a", "b"))), asked.chat),
        (foreign(Embed(input=("x",), unknown=("a", "b"))), asked.embed),
    ):
        with pytest.raises(GatewayError) as caught:
            read(call, outgoing())
        assert [one.field for one in caught.value.details] == ["a", "b"]


def test_a_call_of_one_kind_is_none_of_the_other() -> None:
    with pytest.raises(TypeError):
        asked.chat(foreign(Embed(input=("x",))), outgoing())
    with pytest.raises(TypeError):
        asked.embed(foreign(PLAIN), outgoing())


def test_a_callers_options_join_what_was_made_of_the_call() -> None:
    given = Chat(
        messages=(),
        provider_options={"p": {"new": 1, "object": {"b": 2, "c": 3}, "list": [2], "text": "y", "other": [1]}},
    )
    body: dict[str, Any] = {"object": {"a": 1, "b": 1}, "list": [1], "text": "x", "other": {"a": 1}, "kept": 1}
    merged = asked.merged(body, given, "p", frozenset())
    assert merged == {
        "object": {"a": 1, "b": 2, "c": 3},
        "list": [1, 2],
        "text": "y",
        "other": [1],
        "kept": 1,
        "new": 1,
    }
    # The call that they came from is as it was.
    assert given.provider_options["p"]["object"] == {"b": 2, "c": 3}


def test_a_callers_options_leave_alone_what_is_reserved() -> None:
    given = Chat(messages=(), provider_options={"p": {"model": "x"}})
    with pytest.raises(GatewayError) as caught:
        asked.merged({}, given, "p", frozenset({"model"}))
    assert caught.value.code is Code.VALIDATION_ERROR
    assert [one.field for one in caught.value.details] == ["provider_options.p.model"]
    assert asked.merged({}, given, "q", frozenset({"model"})) == {}


def test_defaults_alone_are_what_the_operator_asks_of_a_call_that_is_passed_through() -> None:
    call = foreign(PLAIN, members={"temperature": 1})
    silent = Chat(messages=(), max_tokens=5)
    said = outgoing(defaults={"temperature": 0, "top_p": 0.5, "seed": 7, "model": "x"})
    said.dropped = frozenset({"seed"})
    assert asked.defaulted(call, silent, said) == Chat(messages=(), max_tokens=5, top_p=0.5)
    with pytest.raises(GatewayError) as caught:
        asked.defaulted(call, silent, outgoing(defaults={"logit_bias": {}}))
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


@pytest.mark.parametrize(
    ("wish", "meant"),
    [
        (ReasoningRequest(), None),
        (ReasoningRequest(effort="xhigh"), "xhigh"),
        (ReasoningRequest(budget_tokens=0), "none"),
        (ReasoningRequest(budget_tokens=4096), "low"),
        (ReasoningRequest(budget_tokens=4097), "medium"),
        (ReasoningRequest(budget_tokens=16_384), "medium"),
        (ReasoningRequest(budget_tokens=31_999), "high"),
    ],
)
def test_a_budget_stands_for_an_effort_where_there_are_efforts_alone(wish: ReasoningRequest, meant: str | None) -> None:
    assert asked.effort_of(wish) == meant
