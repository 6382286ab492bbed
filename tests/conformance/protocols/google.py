"""Google's Gemini models, by the Gemini API and by Vertex AI: `generateContent`, embeddings, the counter of tokens."""

import re
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from tests.conformance.protocol import Protocol
from tests.conformance.protocols import google_asked, google_normal, google_told
from tests.conformance.wire import is_object
from tests.harness.recordings import Recorded

_CALL: Final = re.compile(r"/models/([^/:]+):(\w+)$")
_OPERATIONS: Final = {
    "generateContent": "chat",
    "streamGenerateContent": "chat",
    "countTokens": "count_tokens",
    "batchEmbedContents": "embed",
    "embedContent": "embed",
    "predict": "embed",
}
_PROJECT: Final = {"project": "conformance", "location": "global"}


def _called(one: Recorded) -> tuple[str, str]:
    found = _CALL.search(unquote(urlsplit(one.uri).path))
    return (found[1], found[2]) if found else ("", "")


def _operation(one: Recorded, host: str) -> str | None:
    asks = one.method.upper() == "POST" and is_object(one.request_json)
    here = (urlsplit(one.uri).hostname or "").endswith(host)
    return _OPERATIONS.get(_called(one)[1]) if asks and here else None


def operation(one: Recorded) -> str | None:
    return _operation(one, "generativelanguage.googleapis.com")


def operation_in_cloud(one: Recorded) -> str | None:
    return _operation(one, "aiplatform.googleapis.com") if "/publishers/google/" in one.uri else None


def provider(one: Recorded) -> str:
    return "google"


def model(one: Recorded) -> str:
    return _called(one)[0]


def streams(one: Recorded) -> bool:
    return _called(one)[1] == "streamGenerateContent"


def to_native(one: Recorded) -> dict[str, Any]:
    if _OPERATIONS[_called(one)[1]] == "embed":
        return google_asked.embed(one.request_json)
    return google_asked.chat(one.request_json, model(one))


def upstream(one: Recorded) -> str:
    return f"/models/{':'.join(_called(one))}"


PROTOCOL: Final = Protocol(
    name="google",
    operation=operation,
    provider=provider,
    model=model,
    streams=streams,
    to_native=to_native,
    normal=google_normal.normal,
    told=google_told.told,
    upstream=upstream,
    as_stream=google_told.as_stream,
)
CLOUD: Final = msgspec.structs.replace(PROTOCOL, name="google cloud", operation=operation_in_cloud, options=_PROJECT)
