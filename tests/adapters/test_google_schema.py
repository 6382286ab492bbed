from typing import Any

from adapters.google_schema import described, schema


def test_a_schema_goes_through_as_it_is() -> None:
    given: dict[str, Any] = {
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        "type": "object",
        "properties": {"a": {"type": ["string", "null"], "pattern": "^a"}, "b": {"$ref": "#/$defs/node"}},
        "additionalProperties": False,
    }
    assert schema(given) == given


def test_a_constant_is_a_list_of_one_wherever_a_schema_stands() -> None:
    given: dict[str, Any] = {
        "$defs": {"a": {"const": 1}},
        "properties": {"const": {"type": "string", "const": "x", "title": "t"}},
        "anyOf": [{"const": None}, True],
        "items": {"const": "y"},
        "additionalProperties": {"const": False},
    }
    assert schema(given) == {
        "$defs": {"a": {"enum": [1]}},
        "properties": {"const": {"type": "string", "enum": ["x"], "title": "t"}},
        "anyOf": [{"enum": [None]}, True],
        "items": {"enum": ["y"]},
        "additionalProperties": {"enum": [False]},
    }
    assert given["items"] == {"const": "y"}


def test_a_callers_own_values_are_no_schemas() -> None:
    given: dict[str, Any] = {"default": {"const": 1}, "enum": [{"const": 1}], "examples": [{"const": 1}]}
    assert schema(given) == given


def test_a_description_is_added_where_there_is_none() -> None:
    assert described({"type": "object"}, "d") == {"type": "object", "description": "d"}
    assert described({"description": "own"}, "d") == {"description": "own"}
    assert described({"type": "object"}, None) == {"type": "object"}
