"""Embeddings of the models in Bedrock, each maker's in its own words: `POST /model/{model}/invoke`.

Source: Amazon Bedrock User Guide, "Amazon Titan Embeddings G1", "Amazon Titan Embeddings V2", "Cohere Embed",
"Amazon Nova Multimodal Embeddings". Titan and Nova take one text a call. Vectors of Titan are the same whatever they
are for, so it is not told the purpose; Cohere has to be told one, and is told that documents are to be found where the
caller does not say.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters.asked import invalid, unsupported
from adapters.bedrock_families import maker
from adapters.counts import Count, tokens
from adapters.wire import ABSENT, broken, check_unicode, decoded, given, is_object, present
from scaigrid.types import Embed, Event, Start, Usage, Vector

Body = dict[str, Any]

_RESERVED: Final = frozenset(
    {"model", "modelId", "input", "inputText", "inputImage", "texts", "images", "inputs", "taskType"}
)
"""What `provider_options` may not set: what is embedded, by which model, is the call's."""
_RESERVED_OF_TEXT: Final = frozenset({"value", "source"})
_PARAMS: Final = "singleEmbeddingParams"


def embed(asked: Embed, model: str) -> Body:
    """The body of a call for embeddings. Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR."""
    name = maker(model)
    encode = next((one for begin, one in _MAKERS if name.startswith(begin)), None)
    if encode is None:
        raise unsupported("input")
    if asked.user is not None:
        raise unsupported("user")
    texts = [text for text in asked.input if isinstance(text, str)]
    if len(texts) != len(asked.input):
        raise unsupported("input")
    own = asked.provider_options.get("bedrock", {})
    for place, names in ((own, _RESERVED), (_inside(own, _PARAMS, "text"), _RESERVED_OF_TEXT)):
        for field in sorted(names & place.keys()):
            raise invalid(f"provider_options.bedrock.{field}", "is set by the gateway")
    return _joined(encode(asked, texts), own)


def _inside(fields: Body, *path: str) -> Body:
    """The object at `path`; an empty one where there is none."""
    for name in path:
        inner = fields.get(name)
        fields = inner if is_object(inner) else {}
    return fields


def _joined(ours: Body, theirs: Body) -> Body:
    """`ours` with `theirs` in it, objects joined however deep."""
    said = dict(ours)
    for name, value in theirs.items():
        own = said.get(name)
        said[name] = _joined(own, value) if is_object(own) and is_object(value) else value
    return said


def _single(texts: Sequence[str]) -> str:
    if len(texts) != 1:
        raise unsupported("input")
    return texts[0]


def _titan(asked: Embed, texts: Sequence[str]) -> Body:
    if asked.dimensions is not None:
        raise unsupported("dimensions")
    return {"inputText": _single(texts)}


def _titan_2(asked: Embed, texts: Sequence[str]) -> Body:
    return present({"inputText": _single(texts), "dimensions": asked.dimensions})


def _cohere(asked: Embed, texts: Sequence[str]) -> Body:
    if asked.dimensions is not None:
        raise unsupported("dimensions")
    return {"texts": texts, "input_type": asked.purpose or "search_document"}


def _cohere_4(asked: Embed, texts: Sequence[str]) -> Body:
    said = {"texts": texts, "input_type": asked.purpose or "search_document", "output_dimension": asked.dimensions}
    return present(said)


def _nova(asked: Embed, texts: Sequence[str]) -> Body:
    purpose = _PURPOSES.get(asked.purpose)
    if purpose is None:
        raise unsupported("purpose")
    said = {
        "embeddingPurpose": purpose,
        "embeddingDimension": asked.dimensions,
        # A text that is too long is refused, as everywhere else, rather than cut.
        "text": {"truncationMode": "NONE", "value": _single(texts)},
    }
    return {"taskType": "SINGLE_EMBEDDING", _PARAMS: present(said)}


_PURPOSES: Final[Mapping[str | None, str]] = {
    None: "GENERIC_INDEX",
    "search_document": "GENERIC_INDEX",
    "search_query": "GENERIC_RETRIEVAL",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
_MAKERS: Final[tuple[tuple[str, Callable[[Embed, Sequence[str]], Body]], ...]] = (
    ("amazon.titan-embed-text-v2", _titan_2),
    ("amazon.titan-embed-", _titan),
    ("amazon.nova-2-multimodal-embeddings", _nova),
    ("cohere.embed-v4", _cohere_4),
    ("cohere.embed-", _cohere),
)
"""By how the model's name begins, the longer beginning first."""


# -- answers ---------------------------------------------------------------------------------------------------------


class _Answer(msgspec.Struct):
    """An answer of any of the makers: Titan's one vector, or a list of them, or lists by type."""

    embedding: msgspec.Raw = ABSENT
    embeddings: msgspec.Raw = ABSENT
    count: Count = msgspec.field(name="inputTextTokenCount", default=None)


class _ByType(msgspec.Struct):
    floats: list[msgspec.Raw] = msgspec.field(name="float")


class _Named(msgspec.Struct):
    embedding: msgspec.Raw


_answer: Final = msgspec.json.Decoder(_Answer)
_by_type: Final = msgspec.json.Decoder(_ByType)
_list: Final = msgspec.json.Decoder(list[msgspec.Raw])
_named: Final = msgspec.json.Decoder(_Named)


def vectors(body: bytes) -> Sequence[Event]:
    """What an answer says. Raises UPSTREAM_SHAPE_MISMATCH. Only Titan tells how many tokens it has read."""
    answer = decoded(_answer, body)
    found = [answer.embedding] if given(answer.embedding) else _all(answer.embeddings)
    if not found:
        raise broken("no embeddings")
    for vector in found:
        check_unicode(bytes(vector))
        if not bytes(vector).startswith(b"["):
            raise broken("an embedding that is no list of numbers")
    events: list[Event] = [Start(""), *(Vector(index, vector) for index, vector in enumerate(found))]
    if answer.count is not None:
        events.append(Usage(input=tokens(answer.count)))
    return events


def _all(embeddings: msgspec.Raw) -> list[msgspec.Raw]:
    if not given(embeddings):
        return []
    if bytes(embeddings).startswith(b"{"):
        return decoded(_by_type, embeddings).floats
    vectors = decoded(_list, embeddings)
    return [decoded(_named, raw).embedding if bytes(raw).startswith(b"{") else raw for raw in vectors]
