import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wire import (
    ABSENT,
    broken,
    check_fields,
    check_unicode,
    decoded,
    encoded,
    is_list,
    is_object,
    places,
    present,
)
from adapters.wire import given as is_given
from scaigrid import splice
from scaigrid.errors import Code, GatewayError


class Shape(msgspec.Struct):
    name: str
    raw: msgspec.Raw = ABSENT


shape = msgspec.json.Decoder(Shape)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"<html>",
        b"[]",
        b'{"name":5}',
        b'{"name":"\xff"}',
        b'{"name":"a"} x',
        b'{"name":"\\ud800"}',
        b"[" * 99_999,
    ],
)
def test_what_is_no_json_of_the_type_is_a_broken_format(text: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        decoded(shape, text)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
    # Nothing of the provider's text is in it, nor in what a traceback would show.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_reason_stands_in_words_of_ours() -> None:
    assert broken("no choices").message == "The provider's answer broke its own format: no choices."


def test_a_raw_member_is_given_where_it_is_there_and_not_null() -> None:
    assert [is_given(decoded(shape, text).raw) for text in (b'{"name":"a"}', b'{"name":"a","raw": null }')] == [
        False
    ] * 2
    assert [is_given(decoded(shape, b'{"name":"a","raw":%b}' % value).raw) for value in (b"0", b'""', b"{}")] == [
        True
    ] * 3
    assert not is_given(None)


def test_half_a_character_cannot_be_sent() -> None:
    assert encoded({"text": "😀"}) == '{"text":"😀"}'.encode()
    with pytest.raises(GatewayError) as caught:
        encoded({"text": "\ud83d"})
    assert caught.value.code is Code.VALIDATION_ERROR


def test_text_that_is_no_utf8_cannot_be_passed_on() -> None:
    check_unicode("é".encode())
    with pytest.raises(GatewayError) as caught:
        check_unicode(b'{"a":"\xc3"}')
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_objects_and_lists_are_told_apart() -> None:
    values: list[object] = [{"a": 1}, [1], "", None]
    assert [is_object(value) for value in values] == [True, False, False, False]
    assert [is_list(value) for value in values] == [False, True, False, False]


def test_what_says_nothing_is_left_out() -> None:
    assert present({"a": None, "b": 0, "c": "", "d": False}) == {"b": 0, "c": "", "d": False}


def test_a_length_that_fits_by_chance_proves_nothing() -> None:
    """Without spaces, but as long as the four members that are kept would be with them."""
    text = b'{"a":12,"b":1,"c":2,"d":3,"a":1}'
    assert len(text) == len(b'{"a": 1, "b": 1, "c": 2, "d": 3}')
    with pytest.raises(splice.DuplicateKey):
        places(text, splice.members(text))


SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : "), (",", ": "), (",\n ", ":")])


@given(
    members=st.dictionaries(
        st.text(max_size=4), st.sampled_from([1, "x", [1, 2], {"a": 1}, None, "é", '"{,:']), max_size=5
    ),
    separators=SEPARATORS,
    ascii_only=st.booleans(),
)
def test_places_are_where_the_walk_over_the_text_finds_them(
    members: dict[str, object], separators: tuple[str, str], ascii_only: bool
) -> None:
    text = json.dumps(members, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        found = splice.members(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    assert dict(places(text, found)) == splice.spans(text, found)


@given(
    separators=SEPARATORS, value=st.text(alphabet='a ,:"', max_size=12), twice=st.text(alphabet='a ,:"', max_size=12)
)
def test_a_member_given_twice_is_never_missed(separators: tuple[str, str], value: str, twice: str) -> None:
    comma, colon = separators
    pairs = [("a", value), ("b", 1), ("a", twice), ("c", 2)]
    text = ("{" + comma.join(f'"{name}"{colon}{json.dumps(one)}' for name, one in pairs) + "}").encode()
    with pytest.raises(splice.DuplicateKey):
        places(text, splice.members(text))


@pytest.mark.parametrize(
    "event",
    [
        b"data: {}\n\n",
        b"event: x\ndata: {}\n\n",
        b"event: x\r\ndata: {}\r\n\r\n",
        b"\n: a comment\nid: 7\nretry: 5\ndata:{}\ndata\n\n",
    ],
)
def test_an_event_has_fields_and_comments(event: bytes) -> None:
    check_fields(event)


@pytest.mark.parametrize(
    "event",
    [
        b"Authorization: Bearer k\n\n",
        b"event: x\nAuthorization: Bearer k\n\n",
        b"event: x\ndata: {}\rAuthorization: Bearer k\n\n",
        b"event: x\ndata: {}\nAuthorization: Bearer k\n\n",
        b"Traceback\ndata: {}\n\n",
        b"database: k\n\n",
        b" data: {}\n\n",
    ],
)
def test_what_is_no_field_of_an_event_is_refused_wherever_it_stands(event: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        check_fields(event)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
