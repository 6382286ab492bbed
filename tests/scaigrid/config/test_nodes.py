from typing import Any

import pytest
import yaml

from scaigrid.config import nodes
from scaigrid.config.nodes import MAX_ALIASED, MAX_DEPTH, Broken, Entries, Items, Node, Scalar, read_nodes, scalar_type

LOADERS = [yaml.SafeLoader, yaml.CSafeLoader]


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__)
def any_loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "_LOADER", request.param)


def tree(node: Node | None) -> Any:
    """A tree as plain Python: (line, text) for a scalar, the rest without lines."""
    match node:
        case Scalar():
            return node.line, node.text
        case Items():
            return [tree(value) for value in node.values]
        case Entries():
            return {key: tree(entry.value) for key, entry in node.values.items()}
        case _:
            return node


def read(text: str) -> Node:
    root, problems = read_nodes(text)
    assert root is not None
    assert problems == []
    return root


def scalar(text: str) -> Scalar:
    root = read(text)
    assert isinstance(root, Scalar)
    return root


def complaints(text: str) -> list[str]:
    return [f"{p.line} {'/'.join(map(str, p.path))}: {p.reason}" for p in read_nodes(text)[1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "null"),
        ("~", "null"),
        ("null", "null"),
        ("true", "bool"),
        ("false", "bool"),
        ("0", "int"),
        ("-12", "int"),
        ("+7", "int"),
        ("0x1F", "int"),
        ("0o17", "int"),
        ("0.01875", "float"),
        ("1.", "float"),
        (".5", "float"),
        ("-2e3", "float"),
        ("6.02E+23", "float"),
        ("-.inf", "float"),
        (".nan", "float"),
    ],
)
def test_a_plain_scalar_has_the_type_of_the_core_schema(text: str, expected: str) -> None:
    assert scalar_type(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "no", "on", "off", "y", "n", "Yes", "ON"),
        *("True", "TRUE", "False", "Null", "NULL"),
        *("1:30", "190:20:30", "12:30.5"),
        *("2027-01-31", "2027-01-31T00:00:00Z"),
        *("010", "007", "00.5", "1_000", "0b101", "0x", "0o8"),
        *("+", "-", ".", "...", "1e", "e5", "1.2.3", "+.nan", ".Inf", "<<", "=", "\u0661"),
    ],
)
def test_what_yaml_1_1_would_turn_into_something_else_is_a_string(text: str) -> None:
    assert scalar_type(text) == "str"


@pytest.mark.usefixtures("any_loader")
def test_each_value_knows_its_line() -> None:
    text = "# a comment\na: 1\nb:\n  - x\n  -\n    - y\nc: {d: e,\n    f: g}\nh: |\n  one\n  two\ni:\n"
    expected = {
        "a": (2, "1"),
        "b": [(4, "x"), [(6, "y")]],
        "c": {"d": (7, "e"), "f": (8, "g")},
        "h": (9, "one\ntwo\n"),
        "i": (12, ""),
    }
    assert tree(read(text)) == expected


@pytest.mark.usefixtures("any_loader")
def test_a_mapping_and_a_list_begin_at_their_first_entry() -> None:
    root = read("\na:\n  b: 1\nc:\n  - 1\nd: {}\ne: &x\n  f: 1\n")
    assert isinstance(root, Entries)
    assert root.line == 2
    assert {key: (entry.line, entry.value.line) for key, entry in root.values.items()} == {
        "a": (2, 3),
        "c": (4, 5),
        "d": (6, 6),
        "e": (7, 7),
    }


@pytest.mark.usefixtures("any_loader")
@pytest.mark.parametrize("text", ["", "\n\n", "# only words\n", "---\n", "--- # nothing\n...\n"])
def test_an_empty_document_is_an_empty_mapping(text: str) -> None:
    assert tree(read(text)) == {}


def test_an_explicit_null_is_not_an_empty_document() -> None:
    assert tree(read("~")) == (1, "~")


@pytest.mark.usefixtures("any_loader")
@pytest.mark.parametrize(
    ("text", "expected", "plain"),
    [
        ("5", "int", True),
        ("'5'", "str", False),
        ('"true"', "str", False),
        ("|\n  5", "str", False),
        (">\n  5", "str", False),
        ("!!str 5", "str", False),
        ("!!str null", "str", False),
        ("!!int 5", "int", True),
        ('!!int "5"', "int", True),
        ("!!float 5", "float", True),
        ("!!bool true", "bool", True),
        ("!!null ~", "null", True),
        ("!!int ${PORT}", "int", True),
        ("! 5", "int", True),
        ("! '5'", "str", False),
    ],
)
def test_quotes_and_tags_decide_the_type_before_the_text_does(text: str, expected: str, plain: bool) -> None:
    node = scalar(text)
    assert (node.type, node.plain) == (expected, plain)


@pytest.mark.usefixtures("any_loader")
def test_an_alias_is_the_value_of_its_anchor() -> None:
    root = read("a: &x {b: 1}\nc: *x\nd: [*x, *x]\n&k key: &v value\n*v : *k\n")
    assert tree(root) == {
        "a": {"b": (1, "1")},
        "c": {"b": (1, "1")},
        "d": [{"b": (1, "1")}, {"b": (1, "1")}],
        "key": (4, "value"),
        "value": (4, "key"),
    }


@pytest.mark.usefixtures("any_loader")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3", {"a": (1, "1"), "b": (4, "3")}),
        ("x: &x {a: 1, b: 2}\ny:\n  b: 3\n  <<: *x", {"a": (1, "1"), "b": (3, "3")}),
        ("x: &x {a: 1}\nz: &z {a: 2, b: 2}\ny: {<<: [*x, *z], c: 3}", {"a": (1, "1"), "b": (2, "2"), "c": (3, "3")}),
        ("y: {<<: {a: 1}}", {"a": (1, "1")}),
        ("x: &x {a: 1}\nz: &z {<<: *x, b: 2}\ny: {<<: *z}", {"a": (1, "1"), "b": (2, "2")}),
        ("y: {'<<': {a: 1}}", {"<<": {"a": (1, "1")}}),
    ],
)
def test_a_merge_key_fills_in_what_the_mapping_does_not_say(text: str, expected: object) -> None:
    assert tree(read(text))["y"] == expected


def test_a_merge_leaves_the_merged_mapping_as_it_is() -> None:
    assert tree(read("x: &x {a: 1}\ny: {<<: *x, b: 2}"))["x"] == {"a": (1, "1")}


@pytest.mark.usefixtures("any_loader")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", ["3 a: duplicate key, already on line 1"]),
        ("a: 1\n'a': 3", ["2 a: duplicate key, already on line 1"]),
        ("a: 1\na: 2\na: 3", ["2 a: duplicate key, already on line 1", "3 a: duplicate key, already on line 1"]),
        ("m:\n  - {}\n  - s: 1\n    t: {u: 1,\n      u: 2}", ["5 m/1/t/u: duplicate key, already on line 4"]),
        ("a: {<<: {b: 1},\n  <<: {c: 1}}", ["2 a/<<: duplicate key, already on line 1"]),
        ("a: &key b\n*key : 1\nb: 2", ["3 b: duplicate key, already on line 2"]),
        ("a: {<<: 5}", ["1 a/<<: only mappings can be merged"]),
        ("a:\n  <<: [{b: 1}, x, [y]]", ["2 a/<<: only mappings can be merged"] * 2),
        ("a: {1: x}", ["1 a: keys are strings, this one is of type int: quote it"]),
        ("true: x", ["1 : keys are strings, this one is of type bool: quote it"]),
        ("a:\n  ~: x", ["2 a: keys are strings, this one is of type null: quote it"]),
        (
            "1.5: x\nb: 1\nb: 2",
            ["1 : keys are strings, this one is of type float: quote it", "3 b: duplicate key, already on line 2"],
        ),
        ("? [a, b]\n: x", ["1 : keys are strings, this one is a collection"]),
        ("? {a: b}\n: x", ["1 : keys are strings, this one is a collection"]),
        ("a: 1\n---\nb: 2", ["2 : a second document starts here; a configuration is one document"]),
        ("a: 1\nb: *hunter2", ["2 b: an alias of nothing above it; a text that begins with `*` needs quotes"]),
        ("a: &x\n  b: [*x]", ["2 a/b/0: an alias of the value that it stands in, from line 1"]),
        ("a: &x 1\nb: &x 2", ["2 b: this anchor's name is already taken on line 1"]),
        ("a: !hunter2", ["1 a: this tag is not supported; a text that begins with `!` needs quotes"]),
        ("a: !hunter2 {b: 1}", ["1 a: this tag is not supported; a text that begins with `!` needs quotes"]),
        ("a: !!set [b]", ["1 a: this tag is not supported; a text that begins with `!` needs quotes"]),
        (
            "a: !!python/object/apply:os.system [id]",
            ["1 a: this tag is not supported; a text that begins with `!` needs quotes"],
        ),
        ("a: !!binary aGk=", ["1 a: this tag is not supported; a text that begins with `!` needs quotes"]),
        ("a: !!timestamp 2027-01-31", ["1 a: this tag is not supported; a text that begins with `!` needs quotes"]),
        ("a: !!int x", ["1 a: the tag !!int does not fit this value"]),
        ("a: !!bool yes", ["1 a: the tag !!bool does not fit this value"]),
        ("!!merge <<: {}", ["1 : this tag is not supported; a text that begins with `!` needs quotes"]),
    ],
)
def test_what_is_wrong_is_listed_and_reading_goes_on(text: str, expected: list[str]) -> None:
    assert complaints(text) == expected
    assert read_nodes(text)[0] is not None


def test_the_first_of_two_equal_keys_stays() -> None:
    assert tree(read_nodes("a: 1\na: 2")[0]) == {"a": (1, "1")}


def test_what_could_not_be_read_stands_broken_in_its_place() -> None:
    root, _ = read_nodes("a: *x\nb: [1, !c 2]")
    assert isinstance(root, Entries)
    assert isinstance(root.values["a"].value, Broken)
    assert root.whole


def test_a_mapping_that_lacks_a_merge_says_so() -> None:
    root, _ = read_nodes("a: &a {<<: *nothing}\nb: {<<: *a}\nc: {}")
    assert isinstance(root, Entries)
    assert {key: getattr(entry.value, "whole", None) for key, entry in root.values.items()} == {
        "a": False,
        "b": False,
        "c": True,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: c: d", "2 : not valid YAML: mapping values are not allowed in this context"),
        (
            "a: 1\n\n\tb: 1",
            "3 : not valid YAML: found a tab character that violates indentation while scanning a plain scalar",
        ),
        ("a: 'x", "1 : not valid YAML: found unexpected end of stream while scanning a quoted scalar"),
        ("a:\n  - b\n c: d", "3 : not valid YAML: did not find expected key while parsing a block mapping"),
        ("%YAML 3.0\n---\na: 1", "1 : not valid YAML: found incompatible YAML document"),
        (
            'a: "\\ud800"',
            "1 : not valid YAML: found invalid Unicode character escape code while parsing a quoted scalar",
        ),
        ("a: !hunter2!x y", "1 : not valid YAML: found undefined tag handle while parsing a node"),
        (
            "a: 1\nb: {port: ${PORT}}",
            (
                "2 : not valid YAML: did not find expected ',' or '}' while parsing a flow mapping"
                " (`${...}` in {} or [] needs a line of its own)"
            ),
        ),
        ("a: b\nc: \x1b[31m", "2 : the character U+001B is not allowed in YAML"),
        ("\x00", "1 : the character U+0000 is not allowed in YAML"),
    ],
)
def test_broken_yaml_is_one_problem_on_the_line_that_yaml_names(text: str, expected: str) -> None:
    assert read_nodes(text)[0] is None
    assert complaints(text) == [expected]


def test_problems_before_broken_yaml_are_kept() -> None:
    assert complaints("a: 1\na: 2\nb: [") == [
        "2 a: duplicate key, already on line 1",
        "4 : not valid YAML: did not find expected node content while parsing a flow node",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: !hunter2!x y", "1 : not valid YAML: found undefined tag handle while parsing a node"),
        ('a: 1\nb: "\\Uffffffff"', "2 : not valid YAML: a number here is out of range"),
        ('a: 1\nb: "\\U00110000"', "2 : not valid YAML: a number here is out of range"),
    ],
)
def test_pyyaml_without_libyaml_raises_nothing_and_tells_nothing_else(
    text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "_LOADER", yaml.SafeLoader)
    assert complaints(text) == [expected]


@pytest.mark.usefixtures("any_loader")
def test_nesting_is_bounded() -> None:
    assert read_nodes("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH)[1] == []
    text = "a: " + "[" * 20_000
    (problem,) = read_nodes(text)[1]
    assert (problem.line, problem.reason) == (1, f"nested deeper than {MAX_DEPTH} levels")


@pytest.mark.usefixtures("any_loader")
def test_nesting_by_aliases_is_bounded() -> None:
    levels = "\n".join(f"a{i + 1}: &a{i + 1} [*a{i}]" for i in range(MAX_DEPTH))
    (problem,) = read_nodes(f"a0: &a0 x\n{levels}")[1]
    assert problem.reason == f"nested deeper than {MAX_DEPTH} levels by an alias"
    # The root is a level, and its key; so the list that would be level 101 is made on line 101
    assert problem.line == MAX_DEPTH + 1


def test_an_alias_is_as_deep_as_the_deepest_value_in_it() -> None:
    deep = "[" * 60 + "]" * 60
    (problem,) = read_nodes(f"a: &a [{deep}, 1]\nb: {'[' * 60}*a{']' * 60}")[1]
    assert (problem.line, problem.reason) == (2, f"nested deeper than {MAX_DEPTH} levels by an alias")


def test_a_shallow_alias_beside_a_deep_value_is_not_taken_for_deep() -> None:
    deep = "[" * 60 + "]" * 60
    assert complaints(f"a: &a [{deep}]\nb: &b [1]\nc: {'[' * 60}*b{']' * 60}") == []


@pytest.mark.usefixtures("any_loader")
@pytest.mark.parametrize(
    "inner",
    [
        "[*{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}]",
        "{{<<: [*{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}]}}",
    ],
)
def test_aliases_of_aliases_are_refused_before_they_cost_anything(inner: str) -> None:
    lines = ["l0: &l0 {a: 1}", *(f"l{i}: &l{i} {inner.format(f'l{i - 1}')}" for i in range(1, 30))]
    root, problems = read_nodes("\n".join(lines))
    assert root is None
    assert [problem.reason for problem in problems] == [f"aliases repeat more than {MAX_ALIASED} values"]


def test_a_long_text_weighs_more_than_a_short_one() -> None:
    aliases = ", ".join(["*a"] * 20_000)
    assert complaints(f"a: &a {'x' * 64}\nb: [{aliases}]") == []
    assert complaints(f"a: &a {'x' * 6400}\nb: [{aliases}]") == [
        f"2 b/9900: aliases repeat more than {MAX_ALIASED} values"
    ]
