"""One row of the table of operations: what can be asked, for the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from scaigrid.api.query import NoQuery
from scaigrid.errors import Code
from scaigrid.types import FREE
from scaigrid.types import Operation as CallOperation

Method = Literal["get", "post", "put", "patch", "delete"]
Level = Literal["platform", "partner", "tenant", "user"]

_GOVERNED = (
    Code.AUTH_TOKEN_MISSING,
    Code.AUTH_TOKEN_INVALID,
    Code.SESSION_EXPIRED,
    Code.TENANT_SUSPENDED,
    Code.ADDRESS_NOT_ALLOWED,
    Code.RATE_LIMITED,
    Code.INTERNAL_ERROR,
    Code.AUTH_BACKEND_UNAVAILABLE,
)
_TAKES_BODY = (Code.REQUEST_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE, Code.VALIDATION_ERROR)
_TAKES_KEY = (Code.IDEMPOTENCY_IN_PROGRESS, Code.IDEMPOTENCY_KEY_REUSED, Code.CONFLICT)
_CHANGES: frozenset[Method] = frozenset({"put", "patch", "delete"})


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One row. What follows from its other fields (who is refused, which headers there are) is not said again."""

    method: Method = "get"
    path: str
    name: str
    """Its `operationId`: client generators name functions after it, so it never changes."""
    summary: str
    description: str = ""
    permission: str | None = None
    """What the caller's roles must include, and its key's scopes where it has any; the codes for either go with it."""
    level: Level | None = None
    """Whose things the permission reaches, where it does not reach all."""
    tenant_header: bool = False
    """Takes `X-ScaiGrid-Tenant`."""
    parameters: Mapping[str, str] = {}
    """The description of each parameter in the path, by name."""
    parameter_examples: Mapping[str, str] = {}
    """An example of some of them."""
    query: type[msgspec.Struct] = NoQuery
    call: CallOperation | None = None
    """Marks an inference operation, whose request and answer examples the dialect makes."""
    body: Any = None
    """The Struct of a JSON request body."""
    body_example: Any = None
    """A body: a Struct of that type, or the same as plain JSON values."""
    partial: bool = False
    """The body is a merge patch of what `body` says: any of it may be left out."""
    status: int = 200
    """Of the answer: 200, 201 where something was made, 202 where it will be, 204 without content."""
    answer: Any = None
    """The Struct of the JSON answer; None where the answer is no JSON."""
    example: Any = None
    """An answer."""
    texts: Mapping[str, str | None] = {}
    """Answers that are no JSON: by media type an example, or None where one would tell nothing."""
    frames: tuple[Any, ...] = ()
    """The Structs that the data of a streamed answer's frames may be."""
    framing: str = ""
    """How such a stream begins and ends."""
    conditional: bool = False
    """The answer has an `ETag`; a change takes it back as `If-Match` and is refused where it no longer holds."""
    unready: Any = None
    """An example of the same answer with status 503."""
    codes: tuple[Code, ...] = ()
    """Why it may be refused, besides what every operation of its kind may be refused for."""
    keyless: bool = False

    @property
    def takes_match(self) -> bool:
        """Whether `If-Match` can be sent."""
        return self.conditional and self.method in _CHANGES

    @property
    def takes_key(self) -> bool:
        """Whether `Idempotency-Key` means anything: it does where a repeat would cost something."""
        return self.call is not None and self.call not in FREE

    @property
    def sends_etag(self) -> bool:
        """Whether the answer has an `ETag`: what was deleted has none."""
        return self.conditional and self.method != "delete"

    @property
    def refusals(self) -> tuple[Code, ...]:
        """Every code that it may be refused with, each once."""
        codes = [*(() if self.keyless else _GOVERNED), *self.codes]
        if self.permission is not None:
            codes += (Code.AUTHZ_PERMISSION_DENIED, Code.AUTH_INSUFFICIENT_SCOPE)
        if self.body is not None:
            codes += _TAKES_BODY
        if self.query is not NoQuery:
            codes.append(Code.VALIDATION_ERROR)
        if self.takes_match:
            codes.append(Code.PRECONDITION_FAILED)
        if self.takes_key:
            codes += _TAKES_KEY
        return tuple(dict.fromkeys(codes))


class Area(msgspec.Struct, frozen=True):
    """The operations of one kind of thing, under one heading of the reference."""

    name: str
    about: str
    """One sentence for the reference."""
    operations: tuple[Operation, ...]
