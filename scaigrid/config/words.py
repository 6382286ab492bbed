"""What error messages call the types of the schema and the values of the file."""

import json
from collections.abc import Iterable

import msgspec
from msgspec import inspect

from scaigrid.config.nodes import Items, Node, Scalar
from scaigrid.secrets import Secret

_SHOWN = 60
_KINDS = {"null": "null", "bool": "a bool", "int": "an int", "float": "a number", "str": "a string"}
_NAMES: dict[type[inspect.Type], str] = {
    inspect.NoneType: "null",
    inspect.BoolType: "true or false",
    inspect.IntType: "int",
    inspect.DecimalType: "decimal number",
    inspect.FloatType: "number",
    inspect.DateTimeType: "date and time (2027-01-31T00:00:00Z)",
    inspect.DateType: "date (2027-01-31)",
    inspect.TimeType: "time of day (12:30:00)",
    inspect.TimeDeltaType: "duration (PT30S)",
    inspect.UUIDType: "UUID",
    inspect.StrType: "string",
    inspect.StructType: "a mapping",
    inspect.DictType: "a mapping",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.SetType: "a list",
    inspect.FrozenSetType: "a list",
    inspect.TupleType: "a list",
}


def named(wanted: inspect.Type) -> str:
    """Name a type as what was expected: `int`, `one of "a", "b"`, `a mapping`."""
    match wanted:
        case inspect.Metadata():
            return named(wanted.type)
        case inspect.UnionType():
            return alternatives(wanted.types)
        case inspect.LiteralType():
            return choices(wanted.values)
        case inspect.EnumType():
            return choices(member.value for member in wanted.cls)
        case inspect.CustomType():
            return "a secret string" if wanted.cls is Secret else wanted.cls.__name__
        case _:
            return _NAMES[type(wanted)]


def alternatives(wanted: Iterable[inspect.Type]) -> str:
    """Name the members of a union, each name once."""
    return " or ".join(dict.fromkeys(map(named, wanted)))


def choices(values: Iterable[object]) -> str:
    """List the values that are allowed."""
    written = (quoted(value) if isinstance(value, str) else msgspec.json.encode(value).decode() for value in values)
    return f"one of {', '.join(written)}"


def kind(node: Node) -> str:
    """Name what a value is without a word of what is in it: `a string`, `a list`."""
    if isinstance(node, Scalar):
        return _KINDS[node.type]
    return "a list" if isinstance(node, Items) else "a mapping"


def described(node: Scalar) -> str:
    """Name a scalar by its type and its text: `string "abc"`, `int 5`, `null`."""
    if node.type == "null":
        return "null"
    return f"{'string' if node.type == 'str' else node.type} {shown(node)}"


def shown(node: Scalar) -> str:
    """Return the text of a scalar, clipped and printable; in quotes where it is a string."""
    return quoted(node.text) if node.type == "str" else _clipped(node.text)


def quoted(text: str) -> str:
    """Return the text in double quotes, clipped, on one line, with nothing in it that a terminal would obey."""
    escaped = json.dumps(_clipped(text), ensure_ascii=False)
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in escaped)


def counted(number: int, noun: str) -> str:
    """Return the number and its noun: `1 item`, `2 entries`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def _clipped(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
