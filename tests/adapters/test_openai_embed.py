import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import endpoints
from adapters.events import Whole
from adapters.openai_embed import embed, embeddings
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Embed, Event, Start, Usage, Vector
from tests.adapters.calls import decode, until_failure


def row(name: str) -> endpoints.Endpoint:
    return next(one for one in endpoints.ROWS if one.name == name)


def said(asked: Embed, of: endpoints.Endpoint = endpoints.OPENAI) -> dict[str, Any]:
    return embed(asked, of, "m")


def refused(asked: Embed, of: endpoints.Endpoint = endpoints.OPENAI) -> list[str]:
    with pytest.raises(GatewayError) as caught:
        said(asked, of)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    return [one.field for one in caught.value.details]


def test_embeddings_say_what_was_asked() -> None:
    assert said(Embed(input=("a",))) == {"model": "m", "input": ("a",)}
    assert list(said(Embed(input=((1, 2),), dimensions=8, encoding="base64", user="u")).items()) == [
        ("model", "m"),
        ("encoding_format", "base64"),
        ("dimensions", 8),
        ("user", "u"),
        ("input", ((1, 2),)),
    ]


def test_embeddings_have_the_words_that_the_provider_knows() -> None:
    asked = Embed(input=("a",), dimensions=8, purpose="search_query")
    assert said(asked, row("voyage")) == {
        "model": "m",
        "output_dimension": 8,
        "input_type": "query",
        "input": ("a",),
    }
    assert said(asked, row("nvidia"))["input_type"] == "query"
    assert said(Embed(input=("a",), dimensions=8), row("mistral"))["output_dimension"] == 8


def test_what_cannot_be_said_of_embeddings_is_refused_by_name() -> None:
    assert refused(Embed(input=("a",), purpose="search_query")) == ["purpose"]
    assert refused(Embed(input=("a",), purpose="clustering", user="u"), row("voyage")) == ["user", "purpose"]
    assert refused(Embed(input=("a",)), row("groq")) == ["input"]


def test_the_callers_own_options_are_handed_on_but_for_what_is_the_gateways() -> None:
    options: dict[str, dict[str, Any]] = {"voyage": {"truncation": False}, "openai": {"a": 1}}
    assert said(Embed(input=("a",), provider_options=options), row("voyage")) == {
        "model": "m",
        "truncation": False,
        "input": ("a",),
    }
    with pytest.raises(GatewayError) as caught:
        said(Embed(input=("a",), provider_options={"openai": {"input": ["b"]}}))
    assert caught.value.code is Code.VALIDATION_ERROR


def vectors(data: list[dict[str, Any]] | None, inputs: int, **more: Any) -> list[Event]:
    return decode(Whole(embeddings(inputs)), [json.dumps({"data": data, **more}).encode()])


def test_embeddings_are_their_own_bytes() -> None:
    body = b'{"data":[{"index":0,"embedding":[0.10, 1e-3]},{"index":1,"embedding":"AAAA"}],"usage":{"prompt_tokens":2}}'
    assert decode(Whole(embeddings(2)), [body]) == [
        Start(""),
        Vector(0, msgspec.Raw(b"[0.10, 1e-3]")),
        Vector(1, msgspec.Raw(b'"AAAA"')),
        Usage(input=2),
    ]


def test_embeddings_without_an_index_are_in_order() -> None:
    told = vectors([{"embedding": [1]}, {"embedding": [2]}], 2)
    assert [event.index for event in told if isinstance(event, Vector)] == [0, 1]


OTHERS: list[Any] = [
    (None, 1),
    ([], 1),
    ([{"embedding": [1]}], 2),
    ([{"embedding": [1]}, {"embedding": [1]}], 1),
    ([{"embedding": [1], "index": 0}, {"embedding": [1], "index": 0}], 2),
    ([{"embedding": [1], "index": 5}], 1),
    ([{"embedding": None}], 1),
    ([{"embedding": {}}], 1),
    ([{"index": 0}], 1),
]


@pytest.mark.parametrize(("data", "inputs"), OTHERS)
def test_other_embeddings_than_were_asked_for_are_a_broken_format(
    data: list[dict[str, Any]] | None, inputs: int
) -> None:
    with pytest.raises(GatewayError) as caught:
        vectors(data, inputs)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_an_error_in_place_of_embeddings_is_that_error() -> None:
    with pytest.raises(GatewayError) as caught:
        vectors(None, 1, error={"message": "x", "code": 429})
    assert caught.value.code is Code.BACKEND_RATE_LIMITED


@given(body=st.binary(max_size=100))
@settings(max_examples=100, deadline=None)
def test_any_bytes_at_all_end_in_vectors_or_in_a_gateway_error(body: bytes) -> None:
    until_failure(Whole(embeddings(1)), [body])
    until_failure(Whole(embeddings(1)), [b'{"data":[' + body + b"]}"])
