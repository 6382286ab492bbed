import json

import pytest

from adapters.openai import Custom, OpenAI
from adapters.openai_relay import PlainRelay, StreamRelay
from scaigrid.adapter import FEATURES
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Chat, Embed, Start, Vector
from tests.adapters.calls import SLUG, UPSTREAM_MODEL, decode, foreign, openai, outgoing, target, user


def test_openai_is_at_its_address_and_others_are_where_the_operator_says() -> None:
    assert OpenAI().base_url() == "https://api.openai.com/v1"
    assert Custom().base_url() is None
    assert (OpenAI().dialect, Custom().dialect) == ("openai", "openai")
    assert OpenAI().can == Custom().can == FEATURES
    assert not OpenAI().needs_max_output


def test_a_key_goes_as_a_bearer() -> None:
    assert OpenAI().headers(Secret("k"), {"OpenAI-Organization": "o"}) == (
        ("content-type", "application/json"),
        ("authorization", "Bearer k"),
        ("openai-organization", "o"),
    )


@pytest.mark.parametrize(("adapter", "field"), [(OpenAI(), "max_completion_tokens"), (Custom(), "max_tokens")])
def test_each_has_its_own_field_for_the_bound(adapter: OpenAI, field: str) -> None:
    own = outgoing(max_output=77)
    same = adapter.encode(openai({"model": SLUG, "messages": []}), target(), own)
    other = adapter.encode(foreign(Chat(messages=(user("Hi"),))), target(), own)
    assert json.loads(same.body)[field] == json.loads(other.body)[field] == 77


def test_a_call_of_the_same_dialect_is_spliced_and_any_other_encoded() -> None:
    request = OpenAI().encode(openai(b'{"model":"scailabs/best","messages":[],"new":1.50}'), target(), outgoing())
    assert request.body == b'{"model":"upstream-model-1","messages":[],"new":1.50}'
    assert request.url == "https://provider.example/v1/chat/completions"
    request = OpenAI().encode(foreign(Chat(messages=(user("Hi"),))), target(), outgoing())
    assert request.body == b'{"model":"upstream-model-1","messages":[{"role":"user","content":"Hi"}]}'


def test_embeddings_have_a_path_of_their_own() -> None:
    for call in (openai({"model": SLUG, "input": ["a"]}), foreign(Embed(input=("a",)))):
        request = OpenAI().encode(call, target(), outgoing())
        assert request.url == "https://provider.example/v1/embeddings"
        assert json.loads(request.body) == {"model": UPSTREAM_MODEL, "input": ["a"]}


def test_half_a_character_is_the_callers_fault() -> None:
    with pytest.raises(GatewayError) as caught:
        OpenAI().encode(foreign(Chat(messages=(user("\ud83d"),))), target(), outgoing())
    assert caught.value.code is Code.VALIDATION_ERROR


def test_the_answer_is_decoded_as_it_was_asked_for() -> None:
    body = b'{"data":[{"embedding":[1]},{"embedding":[2]}]}'
    told = decode(OpenAI().decoder(foreign(Embed(input=("a", "b")))), [body])
    assert [type(event) for event in told] == [Start, Vector, Vector]


def test_the_pipe_is_for_what_was_asked_for() -> None:
    assert isinstance(OpenAI().relay(openai({"model": SLUG, "messages": [], "stream": True})), StreamRelay)
    assert isinstance(Custom().relay(openai({"model": SLUG, "messages": []})), PlainRelay)
