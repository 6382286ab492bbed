import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import endpoints
from adapters.endpoints import Endpoint
from adapters.events import Whole
from adapters.openai_rerank import ranking, rerank
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Event, Ranked, Rerank, Start, Usage
from tests.adapters.calls import decode, until_failure

ASKED = Rerank(query="Who?", documents=("a", "b", "c"))
BEST = [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.5}, {"index": 1, "relevance_score": 0}]
ORDER = [Ranked(2, 0.9), Ranked(0, 0.5), Ranked(1, 0.0)]


def row(name: str) -> Endpoint:
    return next(one for one in endpoints.ROWS if one.name == name)


def told(body: object, asked: Rerank = ASKED) -> list[Event]:
    return decode(Whole(ranking(asked)), [json.dumps(body).encode()])


def test_the_call_has_the_words_that_the_provider_knows() -> None:
    few = Rerank(query="Who?", documents=("a", "b"), top_n=1, provider_options={"vllm": {"truncate_prompt_tokens": 9}})
    assert rerank(few, row("vllm"), "m") == {
        "model": "m",
        "top_n": 1,
        "truncate_prompt_tokens": 9,
        "query": "Who?",
        "documents": ("a", "b"),
    }
    assert rerank(few, row("voyage"), "m")["top_k"] == 1


def test_who_orders_nothing_says_so() -> None:
    with pytest.raises(GatewayError) as caught:
        rerank(ASKED, row("groq"), "m")
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    assert [one.field for one in caught.value.details] == ["documents"]


@pytest.mark.parametrize("name", ["query", "documents", "model", "top_n", "top_k"])
def test_what_is_the_callers_own_word_is_no_option(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        rerank(Rerank(query="", documents=("a",), provider_options={"vllm": {name: 1}}), row("vllm"), "m")
    assert caught.value.code is Code.VALIDATION_ERROR


@pytest.mark.parametrize("member", ["results", "data"])
def test_the_best_comes_first_under_either_name(member: str) -> None:
    body = {"id": "r-1", member: list(reversed(BEST)), "usage": {"total_tokens": 7}}
    assert told(body) == [Start("r-1"), *ORDER, Usage(input=7)]
    assert told({member: BEST}) == [Start(""), *ORDER, Usage()]


def test_as_many_are_told_as_were_asked_for() -> None:
    few = Rerank(query="Who?", documents=("a", "b", "c"), top_n=2)
    assert told({"results": BEST[:2]}, few) == [Start(""), *ORDER[:2], Usage()]
    assert len(told({"results": BEST}, Rerank(query="", documents=("a", "b", "c"), top_n=9))) == 5


@pytest.mark.parametrize(
    "results", [None, BEST[:2], [*BEST[:2], BEST[0]], [*BEST[:2], {"index": 3, "relevance_score": 0}], [1], {}]
)
def test_another_order_than_was_asked_for_is_a_broken_format(results: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        told({"results": results})
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_an_error_in_place_of_an_order_is_that_error() -> None:
    with pytest.raises(GatewayError) as caught:
        told({"error": {"code": 429, "message": "Slow down."}})
    assert caught.value.code is Code.BACKEND_RATE_LIMITED


@given(body=st.binary(max_size=100))
@settings(max_examples=100, deadline=None)
def test_any_bytes_at_all_end_in_an_order_or_in_a_gateway_error(body: bytes) -> None:
    until_failure(Whole(ranking(ASKED)), [body])
    until_failure(Whole(ranking(ASKED)), [b'{"results":[' + body + b"]}"])
