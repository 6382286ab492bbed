"""The order of documents as Cohere makes it: canonical calls said, answers read.

Source: Cohere API reference, "Rerank" v2. What is billed are search units, not tokens: the model's price per request
is what holds them, so the usage of an answer that reports no tokens is nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from adapters import cohere_failure
from adapters.asked import merged
from adapters.cohere_usage import Meta, of_input
from adapters.wire import broken, decoded, present
from scaigrid.call import Call
from scaigrid.types import Event, Ranked, Rerank, Start, Usage

_RESERVED: Final = frozenset({"model", "query", "documents", "top_n"})
"""What `provider_options` may not set: it is the caller's to say in words of its own."""


class _Result(msgspec.Struct):
    index: int
    relevance_score: float


class _Answer(msgspec.Struct):
    id: str | None = None
    results: list[_Result] | None = None
    meta: Meta | None = None


_answer: Final = msgspec.json.Decoder(_Answer)


def rerank(asked: Rerank, model: str) -> dict[str, Any]:
    """The body of a call."""
    body = present({"model": model, "top_n": asked.top_n})
    merged(body, asked, "cohere", _RESERVED)
    body["query"] = asked.query
    body["documents"] = asked.documents
    return body


def ranking(call: Call) -> Callable[[bytes], Sequence[Event]]:
    """The reader of the order that `call` asks for."""
    asked = call.canonical()
    documents = len(asked.documents) if isinstance(asked, Rerank) else 0
    most = (asked.top_n or documents) if isinstance(asked, Rerank) else 0

    def read(body: bytes) -> Sequence[Event]:
        answer = decoded(_answer, body)
        if answer.results is None:
            raise cohere_failure.reported(body) or broken("no results")
        places = [one.index for one in answer.results]
        if len(set(places)) != len(places) or not all(0 <= place < documents for place in places):
            raise broken("other documents than were asked about")
        if len(places) != min(most, documents):
            raise broken("more documents, or fewer, than were asked for")
        best_first = sorted(answer.results, key=_worst)
        ranked = [Ranked(one.index, one.relevance_score) for one in best_first]
        return [Start(answer.id or ""), *ranked, of_input(answer.meta) or Usage()]

    return read


def _worst(result: _Result) -> float:
    return -result.relevance_score
