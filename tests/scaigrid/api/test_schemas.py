from enum import StrEnum
from typing import Annotated, Generic, Literal, TypeVar

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType

from scaigrid.api.schemas import Schemas, given
from scaigrid.dialects.shapes import AnswerShape, RequestShape

T = TypeVar("T")


class Colour(StrEnum):
    RED = "red"


class Inner(AnswerShape):
    """What is inside.

    And
    more.
    """

    colour: Colour
    """Of the inside."""
    note: str | UnsetType = UNSET


class Outer(AnswerShape, Generic[T], kw_only=True):
    kind: Literal["outer"] = "outer"
    data: T
    more: T | None = None
    rest: tuple[T, ...] = ()
    """In any order."""


class Asked(RequestShape, tag="asked"):
    name: str = msgspec.field(name="called")
    """Under another name."""
    size: Annotated[int, Meta(ge=1, le=9)] = 3


def test_a_struct_is_a_reference_to_a_component() -> None:
    schemas = Schemas([Inner])
    assert schemas.of(Inner) == {"$ref": "#/components/schemas/Inner"}
    assert list(schemas.components) == ["Colour", "Inner"]


def test_a_component_has_the_documentation_of_its_fields() -> None:
    inner = Schemas([Inner]).components["Inner"]
    assert inner["description"] == "What is inside. And more."
    assert inner["properties"]["colour"] == {
        "$ref": "#/components/schemas/Colour",
        "description": "Of the inside.",
    }


def test_a_field_is_documented_under_the_name_it_is_sent_by() -> None:
    properties = Schemas([Asked]).components["Asked"]["properties"]
    assert properties["called"] == {"type": "string", "description": "Under another name."}


def test_an_answer_always_holds_what_is_never_unset() -> None:
    """A default is what is sent, where nobody says otherwise, not what a reader has to think of."""
    components = Schemas([Outer[Inner]]).components
    assert components["Inner"]["required"] == ["colour"]
    assert components["InnerOuter"]["required"] == ["kind", "data", "more", "rest"]
    assert "default" not in components["InnerOuter"]["properties"]["kind"]


def test_a_request_may_leave_out_what_has_a_default_and_says_which() -> None:
    asked = Schemas([Asked]).components["Asked"]
    assert asked["required"] == ["type", "called"]
    assert asked["properties"]["size"] == {"type": "integer", "minimum": 1, "maximum": 9, "default": 3}


def test_a_generic_is_named_after_what_it_holds() -> None:
    schemas = Schemas([Outer[Inner]])
    assert schemas.of(Outer[Inner]) == {"$ref": "#/components/schemas/InnerOuter"}
    component = schemas.components["InnerOuter"]
    assert component["title"] == "InnerOuter"
    assert component["properties"]["rest"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Inner"},
        "description": "In any order.",
    }


def test_an_object_is_closed_unless_its_module_is_said_to_be_open() -> None:
    assert Schemas([Asked]).components["Asked"]["additionalProperties"] is False
    assert "additionalProperties" not in Schemas([Asked], open_in=[__name__]).components["Asked"]


def test_a_type_that_is_no_struct_stands_for_itself() -> None:
    bounded = Annotated[str, Meta(max_length=5)]
    schemas = Schemas([bounded, Colour])
    assert schemas.of(bounded) == {"type": "string", "maxLength": 5}
    assert schemas.of(Colour) == {"$ref": "#/components/schemas/Colour"}


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [(int | None, int), (int, int), (int | str | None, int | str | None), (Literal["a"] | None, Literal["a"])],
)
def test_none_is_no_value_of_a_parameter(annotation: object, expected: object) -> None:
    assert given(annotation) == expected
