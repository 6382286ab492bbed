"""Bodies of the control plane: read with every fault named, merged for PATCH, and held against `If-Match`."""

from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from litestar import Request
from msgspec.inspect import DictType, StructType, type_info

from scaigrid.asgi import Scope, header
from scaigrid.control.resource import Resource
from scaigrid.dialects.forms import Form, invalid, members
from scaigrid.errors import Code, Detail, GatewayError

T = TypeVar("T", bound=msgspec.Struct)

_JSON = (b"application/json", b"application/merge-patch+json")
_MOST = 1024 * 1024
"""Bytes of a body: a resource is text that somebody wrote."""


def read_body(request: Request[Any, Any, Any], body: bytes, wanted: type[T]) -> T:
    """The body as a `wanted`. Raises VALIDATION_ERROR with every fault, UNSUPPORTED_MEDIA_TYPE, REQUEST_TOO_LARGE."""
    _check(request, body)
    given, _ = _form(wanted).read(body, members(body))
    return cast("T", given)


def merged(request: Request[Any, Any, Any], body: bytes, onto: dict[str, Any], wanted: type[msgspec.Struct]) -> bytes:
    """What a JSON Merge Patch makes of `onto`, as JSON. Raises as `read_body` does.

    Unlike RFC 7396 has it, null is kept where a field of `wanted` is no mapping: there null and absent may differ (no
    limit, the default limit).
    """
    _check(request, body)
    members(body)
    try:
        patch = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise invalid(Detail("body", "is not valid JSON")) from None
    result = dict(onto)
    for name, value in patch.items():
        if name in _mappings(wanted):
            result[name] = _merge(result.get(name), value)
        elif isinstance(value, dict) and isinstance(there := result.get(name), dict):
            result[name] = {**cast("dict[str, Any]", there), **cast("dict[str, Any]", value)}
        else:
            result[name] = value
    return msgspec.json.encode(result)


def etag(resource: Resource) -> str:
    """Another one after each change (RFC 9110, section 8.8.3)."""
    return f'"{resource.revision}"'


def matches(request: Request[Any, Any, Any], resource: Resource) -> bool:
    """Whether `If-Match` allows a change (RFC 9110, section 13.1.1); true where none was sent."""
    given = header(cast(Scope, request.scope), b"if-match")
    if given is None:
        return True
    tags = [tag.strip() for tag in given.decode("latin-1").split(",")]
    return "*" in tags or etag(resource) in tags


def check_writable(request: Request[Any, Any, Any], resource: Resource) -> None:
    """Raises MANAGED_BY_CONFIG for what the file declares, and PRECONDITION_FAILED by `If-Match`."""
    if resource.origin == "config":
        raise GatewayError(Code.MANAGED_BY_CONFIG)
    if not matches(request, resource):
        raise GatewayError(Code.PRECONDITION_FAILED)


def _check(request: Request[Any, Any, Any], body: bytes) -> None:
    if len(body) > _MOST:
        raise GatewayError(Code.REQUEST_TOO_LARGE)
    kind = header(cast(Scope, request.scope), b"content-type") or b"application/json"
    if kind.partition(b";")[0].strip().lower() not in _JSON:
        raise GatewayError(Code.UNSUPPORTED_MEDIA_TYPE)


@cache
def _form(wanted: type[msgspec.Struct]) -> Form[Any]:
    return Form(wanted)


@cache
def _mappings(wanted: type[msgspec.Struct]) -> frozenset[str]:
    """The fields whose keys are the caller's own."""
    return frozenset(
        field.encode_name
        for field in cast(StructType, type_info(wanted)).fields
        if any(isinstance(kind, DictType) for kind in (field.type, *getattr(field.type, "types", ())))
    )


def _merge(onto: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result: dict[str, Any] = dict(cast("dict[str, Any]", onto)) if isinstance(onto, dict) else {}
    for name, value in cast("dict[str, Any]", patch).items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), value)
    return result
