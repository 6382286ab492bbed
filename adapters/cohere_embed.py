"""Embeddings as Cohere makes them: canonical calls said, answers read.

Source: Cohere API reference, "Embed" v2. Its models want to know what vectors are for: a caller who does not say gets
those of documents to be searched (`search_document`). A text that is too long is refused, not cut in silence, unless
the caller's options say otherwise (`truncate`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from adapters import cohere_failure
from adapters.asked import merged, unsupported
from adapters.cohere_usage import Meta, of_input
from adapters.wire import broken, check_unicode, decoded, present
from scaigrid.call import Call
from scaigrid.types import Embed, Event, Start, Vector

_PURPOSE: Final = "search_document"
_RESERVED: Final = frozenset({"model", "texts", "images", "inputs", "embedding_types"})
"""What `provider_options` may not set: it is the caller's input, and the form in which the answer is read."""


class _Spelled(msgspec.Struct):
    float: list[msgspec.Raw] | None = None
    base64: list[msgspec.Raw] | None = None


class _Answer(msgspec.Struct):
    id: str | None = None
    embeddings: _Spelled | None = None
    meta: Meta | None = None


_answer: Final = msgspec.json.Decoder(_Answer)


def embed(asked: Embed, model: str) -> dict[str, Any]:
    """The body of a call. Raises UNSUPPORTED_BY_MODEL for token ids: Cohere takes texts."""
    refused = [name for name, said in (("input", _are_tokens(asked)), ("user", asked.user is not None)) if said]
    if refused:
        raise unsupported(*refused)
    body = present(
        {
            "model": model,
            "input_type": asked.purpose or _PURPOSE,
            "embedding_types": [asked.encoding],
            "output_dimension": asked.dimensions,
            "truncate": "NONE",
        }
    )
    merged(body, asked, "cohere", _RESERVED)
    body["texts"] = asked.input
    return body


def _are_tokens(asked: Embed) -> bool:
    return any(not isinstance(one, str) for one in asked.input)


def embeddings(call: Call) -> Callable[[bytes], Sequence[Event]]:
    """The reader of the embeddings that `call` asks for."""
    asked = call.canonical()
    wanted = len(asked.input) if isinstance(asked, Embed) else 0

    def read(body: bytes) -> Sequence[Event]:
        check_unicode(body)
        answer = decoded(_answer, body)
        if answer.embeddings is None:
            raise cohere_failure.reported(body) or broken("no embeddings")
        vectors = answer.embeddings.float or answer.embeddings.base64 or []
        if len(vectors) != wanted or any(bytes(one)[:1] not in (b"[", b'"') for one in vectors):
            raise broken("other embeddings than were asked for")
        found: list[Event] = [Start(answer.id or "")]
        found += [Vector(index, value) for index, value in enumerate(vectors)]
        usage = of_input(answer.meta)
        return found if usage is None else [*found, usage]

    return read
