import json
from typing import Any

import pytest

from adapters.cohere_rerank import ranking, rerank
from adapters.events import Whole
from adapters.wire import encoded
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Event, Ranked, Rerank, Start, Usage
from tests.adapters.calls import decode, foreign, until_failure

DOCUMENTS = ("a", "b", "c")


def read(body: Any, top_n: int | None = None) -> list[Event]:
    call = foreign(Rerank(query="q", documents=DOCUMENTS, top_n=top_n))
    return decode(Whole(ranking(call)), [json.dumps(body).encode()])


def results(*places: int) -> list[dict[str, float]]:
    return [{"index": place, "relevance_score": 0.5 - n / 10} for n, place in enumerate(places)]


def test_the_documents_come_last() -> None:
    asked = Rerank(query="q", documents=("a",), top_n=1, provider_options={"cohere": {"max_tokens_per_doc": 9}})
    assert encoded(rerank(asked, "m")) == (
        b'{"model":"m","top_n":1,"max_tokens_per_doc":9,"query":"q","documents":["a"]}'
    )


def test_what_is_asked_is_the_callers_to_say() -> None:
    with pytest.raises(GatewayError) as caught:
        rerank(Rerank(query="q", documents=("a",), provider_options={"cohere": {"query": "other"}}), "m")
    assert caught.value.code is Code.VALIDATION_ERROR


def test_the_best_comes_first_and_nothing_is_counted_as_tokens() -> None:
    ordered = results(2, 0, 1)
    body: dict[str, Any] = {"id": "r", "results": ordered, "meta": {"billed_units": {"search_units": 1}}}
    wanted = [Start("r"), Ranked(2, 0.5), Ranked(0, 0.4), Ranked(1, 0.3), Usage()]
    assert read(body) == wanted
    assert read({**body, "results": ordered[::-1]}) == wanted
    assert read({"results": results(1)}, top_n=1) == [Start(""), Ranked(1, 0.5), Usage()]
    assert len(read(body, top_n=9)) == 5


@pytest.mark.parametrize(
    ("body", "top_n", "code"),
    [
        ({"message": "no"}, None, Code.BACKEND_ERROR),
        ({}, None, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"results": results(0, 1)}, None, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"results": results(0, 1)}, 1, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"results": results(0, 1, 3)}, None, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"results": results(0, 1, -1)}, None, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"results": results(0, 1, 1)}, None, Code.UPSTREAM_SHAPE_MISMATCH),
        ({"results": [{"index": 0}]}, 1, Code.UPSTREAM_SHAPE_MISMATCH),
    ],
)
def test_anything_else_is_a_failure(body: Any, top_n: int | None, code: Code) -> None:
    call = foreign(Rerank(query="q", documents=DOCUMENTS, top_n=top_n))
    _, failure = until_failure(Whole(ranking(call)), [json.dumps(body).encode()])
    assert failure is not None
    assert failure.code is code
