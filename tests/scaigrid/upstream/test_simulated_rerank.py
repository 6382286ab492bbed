import json
from typing import Any

import pytest

from scaigrid.errors import Code, GatewayError
from scaigrid.upstream.simulated import MOST_INPUTS
from scaigrid.upstream.simulated_rerank import ranked

BODY: dict[str, Any] = {"model": "m", "query": "blue sky", "documents": ["a tree", "The sky is blue.", "sky"]}


def answer(**more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ranked(json.dumps(BODY | more).encode(), "x"))
    return found


def test_documents_come_by_the_words_that_they_share_with_the_query() -> None:
    assert answer()["results"] == [
        {"index": 1, "relevance_score": 1.0},
        {"index": 2, "relevance_score": 0.5},
        {"index": 0, "relevance_score": 0.0},
    ]
    assert answer() == answer()


def test_the_best_alone_where_that_was_asked_for() -> None:
    assert [one["index"] for one in answer(top_n=1)["results"]] == [1]


def test_the_query_counts_with_each_document() -> None:
    assert answer(documents=["a"])["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert answer(documents=["a", "b"])["usage"] == {"prompt_tokens": 6, "total_tokens": 6}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"query":1}', b'{"query":"a","documents":"b"}', b"[" * 100_000])
def test_rubbish_is_refused(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        ranked(body, "x")
    assert caught.value.code is Code.VALIDATION_ERROR


def test_so_many_documents_are_too_many() -> None:
    with pytest.raises(GatewayError) as caught:
        answer(documents=["a"] * (MOST_INPUTS + 1))
    assert [one.field for one in caught.value.details] == ["documents"]
