import json
from typing import Any

import pytest

from adapters.cohere_embed import embed, embeddings
from adapters.events import Whole
from adapters.wire import encoded
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Embed, Start, Usage, Vector
from tests.adapters.calls import decode, foreign, until_failure

ASKED = Embed(input=("a", "b"))


def said(**fields: Any) -> bytes:
    return encoded(embed(Embed(input=("a",), **fields), "m"))


def test_a_caller_who_does_not_say_gets_vectors_of_documents() -> None:
    assert said() == (
        b'{"model":"m","input_type":"search_document","embedding_types":["float"],"truncate":"NONE","texts":["a"]}'
    )


def test_the_callers_words_are_coheres() -> None:
    options = {"cohere": {"truncate": "END"}, "voyage": {"x": 1}}
    assert said(purpose="clustering", encoding="base64", dimensions=64, provider_options=options) == (
        b'{"model":"m","input_type":"clustering","embedding_types":["base64"],"output_dimension":64,"truncate":"END",'
        b'"texts":["a"]}'
    )


def test_token_ids_and_users_are_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        embed(Embed(input=((1, 2),), user="u"), "m")
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    assert [one.field for one in caught.value.details] == ["input", "user"]


def test_what_is_embedded_is_the_callers_to_say() -> None:
    with pytest.raises(GatewayError) as caught:
        said(provider_options={"cohere": {"texts": ["b"]}})
    assert caught.value.code is Code.VALIDATION_ERROR


def test_vectors_come_in_the_order_of_the_texts() -> None:
    body = {"id": "e", "embeddings": {"float": [[1], [2]]}, "meta": {"billed_units": {"input_tokens": 3}}}
    start, one, two, usage = decode(Whole(embeddings(foreign(ASKED))), [json.dumps(body).encode()])
    assert (start, usage) == (Start("e"), Usage(input=3))
    assert isinstance(one, Vector)
    assert isinstance(two, Vector)
    assert [(one.index, bytes(one.value)), (two.index, bytes(two.value))] == [(0, b"[1]"), (1, b"[2]")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"message": "no"}, Code.BACKEND_ERROR),
        ({}, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"embeddings": {"float": [[1]]}}, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"embeddings": {"float": [[1], 2]}}, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"embeddings": {"int8": [[1], [2]]}}, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"embeddings": [[1], [2]]}, Code.UPSTREAM_SHAPE_MISMATCH),
    ],
)
def test_anything_else_is_a_failure(body: Any, code: Code) -> None:
    _, failure = until_failure(Whole(embeddings(foreign(ASKED))), [json.dumps(body).encode()])
    assert failure is not None
    assert failure.code is code
