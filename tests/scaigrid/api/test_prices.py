"""Prices as they are sent, kept and answered."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.api.prices import CostGiven, CostItem, Price, PricesGiven, cost_item, cost_of, prices_of
from scaigrid.config.terms import Cost, Prices
from scaigrid.control.compile import price_list
from scaigrid.types import Usage

MOST_TOKENS = 10**9
"""The most that an adapter takes for a count of any class."""


def test_what_is_left_out_is_filled_in_as_the_file_has_it() -> None:
    assert cost_of(CostGiven()) == Cost()
    assert prices_of(PricesGiven()) == Prices()


def test_every_amount_has_its_place() -> None:
    given = PricesGiven(input="1", output="2", cached_input="3", cache_write="4", cache_write_1h="5", request="6")
    assert prices_of(given) == Prices(
        input=Decimal(1),
        output=Decimal(2),
        cached_input=Decimal(3),
        cache_write=Decimal(4),
        cache_write_1h=Decimal(5),
        request=Decimal(6),
    )
    same = Cost(
        input=Decimal(1), output=Decimal(2), cached_input=Decimal(3), cache_write=Decimal(4), cache_write_1h=Decimal(5)
    )
    assert cost_of(given) == same
    assert cost_item(same) == CostItem(input="1", output="2", cached_input="3", cache_write="4", cache_write_1h="5")


@given(st.decimals(min_value=0, max_value=Decimal("999999.999999999"), places=9, allow_nan=False))
def test_an_amount_comes_back_as_it_was_sent(amount: Decimal) -> None:
    text = format(amount, "f")
    assert msgspec.convert(text, Price) == text
    shown = cost_item(cost_of(CostGiven(input=text, cached_input=text)))
    assert Decimal(shown.input) == amount
    assert shown.cached_input == shown.input
    assert "e" not in shown.input.lower()


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.", ".1", "1e3", " 1", "1 ", "1000000", "0.0000000001", "NaN", "1,0"]
)
def test_anything_else_is_no_price(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Price)


def test_no_answer_can_cost_more_than_a_usage_row_holds() -> None:
    most = "999999.999999999"
    prices = price_list(
        prices_of(
            PricesGiven(input=most, output=most, cached_input=most, cache_write=most, cache_write_1h=most, request=most)
        )
    )
    usage = Usage(
        input=MOST_TOKENS,
        cache_read=MOST_TOKENS,
        cache_write=MOST_TOKENS,
        cache_write_1h=MOST_TOKENS,
        output=MOST_TOKENS,
    )
    assert prices.cost(usage) < 2**63
