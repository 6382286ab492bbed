from typing import Annotated, Any, Literal, TypeGuard

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, inspect

from scaigrid.dialects.anthropic_shapes import AnthropicRequest
from scaigrid.dialects.faults import MOST, examine
from scaigrid.dialects.native_shapes import ChatRequest, EmbedRequest
from scaigrid.dialects.openai_shapes import ChatCompletionRequest, EmbeddingsRequest


class Cat(msgspec.Struct, forbid_unknown_fields=True, tag="cat"):
    name: Annotated[str, Meta(min_length=1, max_length=4)]


class Dog(msgspec.Struct, forbid_unknown_fields=True, tag="dog"):
    age: Annotated[int, Meta(ge=1, le=20)] = 1


class Friend(msgspec.Struct, forbid_unknown_fields=True, tag_field="role", tag="friend"):
    pass


class Foe(msgspec.Struct, forbid_unknown_fields=True, tag_field="role", tag="foe"):
    pass


class Home(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    owner: str
    pets: Annotated[tuple[Cat | Dog, ...], Meta(max_length=3)] = ()
    size: Annotated[float, Meta(ge=0, le=10)] | None = None
    price: Annotated[float, Meta(gt=0)] = 1.0
    open: bool = True
    color: Literal["red", "blue"] = "red"
    tags: Annotated[dict[Annotated[str, Meta(max_length=3)], str], Meta(max_length=2)] = {}
    address: str | Annotated[list[int], Meta(min_length=2)] = ""
    guard: Dog | None = None
    visitor: Friend | Foe | None = None
    anything: dict[str, Any] | None = None


HOME = inspect.type_info(Home)

FAULTS: list[tuple[Any, list[str]]] = [
    ({}, ["owner is required"]),
    ([], ["body must be an object"]),
    ({"owner": None}, ["owner must be a string"]),
    (
        {"owner": 1, "size": "x", "open": 0},
        ["owner must be a string", "size must be a number", "open must be true or false"],
    ),
    ({"owner": "", "pets": {}}, ["pets must be a list"]),
    ({"owner": "", "pets": [1]}, ["pets[0] must be an object"]),
    ({"owner": "", "pets": [{}]}, ["pets[0].type is required"]),
    ({"owner": "", "pets": [{"type": 1}]}, ["pets[0].type must be a string"]),
    ({"owner": "", "pets": [{"type": "cow"}]}, ['pets[0].type must be one of "cat", "dog"']),
    (
        {"owner": "", "pets": [{"type": "cat"}, {"type": "cat", "name": ""}]},
        ["pets[0].name is required", "pets[1].name must not be empty"],
    ),
    ({"owner": "", "pets": [{"type": "cat", "name": "Tibert"}]}, ["pets[0].name must have at most 4 characters"]),
    ({"owner": "", "pets": [{"type": "dog"}] * 4}, ["pets must have at most 3 entries"]),
    (
        {"owner": "", "pets": [{"type": "dog", "age": 0}, {"type": "dog", "age": 21}]},
        ["pets[0].age must be at least 1", "pets[1].age must be at most 20"],
    ),
    (
        {"owner": "", "pets": [{"type": "dog", "age": True}, {"type": "dog", "age": 1.5}]},
        ["pets[0].age must be an integer", "pets[1].age must be an integer"],
    ),
    ({"owner": "", "size": -1}, ["size must be at least 0"]),
    ({"owner": "", "price": 0}, ["price must be greater than 0"]),
    ({"owner": "", "size": float("inf")}, ["size must be a number within range"]),
    ({"owner": "", "color": "green"}, ['color must be one of "blue", "red"']),
    ({"owner": "", "color": 1}, ['color must be one of "blue", "red"']),
    ({"owner": "", "tags": {"abcd": "x"}}, ["tags must have names of at most 3 characters"]),
    ({"owner": "", "tags": {"a": 1}}, ["tags.a must be a string"]),
    ({"owner": "", "tags": {"a": "", "b": "", "c": ""}}, ["tags must have at most 2 entries"]),
    ({"owner": "", "address": {}}, ["address must be a string or a list"]),
    ({"owner": "", "address": [1]}, ["address must have at least 2 entries"]),
    ({"owner": "", "address": [1, "x"]}, ["address[1] must be an integer"]),
    ({"owner": "", "guard": {"type": "cat"}}, ['guard.type must be "dog"']),
    ({"owner": "", "visitor": {"role": "thief"}}, ['visitor.role must be one of "friend", "foe"']),
    ({"owner": "", "colour": "red"}, ["colour is not a known field"]),
    ({"owner": "", "guard": {"x" * 100: 1}}, [f"guard.{'x' * 64}... is not a known field"]),
    ({"owner": "", "anything": {"a": [1, {"b": float("inf")}]}}, ["anything.a[1].b must be a number within range"]),
]


@pytest.mark.parametrize(("value", "expected"), FAULTS, ids=range(len(FAULTS)))
def test_every_fault_is_named_by_its_place(value: Any, expected: list[str]) -> None:
    assert [f"{fault.field} {fault.message}" for fault in examine(value, HOME).faults] == expected


def test_a_single_kind_needs_no_tag() -> None:
    assert examine({"owner": "", "guard": {"age": 3}}, HOME).faults == []


def test_where_unknown_fields_are_open_they_are_listed_and_taken_out() -> None:
    value = {
        "owner": "x",
        "garden": {"trees": 2},
        "pool": None,
        "garage": False,
        "cellar": 0,
        "pets": [{"type": "dog", "collar": "red"}, {"type": "cow"}, {"type": "cat", "name": "Tib"}],
        "guard": {"type": "goose"},
    }
    findings = examine(value, HOME, {"garage": (False,), "cellar": (False,)})
    assert findings.faults == []
    assert findings.unknown == ["garden", "cellar", "pets[0].collar", "pets[1].type", "guard.type"]
    assert value == {"owner": "x", "pets": [{"type": "dog"}, {"type": "cat", "name": "Tib"}]}
    assert msgspec.convert(value, Home).pets == (Dog(), Cat("Tib"))


def test_what_lacks_something_that_is_unknown_is_unknown_altogether() -> None:
    """A picture from a source that nobody knows is no picture: without it the rest can still be understood."""

    class Known(msgspec.Struct, tag="known"):
        pass

    class Picture(msgspec.Struct, tag="picture"):
        source: Known

    class Wall(msgspec.Struct):
        pictures: list[Picture]

    value = {"pictures": [{"type": "picture", "source": {"type": "new"}}, {"type": "picture"}]}
    findings = examine(value, inspect.type_info(Wall), {})
    assert findings.unknown == ["pictures[0].source.type"]
    assert [fault.field for fault in findings.faults] == ["pictures[1].source"]
    assert value == {"pictures": [{"type": "picture"}]}


def test_a_role_is_never_open() -> None:
    findings = examine({"owner": "x", "visitor": {"role": "thief"}}, HOME, {})
    assert [fault.field for fault in findings.faults] == ["visitor.role"]


def test_no_list_of_faults_is_endless() -> None:
    assert len(examine({"owner": "", "address": ["x"] * 1000}, HOME).faults) == MOST
    assert len(examine({"owner": ""} | {str(place): 1 for place in range(1000)}, HOME, {}).unknown) == MOST


# -- msgspec decides, the walk explains ------------------------------------------------------------------------------

_REQUESTS: list[type[msgspec.Struct]] = [
    Home,
    ChatRequest,
    EmbedRequest,
    ChatCompletionRequest,
    EmbeddingsRequest,
    AnthropicRequest,
]
_WORDS = st.sampled_from(
    [
        *("type", "role", "content", "text", "model", "messages", "system", "user", "assistant", "tool", "function"),
        *("name", "arguments", "id", "tool_calls", "input", "image", "image_url", "url", "auto", "owner", "pets"),
        *(
            "cat",
            "dog",
            "age",
            "address",
            "guard",
            "visitor",
            "friend",
            "response_format",
            "json_schema",
            "schema",
            "tools",
        ),
        *("tool_choice", "stop", "metadata", "max_tokens", "temperature", "reasoning", "effort", "low", "n", "float"),
    ]
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.sampled_from((0.5, -1.0, 1e9, "")) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=12,
)
_GOOD: dict[type[msgspec.Struct], dict[str, Any]] = {
    Home: {"owner": "x", "pets": [{"type": "cat", "name": "Tib"}, {"type": "dog", "age": 3}], "address": [1, 2]},
    ChatRequest: {
        "model": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image", "url": "https://x"}]},
            {
                "role": "assistant",
                "tool_calls": [{"type": "function", "id": "1", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "x"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "stop": ["a"],
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low"},
    },
    EmbedRequest: {"model": "m", "input": ["a", "b"], "dimensions": 3},
    ChatCompletionRequest: {
        "model": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "file", "file": {"file_id": "1"}}]},
            {"role": "assistant", "content": None, "tool_calls": None, "reasoning_content": "x"},
        ],
        "stream_options": {"include_usage": True},
        "tool_choice": "auto",
        "n": 2,
    },
    EmbeddingsRequest: {"model": "m", "input": [[1, 2], [3]], "encoding_format": "base64"},
    AnthropicRequest: {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x"}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "x"}]},
        ],
        "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "tools": [{"name": "f", "input_schema": {}}],
        "tool_choice": {"type": "tool", "name": "f"},
        "thinking": {"type": "enabled", "budget_tokens": 5},
    },
}


def _is_object(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with each of its keys."""
    keys: list[Any] = list(value) if _is_object(value) else list(range(len(value))) if _is_list(value) else []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


@st.composite
def _nearly(draw: st.DrawFn, wanted: type[msgspec.Struct]) -> Any:
    """A good request with a few of its places changed, taken out or added to."""
    value: Any = msgspec.json.decode(msgspec.json.encode(_GOOD[wanted]))
    for _ in range(draw(st.integers(0, 3))):
        places = _places(value)
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        match draw(st.integers(0, 2)):
            case 0:
                container[key] = draw(_JSON)
            case 1:
                del container[key]
            case _ if isinstance(container, dict):
                container[draw(_WORDS)] = draw(_JSON)
            case _:
                container.append(draw(_JSON))
    return value


@pytest.mark.parametrize("wanted", _REQUESTS, ids=[one.__name__ for one in _REQUESTS])
def test_the_walk_finds_a_fault_exactly_where_msgspec_refuses(wanted: type[msgspec.Struct]) -> None:
    kind = inspect.type_info(wanted)

    @settings(deadline=None, max_examples=50)
    @given(_nearly(wanted) | _JSON)
    def check(value: Any) -> None:
        text = msgspec.json.encode(value)
        try:
            msgspec.json.decode(text, type=wanted)
        except msgspec.ValidationError:
            refused = True
        else:
            refused = False
        assert bool(examine(value, kind).faults) == refused

    check()


@pytest.mark.parametrize("wanted", _REQUESTS, ids=[one.__name__ for one in _REQUESTS])
def test_what_remains_after_an_open_walk_is_of_the_type(wanted: type[msgspec.Struct]) -> None:
    kind = inspect.type_info(wanted)

    @settings(deadline=None, max_examples=50)
    @given(_nearly(wanted))
    def check(value: Any) -> None:
        if not examine(value, kind, {}).faults:
            assert isinstance(msgspec.convert(value, wanted), wanted)

    check()
