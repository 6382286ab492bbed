import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.google_embed import call, vectors
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Embed, Event, Usage, Vector

OLD = "gemini-embedding-001"
NEW = "gemini-embedding-2"
WORDS = ["embeddings", "embedding", "values", "predictions", "statistics", "token_count", "usageMetadata", "error"]


def made(asked: Embed, model: str = OLD, *, cloud: bool = False) -> tuple[str, dict[str, Any]]:
    return call(asked, model, f"models/{model}", cloud=cloud)


def refused(asked: Embed, model: str = OLD, *, cloud: bool = False) -> list[str]:
    with pytest.raises(GatewayError) as caught:
        made(asked, model, cloud=cloud)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    return [one.field for one in caught.value.details]


def read(body: object, inputs: int) -> list[Event]:
    return list(vectors(inputs)(json.dumps(body, indent=1).encode()))[1:]


def text(said: str) -> dict[str, Any]:
    return {"parts": [{"text": said}]}


def test_the_gemini_api_takes_all_texts_in_one_batch() -> None:
    asked = Embed(input=("one", "two"), dimensions=64, purpose="search_query")
    request = {"model": f"models/{OLD}", "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 64}
    assert made(asked) == (
        "batchEmbedContents",
        {"requests": [{**request, "content": text("one")}, {**request, "content": text("two")}]},
    )


def test_vertex_ai_predicts_and_embeds_one_text_with_the_newest() -> None:
    asked = Embed(input=("one", "two"), dimensions=64, purpose="clustering")
    assert made(asked, cloud=True) == (
        "predict",
        {
            "parameters": {"outputDimensionality": 64},
            "instances": [{"task_type": "CLUSTERING", "content": one} for one in ("one", "two")],
        },
    )
    assert made(Embed(input=("one",)), cloud=True) == ("predict", {"instances": [{"content": "one"}]})
    assert made(Embed(input=("one",), dimensions=8), NEW, cloud=True) == (
        "embedContent",
        {"outputDimensionality": 8, "content": text("one")},
    )
    assert refused(asked, NEW, cloud=True) == ["input"]


def test_the_newest_model_reads_in_front_of_the_text_what_it_is_for() -> None:
    for purpose, said in (
        ("search_document", "title: none | text: one"),
        ("search_query", "task: search result | query: one"),
        ("classification", "task: classification | query: one"),
        ("clustering", "task: clustering | query: one"),
    ):
        _, body = made(Embed(input=("one",), purpose=purpose), NEW)
        assert body["requests"] == [{"model": f"models/{NEW}", "content": text(said)}]
    _, body = made(Embed(input=("one",), purpose="clustering"), f"{NEW}-preview")
    assert body["requests"][0]["taskType"] == "CLUSTERING"
    assert body["requests"][0]["content"] == text("one")


def test_a_callers_own_options_are_in_each_request() -> None:
    options = {"google": {"title": "T", "taskType": "CODE_RETRIEVAL_QUERY"}}
    _, body = made(Embed(input=("one", "two"), provider_options=options))
    assert [(one["title"], one["taskType"]) for one in body["requests"]] == [("T", "CODE_RETRIEVAL_QUERY")] * 2
    with pytest.raises(GatewayError) as caught:
        made(Embed(input=("one",), provider_options={"google": {"content": {}}}))
    assert caught.value.code is Code.VALIDATION_ERROR


def test_what_the_api_has_no_word_for_is_refused_by_name() -> None:
    assert refused(Embed(input=((1, 2),))) == ["input"]
    assert refused(Embed(input=("one",), user="u")) == ["user"]
    assert refused(Embed(input=("one",), purpose="image")) == ["purpose"]


@pytest.mark.parametrize(
    "body",
    [
        {"embeddings": [{"values": [0.5, -1]}], "usageMetadata": {"promptTokenCount": 3}},
        {"embedding": {"values": [0.5, -1]}, "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}},
        {"predictions": [{"embeddings": {"values": [0.5, -1], "statistics": {"token_count": 3, "truncated": False}}}]},
    ],
)
def test_every_form_of_answer_has_the_vector_on_one_line_and_its_tokens(body: object) -> None:
    vector, usage = read(body, 1)
    assert isinstance(vector, Vector)
    assert bytes(vector.value) == b"[0.5,-1]"
    assert usage == Usage(input=3)


def test_an_answer_may_have_no_usage() -> None:
    assert len(read({"embeddings": [{"values": [1]}]}, 1)) == 1
    assert len(read({"predictions": [{"embeddings": {"values": [1]}}]}, 1)) == 1


BROKEN: list[Any] = [
    {},
    {"embeddings": []},
    {"embeddings": [{"values": [1]}, {"values": [1]}]},
    {"embeddings": [{}]},
    {"embeddings": [{"values": "AAAA"}]},
    {"embeddings": {}},
    {"predictions": [{}]},
]


@pytest.mark.parametrize("body", BROKEN)
def test_anything_else_is_broken(body: object) -> None:
    with pytest.raises(GatewayError) as caught:
        read(body, 1)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_a_failure_inside_an_answer_is_told() -> None:
    with pytest.raises(GatewayError) as caught:
        read({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, 1)
    assert caught.value.code is Code.BACKEND_RATE_LIMITED


JSON = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=15,
)


@given(body=JSON)
@settings(deadline=None, max_examples=150)
def test_any_json_ends_in_events_or_in_a_gateway_error(body: object) -> None:
    with suppress(GatewayError):
        read(body, 1)
