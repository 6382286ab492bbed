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

    def __init__(
        self, types: Iterable[Any], open_in: Mapping[str, str] | None = None, patches: Iterable[Any] = ()
    ) -> None:
        """`open_in`: the modules whose Structs, whatever they forbid, stand for objects with room for more.

        So do all objects inside of those. One that stands inside of closed ones too is there twice: as it is, and open
        under its name with the prefix that stands beside the module. `patches`: Structs of which a part may be sent.
        """
        whole, parts = list(dict.fromkeys(types)), list(dict.fromkeys(patches))
        wanted = list(dict.fromkeys([*whole, *parts]))
        schemas, found = msgspec.json.schema_components(wanted, ref_template=_PREFIX + "{name}")
        kinds = inspect.multi_type_info(wanted)
        structs = {_title(struct): struct for struct in _structs(kinds)}
        self._told_apart = set(_told_apart(kinds))
        # A generic's name has brackets in its title and underscores in its references
        self._names = {_PREFIX + name: _PREFIX + _readable(component["title"]) for name, component in found.items()}
        finished = [self._finished(component, structs.get(component["title"])) for component in found.values()]
        components: dict[str, Schema] = {
            component["title"]: _replaced(component, self._names) for component in finished
        }
        self._of_type = {kind: _replaced(schema, self._names) for kind, schema in zip(wanted, schemas, strict=True)}
        prefixes = {
            _readable(title): prefix
            for title, struct in structs.items()
            if (prefix := (open_in or {}).get(_declared(struct).__module__)) is not None
        }
        closed = _reached(list(self._of_type.values()), components, around=prefixes)
        for name in prefixes:
            components[name] = _opened(components[name])
        for name, prefix in prefixes.items():
            _open_inside(components, name, prefix, closed)
        self._patch_of = {kind: _patch(components, self._of_type[kind]) for kind in parts}
        used = _reached([*(self._of_type[kind] for kind in whole), *self._patch_of.values()], components, around=())
        # Defaults are Python's until here: tuples, Structs, decimals
        written = msgspec.json.encode({name: components[name] for name in sorted(used)}, enc_hook=str)
        self.components: Mapping[str, Schema] = msgspec.json.decode(written)

    def of(self, kind: Any) -> Schema:
        """The schema of one of the types; of a Struct, a reference."""
        return dict(self._of_type[kind])

    def patch_of(self, kind: Any) -> Schema:
        """A reference to the schema of a part of one of the Structs: nothing is required, and nothing has a default."""
        return dict(self._patch_of[kind])

    def _finished(self, component: Schema, struct: inspect.StructType | None) -> Schema:
        """A component with what msgspec does not say: documentation, and what has to be there."""
        finished = {**component, "title": _readable(component["title"])}
        if struct is None:
            return finished
        cls = _declared(struct)
        if cls.__doc__:
            finished["description"] = " ".join(source.cleandoc(cls.__doc__).split())
        docs = field_docs(cls)
        properties = finished["properties"] = dict(component["properties"])
        required = set(component["required"])
        answered = issubclass(cls, AnswerShape)
        if not answered and (struct.cls not in self._told_apart or getattr(cls, "tagless", False)):
            # Who sends the only thing that it can be, or the usual one, need not say what it is
            required.discard(struct.tag_field)
        for field in struct.fields:
            described = properties[field.encode_name] = dict(properties[field.encode_name])
            if field.name in docs:
                described["description"] = docs[field.name]
            if answered and "default" in described:
                # An answer holds what has a default too
                del described["default"]
                required.add(field.encode_name)
        finished["required"] = [name for name in properties if name in required]
        return finished


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
    return (kind for kind in _inside(kinds) if isinstance(kind, inspect.StructType))


def _inside(kinds: Iterable[inspect.Type]) -> Iterator[inspect.Type]:
    """Every type in a tree of types; a Struct once."""
    seen: set[Any] = set()
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        match kind:
            case inspect.StructType():
                if kind.cls in seen:
                    continue
                seen.add(kind.cls)
                waiting += [field.type for field in kind.fields]
            case inspect.Metadata(type=inner):
                waiting.append(inner)
            case inspect.UnionType(types=members):
                waiting += members
            case inspect.DictType(value_type=inner) | inspect.CollectionType(item_type=inner):
                waiting.append(inner)
            case _:
                pass
        yield kind


def _told_apart(kinds: Iterable[inspect.Type]) -> Iterator[Any]:
    """The classes of Structs of which, somewhere, one stands where another may: their tags say which it is."""
    for kind in _inside(kinds):
        if isinstance(kind, inspect.UnionType):
            members = [member.cls for member in kind.types if isinstance(member, inspect.StructType)]
            if len(members) > 1:
                yield from members


def _declared(struct: inspect.StructType) -> Any:
    """The class that the source declares, of a generic one too."""
    return getattr(struct.cls, "__origin__", struct.cls)


def _opened(component: Schema) -> Schema:
    return {key: value for key, value in component.items() if key != "additionalProperties"}


def _reached(roots: Any, components: Mapping[str, Schema], around: Collection[str]) -> set[str]:
    """The components that are referred to from the roots, without a way through those of `around`."""
    found: set[str] = set()
    waiting = list(_references(roots))
    while waiting:
        name = waiting.pop().removeprefix(_PREFIX)
        if name not in found and name not in around:
            found.add(name)
            waiting += _references(components[name])
    return found


def _open_inside(components: dict[str, Schema], name: str, prefix: str, closed: Collection[str]) -> None:
    """Opens each closed object that an open one refers to, or a twin of it where it stays closed elsewhere."""
    for reference in sorted(set(_references(components[name]))):
        inner = reference.removeprefix(_PREFIX)
        if components[inner].get("additionalProperties") is not False:
            continue
        twin = prefix + inner if inner in closed else inner
        if twin not in components or twin == inner:
            components[twin] = {**_opened(components[inner]), "title": twin}
            _open_inside(components, twin, prefix, closed)
        components[name] = _replaced(components[name], {reference: _PREFIX + twin})


def _patch(components: dict[str, Schema], schema: Schema) -> Schema:
    """The schema of a merge patch (RFC 7396) of what fits `schema`: objects in it are patched too, lists are not."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [_patch(components, one) for one in schema["anyOf"]]}
    name = schema.get("$ref", "").removeprefix(_PREFIX)
    if "properties" not in components.get(name, {}):
        return schema
    part = f"{name}Patch"
    if part not in components:
        whole = components[name]
        components[part] = {}
        properties = {
            field: {key: value for key, value in _patch(components, described).items() if key != "default"}
            for field, described in whole["properties"].items()
        }
        kept = {key: value for key, value in whole.items() if key != "required"}
        components[part] = {**kept, "title": part, "properties": properties}
    return {**schema, "$ref": _PREFIX + part}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in cast("Schema", node).values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in cast("Sequence[Any]", node):
            yield from _references(value)
    elif isinstance(node, str) and node.startswith(_PREFIX):
        yield node


def _replaced(node: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _replaced(value, texts) for key, value in cast("Schema", node).items()}
    if isinstance(node, list):
        return [_replaced(value, texts) for value in cast("Sequence[Any]", node)]
    return texts.get(node, node) if isinstance(node, str) else node
