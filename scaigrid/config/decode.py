"""A tree of nodes and a type of the schema: the value, or every error with its line and its key.

msgspec would stop at the first error and knows no lines, so the tree is walked here beside `msgspec.inspect`'s view of
the type. Struct instances are made from the inside out by calling their class, so each `__post_init__` runs, and what
it refuses stands beside all other errors.

The line of a value is where it begins: of a block mapping or list, that of its first entry. An error about a key has
the line of the key. A value that aliases repeat is reported once, where it is first used.
"""

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path as File
from typing import Any, Final

from msgspec import Struct, inspect

from scaigrid.config.interpolate import SubstitutionError, interpolate
from scaigrid.config.nodes import Broken, Entries, Entry, Items, Node, Path, Problem, Scalar, scalar_type
from scaigrid.config.scalars import MismatchError, RefusedError, check_length, rank, read_scalar, reads
from scaigrid.config.words import alternatives, choices, described, kind, named, quoted
from scaigrid.secrets import Secret

MAX_SECRET = 64 * 1024
"""Bytes of a secret's file; a key or a certificate has less, a wrong path may have more than the memory."""
KNOWN_KEYS_SHOWN = 12


class _Bad(Enum):
    BAD = "stands for a value whose problem is already listed"


BAD: Final = _Bad.BAD


class Invalid(ValueError):
    """Raised by the `__post_init__` of a Struct that has more than one thing to say, or says it of certain keys.

    `errors` are pairs of a path from the Struct's own mapping, in the keys of the file, and a reason:
    `raise Invalid([(("targets", 0, "weight"), "must not be 0")])`.
    """

    def __init__(self, errors: Iterable[tuple[Path, str]]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(reason for _, reason in self.errors))


def line_of(node: Node, path: Path) -> int:
    """Return the line of the value at a path from the node, or of the innermost one on the way that is there."""
    for step in path:
        if isinstance(node, Entries) and isinstance(step, str) and step in node.values:
            node = node.values[step].value
        elif isinstance(node, Items) and isinstance(step, int) and 0 <= step < len(node.values):
            node = node.values[step]
        else:
            break
    return node.line


class _Shape(Struct, frozen=True):
    """A Struct type as the file sees it: its fields by their names there."""

    fields: dict[str, inspect.Field]
    required: tuple[str, ...]
    known: tuple[str, ...]


class Decoder:
    """Reads the nodes of one file and lists what is wrong with them in `problems`.

    `env` fills `${NAME}`; `directory` is what the path of a `file:` secret is relative to.
    """

    def __init__(self, *, env: Mapping[str, str], directory: File) -> None:
        self.problems: list[Problem] = []
        self._env = env
        self._directory = directory
        self._told: set[tuple[int, Path, str]] = set()
        self._shapes: dict[int, _Shape] = {}
        self._readers: dict[type[inspect.Type], Callable[[Node, Any, Path], object]] = {
            inspect.StructType: self._struct,
            inspect.UnionType: self._union,
            inspect.DictType: self._dict,
            inspect.ListType: self._items,
            inspect.VarTupleType: self._items,
            inspect.SetType: self._items,
            inspect.FrozenSetType: self._items,
            inspect.TupleType: self._tuple,
            inspect.CustomType: self._custom,
            inspect.Metadata: self._metadata,
            inspect.AnyType: self._any,
        }

    def read(self, node: Node, wanted: inspect.Type, path: Path) -> object:
        """Return the value of a node, or BAD; `wanted` has passed `refuse_unsupported`."""
        if isinstance(node, Broken):
            return BAD
        return self._readers.get(type(wanted), self._scalar)(node, wanted, path)

    def _fail(self, node: Node, path: Path, reason: str, line: int | None = None, inner: Path = ()) -> _Bad:
        told = (id(node), inner or path[-1:], reason)
        if told not in self._told:
            self._told.add(told)
            self.problems.append(Problem(node.line if line is None else line, path, reason))
        return BAD

    def _mismatch(self, node: Node, wanted: Iterable[inspect.Type], path: Path) -> _Bad:
        # Without the text of the scalar: who puts a scalar where a section belongs may have put a key there
        return self._fail(node, path, f"expected {alternatives(wanted)}, got {kind(node)}")

    def _filled(self, node: Scalar, path: Path) -> Scalar | None:
        """Return the scalar with its variables filled in, or None where one is missing."""
        if "${" not in node.text:
            return node
        try:
            text = interpolate(node.text, self._env)
        except SubstitutionError as error:
            self._fail(node, path, str(error))
            return None
        return Scalar(node.line, text, scalar_type(text) if node.plain else "str", node.plain, substituted=True)

    def _scalar(self, node: Node, wanted: inspect.Type, path: Path) -> object:
        return self._first(node, [wanted], path)

    def _first(self, node: Node, members: Sequence[inspect.Type], path: Path) -> object:
        """Return what the first member of a union that can read the scalar makes of it."""
        if not isinstance(node, Scalar):
            return self._mismatch(node, members, path)
        filled = self._filled(node, path)
        if filled is None:
            return BAD
        for wanted in sorted(filter(reads, members), key=rank):
            try:
                return read_scalar(filled, wanted)
            except MismatchError:
                continue
            except RefusedError as error:
                return self._fail(node, path, str(error))
        hint = " (quote it)" if filled.type == "bool" and _has_text(members) else ""
        return self._fail(node, path, f"expected {alternatives(members)}, got {described(filled)}{hint}")

    def _metadata(self, node: Node, wanted: inspect.Metadata, path: Path) -> object:
        return self._scalar(node, wanted, path) if reads(wanted) else self.read(node, wanted.type, path)

    def _any(self, node: Node, wanted: inspect.AnyType, path: Path) -> object:
        match node:
            case Items():
                return self._items(node, inspect.ListType(wanted), path)
            case Entries():
                return self._dict(node, inspect.DictType(wanted, wanted), path)
            case _:
                return self._scalar(node, wanted, path)

    def _custom(self, node: Node, wanted: inspect.CustomType, path: Path) -> object:
        return self._secret(node, wanted, path) if wanted.cls is Secret else self._scalar(node, wanted, path)

    def _secret(self, node: Node, wanted: inspect.CustomType, path: Path) -> object:
        if not isinstance(node, Scalar) or node.type in {"null", "bool"}:
            return self._mismatch(node, [wanted], path)
        filled = self._filled(node, path)
        if filled is None:
            return BAD
        text = filled.text
        # Only the file itself may point at a file: a key from the environment may begin as it likes
        if node.text.startswith("file:"):
            try:
                text = _file_text(self._directory / text.removeprefix("file:"))
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                return self._fail(node, path, f"the secret at {quoted(node.text)} cannot be read: {reason}")
        if not text.strip():
            return self._fail(node, path, "the secret is empty")
        return Secret(text)

    def _union(self, node: Node, wanted: inspect.UnionType, path: Path) -> object:
        members = [_bare(member) for member in wanted.types if not isinstance(member, inspect.NoneType)]
        if len(members) < len(wanted.types) and self._is_null(node, members):
            return None
        if len(members) == 1:
            return self.read(node, members[0], path)
        if isinstance(node, Scalar):
            return (self._first if any(map(reads, members)) else self._mismatch)(node, members, path)
        structs = [member for member in members if isinstance(member, inspect.StructType)]
        if isinstance(node, Entries) and len(structs) > 1:
            return self._tagged(node, structs, path)
        fitting = _MAPPINGS if isinstance(node, Entries) else _LISTS
        chosen = next((member for member in members if isinstance(member, fitting)), None)
        return self._mismatch(node, members, path) if chosen is None else self.read(node, chosen, path)

    def _is_null(self, node: Node, members: Sequence[inspect.Type]) -> bool:
        """Whether a node says `null`, or nothing; a text from the environment is nothing only where it is empty."""
        if not isinstance(node, Scalar) or not node.plain:
            return False
        if "${" not in node.text:
            return node.type == "null"
        try:
            text = interpolate(node.text, self._env)
        except SubstitutionError:
            return False
        return text == "" if _has_text(members) else scalar_type(text) == "null"

    def _tagged(self, node: Entries, structs: Sequence[inspect.StructType], path: Path) -> object:
        tag_field = structs[0].tag_field or ""
        allowed = choices(struct.tag for struct in structs)
        if (entry := node.values.get(tag_field)) is None:
            return self._fail(node, (*path, tag_field), f"missing required key, {allowed}") if node.whole else BAD
        tag = self.read(entry.value, inspect.LiteralType(tuple(s.tag for s in structs)), (*path, tag_field))
        chosen = next((struct for struct in structs if struct.tag == tag), None)
        return BAD if chosen is None else self._struct(node, chosen, path)

    def _struct(self, node: Node, wanted: inspect.StructType, path: Path) -> object:
        if not isinstance(node, Entries):
            return self._mismatch(node, [wanted], path)
        shape = self._shape(wanted)
        values: dict[str, object] = {}
        good = node.whole
        for key, entry in node.values.items():
            if (field := shape.fields.get(key)) is not None:
                value = values[field.name] = self.read(entry.value, field.type, (*path, key))
            elif key == wanted.tag_field:
                value = self.read(entry.value, inspect.LiteralType((wanted.tag,)), (*path, key))
            elif wanted.forbid_unknown_fields:
                value = self._unknown(node, entry, shape, (*path, key))
            else:
                continue
            good = good and value is not BAD
        if node.whole:
            for key in shape.required:
                if key not in node.values:
                    self._fail(node, (*path, key), "missing required key")
                    good = False
        return self._made(node, wanted.cls, values, path) if good else BAD

    def _made(self, node: Node, cls: type[Struct], values: dict[str, object], path: Path) -> object:
        try:
            return cls(**values)
        except Invalid as invalid:
            for inner, reason in invalid.errors:
                self._fail(node, (*path, *inner), reason, line_of(node, inner), inner)
        except ValueError as error:
            self._fail(node, path, str(error) or "not valid")
        return BAD

    def _unknown(self, node: Entries, entry: Entry, shape: _Shape, path: Path) -> _Bad:
        absent = tuple(key for key in shape.known if key not in node.values)
        near = _nearest(str(path[-1]), absent)
        words = [] if near is None else [f"did you mean `{near}`?"]
        if len(shape.known) <= KNOWN_KEYS_SHOWN:
            words.append(f"known keys: {', '.join(shape.known)}")
        return self._fail(entry.value, path, f"unknown key ({' '.join(words)})" if words else "unknown key", entry.line)

    def _shape(self, wanted: inspect.StructType) -> _Shape:
        if (shape := self._shapes.get(id(wanted))) is None:
            fields = {field.encode_name: field for field in wanted.fields}
            required = tuple(key for key, field in fields.items() if field.required)
            known = tuple(fields) if wanted.tag_field is None else (wanted.tag_field, *fields)
            shape = self._shapes[id(wanted)] = _Shape(fields, required, known)
        return shape

    def _dict(self, node: Node, wanted: inspect.DictType, path: Path) -> object:
        if not isinstance(node, Entries):
            return self._mismatch(node, [wanted], path)
        values: dict[object, object] = {}
        good = node.whole and self._has_length(node, wanted, len(node.values), "entry", path)
        for key, entry in node.values.items():
            name = self._key(key, entry, wanted.key_type, (*path, key))
            value = self.read(entry.value, wanted.value_type, (*path, key))
            good = good and name is not BAD and value is not BAD
            values[name] = value
        return values if good else BAD

    def _key(self, key: str, entry: Entry, wanted: inspect.Type, path: Path) -> object:
        written = Scalar(entry.line, key, "str", plain=False)
        try:
            return read_scalar(written, wanted)
        except MismatchError:
            return self._fail(entry.value, path, f"the key must be {named(wanted)}", entry.line)
        except RefusedError as error:
            return self._fail(entry.value, path, f"the key {error}", entry.line)

    def _items(self, node: Node, wanted: inspect.CollectionType, path: Path) -> object:
        if not isinstance(node, Items):
            return self._mismatch(node, [wanted], path)
        good = self._has_length(node, wanted, len(node.values), "item", path)
        values = [self.read(value, wanted.item_type, (*path, index)) for index, value in enumerate(node.values)]
        return _MAKE[type(wanted)](values) if good and not _any_bad(values) else BAD

    def _tuple(self, node: Node, wanted: inspect.TupleType, path: Path) -> object:
        if not isinstance(node, Items):
            return self._mismatch(node, [wanted], path)
        if len(node.values) != len(wanted.item_types):
            return self._fail(node, path, f"expected a list of {len(wanted.item_types)}, got {len(node.values)}")
        pairs = zip(node.values, wanted.item_types, strict=True)
        values = [self.read(value, item, (*path, index)) for index, (value, item) in enumerate(pairs)]
        return BAD if _any_bad(values) else tuple(values)

    def _has_length(self, node: Node, wanted: inspect.Type, size: int, noun: str, path: Path) -> bool:
        try:
            check_length(size, wanted, noun)
        except RefusedError as error:
            self._fail(node, path, str(error))
            return False
        return True


_MAKE: dict[type[inspect.Type], Callable[[list[object]], object]] = {
    inspect.ListType: list,
    inspect.VarTupleType: tuple,
    inspect.SetType: set,
    inspect.FrozenSetType: frozenset,
}
_LISTS = inspect.CollectionType | inspect.TupleType | inspect.AnyType
_MAPPINGS = inspect.StructType | inspect.DictType | inspect.AnyType
_KEYS = inspect.StrType | inspect.LiteralType | inspect.EnumType | inspect.AnyType


def refuse_unsupported(wanted: inspect.Type) -> None:
    """Raise TypeError for a schema with a type in it that a configuration file has no words for."""
    seen: set[int] = set()
    waiting = [wanted]
    while waiting:
        current = waiting.pop()
        if id(current) not in seen:
            seen.add(id(current))
            waiting += _inner(current)


def _inner(wanted: inspect.Type) -> Sequence[inspect.Type]:
    """Return the types that a supported type is made of."""
    match wanted:
        case inspect.StructType(array_like=False):
            return [field.type for field in wanted.fields]
        case inspect.UnionType():
            return wanted.types
        case inspect.CollectionType():
            return [wanted.item_type]
        case inspect.TupleType():
            return wanted.item_types
        case inspect.DictType() if isinstance(_bare(wanted.key_type), _KEYS):
            return [wanted.value_type]
        case inspect.Metadata():
            return [wanted.type]
        case _ if reads(wanted) or (isinstance(wanted, inspect.CustomType) and wanted.cls is Secret):
            return []
        case _:
            raise TypeError(f"a configuration file has no words for {wanted}")


def _bare(wanted: inspect.Type) -> inspect.Type:
    """Return the type without its annotations, but for a Decimal, which has its bounds in them."""
    if isinstance(wanted, inspect.Metadata) and not isinstance(wanted.type, inspect.DecimalType):
        return wanted.type
    return wanted


def _any_bad(values: Iterable[object]) -> bool:
    return any(value is BAD for value in values)


def _file_text(file: File) -> str:
    with file.open("rb") as opened:
        content = opened.read(MAX_SECRET + 1)
    if len(content) > MAX_SECRET:
        raise ValueError(f"larger than {MAX_SECRET} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    return re.sub(r"\r?\n\Z", "", text)


@functools.lru_cache(maxsize=4096)
def _nearest(key: str, known: tuple[str, ...]) -> str | None:
    return next(iter(difflib.get_close_matches(key, known, 1)), None)


def _has_text(wanted: Iterable[inspect.Type]) -> bool:
    """Whether one of the types takes any text, so that a word from the environment is no more than a word."""
    return any(isinstance(_bare(member), inspect.StrType | inspect.CustomType) for member in wanted)
