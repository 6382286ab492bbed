"""What a provider has no word for is left out where that is allowed, and named; what was asked stays or is refused."""

import json
from typing import Any

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid.adapter import Outgoing, Target
from scaigrid.call import Call
from scaigrid.dialects import DIALECTS
from scaigrid.dropping import asked_of, encoded
from scaigrid.errors import Code, GatewayError
from tests.harness.services import MODEL, Parts
from tests.scaigrid.calls import opened

TARGET = Target(type="anthropic", base_url="https://x.invalid/v1", model="claude-sonnet-4-5", headers=())
TOOL = {"type": "function", "function": {"name": "look"}}


def call(dialect: str = "native", **more: Any) -> Call:
    path = {"native": "/v1/inference/chat", "openai": "/oai/v1/chat/completions"}[dialect]
    body = {"model": "acme/chat", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 50, **more}
    decoder = next(one for one in DIALECTS if one.name == dialect)
    return decoder.decode(path, json.dumps(body).encode())


def response(**more: Any) -> Call:
    decoder = next(one for one in DIALECTS if one.name == "openai")
    body = {"model": "acme/chat", "input": "Hello?", "max_output_tokens": 50, **more}
    return decoder.decode("/oai/v1/responses", json.dumps(body).encode())


def sent(
    asked: Call, *, drops: bool = True, outgoing: Outgoing | None = None, provider: str = "anthropic"
) -> tuple[dict[str, Any], set[str]]:
    """The upstream body, and what was left out of it."""
    outgoing = outgoing or Outgoing()
    request = encoded(ADAPTERS[provider], asked, TARGET, outgoing, drops=drops)
    return json.loads(request.body), set(outgoing.dropped)


def refused(asked: Call, *, drops: bool = True, provider: str = "anthropic") -> list[str]:
    with pytest.raises(GatewayError) as caught:
        sent(asked, drops=drops, provider=provider)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    return [detail.field for detail in caught.value.details]


def test_what_only_shapes_an_answer_is_left_out() -> None:
    plain, nothing = sent(call(temperature=0.5))
    assert nothing == set()
    assert sent(call(temperature=0.5, seed=7)) == (plain, {"seed"})


def test_each_refusal_is_dropped_in_turn() -> None:
    """The native field is refused by the adapter, the unknown one before it."""
    body, dropped = sent(call("openai", seed=7, frequency_penalty=0.5, store=True, verbosity_2="x"))
    assert dropped >= {"seed", "frequency_penalty", "verbosity_2"}
    assert not {"seed", "frequency_penalty", "verbosity_2", "store"} & set(body)


def test_where_it_is_not_allowed_the_field_is_named() -> None:
    assert refused(call(seed=7), drops=False) == ["seed"]


def test_a_hint_is_left_out_and_named_whatever_the_operator_says() -> None:
    """Who asks changes no answer, and agents say it with every call."""
    plain, _ = sent(call(), provider="google")
    assert sent(call(user="u"), drops=False, provider="google") == (plain, {"user"})
    assert sent(call(user="u"), drops=False)[1] == set()


def test_a_hint_is_not_among_what_is_refused() -> None:
    asked = call("openai", user="u", tools=[TOOL], parallel_tool_calls=False)
    assert refused(asked, drops=False, provider="google") == ["parallel_tool_calls"]


def test_how_long_a_text_is_to_be_can_be_left_out_in_every_dialect() -> None:
    assert refused(response(text={"verbosity": "low"}), drops=False) == ["text.verbosity"]
    assert sent(response(text={"verbosity": "low"})) == (sent(response())[0], {"text.verbosity"})
    assert sent(call("openai", verbosity="low"))[1] == {"verbosity"}


@pytest.mark.parametrize(
    "asked",
    [{"n": 2}, {"response_format": {"type": "json_object"}}, {"n": 2, "seed": 7}],
    ids=["choices", "format", "one of two"],
)
def test_what_is_part_of_the_question_is_never_left_out(asked: dict[str, Any]) -> None:
    assert {"n", "response_format"} & set(refused(call(**asked)))


def test_what_is_asked_in_words_that_nobody_knows_is_part_of_the_question() -> None:
    assert refused(call("openai", prompt={"id": "pmpt_1"})) == ["prompt"]


def test_a_default_that_cannot_be_said_is_left_out_like_what_was_asked() -> None:
    outgoing = Outgoing(defaults={"seed": msgspec.Raw(b"7")})
    body, dropped = sent(call(), outgoing=outgoing)
    assert (dropped, "seed" in body) == ({"seed"}, False)


@pytest.mark.parametrize("name", ["a\r\nx-evil: 1", "a,b", "é", "x" * 65, "a b"])
def test_a_name_that_does_not_fit_into_a_header_is_refused(name: str) -> None:
    assert [field[:64] for field in refused(call("openai", **{name: 1}))] == [name[:64]]


def test_more_than_a_header_can_name_is_refused() -> None:
    assert len(refused(call("openai", **{f"field_{place}": 1 for place in range(40)}))) >= 33


def test_other_faults_are_not_touched() -> None:
    with pytest.raises(GatewayError) as caught:
        sent(call(max_tokens=None))
    assert caught.value.code is Code.VALIDATION_ERROR


def test_a_backend_is_asked_with_the_bound_and_the_prompt_that_the_gateway_has_for_it() -> None:
    parts = Parts(models={"acme/chat": {**MODEL, "system_prompt": "Be brief."}})
    exchange, (backend, *_) = opened(parts), parts.snapshot.backends
    exchange.output_bound = 77
    assert exchange.call is not None
    made, dropped = asked_of(exchange, exchange.call, parts.model, backend)
    said = json.loads(made.body or b"")
    assert (77 in said.values(), said["messages"][0]["content"], dropped) == (True, "Be brief.", frozenset())
