"""Writes the commented configuration file from the Structs, whose field docstrings are the manual."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, cast

import msgspec
from msgspec import NODEFAULT
from msgspec.inspect import (
    CustomType,
    DictType,
    EnumType,
    Field,
    LiteralType,
    Metadata,
    NoneType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

_WIDTH = 110
_ENTRY = {
    "models": "openai/gpt-4o",
    "keys": "my-app",
    "users": "alice",
    "tenants": "acme",
    "partners": "reseller",
    "providers": "openai",
    "backends": "openai-gpt-4o",
    "budgets": "acme-monthly",
}
_WORDS = {
    "StrType": "text",
    "IntType": "whole number",
    "FloatType": "number",
    "DecimalType": "decimal number",
    "BoolType": "true | false",
    "DateTimeType": "time",
    "VarTupleType": "list",
}


def manual(schema: type[msgspec.Struct]) -> str:
    """The file: every key that exists, documented, with its default; entries of mappings are commented out."""
    lines = [
        "# yaml-language-server: $schema=scaigrid.schema.json",
        "# ScaiGrid's configuration: every key that exists, with its default.",
        "# Written from the code: see CONTRIBUTING.md.",
        "",
    ]
    lines += _struct(cast(StructType, type_info(schema)), "")
    return "\n".join(lines).rstrip() + "\n"


def _struct(struct: StructType, indent: str) -> Iterator[str]:
    documented = field_docs(struct.cls)
    for field in struct.fields:
        yield from _comment(documented.get(field.name, ""), indent)
        yield from _field(field, indent)
        if not indent:
            yield ""


def _field(field: Field, indent: str) -> Iterator[str]:
    name, kind = field.encode_name, _plain(field.type)
    if isinstance(kind, StructType):
        inner = list(_struct(kind, indent + "  "))
        if all(line.lstrip().startswith("#") for line in inner):
            # Nothing but comments under a key would read as null.
            yield f"{indent}{name}: {{}}"
            yield from inner
        elif field.required or _default(field) is not None:
            yield f"{indent}{name}:"
            yield from inner
        else:
            yield f"{indent}# {name}:"
            yield from (f"{indent}# {line.removeprefix(indent)}" for line in inner)
    elif isinstance(kind, DictType) and isinstance(entry := _plain(kind.value_type), StructType):
        yield f"{indent}{name}: {{}}"
        yield f"{indent}#   {_ENTRY.get(name, 'name')}:"
        yield from (f"{indent}# {line}" for line in _struct(entry, "    "))
    elif isinstance(kind, VarTupleType) and isinstance(item := _plain(kind.item_type), StructType):
        yield f"{indent}{name}:"
        yield f"{indent}  -"
        yield from _struct(item, indent + "    ")
    else:
        yield _leaf(name, field, indent)


def _leaf(name: str, field: Field, indent: str) -> str:
    default = _default(field)
    if field.required:
        return f"{indent}{name}: <{words(field.type)}, required>"
    if default is None or default is msgspec.UNSET:
        # Written as a comment: an empty value is not the same as none (`null` limits nothing).
        return f"{indent}# {name}: <{words(field.type)}>"
    return f"{indent}{name}: {msgspec.json.encode(default, enc_hook=str).decode()}"


def _default(field: Field) -> Any:
    if field.default is not NODEFAULT:
        return field.default
    return field.default_factory() if field.default_factory is not NODEFAULT else None


def _plain(kind: Type) -> Type:
    """`X` of `X | None`, of `X | UNSET` and of an annotated X."""
    if isinstance(kind, Metadata):
        return _plain(kind.type)
    if isinstance(kind, UnionType):
        real = [each for each in kind.types if not isinstance(each, NoneType) and not _unset(each)]
        if len(real) == 1:
            return _plain(real[0])
    return kind


def _unset(kind: Type) -> bool:
    return isinstance(kind, CustomType) and kind.cls is msgspec.UnsetType


def words(kind: Type) -> str:
    """What may stand for a value of this type, for people."""
    plain = _plain(kind)
    if isinstance(plain, LiteralType):
        return " | ".join(str(value) for value in plain.values)
    if isinstance(plain, EnumType):
        return " | ".join(str(member.value) for member in plain.cls)
    if isinstance(plain, CustomType):
        return plain.cls.__name__.lower()
    return _WORDS.get(type(plain).__name__, "value")


def _comment(text: str, indent: str) -> Iterable[str]:
    return (f"{indent}# {line}" for line in textwrap.wrap(" ".join(text.split()), _WIDTH - len(indent)))


@cache
def field_docs(struct: type) -> Mapping[str, str]:
    """The docstring under each field of a Struct, its parents' included; a section's own words where it is made up."""
    found: dict[str, str] = {}
    for cls in reversed(struct.__mro__):
        if cls in (object, msgspec.Struct) or not issubclass(cls, msgspec.Struct):
            continue
        found |= _own_docs(cls)
    return found


def _own_docs(cls: type) -> Mapping[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):
        # Made by defstruct: its fields are other Structs, which say themselves what they are.
        return {
            field.encode_name: inspect.getdoc(cast(StructType, _plain(field.type)).cls) or ""
            for field in cast(StructType, type_info(cls)).fields
            if isinstance(_plain(field.type), StructType)
        }
    body = cast(ast.ClassDef, tree.body[0]).body
    return {
        statement.target.id: inspect.cleandoc(after.value.value)
        for statement, after in pairwise(body)
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and isinstance(after.value.value, str)
    }
