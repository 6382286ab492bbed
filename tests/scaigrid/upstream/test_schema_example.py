from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.upstream.schema_example import NoExampleError, example

OBJECT = {"type": "object"}

EXAMPLES: list[tuple[dict[str, Any], Any]] = [
    ({}, "simulated"),
    ({"type": "string"}, "simulated"),
    ({"type": "string", "minLength": 12}, "simulatedsim"),
    ({"type": "string", "maxLength": 3}, "sim"),
    ({"type": "string", "minLength": 2, "maxLength": 2}, "si"),
    ({"type": "string", "maxLength": 0}, ""),
    ({"type": "string", "format": "date-time"}, "2000-01-01T00:00:00Z"),
    ({"type": "string", "format": "colour"}, "simulated"),
    ({"type": "boolean"}, False),
    ({"type": "null"}, None),
    ({"type": "integer"}, 0),
    ({"type": "integer", "minimum": 3}, 3),
    ({"type": "integer", "exclusiveMinimum": 3}, 4),
    ({"type": "integer", "minimum": 3.5}, 4),
    ({"type": "integer", "maximum": -3}, -3),
    ({"type": "integer", "exclusiveMaximum": -3}, -4),
    ({"type": "integer", "minimum": 7, "multipleOf": 5}, 10),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
    ({"type": "number", "minimum": 0.25}, 1),
    ({"type": "number", "minimum": 0.25, "maximum": 0.25}, 0.25),
    ({"minimum": 5}, 5),
    ({"const": {"a": 1}}, {"a": 1}),
    ({"enum": ["b", "a"]}, "b"),
    ({"type": ["string", "null"]}, "simulated"),
    (OBJECT, {}),
    ({"properties": {"a": {"type": "null"}}}, {}),
    (
        {"required": ["a", "b"], "properties": {"b": {"type": "null"}, "a": {"type": "boolean"}}},
        {"a": False, "b": None},
    ),
    ({"type": "object", "required": ["a"]}, {"a": "simulated"}),
    (
        {"type": "object", "minProperties": 2, "properties": {"a": {"type": "null"}}},
        {"a": None, "simulated0": "simulated"},
    ),
    ({"type": "array"}, []),
    ({"type": "array", "items": {"type": "null"}, "minItems": 2}, [None, None]),
    ({"prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 3}, [1, 2, 2]),
    ({"type": "array", "uniqueItems": True, "minItems": 1}, ["simulated"]),
    ({"anyOf": [{"type": "integer", "minimum": 5}, {"type": "null"}]}, 5),
    ({"oneOf": [{"not": {}}, False, {"type": "null"}]}, None),
    ({"allOf": [{"minimum": 3}, {"minimum": 5, "maximum": 9}], "type": "integer"}, 5),
    (
        {
            "type": "object",
            "required": ["a"],
            "properties": {"a": {"type": "integer"}},
            "allOf": [{"required": ["b"], "properties": {"a": {"minimum": 4}, "b": {"const": 1}}}],
        },
        {"a": 4, "b": 1},
    ),
    ({"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}]}, 2),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 7}}}, 7),
    ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "string"}}, "maxLength": 2}, "si"),
]


@pytest.mark.parametrize(("schema", "value"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_smallest_value_that_the_schema_allows(schema: dict[str, Any], value: Any) -> None:
    made = example(schema)
    assert made == value
    assert type(made) is type(value)


def test_a_type_that_contains_itself_ends_where_it_may() -> None:
    node = {
        "type": "object",
        "required": ["value", "next", "children"],
        "properties": {
            "value": {"type": "string"},
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            "children": {"type": "array", "items": {"$ref": "#"}},
        },
    }
    assert example(node) == {"value": "simulated", "next": None, "children": []}


WITHOUT: list[tuple[dict[str, Any], str]] = [
    ({"enum": []}, "the schema allows nothing"),
    (
        {"type": "object", "required": ["a"], "additionalProperties": False},
        "a schema must be an object that allows something",
    ),
    ({"type": "colour"}, "there is no type 'colour'"),
    ({"type": "integer", "minimum": 3, "maximum": 2}, "no number fits the schema's bounds"),
    ({"type": "integer", "minimum": "3"}, "minimum must be a number of ordinary size"),
    ({"type": "integer", "minimum": 1e300}, "minimum must be a number of ordinary size"),
    ({"type": "string", "minLength": 3, "maxLength": 2}, "no text is as long as the schema asks"),
    ({"type": "string", "format": "uuid", "maxLength": 2}, "no text is as long as the schema asks"),
    ({"type": "string", "minLength": 10**9}, "minLength must be a number from 0 to 10000"),
    ({"type": "array", "minItems": -1}, "minItems must be a number from 0 to 10000"),
    ({"type": "array", "uniqueItems": True, "minItems": 2}, "the simulator makes no lists of different values"),
    ({"type": "array", "minItems": 9, "items": {"type": "array", "minItems": 9_999}}, "the schema is too large"),
    ({"type": "array", "minItems": 99, "items": {"type": "string", "minLength": 9_999}}, "the schema is too large"),
    ({"type": "string", "pattern": "^a$"}, "the simulator makes no values for the keyword pattern"),
    ({"if": {"type": "null"}}, "the simulator makes no values for the keyword if"),
    ({"$ref": "#/$defs/x"}, "the reference #/$defs/x points nowhere"),
    ({"$ref": "https://example.com/schema"}, "a reference must begin with #"),
    ({"$ref": "#"}, "no value of the schema has an end"),
    ({"required": ["a"], "properties": {"a": {"$ref": "#"}}}, "no value of the schema has an end"),
    (
        {"anyOf": [{"required": ["a", "b"], "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}] * 2},
        "the schema is too large",
    ),
    ({"properties": [], "type": "object"}, "properties must be an object"),
    ({"allOf": [{"const": 1}, {"const": 2}]}, "the simulator cannot follow two values of the keyword const at once"),
    ({"allOf": [False]}, "a schema must be an object that allows something"),
]


@pytest.mark.parametrize(("schema", "reason"), WITHOUT, ids=range(len(WITHOUT)))
def test_a_schema_without_an_example_says_why(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(NoExampleError) as caught:
        example(schema)
    assert str(caught.value) == reason


def nested(keyword: str, levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(levels):
        schema = {keyword: [schema]}
    return schema


@pytest.mark.parametrize("keyword", ["anyOf", "allOf"])
def test_nesting_is_followed_as_far_as_anybody_means_it(keyword: str) -> None:
    assert example(nested(keyword, 20)) is None
    with pytest.raises(NoExampleError, match="no value of the schema has an end"):
        example(nested(keyword, 900))


NAMES = [f"n{number}" for number in range(100_000)]
HUGE: list[dict[str, Any]] = [
    {"type": "object", "required": NAMES, "properties": dict.fromkeys(NAMES, True)},
    {"type": "object", "minProperties": 9_000, "properties": {name: {"$ref": "#/properties/n1"} for name in NAMES}},
    {"$ref": "#", **dict.fromkeys(NAMES, True)},
    {"allOf": [{"required": NAMES}, {"required": NAMES[::-1]}]},
    {"allOf": [{"enum": NAMES}, {"enum": NAMES[::-1]}]},
    {"anyOf": [{"enum": []}] * 100_000},
]


@pytest.mark.parametrize("schema", HUGE, ids=range(len(HUGE)))
def test_a_schema_that_would_hold_the_gateway_up_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(NoExampleError, match="the schema is too large"):
        example(schema)


_keywords = st.sampled_from(
    [
        *(
            "type",
            "properties",
            "required",
            "items",
            "minItems",
            "minLength",
            "maxLength",
            "minimum",
            "maximum",
            "enum",
        ),
        *("anyOf", "allOf", "oneOf", "$ref", "const", "multipleOf", "exclusiveMinimum", "format", "prefixItems"),
        *("enum", "a"),
    ]
)
_rubbish: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(("object", "array", "#", "#/a", "a", "")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keywords, inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None, max_examples=80)
@given(st.dictionaries(_keywords, _rubbish))
def test_no_schema_brings_anything_but_a_value_or_a_reason(schema: dict[str, Any]) -> None:
    try:
        first = example(schema)
    except NoExampleError as error:
        assert str(error)  # noqa: PT017 - most rubbish has no example, and that is fine
    else:
        assert repr(example(schema)) == repr(first)
