import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bedrock_embed import embed, vectors
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Embed, Event, Start, Usage, Vector

TITAN = "amazon.titan-embed-text-v2:0"
TITAN_1 = "amazon.titan-embed-text-v1"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"
COHERE = "us.cohere.embed-v4:0"
COHERE_3 = "cohere.embed-english-v3"
NOVA_ALONE = {"embeddingPurpose": "GENERIC_INDEX", "text": {"truncationMode": "NONE", "value": "a"}}


@pytest.mark.parametrize(
    ("model", "asked", "body"),
    [
        (TITAN, Embed(input=("a",)), {"inputText": "a"}),
        (TITAN, Embed(input=("a",), dimensions=256, purpose="search_query"), {"inputText": "a", "dimensions": 256}),
        (TITAN_1, Embed(input=("a",)), {"inputText": "a"}),
        (COHERE_3, Embed(input=("a", "b")), {"texts": ["a", "b"], "input_type": "search_document"}),
        (
            COHERE,
            Embed(input=("a",), dimensions=512, purpose="clustering"),
            {"texts": ["a"], "input_type": "clustering", "output_dimension": 512},
        ),
        (NOVA, Embed(input=("a",)), {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": NOVA_ALONE}),
        (
            NOVA,
            Embed(input=("a",), dimensions=256, purpose="search_query"),
            {
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {
                    "embeddingPurpose": "GENERIC_RETRIEVAL",
                    "embeddingDimension": 256,
                    "text": {"truncationMode": "NONE", "value": "a"},
                },
            },
        ),
    ],
)
def test_each_maker_is_asked_in_its_own_words(model: str, asked: Embed, body: dict[str, Any]) -> None:
    assert msgspec.json.decode(msgspec.json.encode(embed(asked, model))) == body


@pytest.mark.parametrize(
    ("model", "asked", "field"),
    [
        (TITAN, Embed(input=("a", "b")), "input"),
        (NOVA, Embed(input=("a", "b")), "input"),
        (COHERE, Embed(input=((1, 2),)), "input"),
        ("anthropic.claude-sonnet-4-6", Embed(input=("a",)), "input"),
        ("amazon.nova-lite-v1:0", Embed(input=("a",)), "input"),
        (TITAN_1, Embed(input=("a",), dimensions=9), "dimensions"),
        (COHERE_3, Embed(input=("a",), dimensions=9), "dimensions"),
        (NOVA, Embed(input=("a",), purpose="image"), "purpose"),
        (TITAN, Embed(input=("a",), user="u"), "user"),
    ],
)
def test_what_a_maker_has_no_word_for_is_refused_by_name(model: str, asked: Embed, field: str) -> None:
    with pytest.raises(GatewayError) as caught:
        embed(asked, model)
    assert (caught.value.code, [one.field for one in caught.value.details]) == (Code.UNSUPPORTED_BY_MODEL, [field])


def test_the_callers_own_options_join_however_deep() -> None:
    options = {"singleEmbeddingParams": {"embeddingPurpose": "TEXT_RETRIEVAL", "text": {"truncationMode": "END"}}}
    body = embed(Embed(input=("a",), provider_options={"bedrock": options}), NOVA)
    assert body["singleEmbeddingParams"] == {
        "embeddingPurpose": "TEXT_RETRIEVAL",
        "text": {"truncationMode": "END", "value": "a"},
    }
    assert embed(Embed(input=("a",), provider_options={"bedrock": {"normalize": False}}), TITAN) == {
        "inputText": "a",
        "normalize": False,
    }


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"inputText": "b"}, "inputText"),
        ({"texts": []}, "texts"),
        ({"singleEmbeddingParams": {"text": {"value": "b"}}}, "value"),
    ],
)
def test_no_option_takes_what_is_embedded(options: dict[str, Any], field: str) -> None:
    with pytest.raises(GatewayError) as caught:
        embed(Embed(input=("a",), provider_options={"bedrock": options}), NOVA)
    assert caught.value.code is Code.VALIDATION_ERROR
    assert [one.field for one in caught.value.details] == [f"provider_options.bedrock.{field}"]


def vector(index: int, value: str) -> Event:
    return Vector(index, msgspec.Raw(value.encode()))


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (
            '{"embedding":[0.1,-2.50],"embeddingsByType":{"float":[0.1,-2.50]},"inputTextTokenCount":5}',
            [vector(0, "[0.1,-2.50]"), Usage(input=5)],
        ),
        ('{"embeddings":[[1],[2]],"response_type":"embeddings_floats"}', [vector(0, "[1]"), vector(1, "[2]")]),
        ('{"embeddings":{"float":[[1],[2]]},"texts":["a","b"]}', [vector(0, "[1]"), vector(1, "[2]")]),
        ('{"embeddings":[{"embedding":[1],"embeddingType":"TEXT"}]}', [vector(0, "[1]")]),
    ],
)
def test_vectors_are_handed_on_as_they_are(body: str, events: list[Event]) -> None:
    assert list(vectors(body.encode())) == [Start(""), *events]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"embedding":null}',
        b'{"embedding":"a"}',
        b'{"embeddings":[]}',
        b'{"embeddings":{}}',
        b'{"embeddings":1}',
        b'{"embeddings":{"float":[]}}',
        b'{"embeddings":[1]}',
        b'{"embeddings":[{}]}',
        b'{"embeddings":["\xff"]}',
    ],
)
def test_anything_else_breaks_the_format(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        vectors(body)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["embedding", "embeddings", "float"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(answer=_JSON, body=st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_answer_at_all_ends_in_events_or_in_a_gateway_error(answer: Any, body: bytes) -> None:
    for one in (json.dumps(answer).encode(), body):
        with contextlib.suppress(GatewayError):
            vectors(one)
