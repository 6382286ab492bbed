"""The OpenAPI 3.1 document of every surface, made from the table of operations, the Structs and the error codes."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from itertools import groupby
from typing import Any

import msgspec

import scaigrid
from scaigrid.api import examples
from scaigrid.api.docstrings import field_docs
from scaigrid.api.operation import Area, Level, Operation
from scaigrid.api.operations import AREAS
from scaigrid.api.schemas import Schemas, given
from scaigrid.dialect import Dialect
from scaigrid.dialects import DIALECTS, anthropic_shapes, openai_responses_shapes, openai_shapes
from scaigrid.dialects.anthropic_answers import AnthropicErrorBody
from scaigrid.dialects.native_shapes import ErrorEnvelope
from scaigrid.dialects.openai_shapes import OpenAIErrorBody
from scaigrid.errors import TABLE, Code
from scaigrid.middleware import speaker

Node = dict[str, Any]

_HEADERS: Mapping[str, tuple[str, str]] = {
    "X-Request-ID": ("string", "The id of the request: in the log, on the usage row, in every error."),
    "ETag": ("string", "The state that was answered: send it as `If-Match` to change just that."),
    "Retry-After": ("integer", "Seconds after which a repeat may succeed."),
    "X-Scaigrid-Ratelimit-Limit": ("integer", "The size of the tightest request limit."),
    "X-Scaigrid-Ratelimit-Remaining": ("integer", "What is left of it."),
    "X-Scaigrid-Ratelimit-Reset": ("integer", "Seconds until it is whole again."),
    "X-Scaigrid-Ratelimit-Limit-Tokens": ("integer", "The size of the tightest limit on tokens, where there is one."),
    "X-Scaigrid-Ratelimit-Remaining-Tokens": ("integer", "What is left of it once this call has taken its most."),
    "X-Scaigrid-Ratelimit-Reset-Tokens": ("integer", "Seconds until it is whole again."),
    "x-ratelimit-limit-requests": ("string", "The size of the tightest request limit."),
    "x-ratelimit-remaining-requests": ("string", "What is left of it."),
    "x-ratelimit-reset-requests": ("string", "The time until it is whole again, as OpenAI writes it (`1m0s`)."),
    "x-ratelimit-limit-tokens": ("string", "The size of the tightest limit on tokens, where there is one."),
    "x-ratelimit-remaining-tokens": ("string", "What is left of it once this call has taken its most."),
    "x-ratelimit-reset-tokens": ("string", "The time until it is whole again."),
    "anthropic-ratelimit-requests-limit": ("integer", "The size of the tightest request limit."),
    "anthropic-ratelimit-requests-remaining": ("integer", "What is left of it."),
    "anthropic-ratelimit-requests-reset": ("string", "When it is whole again (RFC 3339)."),
    "anthropic-ratelimit-tokens-limit": ("integer", "The size of the tightest limit on tokens, where there is one."),
    "anthropic-ratelimit-tokens-remaining": ("integer", "What is left of it once this call has taken its most."),
    "anthropic-ratelimit-tokens-reset": ("string", "When it is whole again (RFC 3339)."),
    "x-scaigrid-model": ("string", "The model that answered."),
    "x-scaigrid-backend": ("string", "The backend that answered, where the configuration lets callers know."),
    "x-scaigrid-attempts": ("integer", "How many backends were tried."),
    "x-scaigrid-overhead-ms": ("number", "Milliseconds that the gateway itself took up to the first byte."),
    "Idempotent-Replayed": ("boolean", "`true` where the answer was made for an earlier request of the same key."),
    "x-scaigrid-original-request-id": ("string", "The id of that earlier request."),
}
_NATIVE_LIMITS = [name for name in _HEADERS if name.startswith("X-Scaigrid-Ratelimit")]
_OWN_LIMITS: Mapping[str, Sequence[str]] = {
    "openai": [name for name in _HEADERS if name.startswith("x-ratelimit")],
    "anthropic": [name for name in _HEADERS if name.startswith("anthropic-ratelimit")],
}
"""By dialect: the headers that it has besides."""
_ERRORS: Mapping[str, Any] = {"openai": OpenAIErrorBody, "anthropic": AnthropicErrorBody}
"""The body of an error, in the dialects that have one of their own."""
_OPEN_IN = {
    openai_shapes.__name__: "OpenAI",
    openai_responses_shapes.__name__: "OpenAI",
    anthropic_shapes.__name__: "Anthropic",
}
_REPLAYED = ("Idempotent-Replayed", "x-scaigrid-original-request-id")
_SERVED = [name for name in _HEADERS if name.startswith("x-scaigrid") and name not in _REPLAYED]
_ABOUT = (
    "A self-hosted gateway between applications and every LLM provider. `/v1` is its own API; `/oai/v1` speaks "
    "OpenAI's dialect and `/anthropic/v1` Anthropic's, so that their SDKs work by changing `base_url` and `api_key`. "
    "Money is in decimal strings, times are ISO 8601 in UTC. What can be read with GET answers HEAD too. Later "
    "versions only add: fields that a request may leave out and an answer has besides, new operations, new error "
    "codes, and new words where a set of them is marked `x-scaigrid-open`."
)
_CREDENTIALS = "An API key (`sgk_...`), or a token of an OpenID provider that the configuration names."
_CAME = "X-Request-ID"
_ALWAYS = frozenset({_CAME, "ETag"})
"""The headers that are there wherever they are listed."""
_PARAMETERS: Mapping[str, Node] = {
    "Tenant": {
        "name": "X-ScaiGrid-Tenant",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "The tenant to act on, for callers whose roles reach more than one. Left out: the caller's own.",
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "The `ETag` of what was read: where it has changed since, nothing is done.",
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "description": "Made up by the caller for one call. A repeat with the same key and body is given the answer "
        "of the first, for free and with `Idempotent-Replayed: true`; while that still runs, a stream is given from "
        "its start, and a plain answer is waited for. Ignored where the tenant lets no answers be kept.",
    },
    "Tags": {
        "name": "X-ScaiGrid-Tags",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "`name=value` pairs with commas between, kept with the usage of the call beside its `metadata`, "
        "which wins: `team=blue,project=x`. A comma, an equals sign, a percent sign and anything beyond ASCII is "
        "written as percent codes of UTF-8. At most 16 of both together, with names of up to 64 and values of up to "
        "512 characters.",
    },
}
_REACH: Mapping[Level, str] = {
    "platform": "for the whole platform",
    "partner": "for the partner",
    "tenant": "for the tenant",
    "user": "for the user",
}
_IN_PATH = re.compile(r"{(\w+)}")
_DONE = {200: "The answer.", 201: "What was made.", 202: "It will be done.", 204: "Done; there is nothing to say."}


def document(dialect_of: Callable[[str], Dialect], areas: Sequence[Area] = AREAS) -> Node:
    """The whole document; `dialect_of` says which dialect speaks for a path."""
    return _Document(dialect_of, areas).whole()


def written() -> str:
    """The document of this version, for people to read and for tools to compare: indented, in a stable order."""
    return json.dumps(document(partial(speaker, DIALECTS)), indent=2, ensure_ascii=False) + "\n"


class _Document:
    def __init__(self, dialect_of: Callable[[str], Dialect], areas: Sequence[Area]) -> None:
        self._dialect_of = dialect_of
        self._areas = areas
        self._examples: dict[str, Node] = {}
        self._headers: set[str] = set()
        self._parameters: set[str] = set()
        patches = [row.body for area in areas for row in area.operations if row.partial]
        self._schemas = Schemas(_types(areas), patches=patches, open_in=_OPEN_IN)

    def whole(self) -> Node:
        paths: dict[str, Node] = {}
        for area in self._areas:
            for operation in area.operations:
                paths.setdefault(operation.path, {})[operation.method] = self._operation(operation, area.name)
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
            "tags": [{"name": area.name, "description": area.about} for area in self._areas],
            "paths": paths,
            "components": {
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": _CREDENTIALS}},
                "schemas": self._schemas.components,
                "headers": {name: _header(name) for name in _HEADERS if name in self._headers},
                "parameters": {name: node for name, node in _PARAMETERS.items() if name in self._parameters},
                "examples": self._examples,
            },
        }

    def _operation(self, operation: Operation, area: str) -> Node:
        node: Node = {"operationId": operation.name, "tags": [area], "summary": operation.summary}
        description = " ".join(filter(None, (operation.description, _permission(operation))))
        if description:
            node["description"] = description
        if operation.permission is not None:
            node["x-scaigrid-permission"] = operation.permission
        if operation.level is not None:
            node["x-scaigrid-level"] = operation.level
        if operation.keyless:
            node["security"] = []
        parameters = [
            *_path_parameters(operation),
            *self._query_parameters(operation),
            *self._header_parameters(operation),
        ]
        if parameters:
            node["parameters"] = parameters
        if operation.body is not None:
            schema = (self._schemas.patch_of if operation.partial else self._schemas.of)(operation.body)
            content = {"schema": schema, "example": _asked(operation)}
            node["requestBody"] = {"required": True, "content": {"application/json": content}}
        answers = {str(operation.status): self._answer(operation)}
        node["responses"] = {**answers, **self._unready(operation), **self._refusals(operation)}
        return node

    def _header_parameters(self, operation: Operation) -> Iterator[Node]:
        for name, taken in (
            ("Tenant", operation.tenant_header),
            ("IfMatch", operation.takes_match),
            ("IdempotencyKey", operation.takes_key),
            ("Tags", operation.call is not None),
        ):
            if taken:
                self._parameters.add(name)
                yield {"$ref": f"#/components/parameters/{name}"}

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
        answer: Node = {"description": _DONE[operation.status], "headers": self._named(self._sent(operation))}
        content = self._content(operation)
        return {**answer, "content": content} if content else answer

    def _content(self, operation: Operation) -> Node:
        content: Node = {}
        dialect = self._dialect_of(operation.path)
        if operation.answer is not None:
            told = content["application/json"] = {"schema": self._schemas.of(operation.answer)}
            if operation.call is not None:
                told["example"] = examples.answered(dialect, operation.path)
            elif operation.example is not None:
                told["example"] = _plain(operation.example)
        for media_type, example in operation.texts.items():
            content[media_type] = {"schema": {"type": "string"}, **({} if example is None else {"example": example})}
        if operation.frames:
            frames = [self._schemas.of(frame) for frame in operation.frames]
            content["text/event-stream"] = {
                "schema": {
                    "type": "string",
                    "description": operation.framing,
                    "contentMediaType": "text/event-stream",
                    "contentSchema": {"anyOf": frames},
                },
                "example": examples.streamed(dialect, operation.path),
            }
        return content

    def _sent(self, operation: Operation) -> Sequence[str]:
        """The headers that the answer has."""
        if operation.keyless:
            return [_CAME]
        served = _SERVED if operation.call is not None else ()
        replayed = _REPLAYED if operation.takes_key else ()
        return [_CAME, *(["ETag"] if operation.sends_etag else ()), *self._limits(operation), *served, *replayed]

    def _limits(self, operation: Operation) -> Sequence[str]:
        limits = [*_NATIVE_LIMITS, *_OWN_LIMITS.get(self._dialect_of(operation.path).name, ())]
        # Nothing but calls of models takes tokens.
        return limits if operation.call is not None else [name for name in limits if "token" not in name.lower()]

    def _unready(self, operation: Operation) -> Node:
        if operation.unready is None:
            return {}
        content = {"schema": self._schemas.of(operation.answer), "example": _plain(operation.unready)}
        answer = {
            "description": "What is wrong.",
            "headers": self._named([_CAME]),
            "content": {"application/json": content},
        }
        return {"503": answer}

    def _refusals(self, operation: Operation) -> Node:
        """One answer for each status, with an example for each code."""
        dialect = self._dialect_of(operation.path)
        shape = _ERRORS.get(dialect.name, ErrorEnvelope)
        refusals: Node = {}
        for status, codes in groupby(sorted(operation.refusals, key=_status), key=_status):
            told = list(codes)
            headers = [_CAME]
            if any(TABLE[code].retry == "after" for code in told):
                headers += ["Retry-After", *self._limits(operation)]
            refusals[str(status)] = {
                "description": " ".join(f"{code}: {TABLE[code].message}" for code in told),
                "headers": self._named(headers),
                "content": {
                    "application/json": {
                        "schema": self._schemas.of(shape),
                        "examples": {code.value: self._refusal(dialect, code) for code in told},
                    }
                },
            }
        return refusals

    def _named(self, headers: Sequence[str]) -> Node:
        self._headers.update(headers)
        return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}

    def _refusal(self, dialect: Dialect, code: Code) -> Node:
        name = f"{dialect.name}.{code}"
        self._examples[name] = {"summary": TABLE[code].message, "value": examples.refused(dialect, code)}
        return {"$ref": f"#/components/examples/{name}"}


def _types(areas: Iterable[Area]) -> Sequence[Any]:
    """Every type that the document names, each once."""
    types: list[Any] = [ErrorEnvelope, *_ERRORS.values()]
    for operation in (operation for area in areas for operation in area.operations):
        body = None if operation.partial else operation.body
        types += [kind for kind in (body, operation.answer, *operation.frames) if kind is not None]
        types += [given(field.type) for field in msgspec.structs.fields(operation.query)]
    return list(dict.fromkeys(types))


def _path_parameters(operation: Operation) -> Sequence[Node]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            "description": operation.parameters[name],
            **({"example": operation.parameter_examples[name]} if name in operation.parameter_examples else {}),
        }
        for name in _IN_PATH.findall(operation.path)
    ]


def _permission(operation: Operation) -> str:
    if operation.permission is None:
        return ""
    reach = "" if operation.level is None else f" {_REACH[operation.level]}"
    wanted = " or ".join(f"`{permission}`" for permission in operation.permission.split(" or "))
    return f"Needs the permission {wanted}{reach}."


def _asked(operation: Operation) -> Any:
    return _plain(operation.body_example) if operation.call is None else examples.asked(operation.path, operation.call)


def _header(name: str) -> Node:
    kind, text = _HEADERS[name]
    return {"description": text, **({"required": True} if name in _ALWAYS else {}), "schema": {"type": kind}}


def _plain(example: Any) -> Any:
    """An example as it is sent."""
    return msgspec.json.decode(msgspec.json.encode(example))


def _status(code: Code) -> HTTPStatus:
    return HTTPStatus(TABLE[code].status)
