"""Embeddings of the OpenAI protocol."""

import base64
import struct
from typing import Any, Final

from tests.conformance import cases, refusals
from tests.conformance.cases import NotRun
from tests.conformance.protocol import Protocol
from tests.conformance.protocols.openai_chat import model
from tests.conformance.protocols.openai_chat_told import fails, tokens
from tests.conformance.told import Told
from tests.conformance.wire import decoded
from tests.harness.recordings import Recorded

PATH: Final = "/embeddings"


def operation(one: Recorded) -> str | None:
    return "embed" if cases.asks(one, PATH) else None


def streams(one: Recorded) -> bool:
    return False


def to_native(one: Recorded) -> dict[str, Any]:
    """The vectors are always numbers there; `input_type` and `output_dimension` are Voyage's words. Raises NotRun."""
    asked = {name: value for name, value in one.request_json.items() if name not in ("model", "encoding_format")}
    if "output_dimension" in asked:
        asked["dimensions"] = asked.pop("output_dimension")
    purpose = asked.pop("input_type", None)
    if purpose is not None:
        if purpose not in _PURPOSES:
            raise NotRun(f"input_type {purpose} has no native meaning for embeddings")
        asked["purpose"] = _PURPOSES[purpose]
    for name in asked.keys() - {"input", "dimensions", "user", "purpose"}:
        raise NotRun(f"{name} has no native meaning for embeddings")
    return asked


_PURPOSES: Final = {"document": "search_document", "query": "search_query"}
"""Voyage's words."""


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The normal form of a call for embeddings.

    Overlooked: null for nothing said; how the vectors are spelled, since the native dialect always tells numbers; one
    text without its list.
    """
    said = {name: value for name, value in body.items() if value is not None and name != "encoding_format"}
    return {**said, "input": [said["input"]]} if isinstance(said["input"], str) else said


def told(one: Recorded) -> Told:
    if codes := fails(one):
        return Told(failed=codes if one.status == 200 else refusals.codes(one.status, one.response_body.decode()))
    body = decoded(one.response_body)
    data = sorted(body["data"], key=lambda vector: int(vector["index"]))
    return Told(vectors=[numbers(vector["embedding"]) for vector in data], tokens=tokens(body.get("usage")))


def numbers(embedding: Any) -> list[float]:
    """A vector as numbers, be it spelled so or in base64."""
    if not isinstance(embedding, str):
        return list(map(float, embedding))
    raw = base64.b64decode(embedding)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


def upstream(one: Recorded) -> str:
    return PATH


def surface(one: Recorded) -> str | None:
    return "openai/embeddings"


PROTOCOL: Final = Protocol(
    name="openai embeddings",
    operation=operation,
    provider=cases.provider,
    model=model,
    streams=streams,
    to_native=to_native,
    normal=normal,
    told=told,
    upstream=upstream,
    surface=surface,
)
