import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.dialects.forms import Form, invalid, members, once
from scaigrid.errors import Code, Detail, GatewayError


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    toys: tuple[str, ...] = ()
    more: dict[str, Any] | None = None


STRICT = Form(Wish)
OPEN = Form(Wish, {"naughty": (False,)})


def refusal(body: bytes) -> tuple[Detail, ...]:
    with pytest.raises(GatewayError) as caught:
        members(body)
    assert caught.value.code is Code.VALIDATION_ERROR
    return caught.value.details


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is not valid JSON: input data was truncated"),
        (b'{"a":1', "is not valid JSON: input data was truncated"),
        (b'{"a":1}x', "is not valid JSON: trailing characters (byte 8)"),
        (b'{"a":[1,]}', "is not valid JSON: trailing comma in array (byte 8)"),
        (b'{"a":01}', "is not valid JSON: invalid number (byte 6)"),
        (b'{"a":NaN}', "is not valid JSON: invalid character (byte 5)"),
        (b'{"a":"\n"}', "is not valid JSON: invalid character (byte 6)"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"a":"\xff"}', "is not valid UTF-8 (byte 6)"),
        (b'{"\xff":1}', "is not valid UTF-8 (byte 2)"),
        (b'{"a":{"b":"\xc3"}}', "is not valid UTF-8 (byte 11)"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is nested too deeply"),
    ],
    ids=range(13),
)
def test_what_is_no_json_object_in_utf8_is_refused_with_the_reason(body: bytes, message: str) -> None:
    assert refusal(body) == (Detail("body", message),)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"a":1,"a":1}', ["a"]),
        (b'{"a":1,"b":2,"a":3,"b":4,"c":5}', ["a", "b"]),
        (b'{"a": 1, "a": 1}', ["a"]),
        (b'{"a":1,"\\u0061":1}', ["a"]),
        (b'{"a":{"a":1},"b":[{"c":1,"c":2}],"b":1}', ["b"]),
        (b'{ "a" : 1 , "a" : 2 }', ["a"]),
        (b'{"' + b"a" * 70 + b'":1,"' + b"a" * 70 + b'":2}', ["a" * 64 + "..."]),
    ],
    ids=range(7),
)
def test_a_member_that_is_given_twice_is_refused_by_name(body: bytes, names: list[str]) -> None:
    assert refusal(body) == tuple(Detail(name, "is given more than once") for name in names)


_names = st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from("abc")
_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_spellings = st.sampled_from(((",", ":"), (", ", ": "), (" ,\n", "\t:  "), (",", ": "), (", ", ":")))


@settings(deadline=None)
@given(st.lists(st.tuples(_names, _values), max_size=5), _spellings, st.booleans())
def test_members_are_told_apart_however_the_text_is_spaced(
    pairs: list[tuple[str, Any]], spelling: tuple[str, str], ascii_only: bool
) -> None:
    comma, colon = spelling
    written = [
        json.dumps(name, ensure_ascii=ascii_only)
        + colon
        + json.dumps(value, ensure_ascii=ascii_only, separators=spelling)
        for name, value in pairs
    ]
    body = f"{{{comma.join(written)}}}".encode()
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        assert [detail.field for detail in refusal(body)] == [
            name for name in dict.fromkeys(names) if names.count(name) > 1
        ]
    else:
        assert {name: json.loads(bytes(raw)) for name, raw in members(body).items()} == dict(pairs)


@settings(deadline=None, max_examples=80)
@given(st.binary() | st.text().map(str.encode) | _values.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_bring_anything_but_members_or_a_refusal(body: bytes) -> None:
    found: dict[str, msgspec.Raw] | GatewayError
    try:
        found = members(body)
    except GatewayError as error:
        found = error
    if isinstance(found, GatewayError):
        assert found.code is Code.VALIDATION_ERROR
        assert found.details
    else:
        assert json.loads(body).keys() == found.keys()


def test_a_good_body_is_read() -> None:
    body = b'{"name":"Eva","toys":["ball"]}'
    assert STRICT.read(body, members(body)) == (Wish("Eva", ("ball",)), [])


def test_a_strict_form_refuses_what_it_does_not_know_with_every_other_fault() -> None:
    body = b'{"nam":"Eva","toys":["ball",1]}'
    with pytest.raises(GatewayError) as caught:
        STRICT.read(body, members(body))
    assert caught.value.details == (
        Detail("nam", "is not a known field"),
        Detail("toys[1]", "must be a string"),
        Detail("name", "is required"),
    )
    assert STRICT.faults(body) == list(caught.value.details)


@pytest.mark.parametrize(
    ("body", "unknown"),
    [
        (b'{"name":"Eva","naughty":false,"age":null}', []),
        (b'{"naughty":true,"name":"Eva","age":7}', ["naughty", "age"]),
        (b'{"name":"Eva","age":1e999}', ["age"]),
        (b'{"\\u006eame":"Eva","age":7}', ["age"]),
    ],
    ids=range(4),
)
def test_an_open_form_lists_what_it_does_not_know(body: bytes, unknown: list[str]) -> None:
    assert OPEN.read(body, members(body)) == (Wish("Eva"), unknown)


def test_an_open_form_still_refuses_faults() -> None:
    body = b'{"name":1,"age":7}'
    with pytest.raises(GatewayError) as caught:
        OPEN.read(body, members(body))
    assert caught.value.details == (Detail("name", "must be a string"),)


@pytest.mark.parametrize("form", [STRICT, OPEN], ids=["strict", "open"])
def test_a_number_out_of_range_is_named(form: Form[Wish]) -> None:
    body = b'{"name":"Eva","more":{"a":[1e999]}}'
    with pytest.raises(GatewayError) as caught:
        form.read(body, members(body))
    assert caught.value.details == (Detail("more.a[0]", "must be a number within range"),)


def test_a_number_too_long_to_be_read_is_a_fault_of_the_body() -> None:
    body = b'{"name":"Eva","more":{"a":' + b"9" * 5_000 + b"}}"
    with pytest.raises(GatewayError) as caught:
        STRICT.read(body, members(body))
    assert caught.value.details == (Detail("body", "has a number that is out of range"),)


def test_invalid_carries_all_details() -> None:
    error = invalid(Detail("a", "x"), Detail("b", "y"))
    assert (error.code, error.status, len(error.details)) == (Code.VALIDATION_ERROR, 422, 2)


def test_a_value_is_made_once_and_only_when_it_is_wanted() -> None:
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return len(made)

    value = once(make)
    assert made == []
    assert (value(), value(), made) == (1, 1, [1])
