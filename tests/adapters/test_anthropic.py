import json
from typing import Any

import pytest

from adapters.anthropic import Anthropic
from adapters.anthropic_relay import PlainRelay
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Chat, Counted, Done, Embed, Start
from tests.adapters.calls import RELAYING, SLUG, anthropic, decode, foreign, openai, outgoing, target, user


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
    adapter, where = Anthropic(), target("anthropic")
    body = b'{"content":[],"stop_reason":"end_turn"}'
    assert decode(adapter.decoder(foreign(Chat(messages=())), where), [body])[-1] == Done("stop")
    stream = adapter.decoder(foreign(Chat(messages=()), stream=True), where)
    assert stream.feed(b'data: {"type":"message_start","message":{"id":"m"}}\n\n') == [Start("m")]
    count = adapter.decoder(foreign(Chat(messages=()), operation="count_tokens"), where)
    assert decode(count, [b'{"input_tokens":12}']) == [Counted(12)]


def test_a_count_of_another_dialect_asks_the_counter() -> None:
    call = foreign(Chat(messages=(user("Hi"),), temperature=0.5), operation="count_tokens")
    request = Anthropic().encode(call, target("anthropic", model="claude-x"), outgoing(max_output=7))
    assert request.url == "https://provider.example/v1/messages/count_tokens"
    assert json.loads(request.body) == {
        "model": "claude-x",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }


@pytest.mark.parametrize(("counted", "path"), [(False, "/messages"), (True, "/messages/count_tokens")])
def test_a_call_of_its_own_dialect_is_passed_through(counted: bool, path: str) -> None:
    asked: dict[str, Any] = {"model": SLUG, "max_tokens": 9, "messages": []}
    call = anthropic(asked, counted=counted, query="beta=true", headers=(("anthropic-beta", "b"),))
    where = target("anthropic", model=SLUG)
    assert call.surface in where.speaks
    request = Anthropic().encode(call, where, outgoing())
    assert request.body is call.body
    assert request.url == f"https://provider.example/v1{path}?beta=true"
    assert dict(request.headers) == {"x-kept": "yes", "anthropic-beta": "b"}
    assert isinstance(Anthropic().relay(call, where, RELAYING), PlainRelay)


def test_headers_of_another_dialect_say_nothing_to_it() -> None:
    call = foreign(Chat(messages=(user("Hi"),), max_tokens=5))
    call.headers, call.query = (("anthropic-beta", "b"),), "beta=true"
    request = Anthropic().encode(call, target("anthropic"), outgoing())
    assert (request.url, request.headers) == ("https://provider.example/v1/messages", (("x-kept", "yes"),))
