"""The OpenAPI 3.1 document of every surface, made from the table of operations, the Structs and the error codes."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from typing import Any

import msgspec

import scaigrid
from scaigrid.api import examples
from scaigrid.api.docstrings import field_docs
from scaigrid.api.operations import OPERATIONS, TAGS, Operation
from scaigrid.api.schemas import Schemas, given
from scaigrid.dialect import Dialect
from scaigrid.dialects import openai_shapes
from scaigrid.dialects.native_shapes import ErrorEnvelope
from scaigrid.dialects.openai_shapes import OpenAIErrorBody
from scaigrid.errors import TABLE, Code
from scaigrid.telemetry import CONTENT_TYPE

Node = dict[str, Any]

_HEADERS: Mapping[str, tuple[str, str]] = {
    "X-Request-ID": ("string", "The id of the request: in the log, on the usage row, in every error."),
    "Retry-After": ("integer", "Seconds after which a repeat may succeed."),
    "X-Scaigrid-Ratelimit-Limit": ("integer", "The size of the tightest request limit."),
    "X-Scaigrid-Ratelimit-Remaining": ("integer", "What is left of it."),
    "X-Scaigrid-Ratelimit-Reset": ("integer", "Seconds until it is whole again."),
    "x-ratelimit-limit-requests": ("string", "The size of the tightest request limit."),
    "x-ratelimit-remaining-requests": ("string", "What is left of it."),
    "x-ratelimit-reset-requests": ("string", "The time until it is whole again, as OpenAI writes it (`1m0s`)."),
    "x-scaigrid-model": ("string", "The model that answered."),
    "x-scaigrid-backend": ("string", "The backend that answered, where the configuration lets callers know."),
    "x-scaigrid-attempts": ("integer", "How many backends were tried."),
    "x-scaigrid-overhead-ms": ("number", "Milliseconds that the gateway itself took up to the first byte."),
}
_LIMITS = [name for name in _HEADERS if "ratelimit" in name.lower()]
_NATIVE_LIMITS = [name for name in _LIMITS if name.startswith("X-Scaigrid")]
_SERVED = [name for name in _HEADERS if name.startswith("x-scaigrid")]
_ABOUT = (
    "A self-hosted gateway between applications and every LLM provider. `/v1` is its own API, `/oai/v1` speaks "
    "OpenAI's dialect, so that an OpenAI SDK works by changing `base_url` and `api_key`. Money is in decimal strings, "
    "times are ISO 8601 in UTC. What can be read with GET answers HEAD too."
)
_CAME = "X-Request-ID"


def document(dialect_of: Callable[[str], Dialect]) -> Node:
    """The whole document; `dialect_of` says which dialect speaks for a path."""
    return _Document(dialect_of).whole()


class _Document:
    def __init__(self, dialect_of: Callable[[str], Dialect]) -> None:
        self._dialect_of = dialect_of
        self._examples: dict[str, Node] = {}
        self._schemas = Schemas(_types(), open_in=(openai_shapes.__name__,))

    def whole(self) -> Node:
        paths: dict[str, Node] = {}
        for operation in OPERATIONS:
            paths.setdefault(operation.path, {})[operation.method] = self._operation(operation)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "ScaiGrid",
                "version": scaigrid.__version__,
                "description": _ABOUT,
                "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{"key": []}],
            "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "key": {"type": "http", "scheme": "bearer", "description": "An API key: `sgk_...`."}
                },
                "schemas": self._schemas.components,
                "headers": {
                    name: {"description": text, "schema": {"type": kind}} for name, (kind, text) in _HEADERS.items()
                },
                "examples": self._examples,
            },
        }

    def _operation(self, operation: Operation) -> Node:
        node: Node = {"operationId": operation.name, "tags": [operation.tag], "summary": operation.summary}
        if operation.description:
            node["description"] = operation.description
        if operation.keyless:
            node["security"] = []
        parameters = [*_path_parameters(operation), *self._query_parameters(operation)]
        if parameters:
            node["parameters"] = parameters
        if operation.body is not None and operation.call is not None:
            example = examples.asked(operation.call)
            content = {"schema": self._schemas.of(operation.body), "example": example}
            node["requestBody"] = {"required": True, "content": {"application/json": content}}
        node["responses"] = {"200": self._answer(operation), **self._unready(operation), **self._refusals(operation)}
        return node

    def _query_parameters(self, operation: Operation) -> Sequence[Node]:
        docs = field_docs(operation.query)
        return [
            {
                "name": field.encode_name,
                "in": "query",
                "required": field.required,
                "schema": {
                    **self._schemas.of(given(field.type)),
                    **({"default": field.default} if isinstance(field.default, int) else {}),
                },
                **({"description": docs[field.name]} if field.name in docs else {}),
            }
            for field in msgspec.structs.fields(operation.query)
        ]

    def _answer(self, operation: Operation) -> Node:
        content: Node = {}
        if operation.answer is None:
            content[CONTENT_TYPE.decode()] = {"schema": {"type": "string"}}
        else:
            content["application/json"] = {"schema": self._schemas.of(operation.answer)}
        dialect = self._dialect_of(operation.path)
        if operation.call is not None:
            content["application/json"]["example"] = examples.answered(dialect, operation.call)
        elif operation.example is not None:
            content["application/json"]["example"] = _plain(operation.example)
        if operation.frames:
            frames = [self._schemas.of(frame) for frame in operation.frames]
            content["text/event-stream"] = {
                "schema": {
                    "type": "string",
                    "description": operation.framing,
                    "contentMediaType": "text/event-stream",
                    "contentSchema": {"anyOf": frames},
                },
                "example": examples.streamed(dialect),
            }
        return {"description": "The answer.", "headers": _headers(self._sent(operation)), "content": content}

    def _sent(self, operation: Operation) -> Sequence[str]:
        """The headers that the answer has."""
        if operation.keyless:
            return [_CAME]
        return [_CAME, *self._limits(operation), *(_SERVED if operation.call is not None else ())]

    def _limits(self, operation: Operation) -> Sequence[str]:
        return _LIMITS if self._dialect_of(operation.path).name == "openai" else _NATIVE_LIMITS

    def _unready(self, operation: Operation) -> Node:
        if operation.unready is None:
            return {}
        content = {"schema": self._schemas.of(operation.answer), "example": _plain(operation.unready)}
        answer = {
            "description": "What is wrong.",
            "headers": _headers([_CAME]),
            "content": {"application/json": content},
        }
        return {"503": answer}

    def _refusals(self, operation: Operation) -> Node:
        """One answer for each status, with an example for each code."""
        dialect = self._dialect_of(operation.path)
        shape = OpenAIErrorBody if dialect.name == "openai" else ErrorEnvelope
        refusals: Node = {}
        for status, codes in groupby(sorted(operation.codes, key=_status), key=_status):
            told = list(codes)
            headers = [_CAME]
            if any(TABLE[code].retry == "after" for code in told):
                headers += ["Retry-After", *self._limits(operation)]
            refusals[str(status)] = {
                "description": " ".join(f"{code}: {TABLE[code].message}" for code in told),
                "headers": _headers(headers),
                "content": {
                    "application/json": {
                        "schema": self._schemas.of(shape),
                        "examples": {code.value: self._refusal(dialect, code) for code in told},
                    }
                },
            }
        return refusals

    def _refusal(self, dialect: Dialect, code: Code) -> Node:
        name = f"{dialect.name}.{code}"
        self._examples[name] = {"summary": TABLE[code].message, "value": examples.refused(dialect, code)}
        return {"$ref": f"#/components/examples/{name}"}


def _types() -> Sequence[Any]:
    """Every type that the document names, each once."""
    types: list[Any] = [ErrorEnvelope, OpenAIErrorBody]
    for operation in OPERATIONS:
        types += [kind for kind in (operation.body, operation.answer, *operation.frames) if kind is not None]
        types += [given(field.type) for field in msgspec.structs.fields(operation.query)]
    return list(dict.fromkeys(types))


def _path_parameters(operation: Operation) -> Sequence[Node]:
    if "{slug}" not in operation.path:
        return []
    text = "The model's slug. Its slashes may be sent as they are or as `%2F`."
    return [{"name": "slug", "in": "path", "required": True, "schema": {"type": "string"}, "description": text}]


def _plain(example: Any) -> Any:
    """An example as it is sent."""
    return msgspec.json.decode(msgspec.json.encode(example))


def _headers(names: Sequence[str]) -> Node:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _status(code: Code) -> HTTPStatus:
    return HTTPStatus(TABLE[code].status)
