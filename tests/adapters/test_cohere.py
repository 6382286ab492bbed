import json

import pytest

from adapters.cohere import Cohere
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Chat, Done, Embed, Ranked, Rerank, Vector
from tests.adapters.calls import RELAYING, decode, foreign, outgoing, target, user

HI = Chat(messages=(user("Hi"),))


def test_a_key_is_a_bearer_token() -> None:
    assert Cohere().headers(Secret("k"), {"X-Client-Name": "us"}) == (
        ("content-type", "application/json"),
        ("authorization", "Bearer k"),
        ("x-client-name", "us"),
    )
    assert Cohere().base_url() == "https://api.cohere.com"


@pytest.mark.parametrize(
    ("asked", "path", "body"),
    [
        (HI, "/v2/chat", {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}),
        (
            Embed(input=("a", "b"), purpose="search_query", dimensions=256),
            "/v2/embed",
            {
                "model": "m",
                "input_type": "search_query",
                "embedding_types": ["float"],
                "output_dimension": 256,
                "truncate": "NONE",
                "texts": ["a", "b"],
            },
        ),
        (
            Rerank(query="q", documents=("a", "b"), top_n=1),
            "/v2/rerank",
            {"model": "m", "top_n": 1, "query": "q", "documents": ["a", "b"]},
        ),
    ],
)
def test_each_operation_has_its_own_path(asked: Chat | Embed | Rerank, path: str, body: dict[str, object]) -> None:
    request = Cohere().encode(foreign(asked), target("cohere", model="m"), outgoing())
    assert (request.method, request.url) == ("POST", f"https://provider.example/v1{path}")
    assert json.loads(request.body) == body


def test_what_cohere_cannot_do_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        Cohere().encode(foreign(HI, operation="count_tokens"), target("cohere"), outgoing())
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    assert [one.field for one in caught.value.details] == ["count_tokens"]


def test_the_answer_is_decoded_as_it_was_asked_for() -> None:
    cohere, where = Cohere(), target("cohere")
    chat = b'{"finish_reason":"COMPLETE","message":{"content":[]}}'
    assert decode(cohere.decoder(foreign(HI), where), [chat])[-1] == Done("stop")
    stream = b'data: {"type":"message-start"}\n\ndata: {"type":"message-end","delta":{"finish_reason":"COMPLETE"}}\n\n'
    assert decode(cohere.decoder(foreign(HI, stream=True), where), [stream])[-1] == Done("stop")
    embed = b'{"embeddings":{"float":[[1]]}}'
    assert isinstance(decode(cohere.decoder(foreign(Embed(input=("a",))), where), [embed])[1], Vector)
    rerank = b'{"results":[{"index":0,"relevance_score":1}]}'
    asked = Rerank(query="q", documents=("a",))
    assert decode(cohere.decoder(foreign(asked), where), [rerank])[1] == Ranked(0, 1.0)


def test_nothing_is_passed_through() -> None:
    assert Cohere().speaks() == frozenset()
    with pytest.raises(NotImplementedError):
        Cohere().relay(foreign(HI), target("cohere"), RELAYING)
