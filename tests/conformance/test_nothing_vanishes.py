"""Whatever a client says is told on, named or refused: nothing of a request is dropped without a word."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any, Final, TypeGuard

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from scaigrid.call import Call
from scaigrid.dialects import DIALECTS
from scaigrid.errors import Code, GatewayError
from tests.conformance.wire import is_list, is_object
from tests.harness.mirrored import ASKED

_NAMES: Final = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8).map("x_{}".format)
_VALUES: Final = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)

SENT_BACK: Final = frozenset({"annotations", "citations", "logprobs", "reasoning_details"})
"""What an earlier answer came with, and a client sends back as it is: no provider takes it, so nobody reads in it."""

HINTS: Final = {
    "messages[].citations": "of an earlier answer, told to providers of the same dialect alone",
    "messages[].annotations": "likewise",
    "messages[].content[].citations": "likewise",
    "system[].citations": "likewise",
    "input[].content[].annotations": "likewise",
    "input[].content[].logprobs": "likewise",
    "input[].id": "of an item of an earlier answer, that its provider kept",
    "input[].status": "likewise",
    "input[].phase": "likewise",
    "messages[].tool_calls[].index": "left behind by clients that put a streamed answer together",
    "messages[].tool_calls[].function.parsed_arguments": "left behind by clients that read it for their caller",
    "messages[].parsed": "likewise",
    "messages[].reasoning_details": "of an earlier answer, told to providers of the same dialect alone",
    "input[].parsed_arguments": "likewise",
    "input[].content[].parsed": "likewise",
    "messages[].reasoning": "spare beside the provider's state, which has it too",
    "messages[].reasoning_content": "likewise",
    "messages[].content": "of a message whose role is refused by name",
    "messages[].content[].source.media_type": "of a text there is only one",
    "messages[].content[].cache_control": "a hint for a cache, on a tool call or beside that of the whole request",
    "input[].content[].detail": "how closely to look at the pages of a file: a hint",
    "tools[].eager_input_streaming": "a wish how an answer is cut into pieces",
    "stream_options": "likewise: answers of other providers are not obfuscated",
    "stream_options.include_obfuscation": "likewise",
    "include": "names what `top_logprobs` has asked for already",
    "store": "answers of other providers are never kept, and say so",
    "prompt_cache_key": "a hint for a cache",
    "prompt_cache_retention": "likewise",
    "client_metadata": "what a client says of itself",
    "cache_control": "a hint for a cache, beside that of the last part",
    "thinking": "an effort says that the model is to think",
}
"""By the path of a member: why a call without it may mean the same."""
_SCHEMAS: Final = (".schema", ".parameters", ".input_schema")
_INDEX: Final = re.compile(r"\[\d+\]")


def test_the_requests_say_all_that_can_be_said() -> None:
    """Each field of each shape has a value in one of them: a new field has to be put there."""
    for path, asked in ASKED.items():
        said = {found for body in asked.bodies for found in _said(msgspec.convert(body, asked.shape))}
        assert sorted(_sayable(asked.shape) - said) == [], path


@pytest.mark.parametrize("path", ASKED)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_a_member_that_nobody_knows_is_told_by_its_path(path: str, data: st.DataObject) -> None:
    """In whatever object it stands: as unknown, as a fault, or as a part of a value that is handed on."""
    body = data.draw(st.sampled_from(ASKED[path].bodies))
    inside = data.draw(st.sampled_from([place for place, _ in objects(body)]))
    name, value = data.draw(_NAMES), data.draw(_VALUES)
    changed = copy.deepcopy(body)
    dict(objects(changed))[inside][name] = value
    place = f"{inside}.{name}" if inside else name
    assert (
        place in told(path, changed)
        or _is_sent_back(place)
        or meaning(decoded(path, changed)) != meaning(decoded(path, body))
    )


@pytest.mark.parametrize("path", ASKED)
def test_a_known_member_that_is_left_out_is_missed(path: str) -> None:
    """All that a dialect has a field for means something, but for the hints."""
    for body in ASKED[path].bodies:
        whole = meaning(decoded(path, body))
        for place, inside in objects(body):
            for name in inside:
                changed = copy.deepcopy(body)
                del dict(objects(changed))[place][name]
                try:
                    same = meaning(decoded(path, changed)) == whole
                except GatewayError:
                    continue
                # Where there is one kind of object alone, its `type` says nothing.
                assert not same or name == "type" or _is_hint(f"{place}.{name}" if place else name), (place, name)


@pytest.mark.parametrize("path", ASKED)
def test_a_type_that_nobody_knows_is_told_by_its_path(path: str) -> None:
    """A part, a tool or a format of a kind that is new is no smaller than its members."""
    for body in ASKED[path].bodies:
        for place, inside in objects(body):
            if not isinstance(inside.get("type"), str) or _is_opaque(place):
                continue
            changed = copy.deepcopy(body)
            dict(objects(changed))[place]["type"] = "x_new"
            assert f"{place}.type" in told(path, changed)


def decoded(path: str, body: dict[str, Any]) -> Call:
    dialect = next(one for one in DIALECTS if path in one.operations)
    return dialect.decode(path, json.dumps(body).encode())


def told(path: str, body: dict[str, Any]) -> list[str]:
    """The paths that are named as unknown, or as faults."""
    try:
        return list(decoded(path, body).canonical().unknown)
    except GatewayError as error:
        if error.code != Code.VALIDATION_ERROR:
            raise
        return [detail.field for detail in error.details]


def objects(value: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object inside of a JSON value, with its path as faults and unknown fields are named by."""
    if is_object(value):
        yield path, value
        for name, one in value.items():
            yield from objects(one, f"{path}.{name}" if path else name)
    elif is_list(value):
        for place, one in enumerate(value):
            yield from objects(one, f"{path}[{place}]")


def meaning(call: Call) -> tuple[object, ...]:
    """What a call says to whoever answers it."""
    canonical = msgspec.json.encode(call.canonical())
    return canonical, call.tags, call.stream, call.n, call.max_output, call.wants_usage, call.model, call.held


def _is_hint(place: str) -> bool:
    return _INDEX.sub("[]", place) in HINTS or _is_sent_back(place)


def _is_sent_back(place: str) -> bool:
    """Or said by a client of itself."""
    return place.startswith("client_metadata.") or any(f".{one}[" in place for one in SENT_BACK)


def _is_opaque(place: str) -> bool:
    """Whether what stands there is not the dialect's to read."""
    return (
        any(f".{one}[" in place for one in SENT_BACK)
        or ".schema" in place
        or "parameters" in place
        or ("input_schema" in place)
    )


def _said(value: object) -> Iterator[tuple[str, str]]:
    """The fields of every Struct in a request that have another value than their own default."""
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            one = getattr(value, field.name)
            if one != field.default:
                yield type(value).__name__, field.name
                yield from _said(one)
    elif _is_tuple(value):
        for one in value:
            yield from _said(one)


def _sayable(shape: type[msgspec.Struct]) -> set[tuple[str, str]]:
    """The fields of every Struct that a request may have in it."""
    found: set[tuple[str, str]] = set()
    waiting: list[inspect.Type] = [inspect.type_info(shape)]
    seen: set[type] = set()
    while waiting:
        match waiting.pop():
            case inspect.Metadata(type=kind):
                waiting.append(kind)
            case inspect.UnionType(types=kinds):
                waiting += kinds
            case inspect.VarTupleType(item_type=kind):
                waiting.append(kind)
            case inspect.StructType(cls=cls, fields=fields) if cls not in seen:
                seen.add(cls)
                found |= {(cls.__name__, field.name) for field in fields if not _is_constant(field.type)}
                waiting += [field.type for field in fields]
            case _:
                pass
    return found


def _is_constant(kind: inspect.Type) -> bool:
    """Whether there is one value alone to say."""
    return isinstance(kind, inspect.LiteralType) and len(kind.values) == 1


def _is_tuple(value: object) -> TypeGuard[tuple[object, ...]]:
    return isinstance(value, tuple)
