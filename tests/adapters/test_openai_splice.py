import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import endpoints
from adapters.endpoints import COMPLETIONS, Endpoint
from adapters.openai_splice import spliced, spliced_for
from scaigrid.errors import Code, GatewayError
from tests.adapters.calls import SLUG, openai, outgoing

UP = "upstream-model-1"
MESSAGES = [{"role": "user", "content": 'say "model": "scailabs/best", max_tokens'}]


def body(**members: Any) -> dict[str, Any]:
    return {"model": SLUG, "messages": MESSAGES, **members}


def sent(given: bytes | dict[str, Any], *, model: str = UP, field: str = "max_completion_tokens", **own: Any) -> bytes:
    return spliced(openai(given), model, field, outgoing(**own))


@pytest.mark.parametrize(
    "given",
    [
        b'{"model":"scailabs/best","messages":[]}',
        b' { "messages" : [ ] ,\n "model" : "scailabs/best" , "x": 1.50e3 } ',
        b'{"model":"scailabs/best","input":["a"],"unknown":{"b":[1,2]}}',
        b'{"model":"scailabs/best","messages":[],"stream":true,"stream_options":{"include_usage":true}}',
    ],
)
def test_with_nothing_due_the_bytes_are_the_callers(given: bytes) -> None:
    call = openai(given)
    assert spliced(call, SLUG, "max_tokens", outgoing()) is call.body


def test_the_models_name_alone_is_changed() -> None:
    given = b' { "messages" : [ {"model":"scailabs/best"} ] ,\n "model" : "%b" , "x": 1.50e3, "\\u0061":"\\u00e9" } '
    assert sent(given % SLUG.encode()) == given % UP.encode()
    assert sent(given % SLUG.encode(), model='a"b') == given % b'a\\"b'


@pytest.mark.parametrize(
    ("members", "bound", "wanted"),
    [
        ({"max_tokens": 900}, 77, {"max_tokens": 77}),
        ({"max_completion_tokens": 900}, 77, {"max_completion_tokens": 77}),
        ({"max_tokens": 77}, 77, {"max_tokens": 77}),
        ({"max_tokens": 77}, None, {"max_tokens": 77}),
        ({"max_tokens": None, "max_completion_tokens": 900}, 77, {"max_tokens": None, "max_completion_tokens": 77}),
        ({}, None, {}),
    ],
)
def test_the_bound_goes_where_the_caller_gave_its_own(
    members: dict[str, Any], bound: int | None, wanted: dict[str, Any]
) -> None:
    assert json.loads(sent(body(**members), max_output=bound)) == {**body(**wanted), "model": UP}


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_bound_that_the_caller_did_not_give_goes_where_the_provider_wants_it(field: str) -> None:
    assert json.loads(sent(body(), field=field, max_output=77)) == {**body(), "model": UP, field: 77}
    # Null is no bound.
    assert json.loads(sent(body(**{field: None}), field=field, max_output=77))[field] == 77


def test_defaults_are_for_what_the_caller_left_out() -> None:
    defaults = {"temperature": 0.5, "top_p": 0.25, "x_unknown": {"a": [1]}, "user": "u"}
    out = json.loads(sent(body(temperature=1, user=None), defaults=defaults))
    assert out == {**body(temperature=1, user=None), "model": UP, "top_p": 0.25, "x_unknown": {"a": [1]}}


def test_a_default_bound_never_stands_beside_another() -> None:
    for name, other in (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")):
        assert name not in json.loads(sent(body(**{other: 5}), defaults={name: 9}))
        assert json.loads(sent(body(), field=other, max_output=5, defaults={name: 9})) == {
            **body(),
            "model": UP,
            other: 5,
        }
        assert json.loads(sent(body(), defaults={name: 9}))[name] == 9


def test_what_a_reservation_was_made_for_has_no_default() -> None:
    names: dict[str, Any] = {"n": 4, "stream": True, "model": "x", "messages": [], "input": "x", "stream_options": {}}
    assert json.loads(sent(body(), defaults=names)) == {**body(), "model": UP}


@pytest.mark.parametrize("messages", ["[]", "[ ]", '[{"role":"user","content":"é"}]', '[ \n {"role":"user"} , {} ]'])
def test_the_models_prompt_comes_first_and_the_messages_stay(messages: str) -> None:
    given = f'{{"model":"{SLUG}","messages":{messages}}}'.encode()
    out = sent(given, system_prompt='Be "brief". é')
    first, *rest = json.loads(out)["messages"]
    assert first == {"role": "system", "content": 'Be "brief". é'}
    assert rest == json.loads(messages)
    assert out.endswith(messages[1:].lstrip().encode() + b"}")


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"stream": True}, {"include_usage": True}),
        ({"stream": True, "stream_options": None}, {"include_usage": True}),
        ({"stream": True, "stream_options": {}}, {"include_usage": True}),
        ({"stream": True, "stream_options": {"include_usage": False}}, {"include_usage": True}),
        (
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            {"include_usage": True, "include_obfuscation": False},
        ),
        ({"stream": True, "stream_options": {"include_usage": True, "x": 1}}, {"include_usage": True, "x": 1}),
        ({"stream": False}, None),
        ({}, None),
    ],
)
def test_usage_is_asked_for_at_the_end_of_every_stream(members: dict[str, Any], wanted: dict[str, Any] | None) -> None:
    assert json.loads(sent(body(**members))).get("stream_options") == wanted


def test_embeddings_get_a_name_and_defaults_and_nothing_else() -> None:
    given: dict[str, Any] = {"model": SLUG, "input": "x"}
    assert json.loads(sent(given, max_output=5, system_prompt="Hm.", defaults={"dimensions": 8})) == {
        "model": UP,
        "input": "x",
        "dimensions": 8,
    }


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (b'{"model":"scailabs/best","messages":[],"model":"scailabs/best"}', "model"),
        (
            b'{"model":"scailabs/best","messages":[],"stream":true,"stream_options":{"x":1,"x":2}}',
            "stream_options.x",
        ),
    ],
)
def test_a_member_given_twice_is_refused(given: bytes, field: str) -> None:
    with pytest.raises(GatewayError) as caught:
        sent(given)
    assert caught.value.code is Code.VALIDATION_ERROR
    assert [one.field for one in caught.value.details] == [field]


@given(
    extra=st.dictionaries(st.text(max_size=5), st.sampled_from([1, "é", None, [1], {"a": "b"}]), max_size=4),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" , ", " :\n")]),
    bound=st.none() | st.integers(1, 9),
    prompt=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)
def test_whatever_else_a_call_says_survives(
    extra: dict[str, object], separators: tuple[str, str], bound: int | None, prompt: str | None
) -> None:
    whole = {**{name: value for name, value in extra.items() if name not in body()}, **body()}
    given = json.dumps(whole, separators=separators).encode()
    try:
        given.decode()
        out = json.loads(sent(given, max_output=bound, system_prompt=prompt, field="bound"))
    except ValueError:
        # Half of a surrogate pair in a name: the intake refuses it.
        return
    wanted = {**whole, "model": UP, **({} if bound is None else {"bound": bound})}
    if prompt is not None:
        wanted["messages"] = [{"role": "system", "content": prompt}, *MESSAGES]
    assert out == wanted


# -- names of a provider's own ---------------------------------------------------------------------------------------

MISTRAL: Endpoint = next(one for one in endpoints.ROWS if one.name == "mistral")
ZAI: Endpoint = next(one for one in endpoints.ROWS if one.name == "zai")


def sent_to(row: Endpoint, given: bytes, **own: Any) -> bytes:
    return spliced_for(row, openai(given), UP, outgoing(**own))


@pytest.mark.parametrize("row", [MISTRAL, ZAI, endpoints.OPENAI])
def test_with_no_other_name_due_the_bytes_are_the_callers(row: Endpoint) -> None:
    call = openai(b' {"model":"scailabs/best", "messages":[], "max_tokens": 5, "x": 1.50}')
    assert spliced_for(row, call, SLUG, outgoing()) is call.body


def test_a_member_with_another_name_there_is_moved_and_all_else_stays() -> None:
    given = b'{"model":"scailabs/best","max_completion_tokens":5, "seed" : 7,"x":1.50,"messages":[]}'
    assert sent_to(MISTRAL, given) == (
        b'{"max_tokens":5,"random_seed":7,"model":"upstream-model-1","x":1.50,"messages":[]}'
    )
    assert sent_to(ZAI, b'{"model":"scailabs/best","messages":[],"user":"u"}') == (
        b'{"user_id":"u","model":"upstream-model-1","messages":[]}'
    )


def test_the_bound_goes_where_the_provider_looks_for_it() -> None:
    given = b'{"model":"scailabs/best","max_completion_tokens":5,"messages":[]}'
    assert sent_to(MISTRAL, given, max_output=3) == b'{"max_tokens":3,"model":"upstream-model-1","messages":[]}'
    both = b'{"model":"scailabs/best","max_completion_tokens":5,"max_tokens":null,"messages":[]}'
    assert json.loads(sent_to(MISTRAL, both, max_output=3))["max_tokens"] == 3
    assert "max_completion_tokens" not in json.loads(sent_to(MISTRAL, both, max_output=3))


def test_a_default_gives_way_to_the_callers_word_under_either_name() -> None:
    own = b'{"model":"scailabs/best","random_seed":1,"messages":[]}'
    assert json.loads(sent_to(MISTRAL, own, defaults={"seed": 2}))["random_seed"] == 1
    assert json.loads(sent_to(MISTRAL, own, defaults={"seed": 2})).keys() == {"model", "random_seed", "messages"}
    bare = b'{"model":"scailabs/best","messages":[]}'
    assert json.loads(sent_to(MISTRAL, bare, defaults={"seed": 2}))["random_seed"] == 2


def test_a_member_under_both_names_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        sent_to(MISTRAL, b'{"model":"m","messages":[],"seed":1,"random_seed":2}')
    assert caught.value.code is Code.VALIDATION_ERROR
    assert [one.field for one in caught.value.details] == ["seed"]
    with pytest.raises(GatewayError) as caught:
        sent_to(MISTRAL, b'{"model":"m","messages":[],"seed":1,"seed":2}')
    assert caught.value.code is Code.VALIDATION_ERROR


def test_usage_is_not_asked_for_where_it_comes_unasked() -> None:
    bare = b'{"model":"scailabs/best","messages":[],"stream":true}'
    assert sent_to(MISTRAL, bare) == bare.replace(SLUG.encode(), UP.encode())
    asked = b'{"model":"scailabs/best","stream":true,"stream_options":{"include_usage":true},"messages":[]}'
    assert sent_to(MISTRAL, asked) == b'{"model":"upstream-model-1","stream":true,"messages":[]}'


# -- legacy completions ----------------------------------------------------------------------------------------------


def completion(prompt: bytes, **own: Any) -> bytes:
    call = openai(b'{"model":"scailabs/best","messages":[]}')
    call.surface = COMPLETIONS
    call.body = b'{"model":"scailabs/best","prompt":%b}' % prompt
    call.members = {"model": msgspec.Raw(b'"scailabs/best"'), "prompt": msgspec.Raw(prompt)}
    return spliced(call, UP, "max_completion_tokens", outgoing(**own))


def test_a_completion_has_its_prompt_behind_the_models_own_and_one_name_for_the_bound() -> None:
    assert json.loads(completion(b'"Once"', max_output=3, system_prompt="Be brief.")) == {
        "max_tokens": 3,
        "model": UP,
        "prompt": "Be brief.\n\nOnce",
    }


@pytest.mark.parametrize("prompt", [b'["a","b"]', b"[1,2]"])
def test_several_prompts_have_no_place_for_the_models_own(prompt: bytes) -> None:
    assert json.loads(completion(prompt))["prompt"] == json.loads(prompt)
    with pytest.raises(GatewayError) as caught:
        completion(prompt, system_prompt="Be brief.")
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
