"""Structs -> the components of an OpenAPI document (JSON Schema 2020-12), with the documentation of their fields."""

import inspect as source
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, cast, get_args

import msgspec
from msgspec import inspect

from scaigrid.api.docstrings import field_docs
from scaigrid.dialects.shapes import AnswerShape

Schema = dict[str, Any]

_GENERIC = re.compile(r"(\w+)\[(\w+)\]")
_PREFIX = "#/components/schemas/"


class Schemas:
    """The schemas of a set of types, with each Struct and enum among `components` once, by name."""

    def __init__(self, types: Iterable[Any], open_in: Collection[str] = ()) -> None:
        """`open_in` names the modules whose Structs, whatever they forbid, stand for objects with room for more."""
        wanted = list(types)
        schemas, found = msgspec.json.schema_components(wanted, ref_template=_PREFIX + "{name}")
        structs = {_title(struct): struct for struct in _structs(inspect.multi_type_info(wanted))}
        # A generic's name has brackets in its title and underscores in its references
        self._names = {_PREFIX + name: _PREFIX + _readable(component["title"]) for name, component in found.items()}
        finished = [_finished(component, structs.get(component["title"]), open_in) for component in found.values()]
        self.components: Mapping[str, Schema] = {
            component["title"]: self._renamed(component)
            for component in sorted(finished, key=lambda component: str(component["title"]))
        }
        self._of_type = {kind: self._renamed(schema) for kind, schema in zip(wanted, schemas, strict=True)}

    def of(self, kind: Any) -> Schema:
        """The schema of one of the types; of a Struct, a reference."""
        return dict(self._of_type[kind])

    def _renamed(self, node: Any) -> Any:
        if isinstance(node, dict):
            return {key: self._renamed(value) for key, value in cast("Schema", node).items()}
        if isinstance(node, list):
            return [self._renamed(value) for value in cast("Sequence[Any]", node)]
        return self._names.get(node, node) if isinstance(node, str) else node


def given(annotation: Any) -> Any:
    """The type of a parameter as a caller gives it: None, which stands for one that was left out, is none of them."""
    members = [member for member in get_args(annotation) if member is not NoneType]
    return members[0] if NoneType in get_args(annotation) and len(members) == 1 else annotation


def _readable(title: str) -> str:
    """`Envelope[Me]` as a name: `MeEnvelope`."""
    return _GENERIC.sub(r"\2\1", title)


def _title(struct: inspect.StructType) -> str:
    """The title that msgspec gives to the schema of a Struct."""
    cls: Any = struct.cls
    origin = getattr(cls, "__origin__", None)
    if origin is None:
        return str(cls.__name__)
    return f"{origin.__name__}[{', '.join(argument.__name__ for argument in cls.__args__)}]"


def _structs(kinds: Iterable[inspect.Type]) -> Iterator[inspect.StructType]:
    """Every Struct in a tree of types, once."""
    seen: set[Any] = set()
    waiting = list(kinds)
    while waiting:
        match waiting.pop():
            case inspect.StructType() as struct if struct.cls not in seen:
                seen.add(struct.cls)
                yield struct
                waiting += [field.type for field in struct.fields]
            case inspect.Metadata(type=kind):
                waiting.append(kind)
            case inspect.UnionType(types=kinds):
                waiting += kinds
            case inspect.DictType(value_type=kind) | inspect.CollectionType(item_type=kind):
                waiting.append(kind)
            case _:
                pass


def _finished(component: Schema, struct: inspect.StructType | None, open_in: Collection[str]) -> Schema:
    """A component with what msgspec does not say: documentation, and that an answer holds what has a default too."""
    finished = {**component, "title": _readable(component["title"])}
    if struct is None:
        return finished
    cls: Any = getattr(struct.cls, "__origin__", struct.cls)
    if cls.__doc__:
        finished["description"] = " ".join(source.cleandoc(cls.__doc__).split())
    if cls.__module__ in open_in:
        finished.pop("additionalProperties", None)
    answered = issubclass(cls, AnswerShape)
    docs = field_docs(cls)
    properties = finished["properties"] = dict(component["properties"])
    required = list(component["required"])
    for field in struct.fields:
        described = properties[field.encode_name] = dict(properties[field.encode_name])
        if field.name in docs:
            described["description"] = docs[field.name]
        if answered and "default" in described:
            del described["default"]
            required.append(field.encode_name)
    finished["required"] = [name for name in properties if name in required]
    return finished
