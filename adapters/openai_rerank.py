"""The order of documents as those make it who speak the OpenAI protocol: canonical calls said, answers read.

OpenAI has no such call. The others took over each other's (`POST /rerank`): the scores come in `results` (vLLM,
Together, Fireworks) or in `data` (Voyage, Fireworks), tokens in `usage` or not at all.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from adapters import openai_failure
from adapters.asked import merged, unsupported
from adapters.endpoints import Endpoint
from adapters.openai_usage import usage
from adapters.wire import ABSENT, broken, decoded, given, present
from scaigrid.types import Event, Ranked, Rerank, Start, Usage

_RESERVED: Final = frozenset({"model", "query", "documents", "top_n", "top_k"})
"""What `provider_options` may not set: it is the caller's to say in words of its own."""


class _Result(msgspec.Struct):
    index: int
    relevance_score: float


class _Answer(msgspec.Struct):
    id: str | None = None
    results: list[_Result] | None = None
    data: list[_Result] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_answer: Final = msgspec.json.Decoder(_Answer)


def rerank(asked: Rerank, row: Endpoint, model: str) -> dict[str, Any]:
    """The body of a call. Raises UNSUPPORTED_BY_MODEL."""
    if "rerank" not in row.can:
        raise unsupported("documents")
    body = present({"model": model, row.rerank_top: asked.top_n})
    merged(body, asked, row.name, _RESERVED)
    body["query"] = asked.query
    body["documents"] = asked.documents
    return body


def ranking(asked: Rerank) -> Callable[[bytes], Sequence[Event]]:
    """The reader of the order that is asked for."""
    documents = len(asked.documents)
    wanted = documents if asked.top_n is None else min(asked.top_n, documents)

    def read(body: bytes) -> Sequence[Event]:
        answer = decoded(_answer, body)
        if given(answer.error) and (failure := openai_failure.reported(body)) is not None:
            raise failure
        results = answer.results if answer.results is not None else answer.data
        if results is None:
            raise broken("no results")
        places = {one.index for one in results}
        if len(places) != len(results) or not places <= set(range(documents)):
            raise broken("other documents than were asked about")
        if len(results) != wanted:
            raise broken("more documents, or fewer, than were asked for")
        ranked = [Ranked(one.index, one.relevance_score) for one in sorted(results, key=_worst)]
        return [Start(answer.id or ""), *ranked, usage(answer.usage) or Usage()]

    return read


def _worst(result: _Result) -> float:
    return -result.relevance_score
