"""Finds every fault of a decoded JSON value against a type: msgspec, which decodes the good ones, stops at one."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeGuard

import msgspec
from msgspec import inspect

from scaigrid.errors import Detail

Harmless = Mapping[str, tuple[Any, ...]]
"""By the name of a field: the values with which it says nothing, null apart."""

MOST = 50
"""No more details than this: the sender of a thousand faults needs no list of them."""

_LONGEST_NAME = 64
_TYPES: dict[type[inspect.Type], tuple[type, ...]] = {
    inspect.NoneType: (type(None),),
    inspect.BoolType: (bool,),
    inspect.IntType: (int,),
    inspect.FloatType: (int, float),
    inspect.StrType: (str,),
    inspect.DateTimeType: (str,),
    inspect.EnumType: (str,),
    inspect.LiteralType: (str,),
    inspect.ListType: (list,),
    inspect.VarTupleType: (list,),
    inspect.DictType: (dict,),
    inspect.StructType: (dict,),
}
_WORDS: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.IntType: "an integer",
    inspect.FloatType: "a number",
    inspect.StrType: "a string",
    inspect.DateTimeType: "a time in ISO 8601 with an offset from UTC, such as 2027-01-31T00:00:00Z",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.DictType: "an object",
    inspect.StructType: "an object",
}


class Findings:
    """What a walk has found: `faults`, and the paths of fields that the type has no place for, where it is open."""

    __slots__ = ("faults", "unknown")

    def __init__(self) -> None:
        self.faults: list[Detail] = []
        self.unknown: list[str] = []


def examine(value: Any, kind: inspect.Type, open_to: Harmless | None = None) -> Findings:
    """Everything that is wrong with `value`.

    Without `open_to` an unknown field is a fault, as is a `type` that nobody knows. With it, both are listed instead
    and taken out of `value`, so that what remains is of `kind` where there was no fault; an unknown field that is null
    or has one of the values of `open_to` says nothing and is taken out without a word. What is not JSON's to decide,
    such as a message's role, stays a fault: only the tag named `type` is open.
    """
    walk = _Walk(open_to)
    walk.value(value, kind, "")
    return walk.findings


class _Walk:
    def __init__(self, open_to: Harmless | None) -> None:
        self.findings = Findings()
        self._open_to = open_to

    def value(self, value: Any, kind: inspect.Type, path: str) -> bool:
        """False where the value is unknown altogether, and to be taken out by whoever holds it."""
        match kind:
            case inspect.Metadata():
                return self.value(value, kind.type, path)
            case inspect.UnionType():
                return self._union(value, kind, path)
            case inspect.StructType() if _is_object(value):
                return self._tagged(value, [kind], path, required=False)
            case inspect.VarTupleType() | inspect.ListType() if _is_list(value):
                self._list(value, kind, path)
            case inspect.DictType() if _is_object(value):
                self._dict(value, kind, path)
            case inspect.AnyType():
                self._any(value, path)
            case _:
                self._scalar(value, kind, path)
        return True

    def _union(self, value: Any, union: inspect.UnionType, path: str) -> bool:
        structs = [member for member in union.types if isinstance(member, inspect.StructType)]
        if _is_object(value) and structs:
            return self._tagged(value, structs, path, required=len(structs) > 1)
        for member in union.types:
            if _fits(value, member):
                return self.value(value, member, path)
        self._fault(path, f"must be {_alternatives(union.types)}")
        return True

    def _tagged(self, value: dict[str, Any], structs: list[inspect.StructType], path: str, *, required: bool) -> bool:
        field = structs[0].tag_field
        if field is None:
            return self._struct(value, structs[0], path)
        place = at(path, field)
        if field not in value:
            if not required:
                return self._struct(value, structs[0], path)
            self._fault(place, "is required")
            return True
        tag = value[field]
        for struct in structs:
            if struct.tag == tag:
                return self._struct(value, struct, path)
        if not isinstance(tag, str):
            self._fault(place, "must be a string")
        elif self._open_to is not None and field == "type":
            self._unknown(place)
            return False
        else:
            self._fault(place, f"must be {_one_of(struct.tag for struct in structs)}")
        return True

    def _struct(self, value: dict[str, Any], struct: inspect.StructType, path: str) -> bool:
        """False where something unknown stands in a required place: without it there is no such object."""
        fields = {field.encode_name: field for field in struct.fields}
        lacking: set[str] = set()
        for name in list(value):
            place = at(path, name)
            if (field := fields.get(name)) is not None:
                if not self.value(value[name], field.type, place):
                    del value[name]
                    lacking.add(name)
            elif name != struct.tag_field:
                if self._open_to is None:
                    self._fault(place, "is not a known field")
                elif value[name] is not None and not _is_one_of(value[name], self._open_to.get(name, ())):
                    self._unknown(place)
                del value[name]
        missing = [name for name, field in fields.items() if field.required and name not in value]
        for name in missing:
            if name not in lacking:
                self._fault(at(path, name), "is required")
        return lacking.isdisjoint(missing)

    def _list(self, value: list[Any], kind: inspect.VarTupleType | inspect.ListType, path: str) -> None:
        self._length(len(value), kind.min_length, kind.max_length, "entries", path)
        known = [self.value(one, kind.item_type, f"{path}[{place}]") for place, one in enumerate(value)]
        if not all(known):
            value[:] = [one for one, keep in zip(value, known, strict=True) if keep]

    def _dict(self, value: dict[str, Any], kind: inspect.DictType, path: str) -> None:
        self._length(len(value), kind.min_length, kind.max_length, "entries", path)
        key = kind.key_type
        for name, one in value.items():
            if isinstance(key, inspect.StrType) and key.max_length is not None and len(name) > key.max_length:
                self._fault(path, f"must have names of at most {key.max_length} characters")
            self.value(one, kind.value_type, at(path, name))

    def _any(self, value: Any, path: str) -> None:
        if isinstance(value, float):
            if not math.isfinite(value):
                self._fault(path, "must be a number within range")
        elif _is_list(value):
            for place, one in enumerate(value):
                self._any(one, f"{path}[{place}]")
        elif _is_object(value):
            for name, one in value.items():
                self._any(one, at(path, name))

    def _scalar(self, value: Any, kind: inspect.Type, path: str) -> None:
        if not _fits(value, kind):
            self._fault(path, f"must be {_alternatives([kind])}")
        elif isinstance(kind, inspect.StrType):
            self._text(value, kind, path)
        elif isinstance(kind, inspect.DateTimeType):
            if not _is_moment(value):
                self._fault(path, f"must be {_WORDS[inspect.DateTimeType]}")
        elif isinstance(kind, inspect.LiteralType | inspect.EnumType):
            values = _values(kind)
            if value not in values:
                self._fault(path, f"must be {_one_of(values)}")
        elif isinstance(kind, inspect.IntType | inspect.FloatType):
            self._number(value, kind, path)

    def _number(self, value: float, kind: inspect.IntType | inspect.FloatType, path: str) -> None:
        if not math.isfinite(value):
            self._fault(path, "must be a number within range")
        elif kind.ge is not None and value < kind.ge:
            self._fault(path, f"must be at least {kind.ge}")
        elif kind.gt is not None and value <= kind.gt:
            self._fault(path, f"must be greater than {kind.gt}")
        elif kind.le is not None and value > kind.le:
            self._fault(path, f"must be at most {kind.le}")

    def _text(self, value: str, kind: inspect.StrType, path: str) -> None:
        self._length(len(value), kind.min_length, kind.max_length, "characters", path)
        if kind.pattern is not None and re.search(kind.pattern, value) is None:
            self._fault(path, f"must match {kind.pattern}")

    def _length(self, length: int, least: int | None, most: int | None, what: str, path: str) -> None:
        if least is not None and length < least:
            self._fault(path, "must not be empty" if least == 1 else f"must have at least {least} {what}")
        elif most is not None and length > most:
            self._fault(path, f"must have at most {most} {what}")

    def _fault(self, path: str, message: str) -> None:
        if len(self.findings.faults) < MOST:
            self.findings.faults.append(Detail(path or "body", message))

    def _unknown(self, path: str) -> None:
        if len(self.findings.unknown) < MOST:
            self.findings.unknown.append(path)


def at(path: str, name: str) -> str:
    """The path of a field of the object at `path`; a name that no reader could take in is cut."""
    if len(name) > _LONGEST_NAME:
        name = name[:_LONGEST_NAME] + "..."
    return f"{path}.{name}" if path else name


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _fits(value: Any, kind: inspect.Type) -> bool:
    """Whether a value is of the right sort, its bounds apart."""
    if isinstance(kind, inspect.Metadata):
        return _fits(value, kind.type)
    if isinstance(kind, inspect.AnyType):
        return True
    if isinstance(kind, inspect.CustomType):
        # UNSET, which says that a field may be left out: no value is one
        return False
    if isinstance(value, bool):
        return isinstance(kind, inspect.BoolType)
    return isinstance(value, _TYPES[type(kind)])


def _is_one_of(value: Any, values: Iterable[Any]) -> bool:
    # 0 and False are equal, and only one of them is what the table means
    return any(type(value) is type(one) and value == one for one in values)


def _alternatives(kinds: Iterable[inspect.Type]) -> str:
    silent = inspect.NoneType | inspect.CustomType
    return " or ".join(dict.fromkeys(_word(kind) for kind in kinds if not isinstance(kind, silent)))


def _word(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            return _word(kind.type)
        case inspect.LiteralType() | inspect.EnumType():
            return _one_of(_values(kind))
        case _:
            return _WORDS[type(kind)]


def _values(kind: inspect.LiteralType | inspect.EnumType) -> tuple[Any, ...]:
    return kind.values if isinstance(kind, inspect.LiteralType) else tuple(member.value for member in kind.cls)


def _is_moment(text: str) -> bool:
    """Whether msgspec reads it as a time that is one time everywhere."""
    try:
        return msgspec.convert(text, datetime).tzinfo is not None
    except msgspec.ValidationError:
        return False


def _one_of(values: Iterable[object]) -> str:
    written = [msgspec.json.encode(value).decode() for value in values]
    return written[0] if len(written) == 1 else f"one of {', '.join(written)}"
