import json
from typing import Any

import msgspec
import pytest

from adapters.endpoints import COMPLETIONS, ROWS
from adapters.openai import Custom, CustomOptions, OpenAI, OpenAIOptions, of_row
from adapters.openai_relay import PlainRelay, StreamRelay
from adapters.openai_responses_splice import SIZE, SURFACES
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import (
    Chat,
    Counted,
    Done,
    Embed,
    Message,
    Ranked,
    ReasoningPart,
    ReasoningRequest,
    Rerank,
    Start,
    Text,
    TextPart,
    Vector,
)
from tests.adapters.calls import RELAYING, SLUG, UPSTREAM_MODEL, decode, foreign, openai, outgoing, target, user

HI = Chat(messages=(user("Hi"),))
BY_RESPONSES = OpenAIOptions(api="responses")


def test_openai_is_at_its_address_and_others_are_where_the_operator_says() -> None:
    assert OpenAI().base_url() == "https://api.openai.com/v1"
    assert Custom().base_url() is None
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
    other = adapter.encode(foreign(HI), target(), own)
    assert json.loads(same.body)[field] == json.loads(other.body)[field] == 77


def test_a_call_of_the_same_dialect_is_spliced_and_any_other_encoded() -> None:
    request = OpenAI().encode(openai(b'{"model":"scailabs/best","messages":[],"new":1.50}'), target(), outgoing())
    assert request.body == b'{"model":"upstream-model-1","messages":[],"new":1.50}'
    assert request.url == "https://provider.example/v1/chat/completions"
    request = OpenAI().encode(foreign(HI), target(), outgoing())
    assert request.body == b'{"model":"upstream-model-1","messages":[{"role":"user","content":"Hi"}]}'


def test_embeddings_have_a_path_of_their_own() -> None:
    for call in (openai({"model": SLUG, "input": ["a"]}), foreign(Embed(input=("a",)))):
        request = OpenAI().encode(call, target(), outgoing())
        assert request.url == "https://provider.example/v1/embeddings"
        assert json.loads(request.body) == {"model": UPSTREAM_MODEL, "input": ["a"]}


def test_legacy_completions_go_through_as_they_are() -> None:
    call = msgspec.structs.replace(openai(b'{"model":"scailabs/best","messages":[]}'), surface=COMPLETIONS)
    call.body = b'{"model":"scailabs/best","prompt":"Once","echo":true}'
    call.members = msgspec.json.decode(call.body, type=dict[str, msgspec.Raw])
    request = OpenAI().encode(call, target(), outgoing(max_output=7))
    assert request.url == "https://provider.example/v1/completions"
    assert request.body == b'{"max_tokens":7,"model":"upstream-model-1","prompt":"Once","echo":true}'


def test_half_a_character_is_the_callers_fault() -> None:
    with pytest.raises(GatewayError) as caught:
        OpenAI().encode(foreign(Chat(messages=(user("\ud83d"),))), target(), outgoing())
    assert caught.value.code is Code.VALIDATION_ERROR


def test_the_answer_is_decoded_as_it_was_asked_for() -> None:
    body = b'{"data":[{"embedding":[1]},{"embedding":[2]}]}'
    told = decode(OpenAI().decoder(foreign(Embed(input=("a", "b"))), target()), [body])
    assert [type(event) for event in told] == [Start, Vector, Vector]
    ranked = b'{"results":[{"index":0,"relevance_score":0.5}]}'
    order = decode(Custom().decoder(foreign(Rerank(query="q", documents=("a",))), target("custom")), [ranked])
    assert Ranked(0, 0.5) in order


def test_the_pipe_is_for_what_was_asked_for() -> None:
    streamed = openai({"model": SLUG, "messages": [], "stream": True})
    assert isinstance(OpenAI().relay(streamed, target(), RELAYING), StreamRelay)
    plain = openai({"model": SLUG, "messages": []})
    assert isinstance(Custom().relay(plain, target("custom"), RELAYING), PlainRelay)


def test_an_operator_chooses_by_which_api_calls_are_translated() -> None:
    at = target(options=BY_RESPONSES)
    request = OpenAI().encode(foreign(HI), at, outgoing(max_output=7))
    assert request.url == "https://provider.example/v1/responses"
    assert json.loads(request.body)["max_output_tokens"] == 7
    assert at.speaks == SURFACES | {"openai/embeddings"}
    answer: dict[str, Any] = {
        "id": "resp_1",
        "created_at": 7,
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hm."}]}],
    }
    events = [Start("resp_1", 7), Text("Hm."), Done("stop")]
    assert decode(OpenAI().decoder(foreign(HI), at), [json.dumps(answer).encode()]) == events
    stream = b'data: {"type":"response.completed","response":%b}\n\n' % json.dumps(answer).encode()
    told = decode(OpenAI().decoder(foreign(HI, stream=True), at), [stream])
    assert told == [Start("resp_1", 7), Done("stop")]


def test_a_chat_of_its_own_dialect_is_translated_where_the_other_api_is_chosen() -> None:
    """Else the reasoning of one conversation would be in two places."""
    assert "openai/chat" in OpenAI().speaks()
    assert "openai/chat" not in OpenAI().speaks(BY_RESPONSES)


def test_a_custom_endpoint_is_what_its_operator_says() -> None:
    assert Custom().speaks() == {"openai/chat", "openai/completions", "openai/embeddings"}
    assert Custom().speaks(CustomOptions(completions=False, responses=True)) == SURFACES - {SIZE} | {
        "openai/chat",
        "openai/embeddings",
    }
    options = CustomOptions(output_field="max_completion_tokens", reasoning="thinking", gives_back="reasoning")
    thought = ReasoningPart(text="Hm.", provider="custom")
    asked = Chat(
        messages=(Message(role="assistant", content=(TextPart("a"),), reasoning=(thought,)),),
        max_tokens=9,
        reasoning=ReasoningRequest(budget_tokens=5),
    )
    assert json.loads(Custom().encode(foreign(asked), target("custom", options=options), outgoing()).body) == {
        "model": UPSTREAM_MODEL,
        "max_completion_tokens": 9,
        "thinking": {"type": "enabled", "budget_tokens": 5},
        "messages": [{"role": "assistant", "content": "a", "reasoning": "Hm."}],
    }


def test_a_chat_is_counted_whichever_api_is_chosen() -> None:
    call = foreign(HI, operation="count_tokens")
    for at in (target(), target(options=BY_RESPONSES)):
        request = OpenAI().encode(call, at, outgoing())
        assert request.url == "https://provider.example/v1/responses/input_tokens"
        assert json.loads(request.body) == {"model": UPSTREAM_MODEL, "input": [{"role": "user", "content": "Hi"}]}
        assert decode(OpenAI().decoder(call, at), [b'{"input_tokens":11}']) == [Counted(11)]


def test_reranking_has_a_path_of_its_own() -> None:
    request = Custom().encode(foreign(Rerank(query="q", documents=("a",))), target("custom"), outgoing())
    assert request.url == "https://provider.example/v1/rerank"
    assert json.loads(request.body) == {"model": UPSTREAM_MODEL, "query": "q", "documents": ["a"]}


def test_a_row_is_an_adapter_of_its_own() -> None:
    first, second = of_row(ROWS[0]), of_row(ROWS[1])
    assert (first.name, second.name) == (ROWS[0].name, ROWS[1].name)
    assert (first.can, second.can) == (ROWS[0].can, ROWS[1].can)
