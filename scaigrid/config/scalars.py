"""One scalar of the file and one type of the schema: the value, or the reason in plain words.

A number keeps its written text until a type asks for it, so `0.01875` is exactly that as a Decimal or a string. What
stands without quotes has the type of its text, after substitution too (`port: ${PORT}`); what is quoted is a string.
A class of the schema's own is read by its class method `from_text(text)`, which raises ValueError with its reason.
"""

import datetime as dt
import math
import operator
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from scaigrid.config.nodes import Scalar
from scaigrid.config.words import counted, quoted, shown

T = TypeVar("T")

_DECIMAL = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_BOUNDS: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("gt", "greater than", operator.gt),
    ("ge", "at least", operator.ge),
    ("lt", "less than", operator.lt),
    ("le", "at most", operator.le),
)


class MismatchError(Exception):
    """The scalar is not of this type at all; a union goes on to its next member."""


class RefusedError(Exception):
    """The scalar is of this type, but a rule of the schema refuses it; the message says which."""


def read_scalar(node: Scalar, wanted: inspect.Type) -> object:
    """Return the value of a scalar whose variables are filled in; raises MismatchError or RefusedError."""
    return _READERS[type(wanted)](node, wanted)


def reads(wanted: inspect.Type) -> bool:
    """Whether the type is one that a scalar can be read as."""
    if isinstance(wanted, inspect.Metadata):
        return reads(wanted.type)
    if isinstance(wanted, inspect.CustomType):
        return callable(getattr(wanted.cls, "from_text", None))
    return type(wanted) in _READERS


def rank(wanted: inspect.Type) -> int:
    """Return the place of a type among those that a union tries on one scalar: the narrow ones first."""
    return rank(wanted.type) if isinstance(wanted, inspect.Metadata) else _ORDER.index(type(wanted))


def _text(node: Scalar) -> str:
    """Return what a string-like type sees: numbers as written, and all that came from the environment."""
    if node.type in {"null", "bool"} and not node.substituted:
        raise MismatchError
    return node.text


def _integer(node: Scalar) -> int:
    # 64 bits are what SQL and readers of JSON take for an integer; a text this long has more, and is slow to convert
    value = int(node.text, 0) if len(node.text) <= 100 else 2**63
    if not -(2**63) <= value < 2**63:
        raise RefusedError(f"must fit in 64 bits, got {shown(node)}")
    return value


def _check_bounds(value: float | Decimal, node: Scalar, bound: Callable[[str], Any]) -> None:
    for name, words, holds in _BOUNDS:
        limit = bound(name)
        if limit is not None and not holds(value, limit):
            raise RefusedError(f"must be {words} {limit}, got {shown(node)}")
    step = bound("multiple_of")
    if step is not None and value % step:
        raise RefusedError(f"must be a multiple of {step}, got {shown(node)}")


def check_length(size: int, wanted: Any, noun: str) -> None:
    """Refuse what is shorter or longer than the type allows; `noun` is one of what is counted."""
    if wanted.min_length is not None and size < wanted.min_length:
        raise RefusedError(f"must have at least {counted(wanted.min_length, noun)}, got {size}")
    if wanted.max_length is not None and size > wanted.max_length:
        raise RefusedError(f"must have at most {counted(wanted.max_length, noun)}, got {size}")


def _read_null(node: Scalar, _wanted: inspect.NoneType) -> None:
    if node.type != "null":
        raise MismatchError


def _read_bool(node: Scalar, _wanted: inspect.BoolType) -> bool:
    if node.type != "bool":
        raise MismatchError
    return node.text == "true"


def _read_int(node: Scalar, wanted: inspect.IntType) -> int:
    if node.type != "int":
        raise MismatchError
    value = _integer(node)
    _check_bounds(value, node, lambda name: getattr(wanted, name))
    return value


def _read_float(node: Scalar, wanted: inspect.FloatType) -> float:
    if node.type not in {"int", "float"}:
        raise MismatchError
    value = _real(node)
    _check_bounds(value, node, lambda name: getattr(wanted, name))
    return value


def _real(node: Scalar) -> float:
    if node.text[:2] in {"0x", "0o"}:
        return float(_integer(node))
    # Only .inf and .nan have letters that Python's float does not know
    value = math.inf if node.text[-1] in "fn" else float(node.text)
    if not math.isfinite(value):
        raise RefusedError(f"must be a finite number, got {shown(node)}")
    return value


def _read_decimal(node: Scalar, _wanted: inspect.DecimalType) -> Decimal:
    if not _DECIMAL.fullmatch(_text(node)):
        raise MismatchError
    return Decimal(node.text)


def _read_metadata(node: Scalar, wanted: Any) -> object:
    """Read the type inside; a Decimal has its bounds in `Meta(extra={"ge": 0})`, for msgspec allows it no others."""
    value = read_scalar(node, wanted.type)
    if isinstance(value, Decimal) and wanted.extra is not None:
        bounds: Mapping[str, object] = wanted.extra
        _check_bounds(value, node, lambda name: Decimal(str(bounds[name])) if name in bounds else None)
        _check_places(value, node, bounds.get("places"))
    return value


def _check_places(value: Decimal, node: Scalar, places: object) -> None:
    if isinstance(places, int) and 10**places % value.as_integer_ratio()[1]:
        raise RefusedError(f"must have at most {counted(places, 'decimal place')}, got {shown(node)}")


def _read_str(node: Scalar, wanted: inspect.StrType) -> str:
    text = _text(node)
    check_length(len(text), wanted, "character")
    if wanted.pattern is not None and not re.search(wanted.pattern, text):
        raise RefusedError(f"must match the pattern `{wanted.pattern}`, got {quoted(text)}")
    return text


def _read_choice(node: Scalar, values: Iterable[tuple[object, object]]) -> object:
    for written, value in values:
        match written:
            case None:
                found = node.type == "null"
            case bool():
                found = node.type == "bool" and (node.text == "true") is written
            case int():
                found = node.type == "int" and _integer(node) == written
            case _:
                found = (node.substituted or node.type not in {"null", "bool"}) and node.text == written
        if found:
            return value
    raise MismatchError


def _read_literal(node: Scalar, wanted: inspect.LiteralType) -> object:
    return _read_choice(node, ((value, value) for value in wanted.values))


def _read_enum(node: Scalar, wanted: inspect.EnumType) -> object:
    return _read_choice(node, ((member.value, member) for member in wanted.cls))


def _read_datetime(node: Scalar, wanted: inspect.DateTimeType) -> dt.datetime:
    value = _parsed(node, dt.datetime)
    if wanted.tz is not None and wanted.tz is (value.tzinfo is None):
        raise RefusedError(f"must have {'an' if wanted.tz else 'no'} offset from UTC, got {shown(node)}")
    return value


def _parsed(node: Scalar, target: type[T]) -> T:
    try:
        return msgspec.convert(_text(node), target)
    except msgspec.ValidationError:
        raise MismatchError from None


def _read_custom(node: Scalar, wanted: inspect.CustomType) -> object:
    from_text: Callable[[str], object] = getattr(wanted.cls, "from_text")  # noqa: B009  (`type` has no such attribute)
    try:
        return from_text(_text(node))
    except ValueError as error:
        raise RefusedError(str(error) or f"not a {wanted.cls.__name__}") from None


def _read_any(node: Scalar, _wanted: inspect.AnyType) -> object:
    match node.type:
        case "null":
            return None
        case "bool":
            return node.text == "true"
        case "int":
            return _integer(node)
        case "float":
            return _real(node)
        case _:
            return node.text


# In the order in which a union tries them: what takes few texts before what takes many.
_READERS: dict[type[inspect.Type], Callable[[Scalar, Any], object]] = {
    inspect.NoneType: _read_null,
    inspect.LiteralType: _read_literal,
    inspect.EnumType: _read_enum,
    inspect.BoolType: _read_bool,
    inspect.IntType: _read_int,
    inspect.DecimalType: _read_decimal,
    inspect.FloatType: _read_float,
    inspect.DateTimeType: _read_datetime,
    inspect.DateType: lambda node, _: _parsed(node, dt.date),
    inspect.TimeType: lambda node, _: _parsed(node, dt.time),
    inspect.TimeDeltaType: lambda node, _: _parsed(node, dt.timedelta),
    inspect.UUIDType: lambda node, _: _parsed(node, uuid.UUID),
    inspect.StrType: _read_str,
    inspect.CustomType: _read_custom,
    inspect.AnyType: _read_any,
    inspect.Metadata: _read_metadata,
}
_ORDER = list(_READERS)
