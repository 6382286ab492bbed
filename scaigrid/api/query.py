"""Reads the query of an address into a Struct: each known, given once and of its type, or every fault named."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from scaigrid.api.handling import Connection
from scaigrid.errors import Code, Detail, GatewayError

T = TypeVar("T", bound=msgspec.Struct)

MOST_PARAMETERS = 100

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_LONGEST_NAME = 64
_TIME = "must be a time in ISO 8601 with an offset from UTC, such as 2026-01-31T12:00:00Z; write + as %2B"


class NoQuery(msgspec.Struct, frozen=True):
    """An address that takes no parameters."""


class _Parameter(msgspec.Struct, frozen=True):
    """One field of a query: its type, and what is said where a value is not of it."""

    annotation: Any
    kind: inspect.Type
    words: str
    required: bool


def read_query(connection: Connection, wanted: type[T]) -> T:
    """The query as a `wanted`, whose fields are integers, strings, literals, enums and times, None where left out.

    Raises VALIDATION_ERROR with a detail for each fault; a parameter that `wanted` has no field for is one.
    """
    parameters = _parameters(wanted)
    given, faults = _given(connection.scope["query_string"], parameters)
    values: dict[str, Any] = {}
    for name, text in given.items():
        parameter = parameters[name]
        try:
            values[name] = _value(text, parameter)
        except ValueError:
            faults.append(Detail(name, parameter.words))
    missing = [name for name, parameter in parameters.items() if parameter.required and name not in given]
    faults += [Detail(name, "is required") for name in missing]
    if faults:
        raise GatewayError(Code.VALIDATION_ERROR, details=tuple(faults))
    return wanted(**values)


def _given(query: bytes, known: Iterable[str]) -> tuple[dict[str, str], list[Detail]]:
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except UnicodeDecodeError:
        raise GatewayError(Code.VALIDATION_ERROR, details=(Detail("query", "is not valid UTF-8"),)) from None
    except ValueError:
        most = Detail("query", f"must have at most {MOST_PARAMETERS} parameters")
        raise GatewayError(Code.VALIDATION_ERROR, details=(most,)) from None
    given: dict[str, str] = {}
    faults: dict[str, str] = {}
    for name, text in pairs:
        if name not in known:
            faults[name[:_LONGEST_NAME]] = "is not a known parameter"
        elif name in given:
            faults[name] = "is given more than once"
        else:
            given[name] = text
    return given, [Detail(name, message) for name, message in faults.items()]


def _value(text: str, parameter: _Parameter) -> object:
    """Raises ValueError where `text` is not of the parameter's type."""
    if not text.isprintable():
        raise ValueError
    match parameter.kind:
        case inspect.DateTimeType():
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError
            return moment
        case inspect.IntType() if _INTEGER.fullmatch(text):
            return msgspec.convert(int(text), parameter.annotation)
        case _:
            return msgspec.convert(text, parameter.annotation)


@cache
def _parameters(wanted: type[msgspec.Struct]) -> Mapping[str, _Parameter]:
    annotations = get_type_hints(wanted, include_extras=True)
    described: dict[str, _Parameter] = {}
    for field in msgspec.structs.fields(wanted):
        annotation = annotations[field.name]
        kind = _bare(inspect.type_info(annotation))
        described[field.encode_name] = _Parameter(annotation, kind, _words(kind), field.required)
    return described


def _bare(kind: inspect.Type) -> inspect.Type:
    """The type itself, without what is said about it and without None."""
    if isinstance(kind, inspect.Metadata):
        return _bare(kind.type)
    if isinstance(kind, inspect.UnionType):
        (kind,) = (member for member in kind.types if not isinstance(member, inspect.NoneType))
        return _bare(kind)
    return kind


def _words(kind: inspect.Type) -> str:
    match kind:
        case inspect.IntType(ge=least, le=most) if least is not None and most is not None:
            return f"must be an integer from {least} to {most}"
        case inspect.StrType(min_length=least, max_length=most):
            return f"must have {least or 0} to {most} printable characters" if most else "must be printable"
        case inspect.LiteralType(values=values):
            return f"must be one of {', '.join(map(str, values))}"
        case inspect.EnumType(cls=enum):
            return f"must be one of {', '.join(str(member.value) for member in enum)}"
        case inspect.DateTimeType():
            return _TIME
        case _:
            raise TypeError(f"a query has no parameters of type {kind}")
