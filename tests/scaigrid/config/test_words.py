import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec.inspect import type_info

from scaigrid.config.nodes import Entries, Items, Node, Scalar, ScalarType
from scaigrid.config.words import counted, described, kind, named, quoted, shown
from scaigrid.secrets import Secret


class Level(enum.Enum):
    LOW = "low"
    TOP = "top"


class Section(msgspec.Struct):
    pass


class Duration:
    pass


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (int, "int"),
        (Annotated[int, msgspec.Meta(ge=1, description="a port")], "int"),
        (float, "number"),
        (bool, "true or false"),
        (str, "string"),
        (None, "null"),
        (Decimal, "decimal number"),
        (uuid.UUID, "UUID"),
        (Literal["a", "b", 3, None, True], 'one of null, true, 3, "a", "b"'),  # noqa: PYI061  (a union is read elsewhere)
        (Level, 'one of "low", "top"'),
        (Section, "a mapping"),
        (dict[str, int], "a mapping"),
        (list[int], "a list"),
        (tuple[int, ...], "a list"),
        (tuple[int, str], "a list"),
        (set[int], "a list"),
        (frozenset[int], "a list"),
        (Secret, "a secret string"),
        (Duration, "Duration"),
        (int | str | list[int], "int or string or a list"),
        (dict[str, int] | list[int], "a mapping or a list"),
    ],
    ids=str,
)
def test_a_type_has_a_name_in_plain_words(wanted: Any, expected: str) -> None:
    assert named(type_info(wanted)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc", '"abc"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("two\nlines\t", r'"two\nlines\t"'),
        ("größer", '"größer"'),
        ("\u202eabc\u2028\x7f\x85", r'"\u202eabc\u2028\x7f\x85"'),
        ("x" * 60, '"' + "x" * 60 + '"'),
        ("x" * 61, '"' + "x" * 60 + '..."'),
    ],
)
def test_a_text_is_quoted_on_one_line_that_no_terminal_obeys(text: str, expected: str) -> None:
    assert quoted(text) == expected


@pytest.mark.parametrize(
    ("text", "type_", "expected"),
    [
        ("abc", "str", 'string "abc"'),
        ("5", "str", 'string "5"'),
        ("5", "int", "int 5"),
        ("0.50", "float", "float 0.50"),
        ("true", "bool", "bool true"),
        ("~", "null", "null"),
        ("9" * 70, "int", "int " + "9" * 60 + "..."),
    ],
)
def test_a_scalar_is_described_by_its_type_and_its_written_text(text: str, type_: ScalarType, expected: str) -> None:
    node = Scalar(1, text, type_, type_ != "str")
    assert described(node) == expected
    assert shown(node) in expected or expected == "null"


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Scalar(1, "sk-1", "str", plain=True), "a string"),
        (Scalar(1, "5", "int", plain=True), "an int"),
        (Scalar(1, "0.5", "float", plain=True), "a number"),
        (Scalar(1, "true", "bool", plain=True), "a bool"),
        (Scalar(1, "", "null", plain=True), "null"),
        (Items(1, []), "a list"),
        (Entries(1, {}), "a mapping"),
    ],
    ids=["str", "int", "float", "bool", "null", "items", "entries"],
)
def test_a_kind_tells_nothing_of_the_text(node: Node, expected: str) -> None:
    assert kind(node) == expected


def test_a_number_of_things_is_in_the_singular_or_the_plural() -> None:
    assert [counted(1, "entry"), counted(2, "entry"), counted(0, "item")] == ["1 entry", "2 entries", "0 items"]
