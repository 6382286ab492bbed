from decimal import Decimal
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
    assert asked["required"] == ["called"]
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
    assert "additionalProperties" not in Schemas([Asked], open_in={__name__: "Open"}).components["Asked"]


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


class Cat(RequestShape, tag="cat"):
    lives: int = 9


class Dog(RequestShape, tag="dog"):
    name: str


class Owner(RequestShape):
    cat: Cat
    any: Cat | Dog | None = None


class Widow(RequestShape):
    cat: Cat


def test_a_tag_has_to_be_said_only_where_there_is_something_else_that_could_be_meant() -> None:
    assert Schemas([Owner]).components["Cat"]["required"] == ["type"]
    assert Schemas([Widow]).components["Cat"]["required"] == []
    assert msgspec.json.decode(b'{"cat": {}}', type=Widow) == Widow(cat=Cat())


def test_an_answer_always_holds_its_tag() -> None:
    class Only(AnswerShape, tag="only"):
        pass

    class Around(AnswerShape):
        only: Only

    assert Schemas([Around]).components["Only"]["required"] == ["type"]


class Format(RequestShape):
    shape: Cat | Dog | None = None


def test_what_is_inside_of_an_open_object_is_open_and_elsewhere_as_it_was() -> None:
    opened = msgspec.defstruct("Opened", [("format", Format)], bases=(RequestShape,), module="typing")
    components = Schemas([opened, Format], open_in={"typing": "Open"}).components
    assert set(components) == {"Opened", "Format", "Cat", "Dog", "OpenFormat", "OpenCat", "OpenDog"}
    closed = {name for name, component in components.items() if component.get("additionalProperties") is False}
    assert closed == {"Format", "Cat", "Dog"}
    assert components["Opened"]["properties"]["format"] == {"$ref": "#/components/schemas/OpenFormat"}
    inside = components["OpenFormat"]["properties"]["shape"]
    assert inside["anyOf"][0]["anyOf"] == [{"$ref": f"#/components/schemas/{name}"} for name in ("OpenCat", "OpenDog")]
    assert inside["anyOf"][0]["discriminator"]["mapping"]["dog"] == "#/components/schemas/OpenDog"
    assert components["OpenCat"]["title"] == "OpenCat"


def test_what_is_inside_of_open_objects_alone_is_open_under_its_own_name() -> None:
    opened = msgspec.defstruct("Opened", [("format", Format)], bases=(RequestShape,), module="typing")
    components = Schemas([opened], open_in={"typing": "Open"}).components
    assert set(components) == {"Opened", "Format", "Cat", "Dog"}
    assert [name for name, component in components.items() if "additionalProperties" in component] == []


class Kennel(RequestShape):
    """Where they live."""

    owner: Owner
    pets: tuple[Dog, ...] = ()
    guard: Dog | None = None
    size: int = 3


def test_of_what_is_patched_nothing_has_to_be_said_down_to_its_lists() -> None:
    schemas = Schemas([], patches=[Kennel])
    assert schemas.patch_of(Kennel) == {"$ref": "#/components/schemas/KennelPatch"}
    patch = schemas.components["KennelPatch"]
    assert (patch["title"], patch["description"], patch["additionalProperties"]) == (
        "KennelPatch",
        "Where they live.",
        False,
    )
    assert "required" not in patch
    assert [name for name, field in patch["properties"].items() if "default" in field] == []
    assert patch["properties"]["owner"] == {"$ref": "#/components/schemas/OwnerPatch"}
    assert patch["properties"]["guard"]["anyOf"][0] == {"$ref": "#/components/schemas/DogPatch"}
    assert patch["properties"]["pets"]["items"] == {"$ref": "#/components/schemas/Dog"}
    assert "required" not in schemas.components["DogPatch"]
    assert schemas.components["Dog"]["required"] == ["type", "name"]


def test_what_is_only_patched_is_not_there_as_a_whole() -> None:
    assert "Kennel" not in Schemas([], patches=[Kennel]).components
    assert {"Kennel", "KennelPatch"} <= set(Schemas([Kennel], patches=[Kennel]).components)


def test_a_default_is_json() -> None:
    asked = msgspec.defstruct(
        "Listed", [("of", tuple[str, ...], ("a",)), ("cat", Cat, Cat()), ("price", Decimal, Decimal("1.5"))]
    )
    properties = Schemas([asked]).components["Listed"]["properties"]
    assert [properties[name]["default"] for name in ("of", "cat", "price")] == [
        ["a"],
        {"type": "cat", "lives": 9},
        "1.5",
    ]
