import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.cursor import Cursor
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.ledger.reading import Position

SLUGS = Cursor(str)
POSITIONS = Cursor(Position)


@given(st.text())
def test_a_slug_comes_back_as_it_went(slug: str) -> None:
    assert SLUGS.read(SLUGS.write(slug)) == slug


@given(st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_a_position_comes_back_to_the_last_bit(created_at: float, name: str) -> None:
    assert POSITIONS.read(POSITIONS.write(Position(created_at, name))) == (created_at, name)


@given(st.text())
def test_a_cursor_can_stand_in_an_address_as_it_is(slug: str) -> None:
    assert set(SLUGS.write(slug)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_without_a_cursor_a_list_begins_at_its_beginning() -> None:
    assert SLUGS.read(None) is None


@pytest.mark.parametrize(
    "text",
    ["", "!", "a", "ab", "ImEi=", "ImE i", "ImEi\n", "é", "W10", "WzEsMl0", "bnVsbA", SLUGS.write("a")],
)
def test_what_no_page_gave_is_refused(text: str) -> None:
    with pytest.raises(GatewayError) as caught:
        POSITIONS.read(text)
    assert caught.value.code is Code.VALIDATION_ERROR
    assert caught.value.details == (Detail("cursor", "is not the next_cursor of a page"),)


def position_or_refusal(text: str) -> object:
    try:
        return POSITIONS.read(text)
    except GatewayError as error:
        return error


@given(st.text())
def test_any_text_is_a_position_or_refused(text: str) -> None:
    assert isinstance(position_or_refusal(text), Position | GatewayError)
