from decimal import Decimal

import msgspec
import pytest

from scaigrid.api.money import Money, read, shown


@pytest.mark.parametrize("text", ["0", "0.000000001", "12.50", "999999999999.999999999"])
def test_what_is_taken_is_kept_to_the_last_place(text: str) -> None:
    taken = msgspec.convert(text, Money)
    assert read(taken) == Decimal(text)
    assert Decimal(str(shown(read(taken)))) == Decimal(text)


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.", ".5", "01", "1e3", "NaN", "1.0000000001", "1000000000000", "1\n"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Money)


def test_a_number_is_no_money() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(1.5, Money)


def test_nothing_stays_nothing() -> None:
    assert (read(None), shown(None)) == (None, None)


def test_an_amount_is_shown_without_trailing_zeros() -> None:
    assert shown(Decimal("250.5000")) == "250.5"
