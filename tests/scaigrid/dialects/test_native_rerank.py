import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.call import Call
from scaigrid.dialects.native import Native
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.types import Ranked, Rerank, Start, Usage
from tests.harness.answers import Answered

DIALECT = Native()
PATH = "/v1/inference/rerank"
ASKED: dict[str, Any] = {"model": "scailabs/x", "query": "q", "documents": ["a", "b"]}


def decode(**fields: Any) -> Call:
    return DIALECT.decode(PATH, json.dumps({**ASKED, **fields}).encode())


def test_a_call_that_says_little() -> None:
    call = decode()
    assert (call.dialect, call.operation, call.surface, call.model) == (
        "native",
        "rerank",
        "native/rerank",
        "scailabs/x",
    )
    assert (call.stream, call.n, call.max_output, call.tags) == (False, 1, None, {})
    assert call.canonical() == Rerank(query="q", documents=("a", "b"))
    assert call.canonical() is call.canonical()


def test_a_call_that_says_all() -> None:
    options = {"cohere": {"max_tokens_per_doc": 9}}
    call = decode(top_n=1, metadata={"team": "a"}, provider_options=options)
    assert call.canonical() == Rerank(query="q", documents=("a", "b"), top_n=1, provider_options=options)
    assert call.tags == {"team": "a"}


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, [("model", "is required"), ("query", "is required"), ("documents", "is required")]),
        ({**ASKED, "query": "", "documents": []}, [("query", "must not be empty"), ("documents", "must not be empty")]),
        ({**ASKED, "documents": ["a", ""]}, [("documents[1]", "must not be empty")]),
        ({**ASKED, "top_n": 0, "stream": True}, [("top_n", "must be at least 1"), ("stream", "is not a known field")]),
    ],
)
def test_every_fault_is_a_detail(body: dict[str, Any], details: list[tuple[str, str]]) -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.decode(PATH, json.dumps(body).encode())
    assert caught.value.code is Code.VALIDATION_ERROR
    assert set(caught.value.details) == {Detail(field, message) for field, message in details}


def test_an_answer_looks_like_this() -> None:
    answered = Answered(cost=0)
    renderer = DIALECT.renderer(decode(), answered)
    assert renderer.render([Start("r_1"), Ranked(1, 0.875)]) == b""
    assert renderer.render([Ranked(0, 0.125), Usage()]) == b""
    answered.cost = 2_000_000
    assert renderer.close().decode() == (
        '{"status":"ok","data":{"results":[{"index":1,"relevance_score":0.875},{"index":0,"relevance_score":0.125}],'
        '"model":"scailabs/x","usage":{"input_tokens":0,"output_tokens":0,"cached_input_tokens":0,'
        '"cache_write_tokens":0,"reasoning_tokens":0,"total_tokens":0},"cost":"0.002"},'
        '"meta":{"request_id":"req_0123456789abcdef0123456789abcdef"}}'
    )


def test_usage_is_null_where_nobody_told() -> None:
    renderer = DIALECT.renderer(decode(), Answered(cost=0))
    renderer.render([Start(""), Ranked(0, 1.0)])
    assert json.loads(renderer.close())["data"]["usage"] is None


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from([*ASKED, "top_n", "n"]), st.none() | st.integers() | st.text(max_size=2)))
def test_no_body_brings_anything_but_a_call_or_a_refusal(fields: dict[str, Any]) -> None:
    asked: object
    try:
        asked = decode(**fields).canonical()
    except GatewayError as refusal:
        asked = refusal
    if isinstance(asked, GatewayError):
        assert asked.code is Code.VALIDATION_ERROR
        assert asked.details
    else:
        assert isinstance(asked, Rerank)
