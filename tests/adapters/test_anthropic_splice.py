import json
from typing import Any

import msgspec
import pytest

from adapters.anthropic_splice import FOREIGN, address, headers, spliced
from scaigrid.adapter import Header
from scaigrid.dialects.anthropic_thinking import PREFIX
from scaigrid.errors import Code, GatewayError
from tests.adapters.calls import SLUG, UPSTREAM_MODEL, anthropic, outgoing, target

HI = [{"role": "user", "content": "Hi"}]
ASKED: dict[str, Any] = {"model": SLUG, "max_tokens": 9, "messages": HI}


def body(asked: dict[str, Any] | None = None, model: str = SLUG, *, counted: bool = False, **more: Any) -> Any:
    """What is sent where the gateway has `more` to say."""
    return json.loads(spliced(anthropic(asked or ASKED, counted=counted), model, outgoing(**more)))


def refused(asked: dict[str, Any] | None = None, **more: Any) -> tuple[Code, list[str]]:
    with pytest.raises(GatewayError) as caught:
        body(asked, **more)
    return caught.value.code, [one.field for one in caught.value.details]


def test_with_nothing_due_the_body_goes_on_as_the_very_object() -> None:
    call = anthropic(
        b'{ "model":"scailabs/best","max_tokens" : 9,"x":[1.0],"messages":[{"role":"user","content":"Hi"}]}'
    )
    assert spliced(call, SLUG, outgoing()) is call.body
    assert spliced(call, SLUG, outgoing(max_output=9, defaults={"max_tokens": 5, "x": 1})) is call.body


def test_the_model_is_renamed_and_nothing_else() -> None:
    call = anthropic(b'{ "x":{"model":"scailabs/best"},"model" :"scailabs/best","max_tokens":9,"messages":[ {} ]}')
    wanted = call.body.replace(b'"model" :"scailabs/best"', b'"model" :"upstream-model-1"')
    assert spliced(call, UPSTREAM_MODEL, outgoing()) == wanted


def test_the_bound_is_cut_down() -> None:
    assert body(max_output=5)["max_tokens"] == 5


def test_a_member_given_twice_is_refused() -> None:
    call = anthropic(b'{"model":"scailabs/best","model":"scailabs/best","max_tokens":9,"messages":[]}')
    with pytest.raises(GatewayError) as caught:
        spliced(call, UPSTREAM_MODEL, outgoing())
    assert caught.value.details[0].field == "model"


# -- the operator's prompt -------------------------------------------------------------------------------------------

PROMPT = {"type": "text", "text": "Be kind."}
THEIRS = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("theirs", "wanted"),
    [
        ({}, "Be kind."),
        ({"system": None}, "Be kind."),
        ({"system": ""}, "Be kind."),
        ({"system": []}, "Be kind."),
        ({"system": "Be “brief”."}, [PROMPT, {"type": "text", "text": "Be “brief”."}]),
        ({"system": [THEIRS]}, [PROMPT, THEIRS]),
    ],
)
def test_the_operators_prompt_comes_first(theirs: dict[str, Any], wanted: Any) -> None:
    assert body(ASKED | theirs, system_prompt="Be kind.")["system"] == wanted
    assert body(ASKED | theirs, counted=True, system_prompt="Be kind.")["system"] == wanted


def test_two_turns_of_a_conversation_begin_with_the_same_bytes() -> None:
    first = anthropic(ASKED)
    second = anthropic(ASKED | {"messages": [*HI, {"role": "assistant", "content": "Ho"}, *HI]})
    said = outgoing(system_prompt="Be kind.", max_output=5, defaults={"temperature": 0.5, "stop": "END"})
    one, two = spliced(first, UPSTREAM_MODEL, said), spliced(second, UPSTREAM_MODEL, said)
    assert two.startswith(one[: one.index(b'"Hi"')])


# -- defaults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("defaults", "wanted"),
    [
        ({"temperature": 0.5, "top_k": 3}, {"temperature": 0.5, "top_k": 3}),
        (
            {"thinking": {"type": "adaptive"}, "stop_sequences": ["a"]},
            {"thinking": {"type": "adaptive"}, "stop_sequences": ["a"]},
        ),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"reasoning": {"effort": "none"}}, {"thinking": {"type": "disabled"}}),
        ({"reasoning_effort": "low"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ({"provider_options": {"anthropic": {"speed": "fast"}, "openai": {"seed": 1}}}, {"speed": "fast"}),
        ({"max_completion_tokens": 3, "max_tokens": 3, "stream": True, "messages": [], "model": "x"}, {}),
        ({"presence_penalty": 0}, {}),
    ],
)
def test_defaults_are_said_in_anthropics_words(defaults: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert body(model=SLUG, defaults=defaults) == ASKED | wanted


def test_what_the_caller_said_stays() -> None:
    asked = ASKED | {"temperature": 1, "thinking": {"type": "disabled"}}
    assert body(asked, defaults={"temperature": 0.5, "reasoning": {"effort": "none"}}) == asked


def test_a_default_about_tools_goes_with_the_callers_tools() -> None:
    tools: list[dict[str, Any]] = [{"name": "f", "input_schema": {}}]
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    asked = ASKED | {"tools": tools}
    assert body(asked, defaults={"parallel_tool_calls": False}) == asked | {"tool_choice": choice}
    assert body(defaults={"parallel_tool_calls": False}) == ASKED


@pytest.mark.parametrize(
    ("defaults", "field"), [({"seed": 1}, "seed"), ({"logit_bias": {}}, "default_params.logit_bias")]
)
def test_a_default_that_anthropic_has_no_word_for_is_refused_by_name(defaults: dict[str, Any], field: str) -> None:
    assert refused(defaults=defaults) == (Code.UNSUPPORTED_BY_MODEL, [field])


def test_newer_versions_of_the_api_take_no_sampling() -> None:
    """The caller never said it, so that the caller is told which default cannot be said, unless it may be left out."""
    call = anthropic(ASKED, headers=(("anthropic-version", "2026-10-21"),))
    said = outgoing(defaults={"temperature": 0.5, "top_k": 3})
    with pytest.raises(GatewayError) as caught:
        spliced(call, SLUG, said)
    assert (caught.value.code, caught.value.details[0].field) == (Code.UNSUPPORTED_BY_MODEL, "temperature")
    said.dropped = frozenset({"temperature", "top_k"})
    assert spliced(call, SLUG, said) is call.body
    assert "temperature" in json.loads(spliced(anthropic(ASKED), SLUG, said))


def test_a_count_takes_what_has_a_size_only() -> None:
    asked = {"model": SLUG, "messages": HI}
    said: dict[str, Any] = {"temperature": 0.5, "reasoning": {"effort": "low"}, "user": "u"}
    assert body(asked, counted=True, defaults=said, max_output=5) == asked | {
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
    }


# -- what only this gateway understands ------------------------------------------------------------------------------


def test_the_callers_options_for_anthropic_become_members() -> None:
    options = {"anthropic": {"speed": "fast", "temperature": 1}, "openai": {"seed": 1}}
    asked = {"provider_options": options, **ASKED, "temperature": 0.5}
    assert body(asked) == ASKED | {"temperature": 1, "speed": "fast"}
    assert body(ASKED | {"provider_options": None}) == ASKED
    assert body(ASKED | {"provider_options": {"openai": {"seed": 1}}}, UPSTREAM_MODEL) == ASKED | {
        "model": UPSTREAM_MODEL
    }


def test_the_callers_options_govern_nothing() -> None:
    given = {"anthropic": {"max_tokens": 10**6}}
    assert refused(ASKED | {"provider_options": given}) == (
        Code.VALIDATION_ERROR,
        ["provider_options.anthropic.max_tokens"],
    )
    assert refused(ASKED | {"provider_options": [1]}) == (Code.VALIDATION_ERROR, ["provider_options"])


def test_thinking_of_another_provider_is_taken_out() -> None:
    """The API refuses a signature that is not its own, and with it the call."""
    own = {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}
    foreign = {"type": "thinking", "thinking": "Hm.", "signature": f"{PREFIX}abc"}
    says = {"type": "text", "text": f'"{PREFIX}'}
    messages = [
        *HI,
        {"role": "assistant", "content": [foreign, own, says]},
        {"role": "user", "content": f'"{PREFIX}'},
        {"role": "assistant", "content": [foreign]},
    ]
    assert body(ASKED | {"messages": messages})["messages"] == [
        *HI,
        {"role": "assistant", "content": [own, says]},
        {"role": "user", "content": f'"{PREFIX}'},
    ]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": f'"{PREFIX}'}],
        [{"role": "user", "content": [f'"{PREFIX}', {"type": 5, "signature": f"{PREFIX}"}]}],
        [f"{PREFIX}"],
    ],
)
def test_whatever_else_looks_like_it_goes_on_untouched(messages: list[Any]) -> None:
    call = anthropic(ASKED | {"messages": messages})
    assert spliced(call, SLUG, outgoing()) is call.body


def test_signatures_begin_as_the_dialect_writes_them() -> None:
    assert f'"{PREFIX}'.encode() == FOREIGN


# -- address and headers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "wanted"), [("", ""), ("beta=true", "?beta=true"), ("a=b c&d=%20#é", "?a=b%20c&d=%20%23%C3%A9")]
)
def test_the_query_goes_along(query: str, wanted: str) -> None:
    url = address(anthropic(ASKED, query=query), target("anthropic"), "/messages")
    assert url == f"https://provider.example/v1/messages{wanted}"


@pytest.mark.parametrize(
    ("theirs", "operators", "wanted"),
    [
        ((), {"anthropic-version": "1"}, {"anthropic-version": "1"}),
        ((("anthropic-version", "2"),), {"anthropic-version": "1"}, {"anthropic-version": "2"}),
        ((("anthropic-beta", "b"),), {}, {"anthropic-beta": "b"}),
        (
            (("anthropic-beta", "b, a"), ("anthropic-beta", "c")),
            {"anthropic-beta": "a"},
            {"anthropic-beta": "a,b,c"},
        ),
    ],
)
def test_the_callers_version_and_betas_go_beside_the_operators(
    theirs: tuple[Header, ...], operators: dict[str, str], wanted: dict[str, str]
) -> None:
    where = msgspec.structs.replace(target("anthropic"), headers=tuple(operators.items()))
    assert dict(headers(anthropic(ASKED, headers=theirs), where)) == wanted
