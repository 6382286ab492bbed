import json

import pytest

from adapters.anthropic import Anthropic
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Chat, Done, Embed
from tests.adapters.calls import decode, foreign, openai, outgoing, target, user


def test_a_key_goes_in_the_apis_own_header_beside_its_version() -> None:
    assert Anthropic().headers(Secret("k"), {"Anthropic-Beta": "b"}) == (
        ("content-type", "application/json"),
        ("anthropic-version", "2023-06-01"),
        ("x-api-key", "k"),
        ("anthropic-beta", "b"),
    )
    assert Anthropic().base_url() == "https://api.anthropic.com/v1"


def test_a_call_of_the_openai_dialect_is_translated_too() -> None:
    call = openai({"model": "m", "messages": []})
    call.canonical = lambda: Chat(messages=(user("Hi"),), max_tokens=5)
    request = Anthropic().encode(call, target("anthropic", model="claude-x"), outgoing())
    assert request.url == "https://provider.example/v1/messages"
    assert json.loads(request.body) == {
        "model": "claude-x",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }


def test_a_bound_is_needed_and_the_gateways_will_do() -> None:
    assert Anthropic().needs_max_output
    call = foreign(Chat(messages=(user("Hi"),)))
    request = Anthropic().encode(call, target("anthropic"), outgoing(max_output=7))
    assert json.loads(request.body)["max_tokens"] == 7


def test_embeddings_are_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        Anthropic().encode(foreign(Embed(input=("a",))), target("anthropic"), outgoing())
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


def test_the_answer_is_decoded_as_it_was_asked_for() -> None:
    body = b'{"content":[],"stop_reason":"end_turn"}'
    assert decode(Anthropic().decoder(foreign(Chat(messages=()))), [body])[-1] == Done("stop")


def test_nothing_is_passed_through() -> None:
    assert Anthropic().dialect is None
    with pytest.raises(NotImplementedError):
        Anthropic().relay(foreign(Chat(messages=())))
