"""Embeddings in the OpenAI protocol: canonical calls said, answers read.

Source: OpenAI API reference, "Embeddings"; those of the others for what they add.
What vectors are for is a word of its own (`input_type`) at some providers, and unknown to the others: there the wish
is refused, for it would change the vectors.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from adapters import openai_failure
from adapters.asked import merged, unsupported
from adapters.endpoints import Endpoint
from adapters.openai_usage import usage
from adapters.wire import ABSENT, broken, decoded, given, present
from scaigrid.types import Embed, Event, Start, Vector

_RESERVED: Final = frozenset({"model", "input", "encoding_format"})
"""What `provider_options` may not set: it is the caller's input, and the form in which the answer is read."""


class _Embedding(msgspec.Struct):
    embedding: msgspec.Raw
    index: int | None = None


class _Embeddings(msgspec.Struct):
    data: list[_Embedding] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_embeddings: Final = msgspec.json.Decoder(_Embeddings)


def embed(asked: Embed, row: Endpoint, model: str) -> dict[str, Any]:
    """The body of a call for embeddings. Raises UNSUPPORTED_BY_MODEL."""
    refused = [
        name
        for name, said in (
            ("input", "embed" not in row.can),
            ("user", asked.user is not None and "user" in row.unsaid),
            ("purpose", asked.purpose is not None and asked.purpose not in row.purposes),
        )
        if said
    ]
    if refused:
        raise unsupported(*refused)
    body = present(
        {
            "model": model,
            "encoding_format": None if asked.encoding == "float" else asked.encoding,
            row.called("dimensions"): asked.dimensions,
            row.called("user"): asked.user,
            "input_type": row.purposes.get(asked.purpose or ""),
        }
    )
    merged(body, asked, row.name, _RESERVED)
    body["input"] = asked.input
    return body


def embeddings(inputs: int) -> Callable[[bytes], Sequence[Event]]:
    """The reader of the embeddings of so many inputs."""

    def read(body: bytes) -> Sequence[Event]:
        answer = decoded(_embeddings, body)
        if given(answer.error) and (failure := openai_failure.reported(body)) is not None:
            raise failure
        if answer.data is None:
            raise broken("no data")
        found: list[Event] = [Start("")]
        seen: set[int] = set()
        for place, item in enumerate(answer.data):
            if bytes(item.embedding)[:1] not in (b"[", b'"'):
                raise broken("an embedding that is no vector")
            index = place if item.index is None else item.index
            seen.add(index)
            found.append(Vector(index, item.embedding))
        if len(answer.data) != inputs or seen != set(range(inputs)):
            raise broken("other embeddings than were asked for")
        reported = usage(answer.usage)
        if reported is not None:
            found.append(reported)
        return found

    return read
