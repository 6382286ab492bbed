"""YAML text becomes a tree of values that know their line; what is wrong with the YAML itself is listed, not raised.

The tree is made from the events of PyYAML, not by its composer, for four reasons: the composer reads scalars by YAML
1.1 (`on` is a boolean, `1:30` is ninety), lets the last of two equal keys win, follows nesting for as long as the stack
lasts, and does not say what aliases cost. Here a scalar keeps its written text, and what that text is for is decided
beside the schema.

Plain scalars have the types of the core schema of YAML 1.2.2 (section 10.3.2), narrowed so that none surprises: `true`,
`false` and `null` are lower case, and a number has no leading zero (`010` is eight to one reader and ten to another).
What is refused is described without its text: a password that somebody forgot to quote is also an alias or a tag.
"""

import re
from collections.abc import Iterator
from typing import Literal

import yaml
from msgspec import Struct

MAX_DEPTH = 100
"""Levels of nesting, aliases included; keeps every recursive reader far from Python's limit."""
MAX_ALIASED = 1_000_000
"""Values that all aliases of a file may repeat, so that ten lines of aliases to aliases cannot fill the memory."""

ScalarType = Literal["null", "bool", "int", "float", "str"]
Path = tuple[str | int, ...]
"""Keys and indexes from the root of the file."""


class Problem(Struct, frozen=True):
    """One thing that is wrong: `line` counts from 1, `reason` is one line of plain words."""

    line: int
    path: Path
    reason: str


class Scalar(Struct, frozen=True, eq=False):
    """Text as written. `plain` is without quotes, so that its type follows from its text.

    `substituted` says that a part of the text came from the environment.
    """

    line: int
    text: str
    type: ScalarType
    plain: bool
    substituted: bool = False


class Items(Struct, frozen=True, eq=False):
    """A YAML sequence."""

    line: int
    values: list["Node"]


class Entry(Struct, frozen=True, eq=False):
    """The value of a key, and the line of that key."""

    line: int
    value: "Node"


class Entries(Struct, frozen=True, eq=False):
    """A YAML mapping, merge keys already merged. `whole` is False where one of those could not be."""

    line: int
    values: dict[str, Entry]
    whole: bool = True


class Broken(Struct, frozen=True, eq=False):
    """Stands for a value whose problem is already listed."""

    line: int


Node = Scalar | Items | Entries | Broken

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|\.inf)|\.nan")
_WORDS: dict[str, ScalarType] = {"": "null", "~": "null", "null": "null", "true": "bool", "false": "bool"}
_TAG = "tag:yaml.org,2002:"
_TYPE_OF_TAG: dict[str, ScalarType] = {
    f"{_TAG}null": "null",
    f"{_TAG}bool": "bool",
    f"{_TAG}int": "int",
    f"{_TAG}float": "float",
    f"{_TAG}str": "str",
}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# libyaml where PyYAML was built with it, some ten times faster; both give the same events.
_LOADER: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def scalar_type(text: str) -> ScalarType:
    """Return the type of a plain scalar."""
    if (word := _WORDS.get(text)) is not None:
        return word
    if text[0] not in "+-.0123456789":
        return "str"
    if _INT.fullmatch(text):
        return "int"
    return "float" if _FLOAT.fullmatch(text) else "str"


def read_nodes(text: str) -> tuple[Node | None, list[Problem]]:
    """Read one YAML document; an empty one is an empty mapping.

    Returns the root and the problems in the order of the file. The root is None where the YAML could not be followed
    to its end.
    """
    if (odd := _UNPRINTABLE.search(text)) is not None:
        line = text.count("\n", 0, odd.start()) + 1
        return None, [Problem(line, (), f"the character U+{ord(odd.group()):04X} is not allowed in YAML")]
    reader = _Reader(yaml.parse(text, Loader=_LOADER))
    try:
        return reader.document(), reader.problems
    except _StopReadingError as stop:
        return None, [*reader.problems, stop.problem]
    except yaml.MarkedYAMLError as error:
        return None, [*reader.problems, _invalid(error, text)]
    except (ValueError, OverflowError):
        # The same PyYAML gives chr() and int() whatever an escape or a directive says
        return None, [*reader.problems, Problem(reader.line, (), "not valid YAML: a number here is out of range")]


class _StopReadingError(Exception):
    """Nothing that follows can be trusted or paid for."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


class _Anchored(Struct, frozen=True):
    """A value that aliases may repeat; None while it is still being read.

    `weight` counts the values in it, aliased ones each time; `height` is its levels.
    """

    line: int
    value: Node | None = None
    weight: int = 0
    height: int = 0


class _Reader:
    """Recursive descent over the events of one document."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self.problems: list[Problem] = []
        self.line = 1
        self._events = events
        self._anchors: dict[str, _Anchored] = {}
        self._weight = 0
        self._aliased = 0
        self._deepest = 0

    def document(self) -> Node:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return Entries(1, {})
        root = self._value(next(self._events), (), 0)
        next(self._events)
        if not isinstance(event := next(self._events), yaml.StreamEndEvent):
            self._problem(_line(event), (), "a second document starts here; a configuration is one document")
        if isinstance(root, Scalar) and root.plain and root.text == "":
            return Entries(1, {})
        return root

    def _problem(self, line: int, path: Path, reason: str) -> None:
        self.problems.append(Problem(line, path, reason))

    def _value(self, event: yaml.Event, path: Path, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path, depth)
        self.line = line = _line(event)
        if depth > MAX_DEPTH:
            raise _StopReadingError(Problem(line, path, f"nested deeper than {MAX_DEPTH} levels"))
        # The deepest level below this value is wanted for its aliases; the one found before it is restored after it.
        weight, deepest = self._weight, self._deepest
        self._weight += 1
        self._deepest = depth
        anchor = event.anchor if isinstance(event, yaml.NodeEvent) else None
        if anchor is not None:
            if (earlier := self._anchors.get(anchor)) is not None:
                self._problem(line, path, f"this anchor's name is already taken on line {earlier.line}")
            self._anchors[anchor] = _Anchored(line)
        value: Node
        if isinstance(event, yaml.ScalarEvent):
            # Long texts weigh more: what substitution makes of them is not shared between aliases.
            self._weight += len(event.value) // 64
            value = self._scalar(event, line, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._items(event, line, path, depth)
        else:
            value = self._entries(event, line, path, depth)
        if anchor is not None:
            height = self._deepest - depth
            self._anchors[anchor] = _Anchored(line, value, self._weight - weight, height)
        self._deepest = max(self._deepest, deepest)
        return value

    def _alias(self, event: yaml.AliasEvent, path: Path, depth: int) -> Node:
        line = _line(event)
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            self._problem(line, path, "an alias of nothing above it; a text that begins with `*` needs quotes")
            return Broken(line)
        if anchored.value is None:
            self._problem(line, path, f"an alias of the value that it stands in, from line {anchored.line}")
            return Broken(line)
        if depth + anchored.height > MAX_DEPTH:
            raise _StopReadingError(Problem(line, path, f"nested deeper than {MAX_DEPTH} levels by an alias"))
        self._aliased += anchored.weight
        if self._aliased > MAX_ALIASED:
            raise _StopReadingError(Problem(line, path, f"aliases repeat more than {MAX_ALIASED} values"))
        self._weight += anchored.weight
        self._deepest = max(self._deepest, depth + anchored.height)
        return anchored.value

    def _scalar(self, event: yaml.ScalarEvent, line: int, path: Path) -> Node:
        text, plain = event.value, not event.style
        if event.tag is None or event.tag == "!":
            return Scalar(line, text, scalar_type(text) if plain else "str", plain)
        wanted = _TYPE_OF_TAG.get(event.tag)
        if wanted is None:
            return self._refuse_tag(line, path)
        if wanted == "str":
            return Scalar(line, text, "str", plain=False)
        if "${" not in text and scalar_type(text) != wanted and (wanted, scalar_type(text)) != ("float", "int"):
            self._problem(line, path, f"the tag !!{wanted} does not fit this value")
            return Broken(line)
        return Scalar(line, text, wanted, plain=True)

    def _items(self, event: yaml.SequenceStartEvent, line: int, path: Path, depth: int) -> Node:
        values: list[Node] = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(inner, (*path, len(values)), depth + 1))
        if event.tag not in {None, "!", f"{_TAG}seq"}:
            return self._refuse_tag(line, path)
        return Items(line, values)

    def _entries(self, event: yaml.Event, line: int, path: Path, depth: int) -> Node:
        values: dict[str, Entry] = {}
        merge: Entry | None = None
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key = self._value(inner, path, depth + 1)
            # The line where the key is used; an alias would have that of its anchor
            key_line = _line(inner)
            if not isinstance(key, Scalar) or key.type != "str":
                self._refuse_key(key, key_line, path)
                self._value(next(self._events), path, depth + 1)
                continue
            name = key.text
            entry = Entry(key_line, self._value(next(self._events), (*path, name), depth + 1))
            merges = key.plain and name == "<<"
            earlier = merge if merges else values.get(name)
            if earlier is not None:
                self._problem(key_line, (*path, name), f"duplicate key, already on line {earlier.line}")
            elif merges:
                merge = entry
            else:
                values[name] = entry
        if isinstance(event, yaml.MappingStartEvent) and event.tag not in {None, "!", f"{_TAG}map"}:
            return self._refuse_tag(line, path)
        return Entries(line, values) if merge is None else self._merged(line, values, merge, path)

    def _merged(self, line: int, values: dict[str, Entry], merge: Entry, path: Path) -> Entries:
        """Put what `<<` names under what the mapping says itself; of several, the first one wins."""
        sources = merge.value.values if isinstance(merge.value, Items) else [merge.value]
        whole = True
        for source in sources:
            if isinstance(source, Entries):
                for name, entry in source.values.items():
                    values.setdefault(name, entry)
                whole = whole and source.whole
                continue
            whole = False
            if not isinstance(source, Broken):
                self._problem(merge.line, (*path, "<<"), "only mappings can be merged")
        return Entries(line, values, whole)

    def _refuse_key(self, key: Node, line: int, path: Path) -> None:
        if isinstance(key, Scalar):
            self._problem(line, path, f"keys are strings, this one is of type {key.type}: quote it")
        elif not isinstance(key, Broken):
            self._problem(line, path, "keys are strings, this one is a collection")

    def _refuse_tag(self, line: int, path: Path) -> Broken:
        self._problem(line, path, "this tag is not supported; a text that begins with `!` needs quotes")
        return Broken(line)


def _invalid(error: yaml.MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = 0 if mark is None else mark.line
    # PyYAML without libyaml quotes the handle of a tag, which may be the start of a password without quotes
    words = re.sub(r"(undefined tag handle) .*", r"\1", error.problem or "it ends too early")
    words = words if error.context is None else f"{words} {error.context}"
    written = text.split("\n")
    if line < len(written) and "${" in written[line]:
        words += " (`${...}` in {} or [] needs a line of its own)"
    return Problem(line + 1, (), f"not valid YAML: {words}")


def _line(event: yaml.Event) -> int:
    return 1 if event.start_mark is None else event.start_mark.line + 1
