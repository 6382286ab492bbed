"""Rerankings in the native dialect, `/v1/inference/rerank`: the public shapes, what they ask, and the answer."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from scaigrid.call import Call
from scaigrid.dialect import Answered
from scaigrid.dialects.forms import Form
from scaigrid.dialects.gathering import Gathered
from scaigrid.dialects.native_render import token_usage
from scaigrid.dialects.native_shapes import Envelope, EnvelopeMeta, TokenUsage
from scaigrid.dialects.shapes import AnswerShape, Metadata, ModelName, NonEmpty, RequestShape
from scaigrid.pricing import to_decimal
from scaigrid.types import Chat, Embed, Event, Rerank


class RerankRequest(RequestShape):
    """Orders documents by how well they answer a query."""

    model: ModelName
    """The frontend model's slug."""
    query: NonEmpty
    documents: Annotated[tuple[NonEmpty, ...], Meta(min_length=1)]
    top_n: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    """How many to answer with, the best ones; all of them where it is left out."""
    metadata: Metadata | None = None
    """Tags: kept on the usage row of the call."""
    provider_options: dict[str, dict[str, Any]] | None = None
    """Settings of one type of provider, handed on as they are: `{"cohere": {"max_tokens_per_doc": 512}}`."""


class RankedDocument(AnswerShape):
    index: int
    """Which of the documents, from 0."""
    relevance_score: float
    """How well it answers the query, on the provider's own scale: more is better."""


class RerankAnswer(AnswerShape):
    results: tuple[RankedDocument, ...]
    """The best first."""
    model: str
    """The model as it was asked for."""
    usage: TokenUsage | None
    """Null where the provider did not say. Many bill searches, not tokens: then nothing is counted here."""
    cost: str
    """What the call costs, a decimal string."""


_FORM: Final = Form(RerankRequest)
_encode: Final = msgspec.json.Encoder().encode


def call(dialect: str, body: bytes, found: Mapping[str, msgspec.Raw]) -> Call:
    """The call in a body that `members` has passed. Raises VALIDATION_ERROR."""
    request, _ = _FORM.read(body, found)
    rerank = Rerank(
        query=request.query,
        documents=request.documents,
        top_n=request.top_n,
        provider_options=request.provider_options or {},
    )

    def canonical() -> Chat | Embed | Rerank:
        return rerank

    return Call(
        dialect=dialect,
        operation="rerank",
        surface="native/rerank",
        model=request.model,
        body=body,
        members=found,
        canonical=canonical,
        tags=request.metadata or {},
    )


class Ranking:
    """The documents in their order."""

    def __init__(self, call: Call, answered: Answered) -> None:
        self._call = call
        self._answered = answered
        self._gathered = Gathered()

    def render(self, events: Sequence[Event]) -> bytes:
        self._gathered.add(events)
        return b""

    def close(self) -> bytes:
        answer = RerankAnswer(
            results=tuple([RankedDocument(one.index, one.score) for one in self._gathered.ranked]),
            model=self._call.model,
            usage=token_usage(self._gathered.usage),
            cost=to_decimal(self._answered.cost),
        )
        return _encode(Envelope(data=answer, meta=EnvelopeMeta(self._answered.request_id)))
