"""Amazon Bedrock: its Converse API, plain and streamed, its counter of tokens, and embeddings of its models."""

import re
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from tests.conformance.cases import NotRun
from tests.conformance.protocol import Protocol
from tests.conformance.protocols import bedrock_asked, bedrock_embed, bedrock_normal, bedrock_told
from tests.conformance.wire import is_object
from tests.harness.recordings import Recorded

_PATH: Final = re.compile(r"/model/([^/]+)/(converse|converse-stream|count-tokens|invoke)")
_OPERATIONS: Final = {
    "converse": "chat",
    "converse-stream": "chat",
    "count-tokens": "count_tokens",
    "invoke": "embed",
}
_PROFILE: Final = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/otnfa2ysixqd"
"""A profile of the recordings, whose model is only known to who made it."""


def _parts(one: Recorded) -> tuple[str, str] | None:
    """The model and the action of a call, if it is one. Its body may be unreadable: its answer is still one."""
    address = urlsplit(one.uri)
    found = _PATH.fullmatch(address.path)
    at_home = (address.hostname or "").startswith("bedrock-runtime.")
    readable = is_object(one.request_json) or one.request_json is None
    return (unquote(found[1]), found[2]) if found and at_home and readable else None


def operation(one: Recorded) -> str | None:
    parts = _parts(one)
    return None if parts is None else _OPERATIONS[parts[1]]


def provider(one: Recorded) -> str:
    return "bedrock"


def model(one: Recorded) -> str:
    parts = _parts(one)
    assert parts is not None
    return parts[0]


def streams(one: Recorded) -> bool:
    return one.uri.endswith("/converse-stream")


def to_native(one: Recorded) -> dict[str, Any]:
    if one.request_json is None:
        raise NotRun("the recorded call is no JSON")
    match operation(one):
        case "embed":
            return bedrock_embed.to_native(one.request_json)
        case "count_tokens":
            return bedrock_asked.chat(one.request_json["input"]["converse"])
        case _:
            return bedrock_asked.chat(one.request_json)


def upstream(one: Recorded) -> str:
    return unquote(urlsplit(one.uri).path)


PROTOCOL: Final = Protocol(
    name="bedrock",
    operation=operation,
    provider=provider,
    model=model,
    streams=streams,
    to_native=to_native,
    normal=bedrock_normal.normal,
    told=bedrock_told.told,
    upstream=upstream,
    as_stream=bedrock_told.as_stream,
    options={"region": "us-east-1", "profiles": {_PROFILE: "amazon.titan-embed-text-v2:0"}},
)
