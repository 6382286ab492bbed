"""Embeddings of Google's models: of the Gemini API in one batch, of Vertex AI by the model's own way.

Source: Gemini API reference, "models.batchEmbedContents"; guide "Embeddings"; Vertex AI reference, "Text embeddings
API". What vectors are for is a `taskType`; gemini-embedding-2 has none and reads it in front of the text, in the words
of its guide.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters import google_failure, google_usage
from adapters.asked import merged, unsupported
from adapters.counts import Count, tokens
from adapters.wire import ABSENT, broken, decoded, given, present
from scaigrid.types import Embed, Event, Start, Usage, Vector

_PROVIDER: Final = "google"
_RESERVED: Final = frozenset({"model", "content", "requests", "instances"})
_TASKS: Final[Mapping[str, str]] = {
    "search_document": "RETRIEVAL_DOCUMENT",
    "search_query": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
_IN_FRONT: Final[Mapping[str, str]] = {
    "search_document": "title: none | text: ",
    "search_query": "task: search result | query: ",
    "classification": "task: classification | query: ",
    "clustering": "task: clustering | query: ",
}


class _Statistics(msgspec.Struct):
    token_count: Count = None


class _Embedding(msgspec.Struct):
    values: msgspec.Raw = ABSENT
    statistics: _Statistics | None = None


class _Prediction(msgspec.Struct):
    embeddings: _Embedding


class _Answer(msgspec.Struct, rename="camel"):
    """One of the three: of a batch, of one text, of a prediction."""

    embeddings: list[_Embedding] | None = None
    embedding: _Embedding | None = None
    predictions: list[_Prediction] | None = None
    usage_metadata: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_answer: Final = msgspec.json.Decoder(_Answer)


def call(asked: Embed, model: str, path: str, *, cloud: bool) -> tuple[str, dict[str, Any]]:
    """What is called, and the body for msgspec. Raises UNSUPPORTED_BY_MODEL.

    `path` is the model's, as the Gemini API names it; `cloud` for Vertex AI.
    """
    texts = [text for text in asked.input if isinstance(text, str)]
    if len(texts) != len(asked.input) or asked.user is not None:
        raise unsupported("input" if len(texts) != len(asked.input) else "user")
    task = _task(asked, model)
    if _reads_tasks(model) and asked.purpose is not None:
        texts = [_IN_FRONT[asked.purpose] + text for text in texts]
    if not cloud:
        requests = [{"model": path, **_request(text, task, asked)} for text in texts]
        return "batchEmbedContents", {"requests": requests}
    if _VERSION_2 in model:
        if len(texts) != 1:
            raise unsupported("input")
        return "embedContent", _request(texts[0], task, asked)
    instances = [present({"task_type": task, "content": text}) for text in texts]
    parameters = present({"outputDimensionality": asked.dimensions})
    return "predict", merged(
        {**({"parameters": parameters} if parameters else {}), "instances": instances}, asked, _PROVIDER, _RESERVED
    )


def _request(text: str, task: str | None, asked: Embed) -> dict[str, Any]:
    said = present({"taskType": task, "outputDimensionality": asked.dimensions})
    return {**merged(said, asked, _PROVIDER, _RESERVED), "content": {"parts": [{"text": text}]}}


_VERSION_2: Final = "gemini-embedding-2"


def _reads_tasks(model: str) -> bool:
    """Its preview still took a `taskType`."""
    return _VERSION_2 in model and "preview" not in model


def _task(asked: Embed, model: str) -> str | None:
    if asked.purpose is None:
        return None
    if asked.purpose not in _TASKS:
        raise unsupported("purpose")
    return None if _reads_tasks(model) else _TASKS[asked.purpose]


def vectors(inputs: int) -> Callable[[bytes], Sequence[Event]]:
    """The reader of the embeddings of so many inputs."""

    def read(body: bytes) -> Sequence[Event]:
        answer = decoded(_answer, body)
        if given(answer.error):
            raise google_failure.reported(body) or broken("an error without an error")
        found = _found(answer)
        if len(found) != inputs:
            raise broken("other embeddings than were asked for")
        events: list[Event] = [Start("")]
        for place, embedding in enumerate(found):
            if bytes(embedding.values)[:1] != b"[":
                raise broken("an embedding that is no vector")
            events.append(Vector(place, _one_line(embedding.values)))
        usage = google_usage.usage(answer.usage_metadata) or _counted(found)
        return events if usage is None else [*events, usage]

    return read


def _one_line(raw: msgspec.Raw) -> msgspec.Raw:
    """Google spreads its answers over lines, a number on each."""
    return msgspec.Raw(msgspec.json.format(bytes(raw), indent=-1)) if b"\n" in bytes(raw) else raw


def _found(answer: _Answer) -> Sequence[_Embedding]:
    if answer.embedding is not None:
        return (answer.embedding,)
    if answer.predictions is not None:
        return [prediction.embeddings for prediction in answer.predictions]
    if answer.embeddings is None:
        raise broken("no embeddings")
    return answer.embeddings


def _counted(found: Sequence[_Embedding]) -> Usage | None:
    counts = [one.statistics.token_count for one in found if one.statistics is not None]
    return Usage(input=sum(map(tokens, counts))) if counts else None
