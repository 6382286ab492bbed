"""Writes the configuration's JSON Schema (2020-12) from the Structs, for editors that check YAML as it is typed.

It accepts whatever the loader accepts, and refuses what can be refused without knowing the environment: a scalar of
any type may be a text with `${NAME}` in it, a text may be written as a number, an amount as either. What a Struct
checks about itself by code, and references between entries, are the loader's alone.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, cast

import msgspec
from msgspec import NODEFAULT, inspect

from scaigrid.config.manual import field_docs
from scaigrid.secrets import Secret

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_FILLED = "Interpolated"
_DEFS = "#/$defs/"
_VARIABLE = {"$ref": _DEFS + _FILLED}
_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
_NUMERAL = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?$"


def json_schema(schema: type[msgspec.Struct]) -> Schema:
    """The schema of a whole file. Raises TypeError where two sections have one name, or a type has no words."""
    root = cast(inspect.StructType, inspect.type_info(schema))
    sections: dict[str, Schema] = {}
    for struct in _structs(root):
        name = struct.cls.__name__
        if name in sections or name == _FILLED:
            raise TypeError(f"two sections of the configuration are named {name}")
        sections[name] = _section(struct)
    whole = sections.pop(root.cls.__name__)
    filled = {
        "type": "string",
        "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}",
        "description": "Filled in from the environment: `${NAME}`, or `${NAME:-default}` where it may be unset.",
    }
    definitions = {name: sections[name] for name in sorted(sections)}
    return {"$schema": _DIALECT, "title": "ScaiGrid", **whole, "$defs": {_FILLED: filled, **definitions}}


def written(schema: type[msgspec.Struct]) -> str:
    """The file."""
    return json.dumps(json_schema(schema), indent=2, ensure_ascii=False) + "\n"


def _structs(root: inspect.StructType) -> Iterator[inspect.StructType]:
    """The root and every Struct below it, once."""
    seen: set[type] = set()
    waiting: list[inspect.Type] = [root]
    while waiting:
        match waiting.pop():
            case inspect.StructType() as struct if struct.cls not in seen:
                seen.add(struct.cls)
                yield struct
                waiting += [field.type for field in struct.fields]
            case inspect.Metadata(type=kind) | inspect.DictType(value_type=kind):
                waiting.append(kind)
            case inspect.CollectionType(item_type=kind):
                waiting.append(kind)
            case inspect.TupleType(item_types=kinds) | inspect.UnionType(types=kinds):
                waiting += kinds
            case _:
                pass


def _section(struct: inspect.StructType) -> Schema:
    docs = field_docs(struct.cls)
    properties: dict[str, Schema] = {}
    if struct.tag_field is not None:
        properties[struct.tag_field] = {"const": struct.tag}
    for field in struct.fields:
        described = {"description": docs[field.name]} if field.name in docs else {}
        properties[field.encode_name] = {**_of(field.type), **_one_line(described), **_default(field)}
    tagged = [] if struct.tag_field is None else [struct.tag_field]
    required = tagged + [field.encode_name for field in struct.fields if field.required]
    return {
        "type": "object",
        **_one_line({"description": struct.cls.__doc__} if struct.cls.__doc__ else {}),
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": not struct.forbid_unknown_fields,
    }


def _one_line(texts: Mapping[str, str]) -> Schema:
    return {key: " ".join(text.split()) for key, text in texts.items()}


def _default(field: inspect.Field) -> Schema:
    value = field.default
    if value is NODEFAULT and field.default_factory is not NODEFAULT:
        value = field.default_factory()
    if value is NODEFAULT or value is None or value is msgspec.UNSET or isinstance(value, msgspec.Struct):
        return {}
    return {"default": msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))}


def _of(kind: inspect.Type) -> Schema:
    """What may stand in a file for a value of this type."""
    alternatives = _merged(_alternatives(kind))
    return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}


def _alternatives(kind: inspect.Type) -> Iterable[Schema]:
    try:
        return _WORDS[type(kind)](kind)
    except KeyError:
        raise TypeError(f"a JSON Schema has no words for {kind}") from None


def _annotated(kind: Any) -> Iterable[Schema]:
    return _decimal(kind.extra or {}) if isinstance(kind.type, inspect.DecimalType) else _alternatives(kind.type)


def _union(kind: inspect.UnionType) -> Iterator[Schema]:
    for member in kind.types:
        if not (isinstance(member, inspect.CustomType) and member.cls is msgspec.UnsetType):
            yield from _alternatives(member)


def _list(kind: Any) -> Iterator[Schema]:
    yield {"type": "array", "items": _of(kind.item_type), **_length(kind, "Items")}


def _tuple(kind: inspect.TupleType) -> Iterator[Schema]:
    size = len(kind.item_types)
    items = [_of(item) for item in kind.item_types]
    yield {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}


def _dict(kind: inspect.DictType) -> Iterator[Schema]:
    key = kind.key_type.type if isinstance(kind.key_type, inspect.Metadata) else kind.key_type
    names: Schema = {}
    match key:
        case inspect.StrType():
            names = _of_text(key)
        case inspect.LiteralType() | inspect.EnumType():
            names = {"enum": _choices(key)}
        case _:
            pass
    named = {"propertyNames": names} if names else {}
    yield {"type": "object", **named, "additionalProperties": _of(kind.value_type), **_length(kind, "Properties")}


def _text(kind: inspect.StrType) -> Iterator[Schema]:
    limits = _of_text(kind)
    yield {"type": ["string", "number"], **limits}
    if limits:
        yield _VARIABLE


def _custom(kind: inspect.CustomType) -> Iterator[Schema]:
    yield {"type": ["string", "number"], **({"minLength": 1} if kind.cls is Secret else {})}


def _decimal(bounds: Mapping[str, Any]) -> Iterator[Schema]:
    """A number, or the same as text, of which a pattern can say no more than that it is not negative."""
    sign = r"^\+?" if Decimal(str(bounds.get("ge", bounds.get("gt", -1)))) >= 0 else r"^[-+]?"
    yield {"type": "number", **{_BOUNDS[name]: bounds[name] for name in _BOUNDS if name in bounds}}
    yield {"type": "string", "pattern": sign + _NUMERAL}
    yield _VARIABLE


def _choices(kind: inspect.LiteralType | inspect.EnumType) -> list[Any]:
    return list(kind.values) if isinstance(kind, inspect.LiteralType) else [member.value for member in kind.cls]


def _of_text(kind: inspect.StrType) -> Schema:
    return {**({} if kind.pattern is None else {"pattern": kind.pattern}), **_length(kind, "Length")}


def _bounds(kind: Any) -> Schema:
    found = {word: getattr(kind, name) for name, word in _BOUNDS.items()}
    return {word: value for word, value in found.items() if value is not None}


def _length(kind: Any, noun: str) -> Schema:
    found = {f"min{noun}": kind.min_length, f"max{noun}": kind.max_length}
    return {word: value for word, value in found.items() if value is not None}


def _merged(alternatives: Iterable[Schema]) -> list[Schema]:
    """Each alternative once; those that say nothing but their type as one."""
    types: list[str] = []
    others: list[Schema] = []
    for schema in alternatives:
        if schema == {}:
            return [{}]
        if list(schema) == ["type"]:
            named = schema["type"]
            types += [one for one in ([named] if isinstance(named, str) else named) if one not in types]
        elif schema not in others:
            others.append(schema)
    plain = [{"type": types[0] if len(types) == 1 else types}] if types else []
    return [*others, *plain] if others else plain


_WORDS: dict[type[inspect.Type], Callable[[Any], Iterable[Schema]]] = {
    inspect.Metadata: _annotated,
    inspect.UnionType: _union,
    inspect.StructType: lambda kind: [{"$ref": _DEFS + kind.cls.__name__}],
    inspect.DictType: _dict,
    inspect.ListType: _list,
    inspect.VarTupleType: _list,
    inspect.SetType: _list,
    inspect.FrozenSetType: _list,
    inspect.TupleType: _tuple,
    inspect.AnyType: lambda _: [{}],
    inspect.NoneType: lambda _: [{"type": "null"}],
    inspect.BoolType: lambda _: [{"type": "boolean"}, _VARIABLE],
    inspect.IntType: lambda kind: [{"type": "integer", **_bounds(kind)}, _VARIABLE],
    inspect.FloatType: lambda kind: [{"type": "number", **_bounds(kind)}, _VARIABLE],
    inspect.DecimalType: lambda _: _decimal({}),
    inspect.LiteralType: lambda kind: [{"enum": _choices(kind)}, _VARIABLE],
    inspect.EnumType: lambda kind: [{"enum": _choices(kind)}, _VARIABLE],
    inspect.DateTimeType: lambda _: [{"type": "string", "format": "date-time"}, _VARIABLE],
    inspect.StrType: _text,
    inspect.CustomType: _custom,
}
"""What may stand for a value of each type of `msgspec.inspect` that the loader reads."""
