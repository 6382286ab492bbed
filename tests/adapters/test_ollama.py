import json
from typing import Any

import pytest

from adapters.ollama import Ollama, OllamaOptions
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Chat, Done, Embed, Vector
from tests.adapters.calls import RELAYING, SLUG, UPSTREAM_MODEL, decode, foreign, openai, outgoing, target, user

HI = Chat(messages=(user("Hi"),))


def test_a_server_of_ones_own_needs_no_key() -> None:
    assert Ollama().headers(None, {}) == (("content-type", "application/json"),)
    assert ("authorization", "Bearer k") in Ollama().headers(Secret("k"), {})
    assert Ollama().base_url() == "http://localhost:11434"


def test_other_clients_calls_go_to_its_own_api() -> None:
    chat = Ollama().encode(foreign(HI), target("ollama"), outgoing())
    assert chat.url == "https://provider.example/v1/api/chat"
    assert json.loads(chat.body)["messages"] == [{"role": "user", "content": "Hi"}]
    embed = Ollama().encode(foreign(Embed(input=("a",))), target("ollama"), outgoing())
    assert embed.url == "https://provider.example/v1/api/embed"
    assert json.loads(embed.body)["input"] == ["a"]


def test_calls_of_openai_clients_go_through() -> None:
    body: dict[str, Any] = {"model": SLUG, "messages": [], "brand_new": 1, "max_tokens": 9}
    request = Ollama().encode(openai(body), target("ollama"), outgoing(max_output=5))
    assert request.url == "https://provider.example/v1/v1/chat/completions"
    assert json.loads(request.body) == {**body, "model": UPSTREAM_MODEL, "max_tokens": 5}
    request = Ollama().encode(openai({"model": SLUG, "input": "x"}), target("ollama"), outgoing())
    assert request.url == "https://provider.example/v1/v1/embeddings"


def test_they_are_translated_where_the_operator_wants_that() -> None:
    chosen = OllamaOptions(openai=False)
    assert Ollama().speaks(chosen) == frozenset()
    spoken = {"openai/chat", "openai/completions", "openai/embeddings"}
    assert Ollama().speaks(OllamaOptions()) == Ollama().speaks() == spoken
    call = openai({"model": SLUG, "messages": []})
    call.canonical = lambda: HI
    request = Ollama().encode(call, target("ollama", options=chosen), outgoing())
    assert request.url == "https://provider.example/v1/api/chat"


def test_answers_to_openai_clients_go_through() -> None:
    pipe = Ollama().relay(openai({"model": SLUG, "messages": []}), target("ollama"), RELAYING)
    pipe.feed(b'{"model":"llama","choices":[],"brand_new":1}')
    assert json.loads(pipe.close()) == {"model": SLUG, "choices": [], "brand_new": 1}


def test_what_ollama_cannot_do_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        Ollama().encode(foreign(HI, operation="count_tokens"), target("ollama"), outgoing())
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    assert [one.field for one in caught.value.details] == ["count_tokens"]


def test_the_answer_is_decoded_as_it_was_asked_for() -> None:
    ollama, where = Ollama(), target("ollama")
    chat = b'{"message":{"content":"a"},"done":true}'
    assert decode(ollama.decoder(foreign(HI), where), [chat])[-1] == Done("stop")
    assert decode(ollama.decoder(foreign(HI, stream=True), where), [chat + b"\n"])[-1] == Done("stop")
    embed = decode(ollama.decoder(foreign(Embed(input=("a",))), where), [b'{"embeddings":[[1]]}'])
    assert isinstance(embed[1], Vector)


def test_its_models_are_asked_for_at_its_root() -> None:
    assert Ollama().discovery("http://localhost:11434", ()).url == "http://localhost:11434/api/tags"


def test_a_refusal_is_a_sentence() -> None:
    body = b'{"error":"registry.example/llama does not support tools"}'
    failure = Ollama().error(400, {}, body)
    assert failure.code is Code.VALIDATION_ERROR
    assert failure.message.endswith("does not support tools")
    assert Ollama().error(404, {}, b'{"error":"model \'x\' not found"}').code is Code.BACKEND_ERROR
