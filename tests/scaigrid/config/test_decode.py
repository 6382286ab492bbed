import datetime as dt
import enum
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, Self, TypedDict

import msgspec
import pytest
from msgspec import Meta
from msgspec.inspect import type_info

from scaigrid.config.decode import BAD, MAX_SECRET, Decoder, Invalid, line_of, refuse_unsupported
from scaigrid.config.nodes import read_nodes
from scaigrid.secrets import Secret

NO_ENV: Mapping[str, str] = MappingProxyType({})


Amount = Annotated[Decimal, Meta(extra={"ge": 0})]
Noted = Annotated[str, Meta(description="d")]


class Level(enum.Enum):
    LOW = "low"
    TOP = "top"


class Duration(float):
    @classmethod
    def from_text(cls, text: str) -> Self:
        if not text.endswith("s"):
            raise ValueError("a duration ends in s")
        return cls(text[:-1])


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str
    port: Annotated[int, Meta(ge=1, le=65535, description="where to listen")] = 8000
    key: Secret | None = None


class Renamed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    base_url: str
    max_tokens: int = 5


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="file", tag_field="kind"):
    path: str


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="table", tag_field="kind"):
    name: str
    rows: int = 1


class Loose(msgspec.Struct, frozen=True, kw_only=True):
    a: int = 1


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    low: int
    high: int
    inner: dict[str, int] = {}

    def __post_init__(self) -> None:
        if self.low < 0:
            raise ValueError("a range begins at 0 or later")
        if self.low == 13:
            raise ValueError
        if self.low > self.high:
            raise Invalid([(("low",), "above `high`"), (("high",), "below `low`"), (("inner", "x", 0), "see above")])


class Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    value: int
    children: tuple["Node", ...] = ()


class Wide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    a01: int = 0
    a02: int = 0
    a03: int = 0
    a04: int = 0
    a05: int = 0
    a06: int = 0
    a07: int = 0
    a08: int = 0
    a09: int = 0
    a10: int = 0
    a11: int = 0
    a12: int = 0
    price: int = 0


def decode(text: str, schema: Any, env: Mapping[str, str] = NO_ENV, directory: Path = Path()) -> tuple[Any, list[str]]:
    """The value, and each problem as `line path: reason`."""
    root, problems = read_nodes(text)
    assert root is not None
    wanted = type_info(schema)
    refuse_unsupported(wanted)
    decoder = Decoder(env=env, directory=directory)
    value = decoder.read(root, wanted, ())
    problems += decoder.problems
    assert value is BAD or problems == []
    return value, [f"{p.line} {'/'.join(map(str, p.path))}: {p.reason}" for p in problems]


@pytest.mark.parametrize(
    ("text", "schema", "expected"),
    [
        ("host: a\nport: 1", Server, Server(host="a", port=1)),
        ("host: a", Server, Server(host="a")),
        ("{host: a, key: s}", Server, Server(host="a", key=Secret("s"))),
        ("{host: a, key: null}", Server, Server(host="a")),
        ("{baseUrl: u, maxTokens: 1}", Renamed, Renamed(base_url="u", max_tokens=1)),
        ("{kind: file, path: p}", File | Table, File(path="p")),
        ("{rows: 2, name: n, kind: table}", File | Table, Table(name="n", rows=2)),
        ("null", File | Table | None, None),
        ("{kind: file, path: p}", File, File(path="p")),
        ("{path: p}", File, File(path="p")),
        ("{kind: file, path: p}", File | str, File(path="p")),
        ("'p'", File | str, "p"),
        ("{a: 1, b: 2}", Loose, Loose(a=1)),
        (
            "{value: 1, children: [{value: 2}, {value: 3, children: []}]}",
            Node,
            Node(value=1, children=(Node(value=2), Node(value=3))),
        ),
        ("[1, 2, 2]", list[int], [1, 2, 2]),
        ("[1, 2, 2]", tuple[int, ...], (1, 2, 2)),
        ("[1, 2, 2]", set[int], {1, 2}),
        ("[a]", frozenset[str], frozenset("a")),
        ("[1, a]", tuple[int, str], (1, "a")),
        ("{a: 1, b: 2}", dict[str, int], {"a": 1, "b": 2}),
        ("{low: 1}", dict[Level, int], {Level.LOW: 1}),
        ("{a: 1}", dict[Literal["a", "b"], int], {"a": 1}),
        ("{a: 1}", dict[Annotated[str, Meta(description="name", pattern="a")], int], {"a": 1}),
        ("{a: [1, 2.5, x, ~, true, {b: '1'}]}", Any, {"a": [1, 2.5, "x", None, True, {"b": "1"}]}),
        ("{a: 1}", dict[str, Any], {"a": 1}),
        ("[1]", list[Any] | dict[str, Any], [1]),
        ("{a: 1}", list[Any] | dict[str, Any], {"a": 1}),
        ("{a: 1}", Annotated[dict[str, int], Meta(title="t", min_length=1)] | str, {"a": 1}),
        ("[1]", Annotated[list[int], Meta(title="t")] | str, [1]),
        ("5", int | str, 5),
        ("'5'", int | str, "5"),
        ("5", str | float | int, 5),
        ("5.0", str | float | int, 5.0),
        ("5.0", Decimal | float, Decimal("5.0")),
        ("auto", Literal["auto"] | int, "auto"),
        ("true", bool | str, True),
        ("~", int | str | None, None),
        ("~", Any, None),
        ("2027-01-31T00:00:00Z", dt.datetime | None, dt.datetime(2027, 1, 31, tzinfo=dt.UTC)),
        ("5s", Duration, Duration(5)),
        ("5s", Duration | None, Duration(5)),
        ("~", Duration | None, None),
        ("5", int | None | msgspec.UnsetType, 5),
        (
            "x: &x {host: h}\ny:\n  <<: *x\n  port: 2",
            dict[str, Server],
            {"x": Server(host="h"), "y": Server(host="h", port=2)},
        ),
    ],
    ids=str,
)
def test_a_tree_becomes_the_value_of_its_type(text: str, schema: Any, expected: object) -> None:
    value, problems = decode(text, schema)
    assert problems == []
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "schema", "expected"),
    [
        # wrong types
        ("port: abc\nhost: a", Server, ['1 port: expected int, got string "abc"']),
        ("host: a\nport:\n  b: 1", Server, ["3 port: expected int, got a mapping"]),
        ("host: [a]", Server, ["1 host: expected string, got a list"]),
        ("host: true", Server, ["1 host: expected string, got bool true (quote it)"]),
        ("host:", Server, ["1 host: expected string, got null"]),
        ("5", Server, ["1 : expected a mapping, got an int"]),
        ("sk-1234", Server, ["1 : expected a mapping, got a string"]),
        ("[a]", Server, ["1 : expected a mapping, got a list"]),
        ("{a: 1}", list[int], ["1 : expected a list, got a mapping"]),
        ("a: 0.5", dict[str, int], ["1 a: expected int, got float 0.5"]),
        ("[1,\n x,\n 'y']", list[int], ['2 1: expected int, got string "x"', '3 2: expected int, got string "y"']),
        ("[1, 2, 3]", tuple[int, int], ["1 : expected a list of 2, got 3"]),
        ("[a, 2]", tuple[int, int], ['1 0: expected int, got string "a"']),
        ("x", tuple[int, int], ["1 : expected a list, got a string"]),
        ("c", Literal["a", "b"], ['1 : expected one of "a", "b", got string "c"']),
        ("c", Level, ['1 : expected one of "low", "top", got string "c"']),
        ("x", int | bool | None, ['1 : expected int or true or false, got string "x"']),
        ("[1]", int | str, ["1 : expected int or string, got a list"]),
        ("{a: 1}", int | list[int], ["1 : expected int or a list, got a mapping"]),
        ("x", int | list[int], ['1 : expected int or a list, got string "x"']),
        ("x", File | Table, ["1 : expected a mapping, got a string"]),
        ("[]", File | Table | None, ["1 : expected a mapping, got a list"]),
        ("x", list[int] | dict[str, int], ["1 : expected a list or a mapping, got a string"]),
        # constraints
        ("{host: a, port: 0}", Server, ["1 port: must be at least 1, got 0"]),
        ("{host: a, port: 99999}", Server, ["1 port: must be at most 65535, got 99999"]),
        ("0", Annotated[int, Meta(ge=1)] | str, ["1 : must be at least 1, got 0"]),
        ("-1", Amount | None, ["1 : must be at least 0, got -1"]),
        ("[]", Annotated[list[int], Meta(min_length=1)], ["1 : must have at least 1 item, got 0"]),
        ("[x, y]", Annotated[tuple[str, ...], Meta(max_length=1)], ["1 : must have at most 1 item, got 2"]),
        ("{}", Annotated[dict[str, int], Meta(min_length=2)], ["1 : must have at least 2 entries, got 0"]),
        ("5", Duration, ["1 : a duration ends in s"]),
        ("true", Duration, ["1 : expected Duration, got bool true (quote it)"]),
        # keys
        (
            "A: 1",
            dict[Annotated[str, Meta(pattern="^[a-z]$")], int],
            ['1 A: the key must match the pattern `^[a-z]$`, got "A"'],
        ),
        ("c: 1", dict[Literal["a", "b"], int], ['1 c: the key must be one of "a", "b"']),
        ("\nhost: a\nprot: 1", Server, ["3 prot: unknown key (did you mean `port`? known keys: host, port, key)"]),
        ("{host: a, port: 1, prot: 1}", Server, ["1 prot: unknown key (known keys: host, port, key)"]),
        ("{host: a, zzz: 1}", Server, ["1 zzz: unknown key (known keys: host, port, key)"]),
        (
            "{baseurl: u}",
            Renamed,
            [
                "1 baseurl: unknown key (did you mean `baseUrl`? known keys: baseUrl, maxTokens)",
                "1 baseUrl: missing required key",
            ],
        ),
        ("{base_url: u, baseUrl: u}", Renamed, ["1 base_url: unknown key (known keys: baseUrl, maxTokens)"]),
        ("prise: 1", Wide, ["1 prise: unknown key (did you mean `price`?)"]),
        ("zzz: 1", Wide, ["1 zzz: unknown key"]),
        ("a:\n  port: 1\nb:\n  - 1", dict[str, Server | list[str]], ["2 a/host: missing required key"]),
        # tags
        ("path: p", File | Table, ['1 kind: missing required key, one of "file", "table"']),
        ("{kind: fiel, path: p}", File | Table, ['1 kind: expected one of "file", "table", got string "fiel"']),
        ("{kind: [x]}", File | Table, ['1 kind: expected one of "file", "table", got a list']),
        ("{kind: table, path: p, name: n}", File | Table, ["1 path: unknown key (known keys: kind, name, rows)"]),
        ("{kind: table, path: p}", File, ['1 kind: expected one of "file", got string "table"']),
        # what a Struct says itself
        ("a:\n  low: -1\n  high: 2", dict[str, Range], ["2 a: a range begins at 0 or later"]),
        ("{low: 13, high: 14}", Range, ["1 : not valid"]),
        (
            "a:\n  low: 5\n  high: 4\n  inner:\n    x: 1",
            dict[str, Range],
            ["2 a/low: above `high`", "3 a/high: below `low`", "5 a/inner/x/0: see above"],
        ),
        (
            "a:\n  low: 5\n  high: 4",
            dict[str, Range],
            ["2 a/low: above `high`", "3 a/high: below `low`", "2 a/inner/x/0: see above"],
        ),
        ("{low: x, high: -5}", Range, ['1 low: expected int, got string "x"']),
        # everything at once, at every depth
        (
            "value: x\nchildren:\n  - value: 1\n    children:\n      - {}\n  - valu: 1\n  - 7",
            Node,
            [
                '1 value: expected int, got string "x"',
                "5 children/0/children/0/value: missing required key",
                "6 children/1/valu: unknown key (did you mean `value`? known keys: value, children)",
                "6 children/1/value: missing required key",
                "7 children/2: expected a mapping, got an int",
            ],
        ),
    ],
    ids=str,
)
def test_every_error_has_its_line_and_its_key(text: str, schema: Any, expected: list[str]) -> None:
    value, problems = decode(text, schema)
    assert problems == expected
    assert value is BAD


def test_a_value_that_aliases_repeat_is_reported_once() -> None:
    text = "a: &x {host: [1]}\nb: *x\nc: {<<: *x}\nd: {host: [1]}"
    assert decode(text, dict[str, Server])[1] == [
        "1 a/host: expected string, got a list",
        "4 d/host: expected string, got a list",
    ]


def test_what_is_already_listed_causes_no_other_error() -> None:
    text = "a: *nothing\nb: {host: !x y}\nc: {host: h, <<: 5}"
    listed = [f"{p.line} {'/'.join(map(str, p.path))}: {p.reason}" for p in read_nodes(text)[1]]
    assert len(listed) == 3
    assert decode(text, dict[str, Server]) == (BAD, listed)


@pytest.mark.parametrize("schema", [Server, File | Table, Node, dict[str, int]], ids=str)
def test_a_mapping_without_its_merge_lacks_nothing_else(schema: Any) -> None:
    value, problems = decode("<<: *nothing", schema)
    assert value is BAD
    assert problems == ["1 <<: an alias of nothing above it; a text that begins with `*` needs quotes"]


@pytest.mark.parametrize(
    ("text", "schema", "env", "expected"),
    [
        ("${PORT}", int, {"PORT": "8443"}, 8443),
        ("${PORT:-80}", int, {}, 80),
        ("!!int ${PORT}", int, {"PORT": "8443"}, 8443),
        ("${RATIO}", float, {"RATIO": "0.5"}, 0.5),
        ("${ON}", bool, {"ON": "true"}, True),
        ("${PRICE}", Decimal, {"PRICE": "0.01875"}, Decimal("0.01875")),
        ("${PORT}", str, {"PORT": "8443"}, "8443"),
        ("${ON}", str, {"ON": "true"}, "true"),
        ("${X}", str, {"X": "null"}, "null"),
        ("${X}", str, {"X": ""}, ""),
        ("${X}", str | None, {"X": ""}, None),
        ("'${X}'", str | None, {"X": ""}, ""),
        ("${X}", str | None, {"X": "null"}, "null"),
        ("${X}", Noted | None, {"X": "~"}, "~"),
        ("${X}", int | None, {"X": "null"}, None),
        ("${X:-}", int | None, {}, None),
        ("${X}", int | str, {"X": "5"}, 5),
        ("'${X}'", int | str, {"X": "5"}, "5"),
        ("a $${X} b", str, {}, "a ${X} b"),
        ("|\n  one ${X}\n  two", str, {"X": "x"}, "one x\ntwo"),
        ("{kind: '${X}', path: '${X}'}", File | Table, {"X": "file"}, File(path="file")),
        ("${X}", Literal["a", "b"], {"X": "b"}, "b"),
        ("${X}", Any, {"X": "{a: 1}"}, "{a: 1}"),
        ("- ${X}\n- '${X}'", Any, {"X": "5"}, [5, "5"]),
        ("${X}", str, {"X": "*alias #not a comment\n- x"}, "*alias #not a comment\n- x"),
        ("'${X}'", Decimal, {"X": "1.50"}, Decimal("1.50")),
    ],
    ids=str,
)
def test_the_environment_fills_in_values(text: str, schema: Any, env: dict[str, str], expected: object) -> None:
    value, problems = decode(text, schema, env)
    assert problems == []
    assert value == expected
    assert str(value) == str(expected)


@pytest.mark.parametrize(
    ("text", "schema", "env", "expected"),
    [
        ("a:\n  ${GONE}", dict[str, str], {}, ["2 a: the environment variable GONE is not set"]),
        ("a: [ok, 'x${GONE}']", dict[str, Any], {}, ["1 a/1: the environment variable GONE is not set"]),
        ("${GONE}", str | None, {}, ["1 : the environment variable GONE is not set"]),
        ("${GONE}", Secret | None, {}, ["1 : the environment variable GONE is not set"]),
        ("{kind: '${GONE}'}", File | Table, {}, ["1 kind: the environment variable GONE is not set"]),
        ("${", str, {}, ["1 : malformed `${`: write `${NAME}` or `${NAME:-default}`, and `$${` for a plain `${`"]),
        ("'${PORT}'", int, {"PORT": "8443"}, ['1 : expected int, got string "8443"']),
        ("${PORT}", int, {"PORT": "http"}, ['1 : expected int, got string "http"']),
        ("${PORT}", int, {"PORT": ""}, ["1 : expected int, got null"]),
        ("${PORT}", int, {"PORT": "yes"}, ['1 : expected int, got string "yes"']),
        ("${X}", Server, {"X": "sk-1"}, ["1 : expected a mapping, got a string"]),
    ],
    ids=str,
)
def test_what_the_environment_lacks_is_an_error(
    text: str, schema: Any, env: dict[str, str], expected: list[str]
) -> None:
    assert decode(text, schema, env) == (BAD, expected)


def test_keys_are_not_filled_in() -> None:
    assert decode("${X}: 1", dict[str, int], {"X": "a"}) == ({"${X}": 1}, [])


@pytest.mark.parametrize(
    ("text", "env", "expected"),
    [
        ("sk-1", {}, "sk-1"),
        ("123456", {}, "123456"),
        ("1e5", {}, "1e5"),
        ("'true'", {}, "true"),
        ("${K}", {"K": "123456"}, "123456"),
        ("${K}", {"K": "true"}, "true"),
        ("${K}", {"K": "null"}, "null"),
        ("${K}", {"K": "${K}"}, "${K}"),
        ("${K}", {"K": "file:/etc/passwd"}, "file:/etc/passwd"),
        ("${K:-file:/etc/passwd}", {}, "file:/etc/passwd"),
        ("Bearer ${K}", {"K": "x"}, "Bearer x"),
    ],
)
@pytest.mark.parametrize("schema", [Secret, Secret | None, Annotated[Secret, Meta(description="d")]], ids=str)
def test_a_secret_is_the_text_as_given(schema: Any, text: str, env: dict[str, str], expected: str) -> None:
    value, problems = decode(text, schema, env)
    assert problems == []
    assert isinstance(value, Secret)
    assert value.reveal() == expected


def test_an_optional_secret_that_is_empty_in_the_environment_is_none() -> None:
    assert decode("${K}", Secret | None, {"K": ""}) == (None, [])
    assert decode("${K:-}", Secret | None) == (None, [])
    assert decode("~", Secret | None) == (None, [])


@pytest.mark.parametrize(
    ("text", "env", "expected"),
    [
        ("~", {}, "expected a secret string, got null"),
        ("true", {}, "expected a secret string, got a bool"),
        ("[hunter2]", {}, "expected a secret string, got a list"),
        ("{hunter2: hunter2}", {}, "expected a secret string, got a mapping"),
        ("''", {}, "the secret is empty"),
        ("' '", {}, "the secret is empty"),
        ("${K}", {"K": ""}, "the secret is empty"),
        ("${K}-${GONE}", {"K": "hunter2"}, "the environment variable GONE is not set"),
        ("hunter2${", {}, "malformed `${`: write `${NAME}` or `${NAME:-default}`, and `$${` for a plain `${`"),
    ],
)
def test_an_error_about_a_secret_does_not_quote_it(text: str, env: dict[str, str], expected: str) -> None:
    assert decode(text, Secret, env) == (BAD, [f"1 : {expected}"])
    assert "hunter2" not in expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"sk-1", "sk-1"),
        (b"sk-1\n", "sk-1"),
        (b"sk-1\r\n", "sk-1"),
        (b"sk-1\n\n", "sk-1\n"),
        (b" sk ${X}\r", " sk ${X}\r"),
        (b"-----BEGIN-----\nabc\n-----END-----\n", "-----BEGIN-----\nabc\n-----END-----"),
        ("schlüssel".encode(), "schlüssel"),
        (b"x" * MAX_SECRET, "x" * MAX_SECRET),
    ],
    ids=["plain", "newline", "crlf", "two newlines", "verbatim", "pem", "utf-8", "largest"],
)
def test_a_secret_is_read_from_a_file(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "key").write_bytes(content)
    for text, env in (
        ("file:run/key", {}),
        (f"'file:{tmp_path}/run/key'", {}),
        ("file:${DIR}/key", {"DIR": "run"}),
    ):
        value, problems = decode(text, Secret | None, env, tmp_path)
        assert problems == []
        assert isinstance(value, Secret)
        assert value.reveal() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file:gone", 'the secret at "file:gone" cannot be read: No such file or directory'),
        ("'file:'", 'the secret at "file:" cannot be read: Is a directory'),
        ('"file:\\0"', 'the secret at "file:\\u0000" cannot be read: embedded null byte'),
        ("file:${DIR}/gone", 'the secret at "file:${DIR}/gone" cannot be read: No such file or directory'),
        ("file:empty", "the secret is empty"),
        ("file:blank", "the secret is empty"),
        ("file:binary", 'the secret at "file:binary" cannot be read: not UTF-8 text'),
        ("file:huge", 'the secret at "file:huge" cannot be read: larger than 65536 bytes'),
    ],
)
def test_a_secret_file_that_gives_no_secret_is_an_error(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "blank").write_bytes(b" \t\n\n")
    (tmp_path / "binary").write_bytes(b"hunter2\xff")
    (tmp_path / "huge").write_bytes(b"x" * (MAX_SECRET + 1))
    assert decode(text, Secret, {"DIR": "hunter2"}, tmp_path) == (BAD, [f"1 : {expected}"])


def test_only_a_secret_reads_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-1")
    assert decode("file:key", str, directory=tmp_path) == ("file:key", [])


def test_the_errors_of_an_invalid_struct_are_its_text_too() -> None:
    assert str(Invalid([(("a",), "one"), (("b", 0), "two")])) == "one; two"


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("a",), 1),
        (("m",), 3),
        (("m", "list"), 4),
        (("m", "list", 1), 5),
        (("m", "list", 2), 4),
        (("m", "list", -1), 4),
        (("m", "list", "x"), 4),
        (("m", "none", "deeper", 3), 3),
        (("a", "b"), 1),
        (("none",), 1),
        ((0,), 1),
    ],
)
def test_the_line_of_a_path_is_that_of_the_innermost_value_there_is(path: tuple[str | int, ...], line: int) -> None:
    root, _ = read_nodes("a: 1\nm:\n  list:\n    - x\n    - y\n")
    assert root is not None
    assert line_of(root, path) == line


class Row(NamedTuple):
    a: int


class Record(TypedDict):
    a: int


class Array(msgspec.Struct, array_like=True):
    a: int


class Mute:
    pass


class Holder(msgspec.Struct):
    inner: dict[str, list[Mute | None]]


@pytest.mark.parametrize(
    "schema", [Row, Record, Array, Mute, Holder, bytes, dict[int, int], list[Row], tuple[int, Row]], ids=str
)
def test_a_schema_that_no_file_can_fill_is_refused_at_once(schema: Any) -> None:
    with pytest.raises(TypeError, match="a configuration file has no words for"):
        refuse_unsupported(type_info(schema))


def test_a_schema_that_contains_itself_is_supported() -> None:
    refuse_unsupported(type_info(Node))
