"""Values and nodes -> YAML text that `load` reads back as the same values.

What could be taken for something else stands in quotes: what our own reader takes for a number or a word, and what
other readers of YAML do. `${` is written `$${` in values. Texts of several lines stand as they are, behind a `|`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, cast

import msgspec
import yaml

from scaigrid.config.nodes import Broken, Entries, Items, Node, Scalar, scalar_type
from scaigrid.secrets import Secret

_STR = "tag:yaml.org,2002:str"
_MAP = "tag:yaml.org,2002:map"
_SEQ = "tag:yaml.org,2002:seq"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./@-]*(?: [A-Za-z0-9_][A-Za-z0-9_./@-]*)*")
_SHORT = 8
"""Items of a list that may stand on one line."""
_WIDTH = 2**30
"""No line is broken where the text has no break."""

# libyaml where PyYAML was built with it, some ten times faster.
DUMPER: type[yaml.SafeDumper] | type[yaml.CSafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_RESOLVER: Any = yaml.resolver.Resolver()


def written(tree: yaml.MappingNode) -> str:
    """The text of a tree that was made here."""
    serialize = cast("Callable[..., str]", yaml.serialize)  # pyright: ignore[reportUnknownMemberType] - partly untyped
    return serialize(tree, Dumper=DUMPER, allow_unicode=True, width=_WIDTH)


def mapping(entries: Mapping[str, yaml.Node]) -> yaml.MappingNode:
    return yaml.MappingNode(_MAP, [(_key(name), value) for name, value in entries.items()], flow_style=not entries)


def of_value(value: object) -> yaml.Node:
    """A value of the configuration; of a Struct, those fields that are not what they are by themselves."""
    match value:
        case msgspec.Struct():
            return mapping({name: of_value(found) for name, found in _said(value).items()})
        case dict():
            return mapping({name: of_value(found) for name, found in cast("dict[str, object]", value).items()})
        case tuple() | list():
            return _sequence([of_value(one) for one in cast("Sequence[object]", value)])
        case Secret():
            return _text(value.reveal())
        case Enum():
            return of_value(value.value)
        case str():
            return _text(value)
        case datetime():
            return _text(value.isoformat())
        case _:
            return _plain(_word(value))


def of_node(node: Node) -> yaml.Node:
    """A part of a file as it was written there, `${NAME}` and all; without its comments."""
    match node:
        case Entries():
            return mapping({name: of_node(entry.value) for name, entry in node.values.items()})
        case Items():
            return _sequence([of_node(value) for value in node.values])
        case Scalar(plain=True):
            return _plain(node.text or "null")
        case Scalar():
            return _quoted(node.text)
        case Broken():
            raise ValueError("a part of the file could not be read")


def _word(value: object) -> str:
    """A number or a word, as a plain scalar has it."""
    match value:
        case bool() | None:
            return msgspec.json.encode(value).decode()
        case Decimal():
            return format(value, "f")
        case int() | float():
            return repr(value)
        case _:
            raise TypeError(f"a configuration file has no words for {type(value).__name__}")


def _said(struct: msgspec.Struct) -> dict[str, object]:
    """The fields that have to be written: those that are required, and those that are not what they are unsaid."""
    said: dict[str, object] = {}
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if value is not msgspec.UNSET and (field.required or value != _default(field)):
            said[field.encode_name] = value
    return said


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _sequence(items: list[yaml.Node]) -> yaml.SequenceNode:
    scalars = all(isinstance(item, yaml.ScalarNode) and item.style != "|" for item in items)
    return yaml.SequenceNode(_SEQ, items, flow_style=scalars and len(items) <= _SHORT)


def _key(name: str) -> yaml.ScalarNode:
    return _plain(name) if _is_plain(name) else _quoted(name)


def _text(text: str) -> yaml.ScalarNode:
    escaped = text.replace("${", "$${")
    if _is_block(escaped):
        return yaml.ScalarNode(_STR, escaped, style="|")
    return _plain(escaped) if _is_plain(escaped) else _quoted(escaped)


def _is_block(text: str) -> bool:
    """Whether a text of several lines is the same behind a `|` for every reader."""
    first, *rest = text.split("\n")
    lines = (first, *rest)
    return bool(rest and first) and first[0] != " " and all(line.isprintable() and line[-1:] != " " for line in lines)


def _is_plain(text: str) -> bool:
    return bool(_PLAIN.fullmatch(text)) and scalar_type(text) == "str" and _resolved(text) == _STR


def _plain(text: str) -> yaml.ScalarNode:
    # A plain scalar stands without a tag only where its tag is the one that PyYAML would give it.
    return yaml.ScalarNode(_resolved(text), text)


def _quoted(text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode(_STR, text, style='"')


def _resolved(text: str) -> str:
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))
    return tag
