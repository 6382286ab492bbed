"""What Schemathesis is told about this API beyond its document, each with its reason. It loads this file itself.

A request may fit its schema and still ask for what cannot be. Such a refusal is forgiven: by its code, or because it
says nothing that a schema could have said. An answer that its document does not foresee stays a failure.
"""

import os
import re
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import schemathesis
from schemathesis import Case, HookContext
from schemathesis.core.failures import AcceptedNegativeData, Failure, ServerError
from schemathesis.core.transport import Response
from schemathesis.openapi.checks import RejectedPositiveData

from scaigrid.errors import Detail
from tests.harness.planting import Planted

CODES = {
    "UNSUPPORTED_BY_MODEL": "what a model can do is not in the document",
    "CONTEXT_TOO_LONG": "nor is how much it reads",
    "CONTENT_REFUSED": "nor what its provider refuses to talk about",
    "IDEMPOTENCY_KEY_REUSED": "nor which call was made before with a key that is easily guessed",
    "PRECONDITION_FAILED": "a made-up If-Match names no state that there ever was",
}
SHAPE = re.compile("is required|is not a known .*|is given more than once|must (be|have|match|not) .*")
"""What the gateway says about that which a schema says too. A refusal for anything else is forgiven: it is about more
than one field, about what there is, or about what may be."""
BEYOND = {
    (
        ".*",
        "must be printable|must have .* printable characters",
    ): "which characters can be printed is in Unicode's tables",
    (".*", "must be a number within range"): "JSON's numbers have no end, a computer's have",
    (".*", "must have exactly one of .*"): "a rule of several fields",
    ("input", "must be all texts, all token ids or all lists of token ids"): "OpenAI's own list is of either",
    (r"input\[\d+\]", "must not be empty"): "OpenAI's own list is of either",
    ("end", "must be later than start"): "a rule of two fields",
    ("expires_at", "must (not )?be later than .*|must be a time of the years .*"): "a rule about time",
    ("type", "must be one of anthropic, .*"): "which providers there are depends on what is installed",
    (r"core_permissions\[\d+\]", "must be one of .*"): "the permissions of a tenant's administrator, which may grow",
    (r"scopes\[\d+\]", "must be a permission of a module or one of .*"): "modules have permissions of their own",
    ("scopes|models|addresses", "must (be among|lie in) .*"): "a key gives away no more than it has",
    (r"(options|credentials)\..*", ".*"): "what a provider can be told depends on its type",
    (r"(cost|prices)\.tiers\[\d+\]\.above", "must be more than that of the tier before"): "a rule of several items",
    ("X-ScaiGrid-Tags", "must .*"): "a header has no schema of its parts: names, values, and how many there are",
    ("targets", "must have at least one backend"): "of the route of a model that is not disabled",
}
"""By the field and the words of a detail, both regular expressions: what sounds as a schema does and is none of it."""

ACCEPTED = {
    ("/oai/", " type: Invalid enum value"): "OpenAI adds types of parts, tools and formats, which go on as they are",
}
"""By the beginning of the path and the end of what Schemathesis says was wrong with a request that was taken."""

BROKEN = {
    "PROVIDER_DISCOVERY_ERROR": "a made-up provider is not there",
    "BACKEND_ERROR": "nor is what a made-up backend is a deployment of",
    "MODEL_UNAVAILABLE": "and a made-up model may have no backend at all",
}
"""Codes of failures that are not the gateway's."""

PLANTED = "FUZZ_PLANTED"
"""The environment variable with the file that says what is there to be found (see `planting.py`)."""

NOWHERE = "http://127.0.0.1:9/v1"
"""Where every provider that it makes up is: a port that refuses, on this machine."""

_NOWHERE_AT_ALL = 4
"""One request in so many keeps its made-up path."""

INVALID = "VALIDATION_ERROR"


class _Error(msgspec.Struct):
    code: str
    details: tuple[Detail, ...] = ()


class _Body(msgspec.Struct):
    """A refusal, in either dialect."""

    error: _Error


F = TypeVar("F", bound=Callable[..., Any])


def hook(function: F) -> F:
    """Registers it under its name; Schemathesis' own decorator is only partly typed."""
    tool: Any = schemathesis
    tool.hook(function)
    return function


@hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Lets it look into streams.

    OpenAPI 3.1 describes the text of a stream as a whole; Schemathesis wants the schema of one event, as 3.2 has it.
    """
    for path in raw_schema["paths"].values():
        for operation in path.values():
            for answer in operation["responses"].values():
                stream = answer.get("content", {}).get("text/event-stream")
                if stream is not None:
                    data = {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": stream.pop("schema")["contentSchema"],
                    }
                    last = {"type": "string", "const": "[DONE]"}
                    stream["itemSchema"] = {
                        "type": "object",
                        "required": ["data"],
                        "properties": {"data": {"if": last, "then": {}, "else": data}},
                    }


@hook
def map_body(context: HookContext, body: Any) -> Any:
    """Writes whole numbers without a fraction, as every client does: 2.0 is an integer to JSON Schema and not to us.

    Every address becomes one of this machine.
    """
    if isinstance(body, dict):
        fields = cast("dict[str, Any]", body)
        return {key: map_body(context, value) for key, value in fields.items()}
    if isinstance(body, list):
        return [map_body(context, value) for value in cast("Sequence[Any]", body)]
    if isinstance(body, str) and re.match("https?://", body):
        return NOWHERE
    return int(body) if isinstance(body, float) and body.is_integer() else body


@hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Leads most of the requests that are right to something that is there, in whatever state that is.

    A made-up id leads nowhere, and a made-up If-Match names no state.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    there = planted()
    parameters = there.addresses.get(f"{case.method.upper()} {case.path}")
    if parameters and zlib.crc32(repr((case.path_parameters, case.body)).encode()) % _NOWHERE_AT_ALL:
        case.path_parameters = {**case.path_parameters, **parameters}
        sent: Any = case
        sent.headers.pop("If-Match", None)
    if isinstance(case.body, dict):
        case.body = there.put_in(case.body)


@cache
def planted() -> Planted:
    file = os.environ.get(PLANTED)
    return Planted() if file is None else msgspec.json.decode(Path(file).read_bytes(), type=Planted)


@hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Whether a failure is one."""
    if isinstance(failure, RejectedPositiveData):
        return not forgiven(response.content)
    if isinstance(failure, ServerError):
        return told(response.content) not in BROKEN
    if isinstance(failure, AcceptedNegativeData):
        return not any(case.path.startswith(path) and failure.message.endswith(words) for path, words in ACCEPTED)
    return True


def forgiven(body: bytes) -> bool:
    """Whether a refusal of a request that fits its schema is one that no schema could have foretold."""
    error = _error(body)
    if error is None or error.code != INVALID:
        return error is not None and error.code in CODES
    return bool(error.details) and not any(foreseen(one) for one in error.details)


def told(body: bytes) -> str | None:
    """The code of a refusal or failure; None where there is none."""
    error = _error(body)
    return None if error is None else error.code


def foreseen(detail: Detail) -> bool:
    """Whether the document could have told."""
    if SHAPE.fullmatch(detail.message) is None:
        return False
    return not any(re.fullmatch(field, detail.field) and re.fullmatch(words, detail.message) for field, words in BEYOND)


def _error(body: bytes) -> _Error | None:
    try:
        return msgspec.json.decode(body, type=_Body).error
    except msgspec.MsgspecError:
        return None
